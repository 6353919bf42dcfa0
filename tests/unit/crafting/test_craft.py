"""Crafting against closed forms, and its independence of the batch."""

from __future__ import annotations

from itertools import cycle

import pytest
import torch

import surrogates as sg
from blackbox.rng import Stream
from blackbox.threat import L1, L2, Linf, Threat
from surrogates.crafting import presets
from surrogates.crafting.ball import move, random_point
from surrogates.crafting.gradients import Autograd, Gradient
from surrogates.crafting.parts import DI, TI
from tests.surrogate_doubles import Affine, Bowl, images, lighter, served

PAPERS = (
    "fgsm", "i-fgsm", "pgd", "mi-fgsm", "ni-fgsm", "pi-fgsm", "emi-fgsm", "vmi-fgsm", "vni-fgsm", "gra", "pgn", "rap", "mef",
    "di-fgsm", "dem", "ti-fgsm", "si-fgsm", "admix", "ssa", "sia", "bsr", "sgm", "linbp", "bpa", "ila", "fia", "naa", "bfa", "svre",
    "adaea", "cwa", "lgv", "swag", "logit", "margin", "po-trip", "cfm", "su", "mi-di-ti-si-fgsm",
)  # fmt: skip


def affine_case(n: int = 5) -> tuple[Affine, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Net, images, labels, and the gradient of cross-entropy: W^T (p - onehot)."""
    net, x = Affine(16), images(n)
    y = torch.arange(n) % 3
    with torch.no_grad():
        p = net(x).softmax(1) - torch.nn.functional.one_hot(y, 3)
    return net, x, y, (p @ net.w.detach()).view_as(x)


def test_fgsm_is_the_closed_form_on_an_affine_net() -> None:
    net, x, y, g = affine_case()
    assert torch.allclose(sg.craft(net, x, y, "fgsm", threat=Linf(0.1)), x + 0.1 * g.sign(), atol=1e-6)
    unit = g / g.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert torch.allclose(sg.craft(net, x, y, "fgsm", threat=L2(0.1)), x + 0.1 * unit, atol=1e-6)


def test_targeted_descends_the_targets_cross_entropy() -> None:
    net, x, y, _ = affine_case()
    goal = (y + 1) % 3
    with torch.no_grad():
        p = net(x).softmax(1) - torch.nn.functional.one_hot(goal, 3)
    g = (p @ net.w.detach()).view_as(x)
    made = sg.craft(net, x, y, "fgsm", threat=Linf(0.1), target=goal)
    assert torch.allclose(made, x - 0.1 * g.sign(), atol=1e-6)


def test_margin_loss_on_an_affine_net() -> None:
    net, x, y, _ = affine_case()
    with torch.no_grad():
        other = net(x).scatter(1, y[:, None], -torch.inf).argmax(1)
        g = (net.w[other] - net.w[y]).view_as(x)
    assert torch.allclose(sg.craft(net, x, y, "fgsm", threat=Linf(0.1), loss="margin"), x + 0.1 * g.sign(), atol=1e-6)


def bowl_case() -> tuple[Bowl, torch.Tensor]:
    a = torch.tensor([3.0, -2.0, 1.0, 0.5, -4.0, 0.2]).view(1, 2, 3)
    return Bowl(a, torch.full_like(a, 0.5)), images(4, (1, 2, 3), low=0.42, high=0.58)


@pytest.mark.parametrize("ahead", [False, True])
def test_two_steps_of_mi_and_ni_by_hand(ahead: bool) -> None:
    net, x = bowl_case()
    a, c, mu, step = net.a.detach(), net.c, 0.9, 0.05
    hat = lambda g: g / g.flatten(1).abs().mean(1).view(-1, 1, 1, 1)  # noqa: E731
    m = hat(a * (x - c))
    x1 = x + step * m.sign()
    look = x1 + step * mu * m if ahead else x1
    m = mu * m + hat(a * (look - c))
    want = x1 + step * m.sign()
    name = "ni-fgsm" if ahead else "mi-fgsm"
    made = sg.craft(net, x, torch.zeros(4, dtype=torch.int64), name, threat=Linf(0.1), steps=2, decay=mu, loss="margin")
    assert torch.allclose(made, want, atol=1e-6)


def test_momentum_and_lookahead_matter_in_that_case() -> None:
    net, x = bowl_case()
    y = torch.zeros(4, dtype=torch.int64)
    made = [
        sg.craft(net, x, y, name, threat=Linf(0.1), steps=2, decay=mu, loss="margin")
        for name, mu in (("i-fgsm", None), ("mi-fgsm", 0.9), ("ni-fgsm", 0.9))
    ]
    assert not torch.equal(made[0], made[1]) and not torch.equal(made[1], made[2])


def test_a_step_in_l1_is_the_best_of_ball_and_box() -> None:
    """Against a linear programme solved by scipy."""
    from scipy.optimize import linprog

    g = torch.tensor([[3.0, -2.0, 1.0, 0.5, 0.0]])
    x = torch.tensor([[0.9, 0.3, 0.5, 0.0, 0.2]])
    delta = move(L1(0.7), g, x, 0.7)
    # delta = p - q with p, q >= 0, sum p + q <= 0.7, 0 <= x + p - q <= 1
    bounds = [(0, 1 - float(v)) for v in x[0]] + [(0, float(v)) for v in x[0]]
    best = linprog((-torch.cat([g[0], -g[0]])).numpy(), A_ub=[[1] * 10], b_ub=[0.7], bounds=bounds)
    assert float((g * delta).sum()) == pytest.approx(-best.fun, abs=1e-6)
    assert float(delta.abs().sum()) <= 0.7 + 1e-6


# Projections know no presets and presets no projections: each preset meets one threat, each threat a third of the presets.
@pytest.mark.parametrize(("name", "threat"), list(zip(presets.names(), cycle([Linf(0.1), L2(0.7), L1(2.0)]))), ids=str)
def test_stays_inside_the_threat_and_the_box(name: str, threat: Threat) -> None:
    net = sg.build("cnn", 4, (3, 6, 6), seed=1)
    x = torch.cat([images(6, (3, 6, 6), low=0, high=1), torch.zeros(1, 3, 6, 6), torch.ones(1, 3, 6, 6)])
    preset, y = lighter(presets.get(name)), torch.arange(8) % 4
    goal = (y + 1) % 4 if preset.targeted else None
    nets = served(preset, net)
    made = sg.craft(nets, x, y, preset, threat=threat, steps=min(preset.steps, 4), target=goal, chunk=8)
    assert float(threat.distance(made, x).max()) <= threat.eps + 1e-6
    assert float(made.min()) >= 0 and float(made.max()) <= 1
    assert not torch.equal(made, x)


@pytest.mark.parametrize("arch", ["mlp", "lenet", "cnn"])
def test_a_row_does_not_depend_on_its_batch(arch: str) -> None:
    """In L2, where the last bit of a gradient shows; a sign step would mostly hide it."""
    net = sg.build(arch, 4, (3, 32, 32), seed=1)
    x, y = images(9, (3, 32, 32)), torch.arange(9) % 4
    every = {"attack": "pgd", "threat": L2(0.5), "steps": 4, "seed": 3}
    whole = sg.craft(net, x, y, **every)  # type: ignore[arg-type]
    order = torch.tensor([4, 0, 8, 2, 6, 1, 3, 7, 5])
    mixed = sg.craft(net, x[order], y[order], ids=order, **every)  # type: ignore[arg-type]
    assert torch.equal(mixed, whole[order])
    for i in (0, 5):
        assert torch.equal(sg.craft(net, x[i : i + 1], y[i : i + 1], ids=[i], **every), whole[i : i + 1])  # type: ignore[arg-type]
    assert torch.equal(sg.craft(net, x.repeat(5, 1, 1, 1), y.repeat(5), ids=list(range(9)) * 5, **every)[-9:], whole)  # type: ignore[arg-type]


def test_the_start_depends_on_seed_and_id_alone_and_fills_the_ball() -> None:
    import numpy as np

    rng = Stream(0, np.arange(400, dtype=np.uint64))
    for threat in (Linf(0.3), L2(0.3), L1(0.3)):
        point = random_point(threat, rng, (3,))
        size = threat.distance(point, torch.zeros_like(point))
        assert float(size.max()) <= 0.3 + 1e-6
        # the share of a 3-ball within half its radius is 1/8
        assert 0.06 < float((size < 0.15).float().mean()) < 0.2
    y = torch.zeros(2, dtype=torch.int64)
    net, x = Affine(16), images(1).repeat(2, 1, 1, 1)
    made = sg.craft(net, x, y, "pgd", threat=Linf(0.1), steps=1, step=1e-6)
    assert not torch.allclose(made[0], made[1])
    assert not torch.allclose(made, sg.craft(net, x, y, "pgd", threat=Linf(0.1), steps=1, step=1e-6, seed=1))


def test_an_ensemble_is_the_mean_of_logits() -> None:
    nets = [Affine(16, seed=s) for s in range(3)]
    mean = Affine(16)
    with torch.no_grad():
        mean.w.copy_(torch.stack([n.w for n in nets]).mean(0))
        mean.b.copy_(torch.stack([n.b for n in nets]).mean(0))
    x, y = images(5), torch.arange(5) % 3
    rng = Stream(0, torch.arange(5).numpy().astype("uint64"))
    together, alone = Autograd(nets, x), Autograd(mean, x)
    assert torch.allclose(together(x, y, rng, 0), alone(x, y, rng, 0), atol=1e-6)
    assert together.cost == 3 and isinstance(together, Gradient)


def test_the_loss_is_summed_not_averaged_over_rows() -> None:
    net, x, y, g = affine_case()
    rng = Stream(0, torch.arange(5).numpy().astype("uint64"))
    assert torch.allclose(Autograd(net, x, chunk=2)(x, y, rng, 0), g, atol=1e-6)


def test_flags_of_the_net_come_back() -> None:
    net = sg.build("cnn", 3, (1, 4, 4)).train()
    frozen = next(net.parameters())
    frozen.requires_grad_(False)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    sg.craft(net, images(3), torch.arange(3), "i-fgsm", threat=Linf(0.1), steps=2)
    assert net.training and all(part.training for part in net.modules())
    assert not frozen.requires_grad and sum(not p.requires_grad for p in net.parameters()) == 1
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items()), "batch norm must not have learned"


def test_a_flat_net_gives_no_nan() -> None:
    """A zero gradient divided by its mean is 0/0 in some toolkits."""
    net = Affine(16)
    with torch.no_grad():
        net.w.zero_()
    x = images(3)
    assert torch.equal(sg.craft(net, x, torch.arange(3), "mi-fgsm", threat=Linf(0.1)), x)


def test_defaults_of_the_presets() -> None:
    first = ["fgsm", "i-fgsm", "pgd", "mi-fgsm", "ni-fgsm"]
    assert presets.names()[:5] == first
    assert [presets.get(n).cost() for n in first] == [1, 10, 20, 10, 10]
    assert presets.get("pgd").step(Linf(0.1), 20) == pytest.approx(0.0125)
    assert presets.get("mi-fgsm").step(Linf(0.1), 10) == pytest.approx(0.01)
    for alias, name in (
        ("mifgsm", "mi-fgsm"),
        ("MI_FGSM", "mi-fgsm"),
        ("ifgsm", "i-fgsm"),
        ("bim", "i-fgsm"),
        ("mim", "mi-fgsm"),
    ):
        assert presets.get(alias).name == name
    for name in presets.names():
        p = presets.get(name)
        assert p.title and p.paper and p.formula and p.departures and p.composes


@pytest.mark.parametrize("name", PAPERS)
def test_the_names_that_papers_use_are_there(name: str) -> None:
    assert presets.get(name).name == name and name in presets.names()


@pytest.mark.parametrize(
    ("name", "composes"),
    [
        ("ni-di-ti-fgsm", "Momentum | LookAhead | DI | TI"),
        ("VMI_SSA_FGSM", "Momentum | Neighbourhood | Variance | SSA"),
        ("mi-di-si-fgsm", "SI | Momentum | DI"),  # the copies first, so that each gets a view of its own
        ("sgm-di-fgsm", "Momentum | SGM | DI"),
    ],
)
def test_a_combination_can_be_named(name: str, composes: str) -> None:
    made = presets.get(name)
    assert made.composes == composes and made.name == name.lower().replace("_", "-")
    assert made.steps == 10 and made.step(Linf(0.1), 10) == pytest.approx(0.01)


def test_a_named_combination_does_what_its_parts_do() -> None:
    net, x, y = sg.build("cnn", 4, (3, 8, 8), seed=1), images(5, (3, 8, 8)), torch.arange(5) % 4
    every = {"threat": Linf(0.1), "steps": 2, "seed": 1}
    parts = presets.get("ni-fgsm") | DI() | TI()
    assert torch.equal(sg.craft(net, x, y, "ni-di-ti-fgsm", **every), sg.craft(net, x, y, parts, **every))  # type: ignore[arg-type]
    for known in ("mi-di-ti-fgsm", "mi-di-ti-si-fgsm"):  # a name of its own comes first, and says the same
        words = [presets.get(f"{word}-fgsm") for word in known.split("-")[:-1]]
        assert set(presets.get(known).parts) == {part for preset in words for part in preset.parts}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pi-ni-fgsm", "one ahead"),
        ("gra-vmi-fgsm", "one probe"),
        ("mi-foo-fgsm", "name of a preset, but it was 'mi-foo-fgsm'"),
        ("mi-logit-fgsm", "name of a preset"),  # steps of another kind, towards a class
        ("mi-di", "name of a preset"),
    ],
)
def test_a_combination_that_cannot_be_is_refused(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        presets.get(name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attack": "mi-fgs"}, "Did you mean 'mi-fgsm'"),
        ({"attack": "zoo"}, "There are fgsm"),
        ({"attack": "fgsm", "steps": 10}, "single step"),
        ({"steps": 0}, "steps to be a whole number"),
        ({"step": -1.0}, "step to be positive"),
        ({"loss": "hinge"}, "loss to be one of"),
        ({"chunk": 0}, "chunk"),
        ({"y": torch.tensor([0, 1, 3])}, "sample 2 has 3"),
        ({"y": torch.tensor([0, 1])}, "one label for each"),
        ({"target": torch.tensor([1, 1, 1])}, "other than the true label, but for sample 1"),
        ({"x": images(3, (3, 4, 4))}, "1 channels for the net, but they had 3"),
        ({"x": images(3, (1, 8, 8))}, "images of shape (1, 4, 4) for the net, but they had shape (1, 8, 8)"),
        ({"x": images(3) * 300}, "Divide by 255"),
        ({"ids": [1, 2]}, "ids to be 3 whole numbers"),
        ({"threat": Linf(float("inf"))}, "finite eps"),
        ({"nets": []}, "one or more torch modules"),
        ({"nets": None}, "one or more torch modules to take gradients through, but there were: NoneType"),
        ({"nets": {"a": 1}}, "one or more torch modules to take gradients through, but there were: str"),
    ],
)
def test_bad_input_gets_a_sentence(change: dict, words: str) -> None:
    args = {
        "nets": sg.build("mlp", 3, (1, 4, 4)),
        "x": images(3),
        "y": torch.arange(3),
        "attack": "mi-fgsm",
        "threat": Linf(0.1),
    } | change
    with pytest.raises(ValueError) as error:
        sg.craft(**args)  # type: ignore[arg-type]
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["cnn", "vgg", "resnet20"])
def test_a_net_that_averages_over_its_map_is_not_shown_images_of_another_size(name: str) -> None:
    net = sg.build(name, 3, (1, 16, 16))
    for use in (lambda x: sg.craft(net, x, torch.arange(3), threat=Linf(0.1)), lambda x: sg.predict(net, x)):
        use(images(3, (1, 16, 16)))
        with pytest.raises(ValueError, match=r"of shape \(1, 16, 16\) for the net, but they had shape \(1, 8, 8\)"):
            use(images(3, (1, 8, 8)))


def test_an_ensemble_with_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="same classes, but they have 3, 4"):
        sg.craft([Affine(16, 3), Affine(16, 4)], images(2), torch.tensor([0, 1]), threat=Linf(0.1))


def test_a_net_that_answers_nan_is_refused() -> None:
    net = Affine(16)
    with torch.no_grad():
        net.b[0] = float("nan")
    with pytest.raises(ValueError, match="finite gradients"):
        sg.craft(net, images(2), torch.tensor([0, 1]), threat=Linf(0.1))


class _InPlace(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = Affine(16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x.mul_(0.5))


def test_a_net_that_writes_into_its_input_changes_no_images_of_ours() -> None:
    x, y = images(3), torch.arange(3)
    before, net = x.clone(), _InPlace()
    halves = Affine(16)
    labels = sg.predict(halves, 0.5 * x)
    assert torch.equal(sg.predict(net, x), labels) and torch.equal(x, before)
    assert sg.accuracy(net, (x, labels)).value == 1 and torch.equal(x, before)
    for use in (
        lambda: sg.craft(net, x, y, "fgsm", threat=Linf(0.1)),
        lambda: sg.prior(net).check((1, 4, 4), 3),
        lambda: sg.minimum_norm.deepfool(net, x, y),
    ):
        with pytest.raises(ValueError, match=r"not to modify its input, .* x - mean in place of x.sub_"):
            use()
        assert torch.equal(x, before)


def test_what_is_no_threat_and_no_seed_is_told_in_a_sentence() -> None:
    net, x, y, _ = affine_case()
    for threat in (None, 0.1):
        with pytest.raises(TypeError, match=r"Expected a threat such as blackbox.Linf\(8/255\)"):
            sg.craft(net, x, y, "fgsm", threat=threat)  # type: ignore[arg-type]
    for seed in (None, 1.5):
        with pytest.raises(ValueError, match="Expected seed to be a whole number"):
            sg.craft(net, x, y, "fgsm", threat=Linf(0.1), seed=seed)  # type: ignore[arg-type]


def test_one_class_stands_for_all_images() -> None:
    net, x, labels, _ = affine_case(3)
    goal = torch.full((3,), (int(labels[0]) + 1) % 3)
    labels = labels[0].expand(3)
    one, each = (sg.craft(net, x, labels, "fgsm", threat=Linf(0.1), target=g) for g in (int(goal[0]), goal))
    assert torch.equal(one, each)

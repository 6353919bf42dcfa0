"""How parts join, what is refused and why, what a composition costs, and the parts from gradient to change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.estimators import Coordinates
from blackbox.rng import Stream
from blackbox.threat import L2, Linf
from surrogates.crafting import parts, presets
from surrogates.crafting.goal import Goal
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts import losses
from surrogates.crafting.parts.finish import gaussian
from surrogates.crafting.queried import Queried
from surrogates.nets.predict import piecewise
from tests.surrogate_doubles import Affine, Bowl, images, lighter

T = Linf(0.1)
RNG = Stream(0, np.arange(5, dtype=np.uint64))
Y = torch.arange(5) % 3


# -- joining -----------------------------------------------------------------------------------------------------------


def test_parts_join_in_any_order_and_presets_take_more() -> None:
    a = parts.Momentum() | parts.DI() | parts.TI(3)
    assert isinstance(a, parts.Parts) and str(a) == "Momentum | DI | TI(kernel=3)"
    b = presets.get("mi-fgsm") | parts.TI(3) | parts.DI()
    assert b.name == "mi-fgsm | TI(kernel=3) | DI" and b.cost() == 10
    net, x = sg.build("cnn", 3, (1, 4, 4)), images(5)
    assert torch.equal(sg.craft(net, x, Y, a, threat=T), sg.craft(net, x, Y, b, threat=T))
    assert presets.get(a).steps == 10 and presets.get(parts.DI()).parts.all("view") == (parts.DI(),)


def test_swap_puts_a_part_in_anothers_place() -> None:
    a = presets.get("mi-fgsm").swap(parts.Momentum(0.5))
    assert a.parts.one("momentum").decay == 0.5
    net, x = sg.build("cnn", 3, (1, 4, 4)), images(5)
    assert torch.equal(sg.craft(net, x, Y, a, threat=T), sg.craft(net, x, Y, "mi-fgsm", threat=T, decay=0.5))


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        (lambda: parts.Pair() | parts.Line(), "one probe .*, but there were Pair and Line"),
        (lambda: parts.LookAhead() | parts.PreGradient(), "one ahead"),
        (lambda: presets.get("mi-fgsm") | parts.Momentum(0.9), r"\.swap\(Momentum"),
        (lambda: parts.Momentum() | "di", "joined|parts|unsupported"),
    ],
)
def test_two_for_one_place_are_refused(mix: object, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        mix()  # type: ignore[operator]


@dataclass(frozen=True)
class FeatureLoss(parts.Loss):
    needs_tap = True

    def __call__(self, answer: parts.Answer, goal: Goal) -> Tensor:
        return answer.feature.flatten(1).sum(1)  # type: ignore[union-attr]


@dataclass(frozen=True)
class Inner(parts.Schedule):
    inner = True


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (parts.Momentum() | parts.Variance(), "a probe beside Variance"),
        (parts.LookAhead(), "Momentum of normalised gradients beside LookAhead"),
        (parts.LookAhead() | parts.Momentum(1.0, "none"), "Momentum of normalised gradients"),
        (FeatureLoss(), "one feature tap for FeatureLoss"),
        (parts.Cycle(), "an ensemble of nets for Cycle"),
        (Inner() | parts.Pair(), "no probe beside Inner"),
        (parts.LogitFusion((1.0, 2.0)), "1 weights"),
    ],
    ids=str,
)
def test_mixes_that_cannot_work_are_refused_with_a_reason(attack: parts.Parts, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        sg.craft(Affine(16), images(5), Y, attack, threat=T)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: parts.Momentum(1.0, "l1"), "mean-abs, l2, none"),
        (lambda: parts.TI(4), "odd number"),
        (lambda: parts.DI(1.5), "p in"),
        (lambda: parts.SIA(operations=("fold",)), "operations among"),
        (lambda: parts.Step("slow"), "constant, linear, cosine"),
    ],
)
def test_settings_out_of_range_are_refused(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]


def test_l0_and_an_endless_ball_are_refused() -> None:
    with pytest.raises(ValueError, match="Linf, L2 or L1"):
        sg.craft(Affine(16), images(5), Y, threat=bb.L0(3))
    with pytest.raises(ValueError, match="finite eps for vmi-fgsm"):
        sg.craft(Affine(16), images(5), Y, "vmi-fgsm", threat=Linf(math.inf), step=0.1)


# -- cost --------------------------------------------------------------------------------------------------------------

COST = {
    "fgsm": 1, "i-fgsm": 10, "pgd": 20, "mi-fgsm": 10, "ni-fgsm": 10, "pi-fgsm": 10, "emi-fgsm": 110, "vmi-fgsm": 190,
    "vni-fgsm": 190, "gra": 210, "pgn": 400, "rap": 2800, "mef": 400, "di-fgsm": 10, "dem": 50, "ti-fgsm": 10, "si-fgsm": 50,
    "admix": 150, "ssa": 200, "sia": 200, "bsr": 200, "logit": 300, "margin": 300, "po-trip": 300, "mi-di-ti-fgsm": 10,
    "mi-di-ti-si-fgsm": 50, "vni-di-ti-si-fgsm": 950, "bsr-pgn": 400,
}  # fmt: skip


class Counting(Affine):
    rows = 0

    def forward(self, x: Tensor) -> Tensor:
        self.rows += len(x)
        return super().forward(x)


@pytest.mark.parametrize("name", COST)
def test_g_is_what_is_really_computed(name: str) -> None:
    preset = presets.get(name)
    assert preset.cost() == COST[name] and preset.cost(nets=3) == 3 * COST[name]
    steps = min(preset.steps, 4 if name == "rap" else 2)
    net, x = Counting(64), images(2, (1, 8, 8))
    goal = torch.tensor([1, 2]) if preset.targeted else None
    sg.craft(net, x, Y[:2], preset, threat=T, steps=steps, target=goal, chunk=2 if name != "dem" else 10)
    assert net.rows == 1 + 2 * preset.cost(steps)  # one row to see that the net takes the images


# -- every preset: independence, ball, box -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> nn.Module:
    return sg.build("cnn", 4, (3, 10, 10), seed=1)


@pytest.mark.parametrize("name", COST)
def test_an_image_has_the_same_result_in_any_batch(name: str, small: nn.Module) -> None:
    """In L2, where the last bit of a gradient shows. Three of whatever a preset has twenty of."""
    preset = lighter(presets.get(name))
    x, y, goal = images(7, (3, 10, 10)), torch.arange(7) % 4, (torch.arange(7) + 1) % 4

    def run(at: list[int]) -> Tensor:
        aim = goal[at] if preset.targeted else None
        return sg.craft(
            small,
            x[at],
            y[at],
            preset,
            threat=L2(0.5),
            steps=min(preset.steps, 2),
            target=aim,
            ids=at,
            pool=(x, y),
            chunk=5,
        )

    whole = run(list(range(7)))
    order = [4, 0, 2, 6, 1, 3, 5]
    assert torch.equal(run(order), whole[order])
    assert torch.equal(run([5]), whole[5:6])
    assert torch.equal(run([0, 1, 2, 3, 4, 5, 6] * 2)[-7:], whole)
    if name not in ("fgsm", "i-fgsm", "mi-fgsm", "ni-fgsm"):
        assert float((whole - x).flatten(1).norm(dim=1).max()) <= 0.5 + 1e-5


@pytest.mark.parametrize("name", ["pgd", "ssa", "bsr", "pgn"])
def test_the_seed_matters_where_there_are_draws(name: str, small: nn.Module) -> None:
    x, y = images(3, (3, 10, 10)), torch.arange(3)
    two = [sg.craft(small, x, y, name, threat=L2(0.5), steps=1, seed=s, chunk=8) for s in (0, 1)]
    assert not torch.equal(two[0], two[1])


@pytest.mark.parametrize("threat", [Linf(4 / 255), L2(0.7), Linf(0.013)], ids=str)
def test_eight_bit_results_lie_on_the_lattice_and_in_the_ball(threat: Linf, small: nn.Module) -> None:
    x, y = (images(7, (3, 10, 10), low=0, high=1) * 255).round() / 255, torch.arange(7) % 4
    made = sg.craft(small, x, y, "mi-fgsm", threat=threat, eight_bit=True, chunk=7)
    assert float((made * 255 - (made * 255).round()).abs().max()) < 1e-4
    assert float(threat.distance(made, x).max()) <= threat.eps + 1e-6 and not torch.equal(made, x)
    same = sg.craft(small, x, y, presets.get("mi-fgsm") | parts.EightBit(), threat=threat, chunk=7)
    assert torch.equal(same, made)


# -- losses, fusion, schedule, surgery ---------------------------------------------------------------------------------


def goal(targeted: bool = True) -> Goal:
    return Goal((Y + 1) % 3 if targeted else Y, Y, targeted)


def test_losses_by_hand() -> None:
    z = torch.tensor([[1.0, 3.0, 0.5]])
    at = Goal(torch.tensor([2]), torch.tensor([1]), True)
    p = z.softmax(1)[0]
    for name, want in (
        ("cross-entropy", float(p[2].log())),
        ("margin", -2.5),
        ("logit", 0.5),
        ("logit-margin", float((z / 2).log_softmax(1)[0, 2])),
    ):
        assert float(losses.get(name)(parts.Answer(z), at)) == pytest.approx(want, abs=1e-6), name
    away = Goal(torch.tensor([1]), torch.tensor([1]))
    for name, want in (("cross-entropy", -float(p[1].log())), ("margin", -2.0), ("logit", -3.0)):
        assert float(losses.get(name)(parts.Answer(z), away)) == pytest.approx(want, abs=1e-6), name
    a, b = z[0] / 4.5, torch.tensor([0.0, 0.0, 1 - 1e-5])
    far = math.acosh(1 + 2 * float(((a - b) ** 2).sum()) / (float(1 - a @ a) * float(1 - b @ b)))
    triplet = (1 - 0.5 / float(z.norm())) - (1 - 3 / float(z.norm())) + 0.007
    assert float(losses.get("po-trip")(parts.Answer(z), at)) == pytest.approx(-far - 0.01 * triplet, rel=1e-3)


def test_cross_entropy_has_a_gradient_where_the_net_is_sure() -> None:
    """In float32, against float64: p - 1 is 0 there, and the usual form points anywhere."""
    z = torch.tensor([[30.0, 1.0, -2.0, 0.5], [0.0, 3.0, 40.0, 1.0]])
    at = Goal(torch.tensor([0, 2]), torch.tensor([0, 2]))
    for targeted, classes in ((False, [0, 2]), (True, [1, 0])):
        aim, grads = replace(at, classes=torch.tensor(classes), targeted=targeted), []
        for dtype in (torch.float32, torch.float64):
            given = z.to(dtype).requires_grad_()
            value = losses.CrossEntropy()(parts.Answer(given), aim)
            want = F.cross_entropy(given, aim.classes, reduction="none") * (-1 if targeted else 1)
            assert torch.allclose(value, want, atol=1e-6)
            grads.append(torch.autograd.grad(value.sum(), given)[0].double())
        assert torch.allclose(grads[0], grads[1], rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", losses.BY_NAME)
def test_losses_stay_finite_where_a_net_is_sure_or_undecided(name: str) -> None:
    for row in ([1e4, 0.0, 0.0], [0.0, 0.0, 0.0], [5.0, 5.0, -1e4]):
        z = torch.tensor([row] * 3, requires_grad=True)
        at = Goal(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0]), True)
        value = losses.get(name)(parts.Answer(z), at)
        assert bool(value.isfinite().all()) and bool(torch.autograd.grad(value.sum(), z)[0].isfinite().all()), row


def test_a_targeted_loss_wants_a_target() -> None:
    with pytest.raises(ValueError, match="target for po-trip"):
        sg.craft(Affine(16), images(5), Y, "po-trip", threat=T, steps=1)


def test_targeted_presets_raise_the_targets_logit(small: nn.Module) -> None:
    x, y = images(6, (3, 10, 10)), torch.arange(6) % 4
    aim = (y + 1) % 4
    for name in ("logit", "margin", "po-trip"):
        made = sg.craft(small, x, y, name, threat=Linf(0.2), steps=10, target=aim, chunk=6)
        with torch.no_grad():
            gain = (small(made).softmax(1) - small(x).softmax(1)).gather(1, aim[:, None])
        assert bool((gain > 0).all()), name


def test_fusions_by_hand() -> None:
    nets, x = [Affine(16, seed=s) for s in range(3)], images(5)
    given = x.clone().requires_grad_()
    zs, w = [net(given) for net in nets], torch.tensor([0.5, 0.25, 0.25])
    want = {
        parts.LogitFusion(): F.cross_entropy(sum(zs) / 3, Y, reduction="sum"),  # type: ignore[arg-type]
        parts.ProbabilityFusion(): F.nll_loss((sum(z.softmax(1) for z in zs) / 3).log(), Y, reduction="sum"),  # type: ignore[union-attr]
        parts.LossFusion(): sum(F.cross_entropy(z, Y, reduction="sum") for z in zs) / 3,
        parts.LogitFusion((2.0, 1.0, 1.0)): F.cross_entropy(
            sum(v * z for v, z in zip(w, zs, strict=True)), Y, reduction="sum"
        ),  # type: ignore[arg-type]
    }
    for fusion, loss in want.items():
        g = torch.autograd.grad(loss, given, retain_graph=True)[0]  # type: ignore[arg-type]
        assert torch.allclose(Autograd(nets, x, fusion=fusion)(x, Y, RNG, 0), g, atol=1e-6), fusion


def test_members_and_schedules() -> None:
    nets, x = [Affine(16, seed=s) for s in range(3)], images(5)
    source = Autograd(nets, x)
    alone = [Autograd(net, x)(x, Y, RNG, 0) for net in nets]
    for i, want in enumerate(alone):
        assert torch.equal(source.member(i)(x, Goal(Y, Y), RNG, 0), want)
    cycle = Autograd(nets, x, schedule=parts.Cycle())
    assert all(torch.equal(cycle(x, Y, RNG, k), alone[k % 3]) for k in range(5))
    drawn = Autograd(nets, x, schedule=parts.Random())
    which = [next(i for i in range(3) if torch.equal(drawn(x, Y, RNG, k), alone[i])) for k in range(20)]
    assert set(which) == {0, 1, 2}
    assert (presets.get("mi-fgsm") | parts.Cycle()).cost(nets=3) == 10
    assert (presets.get("mi-fgsm") | parts.Random(2)).cost(nets=3) == 20


@dataclass(frozen=True)
class InTurn(parts.Schedule):
    """The sum of the members' gradients: an inner loop in miniature."""

    inner = True

    def __call__(self, walk: object, at: Tensor) -> Tensor:
        return sum(walk.gradient(at, source=member) for member in walk.members)  # type: ignore[attr-defined, misc]


def test_an_inner_loop_sees_every_member_behind_the_views() -> None:
    nets, x = [Affine(16, seed=s) for s in range(3)], images(5)
    a = sg.craft(nets, x, Y, InTurn() | parts.SI(2), threat=L2(0.1), steps=2)
    b = sg.craft(nets, x, Y, parts.LossFusion() | parts.SI(2), threat=L2(0.1), steps=2)
    assert torch.allclose(a, b, atol=1e-6)


class Hooked:
    def __init__(self, net: nn.Module) -> None:
        self.seen: list[tuple[int, int]] = []
        self.feature: Tensor | None = None
        self.handle = net.register_forward_hook(lambda module, given, out: setattr(self, "feature", out * 2))

    def before(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> None:
        assert len(x) == len(goal) == len(rng.ids)
        self.seen.append((k, len(x)))

    def take(self) -> Tensor:
        assert self.feature is not None
        return self.feature


@dataclass(frozen=True)
class Hook(parts.Surgery):
    tap = True

    @contextmanager
    def __call__(self, nets: Sequence[nn.Module]) -> Iterator[Hooked]:  # type: ignore[override]
        hooked = Hooked(nets[0])
        LOG.append(hooked)
        yield hooked
        hooked.handle.remove()


LOG: list[Hooked] = []


@dataclass(frozen=True)
class Guided(parts.Loss):
    """<feature, guide>: the guide is prepared once, row by row."""

    needs_tap = True

    def prepare(self, walk: object) -> tuple[Tensor, ...]:
        return (torch.stack([F.one_hot(i % 3, 3) for i in torch.from_numpy(walk.rng.ids.astype(np.int64))]).float(),)  # type: ignore[attr-defined]

    def __call__(self, answer: parts.Answer, goal: Goal) -> Tensor:
        return (answer.feature * goal.guide[0]).sum(1)  # type: ignore[operator]

    def extra(self) -> int:
        return 7


def test_surgery_is_entered_once_and_a_tapped_loss_sees_its_own_rows_guide() -> None:
    net, x = Affine(16), images(5)
    LOG.clear()
    attack = presets.get(Guided() | Hook() | parts.SI(3))
    made = sg.craft(net, x, Y, attack, threat=L2(0.1), steps=1, chunk=4)
    g = net.w.detach()[Y].view_as(x)  # the guide of row i is class i % 3, and so is Y
    want = x + 0.1 * g / g.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert torch.allclose(made, want, atol=1e-6)
    assert len(LOG) == 1 and not net._forward_hooks and {size for _, size in LOG[0].seen} == {4}
    assert attack.cost(10) == 37
    with pytest.raises(ValueError, match="averages logits"):
        sg.craft(net, images(5), Y, Guided() | Hook() | parts.DEM(), threat=T)


# -- from gradient to change -------------------------------------------------------------------------------------------


def test_ti_smooths_with_a_gaussian_that_has_sum_one() -> None:
    k = gaussian(15)
    assert float(k.sum()) == pytest.approx(1, abs=1e-6) and torch.equal(k, k.T)
    assert float(k[7, 8] / k[7, 7]) == pytest.approx(math.exp(-((6 / 14) ** 2) / 2), rel=1e-5)  # sigma = 14 / 6 pixels
    assert [parts.TI().size((3, s, s)) for s in (8, 28, 32, 64, 112, 224, 299)] == [3, 3, 3, 7, 11, 15, 15]
    net, x = Affine(36), images(3, (1, 6, 6))
    made = sg.craft(net, x, Y[:3], parts.TI(3), threat=L2(0.1), steps=1)
    g = Autograd(net, x)(x, Y[:3], RNG.take(np.arange(3)), 0)
    g = F.conv2d(g, gaussian(3).float().view(1, 1, 3, 3), padding=1)
    assert torch.allclose(made, x + 0.1 * g / g.flatten(1).norm(dim=1).view(-1, 1, 1, 1), atol=1e-6)


def test_piecewise_pads_and_cuts() -> None:
    sizes = []
    x = torch.rand(7, 2)
    assert torch.equal(piecewise(lambda v: (sizes.append(len(v)), v * 2)[1], 3, x), x * 2) and sizes == [3, 3, 3]


def test_momentum_norms() -> None:
    """Two steps on the bowl, in L2: raw gradients weigh the larger, unit ones do not."""
    a = torch.tensor([3.0, -2.0, 1.0, 0.5, -4.0, 0.2]).view(1, 2, 3)
    net, x, y = Bowl(a, torch.full_like(a, 0.5)), images(4, (1, 2, 3)), torch.zeros(4, dtype=torch.int64)
    unit = lambda v: v / v.flatten(1).norm(dim=1).view(-1, 1, 1, 1)  # noqa: E731
    for norm, f in (("l2", unit), ("none", lambda v: v)):
        g = a * (x - 0.5)
        x1 = x + 0.05 * unit(g)
        want = x1 + 0.05 * unit(0.9 * f(g) + f(a * (x1 - 0.5)))
        made = sg.craft(net, x, y, parts.Momentum(0.9, norm), threat=L2(1.0), steps=2, step=0.05, loss="margin")
        assert torch.allclose(made, want, atol=1e-6)


def test_step_schedules_end_low_and_keep_the_sum() -> None:
    lengths: dict[str, list[float]] = {}
    a = torch.ones(1, 2, 2)
    for name in ("constant", "linear", "cosine"):
        x, walked = torch.full((1, 1, 2, 2), 0.6), []

        class Spy(Bowl):
            def forward(self, x: Tensor, walked: list[float] = walked) -> Tensor:
                walked.append(float(x[0, 0, 0, 0].detach()))
                return super().forward(x)

        made = sg.craft(Spy(a, a * 0.5), x, Y[:1], parts.Step(name), threat=Linf(0.3), steps=6, chunk=1, loss="margin")
        lengths[name] = np.diff([*walked[1:], float(made[0, 0, 0, 0])]).tolist()
        assert sum(lengths[name]) == pytest.approx(0.3, abs=1e-5)
    assert lengths["constant"] == pytest.approx([0.05] * 6, abs=1e-6)
    for name in ("linear", "cosine"):
        assert lengths[name] == sorted(lengths[name], reverse=True) and lengths[name][-1] < 0.01


def test_a_step_along_the_gradient_in_an_linf_ball() -> None:
    net, x = Affine(16), images(5)
    g = Autograd(net, x)(x, Y, RNG, 0)
    unit = g / g.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    made = sg.craft(net, x, Y, parts.Step(norm="l2"), threat=T, steps=1, step=0.01)
    assert torch.allclose(made, x + 0.01 * 4 * unit, atol=1e-6)  # as long as 16 entries of 0.01


# -- a query estimator in the place of autograd ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mi-fgsm", "ni-fgsm", "mi-di-ti-fgsm"])
def test_the_same_loop_runs_on_queries(name: str) -> None:
    """Coordinate differences are exact on an affine target's margin, so the loop must come out as with its gradients."""
    net, x, y = Affine(16, classes=2), images(4), torch.tensor([0, 1, 0, 1])
    oracle = bb.Oracle(net, access="logits", classes=2)
    source = Queried(oracle, Coordinates(h=0.01), T, (1, 4, 4))
    preset, rng = presets.get(name), Stream(0, np.arange(4, dtype=np.uint64))
    made = sg.ascend(source, x, y, T, preset.parts, 5, 0.02, rng)
    want = sg.craft(net, x, y, name, threat=T, steps=5, loss="margin")
    assert torch.allclose(made, want, atol=1e-5)
    assert source.cost == 32 and oracle.rows == 4 * 5 * 32 and oracle.counts == {"estimate": 640}


def test_a_view_that_averages_logits_cannot_stand_before_queries() -> None:
    source = Queried(bb.Oracle(Affine(16), classes=3, access="logits"), Coordinates(), T, (1, 4, 4))
    with pytest.raises(ValueError, match="can average logits"):
        sg.ascend(source, images(5), Y, T, presets.get("dem").parts, 1, 0.1, RNG)


def test_goals_are_indexed_like_tensors() -> None:
    g = replace(goal(), guide=(torch.arange(5.0),))
    part = g[torch.tensor([3, 1])]
    assert part.labels.tolist() == [0, 1] and part.guide[0].tolist() == [3.0, 1.0] and part.targeted and len(part) == 2
    assert len(g[1:4]) == 3 and Goal.of(Y).labels is Y


def test_points_that_the_target_rejects_have_no_slope() -> None:
    net, x, y = Affine(16, classes=2), images(4), torch.tensor([0, 1, 0, 1])

    def moody(points: torch.Tensor) -> bb.targets.Answer:
        rejected = points.flatten(1)[:, 3] > 0.5  # both or one of the probes of the fourth entry
        scores = net(points).detach()
        return bb.targets.Answer(torch.where(rejected, -1, scores.argmax(1)), scores.masked_fill(rejected[:, None], torch.nan), rejected)

    oracles = [bb.Oracle(target, access="logits", classes=2, returns="logits") for target in (net, moody)]
    whole, part = (Queried(oracle, Coordinates(), T, (1, 4, 4))(x, y, RNG.take(np.arange(4)), 0) for oracle in oracles)
    assert bool(part.isfinite().all()) and not part.flatten(1)[~(x.flatten(1)[:, 3] <= 0.4)][:, 3].any()
    kept = x.flatten(1)[:, 3] <= 0.4
    assert torch.allclose(whole[kept], part[kept]) and 0 < int(kept.sum()) < 4

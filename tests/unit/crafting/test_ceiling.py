"""Auto-PGD against a loop written from the paper, and the ensemble where one knows what must fall and what must stand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.estimators import Coordinates
from blackbox.rng import Stream
from blackbox.rowwise import row_norm, rows
from blackbox.threat import L0, L1, L2, Linf, Threat
from surrogates.crafting import parts, presets
from surrogates.crafting.ceiling import against, members
from surrogates.crafting.goal import Goal
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts.apgd import checkpoints
from surrogates.crafting.queried import Queried
from tests.surrogate_doubles import Affine, Bowl, images

PLAIN = parts.Value() | parts.APGD() | parts.Best()  # from the image itself


class Wavy(nn.Module):
    """A small net whose margin bends often within a radius of a few tenths, centred so that all classes occur."""

    def __init__(self, d: int, classes: int = 4, seed: int = 0) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.w = nn.Parameter(4 * torch.randn(24, d, generator=g) / d**0.5)
        self.v = nn.Parameter(torch.randn(classes, 24, generator=g))

    def forward(self, x: Tensor) -> Tensor:
        return ((6 * (x.flatten(1) - 0.5) @ self.w.T).sin()) @ self.v.T


def ensemble(net: nn.Module, x: Tensor, y: Tensor, threat: Threat, **more: object) -> sg.Ceiling:
    return sg.ceiling(net, x, y, threat, **{"steps": 8, "starts": 2, "classes": 2, "chunk": 16, **more})  # type: ignore[arg-type]


# -- Auto-PGD ------------------------------------------------------------------------------------------------------------


def test_the_checkpoints_are_the_papers() -> None:
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1000)[:4] == [220, 410, 570, 700]


def one_image(net: Bowl, x0: Tensor, threat: Threat, steps: int) -> Tensor:
    """Algorithm 1 for one image and the margin, the checkpoint looked at before its step."""

    def at(x: Tensor) -> tuple[float, Tensor]:
        x = x.clone().requires_grad_()
        value = net(x)[0, 1] - net(x)[0, 0]
        return float(value.detach()), torch.autograd.grad(value, x)[0]

    size, x, before, path = 2 * threat.eps, x0, x0, []
    best, last, halved, marks = (-math.inf, x0, x0), None, False, [0, *checkpoints(steps)]
    for k in range(steps):
        f, g = at(x)
        path.append((f, x))
        if f > best[0]:
            best = (f, x, g)
        if k in marks[1:]:
            since = marks[marks.index(k) - 1]
            rises = sum(path[i + 1][0] > path[i][0] for i in range(since, k))
            halve = rises < 0.75 * (k - since) or (not halved and best[0] == last)
            if halve:
                size /= 2
                f, x, g = best
                path[-1] = (f, x)
            halved, last = halve, best[0]
        last = f if last is None else last
        unit = g.sign() if threat.p == math.inf else g / g.norm()
        z = threat.project(x + size * unit, x0)
        new = z if k == 0 else threat.project(x + 0.75 * (z - x) + 0.25 * (x - before), x0)
        x, before = new, x
    return max([*path, (at(x)[0], x)], key=lambda point: point[0])[1]


@pytest.mark.parametrize("threat", [Linf(0.2), L2(0.5)], ids=str)
def test_every_image_goes_the_way_of_a_plain_loop_from_the_paper(threat: Threat) -> None:
    """On bowls with ridges, where the best points lie inside and the steps have to become short."""
    a = torch.tensor([-3.0, 8.0, -40.0, 1.0, -5.0, 20.0]).view(1, 1, 2, 3)
    net, x = Bowl(a, torch.full_like(a, 0.5)), images(6, (1, 2, 3))
    made = sg.craft(net, x, torch.zeros(6, dtype=torch.int64), PLAIN, threat=threat, steps=30, step=2 * threat.eps, loss="margin")
    for i in range(6):
        assert torch.allclose(made[i : i + 1], one_image(net, x[i : i + 1], threat, 30), atol=1e-6), i
    assert presets.get("apgd").step(threat, 100) == 2 * threat.eps and presets.get("apgd").cost() == 100


@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.3), L1(0.6)], ids=str)
@pytest.mark.parametrize("loss", ["cross-entropy", "dlr", "margin"])
def test_a_linear_net_is_brought_to_its_optimum(threat: Threat, loss: str) -> None:
    net, x = Affine(16, classes=2), images(5, low=0.45, high=0.55)
    y = torch.arange(5) % 2
    w = rows((1.0 - 2 * y), x) * (net.w[1] - net.w[0]).detach().view(1, 1, 4, 4)  # raises the margin
    gain = {math.inf: w.abs().flatten(1).sum(1), 2.0: row_norm(w), 1.0: None}[threat.p]
    made = sg.craft(net, x, y, "apgd", threat=threat, loss=loss, steps=60)
    got = (w * (made - x)).flatten(1).sum(1)
    # L1: the best entries one after the other, each to the wall of the box
    best = threat.eps * gain if gain is not None else (w * parts.apgd.move(threat, w, x, threat.eps)).flatten(1).sum(1)
    assert torch.allclose(got, best, rtol=0.03) and float((got - best).max()) < 1e-4


def test_the_ratio_does_not_feel_the_scale_of_the_logits() -> None:
    z, y = torch.tensor([[5.0, 1.0, 3.0, 2.0], [0.0, 4.0, 3.0, 9.0]]), torch.tensor([0, 1])
    loss = parts.DLR()
    value = loss(parts.Answer(z), Goal(y, y))
    assert torch.allclose(value, torch.tensor([-(5 - 3) / (5 - 2), -(4 - 9) / (9 - 3)]))
    assert torch.allclose(loss(parts.Answer(100 * z + 7), Goal(y, y)), value)
    toward = loss(parts.Answer(z), Goal(torch.tensor([1, 0]), y, True))
    assert torch.allclose(toward, torch.tensor([(1 - 5) / (5 - (2 + 1) / 2), (0 - 4) / (9 - (3 + 0) / 2)]))
    few = parts.Answer(z[:, :2])
    assert torch.equal(loss(few, Goal(y, y)), sg.parts.Margin()(few, Goal(y, y)))


def test_the_best_point_is_one_that_is_wrong_and_eight_bits_keep_it_the_best() -> None:
    net, x = Affine(16), images(6)
    y = net(x).argmax(1)
    whole = sg.craft(net, x, y, "apgd", threat=Linf(0.1), steps=9)
    cut = sg.craft(net, x, y, "apgd", threat=Linf(0.1), steps=9, eight_bit=True)
    assert float((cut - whole).abs().max()) < 1 / 255 + 1e-6 and not torch.equal(cut, whole)
    bits = 255 * cut[cut != x]
    assert torch.allclose(bits, bits.round(), atol=1e-4)
    # a walk that passes the point where the net is wrong and goes on to where it is right: the last is not the best
    far = sg.craft(net, x, y, presets.get("apgd").swap(parts.Projection()), threat=Linf(0.1), steps=9)
    loss = lambda at: torch.nn.functional.cross_entropy(net(at), y, reduction="none")  # noqa: E731
    assert bool((loss(whole) >= loss(far) - 1e-6).all())


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        (parts.APGD() | parts.Momentum(), "Value.. beside APGD"),
        (parts.Best() | parts.Momentum(), "Value.. beside Best"),
        (PLAIN | parts.DI(), "no DI.* beside Value"),
        (PLAIN | parts.LookAhead() | parts.Momentum(), "no LookAhead beside Value"),
    ],
)
def test_what_does_not_go_together_is_said(mix: parts.Parts, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sg.craft(sg.build("cnn", 3, (1, 4, 4)), images(2), torch.arange(2), mix, threat=Linf(0.1))


def test_a_source_that_tells_no_loss_is_refused() -> None:
    net, x = Affine(16), images(2)
    source = Queried(bb.Oracle(net, classes=3, access="logits"), Coordinates(), Linf(0.1), (1, 4, 4))
    with pytest.raises(ValueError, match="gradients through nets for Value"):
        sg.ascend(source, x, torch.arange(2), Linf(0.1), PLAIN, 3, 0.1, Stream(0, np.arange(2, dtype=np.uint64)))


# -- the ensemble --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threat", [Linf(0.02), L2(0.06)], ids=str)
def test_of_a_linear_net_exactly_those_within_reach_fall(threat: Threat) -> None:
    net, x = Affine(16, classes=3), images(40, low=0.3, high=0.7)
    net.b.data = -net.w.data.sum(1) / 2  # all classes occur
    y, w = net(x).argmax(1), net.w.detach()
    scores = net(x).detach()
    reach = torch.full((40,), math.inf)
    for j in range(3):
        change = w[j] - w[y]
        size = change.abs().sum(1) if threat.p == math.inf else change.norm(dim=1)
        gap = scores.gather(1, y[:, None])[:, 0] - scores[:, j]
        reach = torch.where(y == j, reach, torch.minimum(reach, gap / size.clamp_min(1e-9)))
    found = ensemble(net, x, y, threat, steps=20)
    sure = (reach / threat.eps - 1).abs() > 0.01
    assert torch.equal(found.success[sure], (reach < threat.eps)[sure]) and 5 < int(found.success.sum()) < 35
    assert found.robust.k == int((~found.success).sum()) and not bool(found.already.any())


def test_who_was_wrong_already_is_left_alone_and_the_rest_is_what_it_says() -> None:
    net, x = Wavy(16), images(24)
    label = sg.nets.predict(net, x)
    y = torch.where(torch.arange(24) < 3, (label + 1) % 4, label)
    for threat in (Linf(0.02), L2(0.06), L1(0.2)):
        found = ensemble(net, x, y, threat)
        assert torch.equal(found.x_adv[:3], x[:3]) and found.already.sum() == 3
        assert found.broken_by[:3].tolist() == [-2] * 3 and found.gradients[:3].tolist() == [0] * 3
        assert float(threat.distance(found.x_adv, x).max()) <= threat.eps + 1e-6
        assert torch.equal(sg.nets.predict(net, found.x_adv) != y, found.success)
        spent = torch.where(found.broken_by >= 0, 8 * (found.broken_by + 1), 8 * len(found.attacks))
        assert torch.equal(found.gradients[3:], spent[3:])
        assert sum(found.broken().values()) + 3 == int(found.success.sum())
    assert [m.name for m in members(2, 1, 3)] == ["PGD", "APGD-CE", "APGD-DLR"]
    assert found.attacks == ("PGD", "APGD-CE", "APGD-DLR", "APGD-T 1", "APGD-T 2", "PGD, start 2")


def test_never_weaker_than_one_pgd_on_the_same_images() -> None:
    net, x = Wavy(16), images(48)
    y, more = sg.nets.predict(net, x), 0
    for eps in (0.02, 0.04):
        alone = sg.craft(net, x, y, "pgd", threat=Linf(eps), steps=8, loss="margin", seed=3, chunk=16)
        fell = sg.nets.predict(net, alone) != y
        found = ensemble(net, x, y, Linf(eps), seed=3)
        assert not bool((fell & ~found.success).any())
        more += int(found.success.sum()) - int(fell.sum())
        assert bool((found.broken_by[fell] == 0).all())
    assert more > 0


class Saturated(nn.Module):
    """Logits so large that the cross-entropy of float32 has no gradient left."""

    def __init__(self, net: nn.Module, scale: float) -> None:
        super().__init__()
        self.net, self.scale = net, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.net(x)


def test_masked_gradients_stop_the_cross_entropy_and_not_the_ensemble() -> None:
    net, x = Saturated(Affine(16), 1e4), images(12)
    y = sg.nets.predict(net, x)
    with pytest.warns(UserWarning, match="gradient of zero at every step of pgd"):
        masked = sg.craft(net, x, y, "pgd", threat=Linf(0.3), steps=8)
    assert int((sg.nets.predict(net, masked) != y).sum()) <= 3
    assert bool(ensemble(net, x, y, Linf(0.3), starts=1).success.all())
    ratio = sg.craft(net, x, y, "apgd", threat=Linf(0.3), steps=8, loss="dlr")
    assert int((sg.nets.predict(net, ratio) != y).sum()) >= 9


def test_a_net_without_a_gradient_worth_the_name_is_told_of() -> None:
    class Flat(Affine):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.detach() + 0 * x)

    net, x = Flat(16), images(3)
    with pytest.warns(UserWarning, match="3 of 3 images had a gradient of zero at every step of the white-box ensemble"):
        found = ensemble(net, x, net(x).argmax(1), Linf(1e-3))
    assert found.robust.k == 3


def test_an_image_does_not_depend_on_its_batch() -> None:
    net, x = sg.build("mlp", 4, (3, 16, 16), seed=1), images(20, (3, 16, 16))
    y = sg.nets.predict(net, x)
    whole = ensemble(net, x, y, L2(0.1), seed=5)
    some = torch.tensor([13, 2, 7, 19])
    part = ensemble(net, x[some], y[some], L2(0.1), seed=5, ids=some)
    for name in ("x_adv", "success", "broken_by", "gradients"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[some]), name
    assert 0 < int(whole.success.sum()) < 20
    assert not torch.equal(ensemble(net, x, y, L2(0.1), seed=6).x_adv, whole.x_adv)


def test_the_target_behind_the_net_has_the_last_word() -> None:
    net, x = Affine(16), images(6)
    y, asked = net(x).argmax(1), []

    def stubborn(made: Tensor, at: Tensor) -> Tensor:
        asked.append(at.tolist())
        return at % 2 == 0 if len(asked) > 1 else torch.zeros(len(at), dtype=torch.bool)

    wrong = torch.tensor([True, False, False, False, False, False])
    found = against(net, x, y, Linf(0.3), wrong, stubborn, steps=3, starts=1, classes=1)
    assert asked == [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 3, 5], [1, 3, 5]]
    assert found.broken_by.tolist() == [-2, -1, 1, -1, 1, -1] and found.success.tolist() == [True, False, True, False, True, False]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"threat": Linf(math.inf)}, "finite eps"),
        ({"threat": L0(3)}, "Linf, L2 or L1"),
        ({"steps": 0}, "steps"),
        ({"starts": 0}, "starts"),
        ({"classes": -1}, "classes"),
    ],
)
def test_bad_input_is_one_sentence(given: dict[str, object], words: str) -> None:
    x = images(2)
    with pytest.raises(ValueError, match=f"Expected.*{words}"):
        ensemble(Affine(16), x, torch.arange(2), given.pop("threat", Linf(0.1)), **given)  # type: ignore[arg-type]


def test_the_losses_of_a_pass_are_those_of_its_gradients() -> None:
    nets, x, y = [Affine(16, seed=s) for s in range(2)], images(5), torch.arange(5) % 3
    rng = Stream(0, np.arange(5, dtype=np.uint64))
    seen = Autograd(nets, x, "margin", chunk=2).seen(x, y, rng, 0)
    scores = (nets[0](x) + nets[1](x)) / 2
    assert torch.allclose(seen.scores, scores, atol=1e-6)
    assert torch.allclose(seen.loss, parts.Margin()(parts.Answer(scores), Goal(y, y)), atol=1e-6)
    assert torch.equal(seen.gradient, Autograd(nets, x, "margin", chunk=2)(x, y, rng, 0))

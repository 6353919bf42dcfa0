"""Recipes of 2023 to 2025: each mechanism where its answer is known, what each costs, and that an image's result is its own."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import surrogates as sg
from blackbox.rng import Stream
from blackbox.threat import L2, Linf
from surrogates.crafting import parts, presets
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.parts import operations, paths
from surrogates.crafting.parts.operations import OPERATIONS, operated
from surrogates.crafting.parts.paths import lowered
from surrogates.crafting.parts.style import styled
from surrogates.crafting.parts.views import Draw
from surrogates.crafting.parts.warp import plate, warped
from tests.surrogate_doubles import Affine, Bowl, images, lighter

COST = {"p2fa": 41, "ops": 9000, "l2t": 100, "decowa": 400, "stm": 200, "awt": 400, "fgsra": 210, "mumodig": 70}


def rows_of(n: int, seed: int = 0) -> Stream:
    return Stream(seed, np.arange(n, dtype=np.uint64))


class Counting(nn.Module):
    """Two layers, so that there are weights to tune; counts the images it sees."""

    rows = 0

    def __init__(self) -> None:
        super().__init__()
        self.front, self.back = nn.Linear(64, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.rows += len(x)
        return self.back(self.front(x.flatten(1)).tanh())


@pytest.mark.parametrize("name", COST)
def test_g_is_what_is_really_computed(name: str) -> None:
    preset = presets.get(name)
    assert preset.cost() == COST[name] and preset.cost(nets=3) == 3 * COST[name]
    preset = preset.swap(parts.PushTap("front")) if name == "p2fa" else preset
    preset, net = lighter(preset), Counting()
    sg.craft(net, images(2, (1, 8, 8)), torch.tensor([0, 1]), preset, threat=Linf(0.1), steps=2, chunk=2)
    looked = 1 + 1 * any(part.slot == "nets" for part in preset.parts)  # to see that the net takes the images; to trace it
    assert net.rows == looked + 2 * preset.cost(2)


@pytest.mark.parametrize("name", COST)
def test_an_image_has_the_same_result_in_any_batch(name: str) -> None:
    net, preset = sg.build("cnn", 4, (3, 10, 10), seed=1), lighter(presets.get(name))
    x, y = images(7, (3, 10, 10)), torch.arange(7) % 4

    def run(at: list[int]) -> Tensor:
        return sg.craft(net, x[at], y[at], preset, threat=L2(0.5), steps=2, ids=at, pool=(x, y), chunk=5)

    whole, order = run(list(range(7))), [4, 0, 2, 6, 1, 3, 5]
    assert torch.equal(run(order), whole[order]) and torch.equal(run([5]), whole[5:6])
    assert 0.1 < float((whole - x).flatten(1).norm(dim=1).max()) <= 0.5 + 1e-5


# -- operations --------------------------------------------------------------------------------------------------------


def only(name: str, n: int = 4) -> Tensor:
    return F.one_hot(torch.full((n,), OPERATIONS.index(name)), len(OPERATIONS)).bool()


def test_operations_one_by_one() -> None:
    x, rng = images(4, (2, 8, 6)), rows_of(4)
    assert torch.equal(operated(x, torch.zeros(4, 10, dtype=torch.bool), rng, 0), x)
    made = {name: operated(x, only(name), rng, 0) for name in OPERATIONS}
    assert all(not torch.allclose(v[i], x[i]) for name, v in made.items() for i in range(4) if name not in ("roll", "drop"))
    assert torch.allclose(made["flip"], x.flip(3), atol=1e-6)
    u = rng.uniform_array(0, "strength", 9)
    for i in range(4):
        down, right = int(u[i, 5] * 8), int(u[i, 6] * 6)
        assert torch.equal(made["roll"][i], x[i].roll((down, right), (1, 2)))
        assert torch.allclose(made["darken"][i], x[i] * (1 - 0.7 * float(u[i, 7])))
    assert float((made["noise"] - x).abs().max()) <= 16 / 255
    inner = F.conv2d(x.view(8, 1, 8, 6), torch.full((1, 1, 3, 3), 1 / 9)).view(4, 2, 6, 4)
    assert torch.allclose(made["blur"][:, :, 1:-1, 1:-1], inner, atol=1e-6)
    kept = made["drop"] == x
    assert bool((kept | (made["drop"] == 0)).all()) and 0.8 < float(kept.float().mean()) < 0.99


def test_a_turn_is_a_turn() -> None:
    """A centred bright disc stays where it is; a bright corner leaves the corner."""
    at = torch.arange(9) - 4.0
    disc = ((at[:, None] ** 2 + at[None] ** 2) < 6).float().expand(3, 1, 9, 9)
    assert float((operated(disc, only("turn", 3), rows_of(3), 0) - disc).abs().max()) < 0.6
    spot = torch.zeros(3, 1, 9, 9)
    spot[:, :, 0, 4] = 1
    u = rows_of(3).uniform_array(0, "strength", 9)[:, 0]
    where = operated(spot, only("turn", 3), rows_of(3), 0).flatten(1).argmax(1)
    for i in range(3):
        angle = (2 * float(u[i]) - 1) * torch.pi / 6
        across, down = 4 + 4 * np.sin(angle) * -1, 4 - 4 * np.cos(angle)
        assert abs(int(where[i]) % 9 - across) <= 1.1 and abs(int(where[i]) // 9 - down) <= 1.1


def test_operators_take_as_many_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = images(200, (1, 4, 4)), torch.zeros(200, dtype=torch.int64)
    drawn = Draw(rows_of(200), 0, y, Goal(y, y))
    seen: list[Tensor] = []
    monkeypatch.setattr(operations, "operated", lambda x, on, rng, k: (seen.append(on), x)[1])
    parts.Operators(1, 2, 4)(x, drawn)
    assert set(seen[0].sum(1).tolist()) == {2, 3, 4} and bool(seen[0].any(0).all())


def test_l2t_learns_the_one_operation_that_helps() -> None:
    """The loss is the image's darkness: only darkening, dropping and what leaves black edges raise it, mirroring never does."""
    a = torch.full((1, 6, 6), -1.0)
    net, x = Bowl(a, torch.zeros_like(a)), images(2, (1, 6, 6), low=0.5)
    attack = presets.get(parts.L2T(copies=12, operations=1, rate=0.5))
    found: dict[str, Tensor] = {}

    class Kept(parts.L2T):
        def __call__(self, walk, at):  # type: ignore[no-untyped-def]
            out = super().__call__(walk, at)
            found["m"] = walk.kept["probe"]
            return out

    attack = replace(attack, parts=parts.Parts((Kept(12, 1, 0.5),)))
    sg.craft(net, x, torch.zeros(2, dtype=torch.int64), attack, threat=Linf(0.01), steps=12, loss="margin")
    m = found["m"]
    assert bool((m[:, OPERATIONS.index("darken")] > m[:, OPERATIONS.index("flip")] + 0.5).all())
    assert torch.allclose(m.sum(1), torch.zeros(2), atol=1e-4)  # the score has no component along all logits at once


def test_l2t_draws_what_it_has_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor] = []
    monkeypatch.setattr(operations, "operated", lambda x, on, rng, k: (drawn.append(on), x * 1)[1])

    class Sure(parts.L2T):
        def __call__(self, walk, at):  # type: ignore[no-untyped-def]
            walk.kept["probe"] = 50.0 * F.one_hot(torch.tensor([3, 0, 9]), len(OPERATIONS)).float()
            return super().__call__(walk, at)

    sg.craft(Affine(16), images(3), torch.arange(3), Sure(2), threat=Linf(0.1), steps=1)
    assert [on.nonzero().tolist() for on in drawn] == [[[0, 3], [1, 0], [2, 9]]] * 2


# -- warping, style, paths, spectra -----------------------------------------------------------------------------------


def test_a_plate_follows_its_points_and_keeps_planes() -> None:
    weights = plate(5, 5, 3)  # pixels' centres fall on none of the points but the middle
    assert np.allclose(weights.sum(1), 1, atol=1e-5) and np.allclose(weights[12], np.eye(9)[4], atol=1e-5)
    x = images(2, (1, 8, 8))
    assert torch.allclose(warped(x, torch.zeros(2, 9, 2), 3), x, atol=1e-5)
    right = torch.zeros(2, 9, 2)
    right[:, :, 0] = 2 / 8  # all points by one pixel
    assert torch.allclose(warped(x, right, 3)[..., :-1], x[..., 1:], atol=1e-5)


def test_decowa_makes_its_bending_harmless_first() -> None:
    """The loss at the bent image after the step is smaller than before it, for the same moves."""
    torch.manual_seed(0)
    net, seen = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval(), []
    x, y = images(1, (1, 8, 8)), torch.tensor([1])
    handle = net.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach().clone()))
    sg.craft(net, x, y, parts.Warp(1, rho=0.05), threat=Linf(0.1), steps=1, chunk=1)
    handle.remove()
    before, after = (float(F.cross_entropy(net(v), y).detach()) for v in seen[-2:])
    assert after < before


def test_style_takes_over_means_and_deviations() -> None:
    x, other = images(3, (2, 9, 7)), images(3, (2, 9, 7), seed=4) * 0.3 + 0.5
    assert torch.allclose(styled(x, x, 2), x, atol=1e-3)
    made = styled(x, other, 0)
    assert torch.allclose(made.mean((2, 3)), other.mean((2, 3)), atol=1e-4)
    assert torch.allclose(made.std((2, 3)), other.std((2, 3)), atol=1e-3)
    with pytest.raises(ValueError, match="whose style"):
        parts.STM()(x, Draw(rows_of(3), 0, torch.zeros(3), Goal(torch.zeros(3), torch.zeros(3))))
    seen = parts.STM(1, gamma=1.0, noise=0.0)(x, Draw(rows_of(3), 0, torch.zeros(3), Goal(torch.zeros(3), torch.zeros(3)), Pool(x, x)))
    assert torch.allclose(seen, x)


def test_levels_are_below_and_integrated_gradients_of_a_plane_are_its_slopes(monkeypatch: pytest.MonkeyPatch) -> None:
    x = images(3, (1, 4, 4))
    low = lowered(x, 4, rows_of(3), 0)
    assert bool((low <= x).all()) and all(len(row.unique()) <= 4 for row in low)
    assert not bool(lowered(x, 1, rows_of(3), 0).any())
    # on an affine net with the margin every gradient is the same w: the sum is hat(w) + hat(x * w) for paths that begin at black
    net, y = Affine(16, 2), torch.arange(3) % 2
    found: list[Tensor] = []

    class Kept(parts.Integrated):
        def __call__(self, walk, at):  # type: ignore[no-untyped-def]
            found.append(super().__call__(walk, at))
            return found[-1]

    monkeypatch.setattr(paths, "operated", lambda x, on, rng, k: x * 1)
    sg.craft(net, x, y, Kept(2, regions=1), threat=Linf(0.1), steps=1, loss="margin")
    with torch.no_grad():
        w = (net.w[1 - y] - net.w[y]).view_as(x)
    hat = lambda v: v / v.abs().mean((1, 2, 3), keepdim=True)  # noqa: E731
    assert torch.allclose(found[0], hat(w) + hat(x * w), atol=1e-4)


def test_a_changed_points_gradient_goes_back_through_the_change() -> None:
    found: list[tuple[Tensor, Tensor]] = []

    class Through(parts.Shells):
        def __call__(self, walk, at):  # type: ignore[no-untyped-def]
            found.extend(walk.through(at, lambda x, j: (j + 2) * x, 3, "test"))
            return found[0][1]

    sg.craft(Affine(16), images(3), torch.arange(3), Through(3), threat=Linf(0.1), steps=1, chunk=6)
    for j, (there, here) in enumerate(found):
        assert torch.allclose(here, (j + 2) * there) and bool(here.any())


def test_spectral_neighbours_without_change_are_the_point() -> None:
    net, x, y = sg.build("cnn", 3, (1, 8, 8)), images(3, (1, 8, 8)), torch.arange(3)
    two = [sg.craft(net, x, y, a, threat=L2(0.3), steps=2) for a in (parts.Momentum() | parts.Spectral(2, 0.0, 0.0), "mi-fgsm")]
    assert torch.allclose(two[0], two[1], atol=1e-6)
    same = [sg.craft(net, x, y, a, threat=L2(0.3), steps=2) for a in (parts.Momentum() | parts.Shells(2, (0.0,)), "mi-fgsm")]
    assert torch.allclose(same[0], same[1], atol=1e-6)


# -- features and weights -----------------------------------------------------------------------------------------------------


def test_p2fa_walks_in_the_space_of_features() -> None:
    """The same walk, with the part of the net behind the layer alone."""
    net, x, y = Counting(), images(3, (1, 8, 8)), torch.arange(3)
    found: list[Tensor] = []

    class Kept(parts.P2FA):
        def weights(self, walk):  # type: ignore[no-untyped-def]
            found.append(super().weights(walk))
            return found[-1]

    sg.craft(net, x, y, Kept(4, length=0.5) | parts.PushTap("front"), threat=Linf(0.1), steps=1)
    with torch.no_grad():
        start = net.front(x.flatten(1))
    at, total = start.clone(), torch.zeros_like(start)
    for _ in range(4):
        at.requires_grad_()
        g = torch.autograd.grad(net.back(at.tanh()).gather(1, y[:, None]).sum(), at)[0]
        total = total + g
        at = at.detach() - 0.5 * start.norm(dim=1, keepdim=True) * g / g.norm(dim=1, keepdim=True)
    assert torch.allclose(found[0], total, atol=1e-5)
    with pytest.raises(ValueError, match="PushTap beside"):
        sg.craft(net, x, y, parts.P2FA() | parts.Tap("front"), threat=Linf(0.1), steps=1)


def test_awt_makes_the_loss_fall_at_the_same_image_and_starts_as_the_net_is() -> None:
    net, x, y = sg.build("cnn", 3, (1, 8, 8)), images(4, (1, 8, 8)), torch.arange(4) % 3
    state = {k: v.clone() for k, v in net.state_dict().items()}
    source = sg.gradients.Autograd(net, x, surgeries=(parts.AWT(rate=0.02),), chunk=4)
    rng, losses = rows_of(4), []
    with source.open():
        for k in range(5):
            losses.append(source.seen(x, y, rng, k).loss)
        again = source.seen(x, y, rng, 0).loss
    with torch.no_grad():
        assert torch.allclose(losses[0], F.cross_entropy(net(x), y, reduction="none"), atol=1e-5)
    assert all(bool((b < a).all()) for a, b in pairwise(losses)) and torch.equal(again, losses[0])
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


def test_awt_wants_layers() -> None:
    with pytest.raises(ValueError, match="at least two convolutions"):
        sg.craft(Affine(16), images(3), torch.arange(3), "awt", threat=Linf(0.1), steps=1)

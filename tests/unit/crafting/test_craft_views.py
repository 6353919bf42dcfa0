"""Views: identities, the same thing done one image at a time, and the chain rule behind them."""

from __future__ import annotations

from dataclasses import fields, replace

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
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts.blocks import BSR, layout
from surrogates.crafting.parts.intensity import cosines
from surrogates.crafting.parts.resize import resized
from surrogates.crafting.parts.viewed import Viewed
from surrogates.crafting.parts.views import Draw, fork
from tests.surrogate_doubles import Affine, images

T = Linf(0.1)


def draw(n: int, copy: int = 0, seed: int = 0, pool: Pool | None = None, labels: Tensor | None = None) -> Draw:
    y = torch.arange(n) % 3 if labels is None else labels
    return Draw(Stream(seed, np.arange(n, dtype=np.uint64)), 0, torch.full((n,), copy), Goal(y, y), pool)


def curved(shape: tuple[int, ...] = (2, 9, 7)) -> nn.Module:
    torch.manual_seed(0)
    d = int(np.prod(shape))
    net = nn.Sequential(nn.Flatten(), nn.Linear(d, 8), nn.Tanh(), nn.Linear(8, 3))
    return net.eval()


@pytest.mark.parametrize(
    "view",
    [
        parts.DI(p=0),
        parts.SSA(1, rho=0, sigma=0),
        parts.BSR(1, blocks=1, angle=0.0),
        parts.SIA(1, operations=("noise",), noise=0.0),
        parts.SI(1),
        parts.Admix(1, eta=0.0),
    ],
    ids=str,
)
def test_a_view_that_does_nothing_leaves_mi(view: parts.View) -> None:
    net, x, y = curved(), images(5, (2, 9, 7)), torch.arange(5) % 3
    two = [sg.craft(net, x, y, a, threat=L2(0.3), steps=3) for a in (parts.Momentum() | view, "mi-fgsm")]
    assert torch.allclose(two[0], two[1], atol=1e-6)


def test_di_is_what_interpolate_and_pad_give() -> None:
    """One image at a time with torch's own functions, for the same draws; sizes and places fill their ranges."""
    x, rate = images(60, (2, 20, 30)), 1.3
    u = draw(60).uniform("resize", 4)
    got, sizes = resized(x, u, 0.7, [rate] * 60), []
    for i, (whether, size, top, left) in enumerate(u.tolist()):
        if whether >= 0.7:
            assert torch.equal(got[i], x[i])
            continue
        h, w = 20 + int(size * 6), 30 + int(size * 9)
        up, side = int(top * (26 - h + 1)), int(left * (39 - w + 1))
        down, across = round(20 * h / 26), round(30 * w / 39)  # the padded picture at the image's own size
        top, left = min(round(up * 20 / 26), 20 - down), min(round(side * 30 / 39), 30 - across)
        want = F.interpolate(x[i : i + 1], size=(down, across), mode="bilinear", align_corners=False)
        want = F.pad(want, (left, 30 - across - left, top, 20 - down - top))
        assert torch.allclose(got[i : i + 1], want, atol=1e-5)
        sizes.append((h, up))
    assert {h for h, _ in sizes} == set(range(20, 26)) and len({up for _, up in sizes}) >= 5
    assert 0.5 < len(sizes) / 60 < 0.9


def test_di_moves_even_an_eight_pixel_image() -> None:
    x = images(20, (1, 8, 8))
    assert not torch.allclose(parts.DI(1.0)(x, draw(20)), x, atol=1e-3)


def test_dem_averages_logits_not_gradients() -> None:
    net, x, y = curved(), images(4, (2, 9, 7)), torch.arange(4) % 3
    view, rng = parts.DEM(), Stream(0, np.arange(4, dtype=np.uint64))
    source = Autograd(net, x, chunk=16)
    given = x.clone().requires_grad_()
    total = torch.zeros(4, 3)
    for c in range(5):
        rows = Stream(0, fork(rng, f"0 {c}").ids)
        own = Goal(y, y)
        total = total + net(view(given, Draw(rows, 0, torch.full((4,), c), own))) / 5
    want = torch.autograd.grad(F.cross_entropy(total, y, reduction="sum"), given)[0]
    assert torch.allclose(Viewed(source, [view], 16)(x, y, rng, 0), want, atol=1e-6)
    assert parts.DEM().copies == 5


def test_si_averages_over_scales() -> None:
    net, x, y = curved(), images(4, (2, 9, 7)), torch.arange(4) % 3
    given = x.clone().requires_grad_()
    loss = sum(F.cross_entropy(net(given / 2**i), y, reduction="sum") for i in range(5)) / 5
    want = torch.autograd.grad(loss, given)[0]  # type: ignore[arg-type]
    rng = Stream(0, np.arange(4, dtype=np.uint64))
    assert torch.allclose(Viewed(Autograd(net, x), [parts.SI()], 32)(x, y, rng, 0), want, atol=1e-6)


def test_admix_takes_partners_of_another_class_from_the_pool() -> None:
    pool = Pool(images(12, (1, 3, 3), seed=5), torch.arange(12) % 3)
    x = images(50, (1, 3, 3))
    view = parts.Admix(eta=0.5)
    seen = (view(x, draw(50, pool=pool)) - x) / 0.5
    which = [int(((pool.images - s).flatten(1).abs().amax(1) < 1e-5).nonzero()[0]) for s in seen]
    assert all(w % 3 != i % 3 for i, w in enumerate(which)) and len(set(which)) == 12
    with pytest.raises(ValueError, match="of another class than 1"):
        view(x[:1], draw(1, pool=Pool(x[:2], torch.ones(2, dtype=torch.int64)), labels=torch.tensor([1])))


def test_admix_in_craft_depends_on_the_pool_alone() -> None:
    net, x, y = curved((2, 8, 8)), images(6, (2, 8, 8)), torch.arange(6) % 3
    pool = (images(9, (2, 8, 8), seed=3), torch.arange(9) % 3)
    whole = sg.craft(net, x, y, "admix", threat=L2(0.3), steps=2, pool=pool)
    assert torch.equal(sg.craft(net, x[2:3], y[2:3], "admix", threat=L2(0.3), steps=2, ids=[2], pool=pool), whole[2:3])
    own = sg.craft(net, x, y, "admix", threat=L2(0.3), steps=2)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    assert torch.equal(sg.craft(net, x[order], y[order], "admix", threat=L2(0.3), steps=2, ids=order), own[order])
    with pytest.raises(ValueError, match="another class"):
        sg.craft(net, x[:1], y[:1], "admix", threat=T)
    with pytest.raises(ValueError, match="pool to hold images like x"):
        sg.craft(net, x, y, "admix", threat=T, pool=(images(2), torch.tensor([0, 1])))


def test_ssa_against_scipy() -> None:
    from scipy.fft import dctn, idctn

    x, d = images(3, (2, 6, 5)), draw(3)
    noisy = x + 0.1 * d.normal("noise", 2, 6, 5)
    factor = 1 + 0.4 * (2 * d.uniform("spectrum", 2, 6, 5) - 1)
    want = idctn(dctn(noisy.double().numpy(), axes=(2, 3), norm="ortho") * factor.numpy(), axes=(2, 3), norm="ortho")
    assert np.allclose(parts.SSA(rho=0.4, sigma=0.1)(x, d).numpy(), want, atol=1e-5)
    assert torch.allclose(cosines(7) @ cosines(7).T, torch.eye(7), atol=1e-6)


def test_ssa_straight_passes_the_gradient_on() -> None:
    net, x, y = curved(), images(3, (2, 9, 7)), torch.arange(3) % 3
    rng, view = Stream(0, np.arange(3, dtype=np.uint64)), parts.SSA(1, straight=True)
    seen = view(x, Draw(fork(rng, "0 0"), 0, torch.zeros(3, dtype=torch.int64), Goal(y, y)))
    want = Autograd(net, x)(seen, y, rng, 0)
    assert torch.allclose(Viewed(Autograd(net, x), [view], 32)(x, y, rng, 0), want, atol=1e-6)
    through = Viewed(Autograd(net, x), [parts.SSA(1)], 32)(x, y, rng, 0)
    assert not torch.allclose(through, want, atol=1e-4)


def sia_by_hand(x: Tensor, view: parts.SIA, d: Draw, i: int) -> Tensor:
    (c, h, w), n = x.shape, view.blocks
    rows = [0, *sorted((d.order("rows", h - 1)[i, : n - 1] + 1).tolist()), h]
    columns = [0, *sorted((d.order("columns", w - 1)[i, : n - 1] + 1).tolist()), w]
    number = d.integers("operation", 0, len(view.operations) - 1, n * n)[i]
    shift, scale = d.uniform("shift", n * n)[i], d.uniform("scale", n * n)[i]
    noise = view.noise * (2 * d.uniform("noise", c, h, w)[i] - 1)
    out = x.clone()
    for p in range(n):
        for q in range(n):
            at = (slice(None), slice(rows[p], rows[p + 1]), slice(columns[q], columns[q + 1]))
            part, b = x[at], p * n + q
            out[at] = {
                "roll down": lambda part=part, b=b: part.roll(int(shift[b] * part.shape[1]), 1),
                "roll right": lambda part=part, b=b: part.roll(int(shift[b] * part.shape[2]), 2),
                "flip down": lambda part=part: part.flip(1),
                "flip right": lambda part=part: part.flip(2),
                "turn": lambda part=part: part.rot90(2, (1, 2)),
                "scale": lambda part=part, b=b: part * scale[b],
                "noise": lambda part=part, at=at: (part + noise[at]).clamp(0, 1),
            }[view.operations[int(number[b])]]()
    return out


@pytest.mark.parametrize("blocks", [1, 3])
def test_sia_is_block_by_block_what_it_says(blocks: int) -> None:
    x, d, view = images(30, (2, 11, 8), low=0, high=1), draw(30), parts.SIA(blocks=blocks, noise=0.3)
    got = view(x, d)
    for i in range(30):
        assert torch.allclose(got[i], sia_by_hand(x[i], view, d, i), atol=1e-6), i


def test_bsr_without_turning_moves_pixels_and_loses_none() -> None:
    x = images(40, (2, 10, 7))
    got = BSR(angle=0.0)(x, draw(40))
    assert torch.allclose(got.flatten(2).sort(2).values, x.flatten(2).sort(2).values, atol=1e-5)
    assert sum(not torch.allclose(a, b) for a, b in zip(got, x, strict=True)) > 30
    # whole columns (or rows) of a strip stay together: an image that varies along one side only keeps its lines
    ramp = torch.arange(12.0).view(1, 1, 12, 1).expand(30, 1, 12, 12) / 12
    moved = BSR(angle=0.0)(ramp, draw(30))
    rows_first = draw(30).uniform("side", 1)[:, 0] >= 0.5
    constant = (moved == moved[..., :1]).all(3).flatten(1).all(1)
    assert bool(constant[rows_first].all()) and not bool(constant[~rows_first].all())


def test_bsr_turns_about_the_middle_of_the_strip() -> None:
    """One block: the image turned as a whole, black where it came from outside; against torch's own grid."""
    x, d = images(6, (1, 13, 13)), draw(6)
    got = BSR(blocks=1, angle=24.0)(x, d)
    angle = 24 * np.pi / 180 * (2 * d.uniform("angle", 1)[:, 0] - 1)
    angle = torch.where(d.uniform("side", 1)[:, 0] < 0.5, -angle, angle)
    theta = torch.stack(
        [torch.stack([angle.cos(), -angle.sin(), 0 * angle], 1), torch.stack([angle.sin(), angle.cos(), 0 * angle], 1)],
        1,
    )
    grid = F.affine_grid(theta, [6, 1, 13, 13], align_corners=True)
    want = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    assert torch.allclose(got, want, atol=1e-4)


def test_strips_have_the_widths_that_were_drawn() -> None:
    u = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.2, 0.9, 0.4], [0.9, 0.9, 0.0]])
    order = torch.tensor([[2, 0, 1]] * 4)
    piece, origin, length, offset = layout(9, u, order)
    assert piece[0].tolist() == [2, 2, 2, 0, 0, 0, 1, 1, 1]
    assert (origin + offset)[0].tolist() == [6, 7, 8, 0, 1, 2, 3, 4, 5]
    assert [int((piece[3] == s).sum()) for s in range(3)] == [3, 4, 2]  # 1.9, 1.9, 1.0 of 4.8, and the widest gives way
    for i in range(4):
        assert sorted((origin + offset)[i].tolist()) == list(range(9))
        assert all(int((piece[i] == s).sum()) == int(length[i][piece[i] == s][0]) for s in range(3))


@pytest.mark.parametrize(
    "view", [parts.DI(1.0, 3.0), parts.SSA(2), parts.SIA(2), parts.BSR(2), parts.DEM((3.0,)), parts.Admix(2)], ids=str
)
def test_each_row_has_its_own_draws(view: parts.View) -> None:
    x = images(1, (2, 9, 7)).repeat(6, 1, 1, 1)
    pool = Pool(images(50, (2, 9, 7), seed=9), torch.arange(50) % 3)
    seen = view(x, draw(6, pool=pool, labels=torch.zeros(6, dtype=torch.int64)))
    assert len({s.numpy().tobytes() for s in seen}) >= 5  # two may draw the same partner, or the same size and place
    assert torch.equal(seen, view(x, draw(6, pool=pool, labels=torch.zeros(6, dtype=torch.int64))))
    again = view(x, draw(6, seed=1, pool=pool, labels=torch.zeros(6, dtype=torch.int64)))
    assert not torch.equal(seen, again)


def test_the_chain_rule_behind_two_views() -> None:
    """SI then DI, three copies: against autograd through the same composition."""
    net, x, y = curved(), images(4, (2, 9, 7)), torch.arange(4) % 3
    rng, views = Stream(0, np.arange(4, dtype=np.uint64)), [parts.SI(3), parts.DI(1.0)]
    given, own = x.clone().requires_grad_(), Goal(y, y)
    loss = torch.zeros(())
    for c in range(3):
        at = torch.full((4,), c)
        seen = views[0](given, Draw(fork(rng, f"0 {c}"), 0, at, own))
        seen = views[1](seen, Draw(fork(rng, f"1 {c}"), 0, at * 0, own))
        loss = loss + F.cross_entropy(net(seen), y, reduction="sum") / 3
    want = torch.autograd.grad(loss, given)[0]
    for rows in (5, 32):
        assert torch.allclose(Viewed(Autograd(net, x, chunk=rows), views, rows)(x, y, rng, 0), want, atol=1e-6)


def test_the_copies_of_a_later_view_share_the_draws_of_an_earlier_one() -> None:
    """Admix then SI: one partner at all scales, as in the paper's formula."""
    net, x, y = curved(), images(4, (2, 9, 7)), torch.arange(4) % 3
    rng, pool = Stream(0, np.arange(4, dtype=np.uint64)), Pool(images(20, (2, 9, 7), seed=4), torch.arange(20) % 3)
    given, own = x.clone().requires_grad_(), Goal(y, y)
    loss = torch.zeros(())
    for c in range(2):
        mixed = parts.Admix(2)(given, Draw(fork(rng, f"0 {c}"), 0, torch.full((4,), c), own, pool))
        for i in range(3):
            loss = loss + F.cross_entropy(net(mixed / 2**i), y, reduction="sum") / 6
    want = torch.autograd.grad(loss, given)[0]
    got = Viewed(Autograd(net, x, chunk=5), [parts.Admix(2), parts.SI(3)], 5, pool)(x, y, rng, 0)
    assert torch.allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("view", [parts.SSA, parts.SIA, parts.BSR, parts.SI], ids=lambda v: v.__name__)
def test_memory_is_that_of_one_piece_whatever_the_copies(view: type) -> None:
    """No tensor that the source or the view sees has more rows than a piece."""
    most = []

    class Spy(Affine):
        def forward(self, x: Tensor) -> Tensor:
            most.append(len(x))
            return super().forward(x)

    x = images(4, (1, 8, 8))
    sg.craft(Spy(64), x, torch.arange(4) % 3, parts.Momentum() | view(64), threat=T, steps=1, chunk=6)
    assert max(most) == 6 and len(most) == 1 + -(-64 * 4 // 6)


class Held:
    """A tensor that a graph keeps for its backward pass, counted while it lives."""

    now = most = 0

    def __init__(self, t: Tensor) -> None:
        self.t = t
        Held.now += t.nbytes
        Held.most = max(Held.most, Held.now)

    def __del__(self) -> None:
        Held.now -= self.t.nbytes


@pytest.mark.parametrize(
    "name", ["si-fgsm", "sia", "stm", "l2t", "everywhere", "vmi-fgsm", "gra", "pgn", "fgsra", "mumodig"]
)
def test_no_recipe_keeps_more_for_more_copies(name: str) -> None:
    """Neither the rows of a call nor what graphs hold at once grow from 4 copies (or neighbours) to 16, but for what is drawn."""
    preset, x, found = presets.get(name), images(2, (3, 16, 16)), []

    def watched(net: nn.Module, given: tuple[Tensor]) -> None:
        rows.append(len(given[0]))

    net = sg.build("cnn", 3, (3, 16, 16), seed=0)
    net.register_forward_pre_hook(watched)
    for count in (4, 16):
        several = [replace(p, **{f.name: count}) for p in preset.parts for f in fields(p) if f.name in ("copies", "count")]
        changed = parts.base.Parts(tuple(next((s for s in several if type(s) is type(p)), p) for p in preset.parts))
        assert several
        rows: list[int] = []
        Held.now = Held.most = 0
        with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.t):
            sg.craft(net, x, torch.arange(2), changed, threat=T, steps=2, chunk=4)
        found.append((max(rows), Held.most))
        assert sum(rows) > count
    assert found[0][0] == found[1][0] == 4 and found[1][1] <= 1.05 * found[0][1]


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (parts.DI(), "channels, height, width"),
        (parts.TI(), "smooths over pixels"),
        (parts.BSR(), "channels, height, width"),
    ],
)
def test_image_views_refuse_flat_inputs(attack: parts.Part, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sg.craft(Affine(16), images(2).flatten(1), torch.tensor([0, 1]), attack, threat=T)
    assert sg.craft(Affine(16), images(2).flatten(1), torch.tensor([0, 1]), "si-fgsm", threat=T).shape == (2, 16)


def test_blocks_larger_than_the_image_are_refused() -> None:
    for view in (parts.SIA(blocks=5), parts.BSR(blocks=5)):
        with pytest.raises(ValueError, match="at least 5 pixels"):
            sg.craft(Affine(16), images(2), torch.tensor([0, 1]), view, threat=T)

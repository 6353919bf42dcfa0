"""Estimators: exact or unbiased where the loss is affine, box edges included; the bill is the plan; probes are seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.special import ndtr

import blackbox as bb
from blackbox.estimators import Coordinates, Estimator, Gaussian, Groups, Progressive, Rademacher, Subspace, radius
from blackbox.goals.objective import Objective
from blackbox.proposals import bases
from blackbox.protocol import Access, Task
from blackbox.rng import Stream

SHAPE = (2, 5, 6)
D = math.prod(SHAPE)


def task(x: Tensor, loss0: Tensor, **settings) -> Task:
    ids = np.arange(len(x), dtype=np.uint64)
    return Task(x, ids, bb.Linf(0.1), Stream(3, ids), 10**6, loss0, **settings)


def drive(steps, t: Task, f):
    """Answer a generator's questions with ``f`` [m, *shape] -> [m]; the gradient and the queries a row."""
    bill, answer = 0, None
    while True:
        try:
            ask = next(steps) if answer is None else steps.send(answer)
        except StopIteration as end:
            return end.value, bill
        assert ask.u is not None, "an estimator probes; it does not propose"
        q = len(ask.u) if isinstance(ask.u, Tensor) else ask.u.count
        row, col = (a.flatten() for a in torch.meshgrid(torch.arange(t.n), torch.arange(q), indexing="ij"))
        u = ask.u[col] if isinstance(ask.u, Tensor) else ask.u.make(row, col)
        loss = f(t.clip(ask.x[row] + ask.h * u)).view(t.n, q)
        bill += q
        answer = bb.Tell(loss, torch.zeros_like(loss, dtype=torch.bool), torch.ones_like(loss, dtype=torch.bool), None)


def affine(seed: int = 0):
    w = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return w, lambda z: ((z.double() * w).flatten(1).sum(1) + 0.25).float()


def images(n: int = 3, edges: bool = True) -> Tensor:
    x = torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1)) * 0.9 + 0.05
    if edges:
        where = torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(2))
        x = torch.where(where < 0.2, 0.0, torch.where(where < 0.4, 1.0, torch.where(where < 0.5, 0.003, x)))
    return x


def pca_basis() -> bases.Fixed:
    return bases.pca(torch.rand(80, *SHAPE, generator=torch.Generator().manual_seed(5)), 12)


ALL: dict[str, Estimator] = {
    "coordinates": Coordinates(block=7),
    "coordinates one-sided": Coordinates(two_sided=False),
    "groups": Groups(size=8, block=3),
    "groups one-sided": Groups(size=4, two_sided=False),
    "blocks": Groups(size=8, neighbours=True),
    "groups over steps": Groups(size=16, finest=2),
    "pca": Subspace(pca_basis()),
    "dct": Subspace(bases.DCT(most=20), block=6),
    "dct one-sided": Subspace(bases.DCT(low=0.5), two_sided=False),
    "tiles": Subspace(bases.Tiles(2)),
    "nes": Gaussian(0.01, 30, block=4),
    "nes own": Gaussian(0.01, 30, own=True),
    "rgf": Gaussian(0.01, 31, two_sided=False),
    "spsa": Rademacher(samples=24),
    "spsa own": Rademacher(samples=24, own=True, block=5),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("k", [0, 2])
def test_the_bill_is_the_plan(name: str, k: int) -> None:
    _w, f = affine()
    x = images()
    t = task(x, f(x))
    estimator = ALL[name]
    g, bill = drive(estimator.estimate(t, x, k), t, f)
    assert bill == estimator.plan(SHAPE, True, k)
    _, known = drive(estimator.estimate(t, x, k, t.loss0), t, f)
    assert known == estimator.plan(SHAPE, False, k)
    assert g.shape == x.shape and g.dtype == torch.float32
    for most in (0, 1, 2, 5, 13):
        g, cut = drive(estimator.estimate(t, x, k, t.loss0, most), t, f)
        assert cut <= most
        assert torch.isfinite(g).all()


@pytest.mark.parametrize("two_sided", [True, False])
def test_coordinates_are_exact_on_an_affine_loss_at_the_edges_too(two_sided: bool) -> None:
    w, f = affine()
    x = images()
    t = task(x, f(x))
    g, _ = drive(Coordinates(two_sided=two_sided).estimate(t, x, 0), t, f)
    torch.testing.assert_close(g.double(), w.expand_as(g), rtol=2e-4, atol=2e-4)  # float32 losses


def test_dividing_by_the_nominal_displacement_would_be_seen() -> None:
    """The fault of the published code, planted: the test above tells it from the truth."""
    w, f = affine()
    x = images()
    t = task(x, f(x))
    g, _ = drive(Coordinates(h=0.01).estimate(t, x, 0), t, f)
    nominal = g * (t.clip(x + 0.01) - t.clip(x - 0.01)) / 0.02
    assert (nominal.double() - w).abs().max() > 0.3 * w.abs().max()


def test_groups_give_the_least_norm_gradient_that_explains_each_difference() -> None:
    w, f = affine()
    x = images()
    t = task(x, f(x))
    estimator = Groups(size=8)
    g, _ = drive(estimator.estimate(t, x, 4), t, f)
    moved = (t.clip(x + 0.01) - t.clip(x - 0.01)).double().flatten(1)
    order = t.rng.permutation(4, "groups", D)
    for i in range(t.n):
        for start in range(0, D, 8):
            at = order[i, start : start + 8]
            v = moved[i, at]
            expected = (w.flatten()[at] @ v) * v / (v @ v)
            torch.testing.assert_close(g.flatten(1)[i, at].double(), expected, rtol=3e-4, atol=3e-4)
    other, _ = drive(estimator.estimate(t, x, 5), t, f)
    assert not torch.equal(g, other), "fresh groups in every step"
    assert not torch.equal(order[0], order[1]), "fresh groups for every sample"


@pytest.mark.parametrize("neighbours", [True, False])
@pytest.mark.parametrize("two_sided", [True, False])
def test_groups_refined_to_single_pixels_are_exact(neighbours: bool, two_sided: bool) -> None:
    w, f = affine()
    x = images()
    t = task(x, f(x))
    estimator = Groups(size=16, finest=1, neighbours=neighbours, two_sided=two_sided)
    assert isinstance(estimator, Progressive)
    g, bills = torch.zeros_like(x), []
    cosine = []
    for k, bill in enumerate(estimator.rounds(SHAPE)):
        g, paid = drive(estimator.refine(t, x, k, g, t.loss0), t, f)
        assert paid == bill
        bills.append(bill)
        cosine.append(float((g * w).sum() / g.norm() / w.norm()))
    assert cosine[-1] > 0.9999 and cosine[0] < 0.9
    torch.testing.assert_close(g.double(), w.expand_as(g), rtol=2e-3, atol=2e-3)  # float32 sums, |w| ~ 1
    full = Coordinates(two_sided=two_sided).plan(SHAPE, False)
    assert sum(bills) < 1.25 * full, "the rounds together cost little more than the full difference"


def test_a_basis_in_rounds_ends_where_it_does_in_one() -> None:
    _w, f = affine()
    x = images()
    t = task(x, f(x))
    whole = Subspace(bases.DCT(most=21))
    once, _ = drive(whole.estimate(t, x, 0), t, f)
    rounds = replace(whole, first=3)
    g, paid = torch.zeros_like(x), 0
    assert rounds.rounds(SHAPE) == [6, 6, 12, 18]
    for k in range(4):
        g, bill = drive(rounds.refine(t, x, k, g), t, f)
        paid += bill
    assert paid == whole.plan(SHAPE)
    torch.testing.assert_close(g, once, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("basis", [bases.DCT(most=25), bases.Tiles(2), bases.Tiles(4), pca_basis(), bases.Pixels()])
@pytest.mark.parametrize("two_sided", [True, False])
def test_a_subspace_gradient_is_the_projection_of_the_gradient(basis, two_sided: bool) -> None:
    w, f = affine()
    x = images(edges=False)
    t = task(x, f(x))
    g, _ = drive(Subspace(basis, two_sided=two_sided).estimate(t, x, 0), t, f)
    u = bases.tensor(basis, SHAPE).flatten(1).double()
    expected = (u.T @ (u @ w.flatten())).view(SHAPE)
    torch.testing.assert_close(g.double(), expected.expand_as(g), rtol=3e-4, atol=3e-4)


@pytest.mark.parametrize("two_sided", [True, False])
def test_every_tile_probe_moves_its_largest_pixel_by_h(two_sided: bool) -> None:
    seen = []

    def f(z: Tensor) -> Tensor:
        seen.append(z)
        return z.flatten(1).sum(1)

    x = torch.full((1, *SHAPE), 0.5)
    t = task(x, f(x))
    for basis in (bases.DCT(most=9), bases.Tiles(3), pca_basis()):
        seen.clear()
        drive(Subspace(basis, h=0.02, two_sided=two_sided).estimate(t, x, 0, t.loss0), t, f)
        change = (torch.cat(seen) - 0.5).abs().flatten(1).amax(1)
        torch.testing.assert_close(change, torch.full_like(change, 0.02), rtol=1e-4, atol=1e-6)


def spread(estimator, repeats: int, scale=lambda g, x, t: g) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard error of an estimate over steps (a step is a fresh draw), against the truth."""
    w, f = affine()
    x = images(1)
    t = task(x, f(x))
    draws = torch.stack([scale(drive(estimator.estimate(t, x, k, t.loss0), t, f)[0][0], x[0], t) for k in range(repeats)])
    return draws.double().mean(0), draws.double().std(0) / repeats**0.5, w


RANDOM = [
    Gaussian(0.05, 60),
    Gaussian(0.05, 60, own=True),
    Gaussian(0.05, 60, two_sided=False),
    Rademacher(0.05, 60),
    Rademacher(0.05, 60, own=True),
]


@pytest.mark.parametrize("estimator", RANDOM)
def test_random_estimates_are_unbiased_at_the_edges_too(estimator) -> None:
    mean, error, w = spread(estimator, 150)
    z = (mean - w) / error
    assert z.abs().max() < 4.2  # 60 pixels: the largest of 60 normals passes 4.2 once in 600 runs; the draw is fixed
    assert 0.6 < z.pow(2).mean() < 1.5


def test_bias_from_the_box_would_be_seen() -> None:
    """Planted: Gaussian smoothing divided by 2h whatever the clip took away."""
    def nominal(g: Tensor, x: Tensor, t: Task) -> Tensor:
        return g * (ndtr((1 - x) / 0.05) - ndtr(-x / 0.05))

    mean, error, w = spread(Gaussian(0.05, 60), 150, nominal)
    assert ((mean - w) / error).abs().max() > 6


def quantised(f, step: float):
    return lambda z: f((z / step).round() * step)


@pytest.mark.parametrize("name", [n for n in ALL if "one-sided" not in n])
def test_probes_are_enlarged_until_an_8_bit_target_sees_them(name: str) -> None:
    w, exact = affine()
    step = 1 / 255
    f = quantised(exact, step)
    x = (images() / step).round() * step
    blind = replace(ALL[name], h=0.0004)
    t = task(x, f(x))
    g, _ = drive(blind.estimate(t, x, 0, t.loss0), t, f)
    assert g.abs().max() == 0, "a probe below half a level shows nothing"
    t = task(x, f(x), probe=step)
    g, _ = drive(blind.estimate(t, x, 0, t.loss0), t, f)
    cosine = (g.double() * w).flatten(1).sum(1) / g.double().flatten(1).norm(dim=1) / w.norm()
    assert cosine.min() > 0.15
    if name == "coordinates":
        torch.testing.assert_close(g.double(), w.expand_as(g), rtol=1e-3, atol=1e-3)  # whole levels: exact


@pytest.mark.parametrize("decimals", [2, 3])
@pytest.mark.parametrize("name", [n for n in ALL if "one-sided" not in n and n != "rgf"])
def test_probes_are_enlarged_until_rounded_scores_move(name: str, decimals: int) -> None:
    w = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0)) / 3
    x = images(4, edges=False)
    logits = lambda z: torch.stack([(z * v).flatten(1).sum(1) for v in w], 1) / 3  # noqa: E731
    y = logits(x).argmax(1)
    oracle = bb.Oracle(logits, "scores", 4, returns="logits", decimals=decimals)
    objective = Objective("margin", resolution=oracle.resolution)

    def f(z: Tensor) -> Tensor:
        return objective(oracle.submit(z, "test"), y.repeat_interleave(len(z) // 4))[0]

    blind = replace(ALL[name], h=1e-5)
    t = task(x, f(x))
    flat = drive(blind.estimate(t, x, 0, t.loss0), t, f)[0].flatten(1).abs().amax(1) == 0
    assert flat.sum() >= 3, "but for a row that happens to lie on a step, nothing shows"
    t = task(x, f(x), resolution=oracle.resolution)
    g, _ = drive(blind.estimate(t, x, 0, t.loss0), t, f)
    others = logits(x).scatter(1, y[:, None], -torch.inf).argmax(1)
    truth = w[others] - w[y]
    cosine = (g * truth).flatten(1).sum(1) / g.flatten(1).norm(dim=1).clamp_min(1e-9) / truth.flatten(1).norm(dim=1)
    assert cosine.mean() > 0.1


def test_the_radius_is_a_whole_number_of_levels_and_stays_in_the_box() -> None:
    x = images(1)
    t = task(x, torch.zeros(1), probe=1 / 255)
    assert radius(t, 0.0001) == pytest.approx(2 / 255)
    assert radius(t, 0.01) == pytest.approx(3 / 255)
    assert radius(t, 3 / 255) == pytest.approx(3 / 255)
    assert radius(task(x, torch.zeros(1)), 0.01) == 0.01
    assert radius(task(x, torch.zeros(1), resolution=0.001), 0.01) == pytest.approx(0.1)
    assert radius(task(x, torch.zeros(1), resolution=0.001), 0.01, 10.0) == pytest.approx(0.01)
    assert radius(task(x, torch.zeros(1)), 7.0) == 0.5


@pytest.mark.parametrize("name", ALL)
def test_unpaid_answers_leave_no_nan(name: str) -> None:
    x = images()
    t = task(x, torch.zeros(3))

    def f(z: Tensor) -> Tensor:
        out = z.flatten(1).sum(1)
        out[len(z) // 3 :] = torch.nan  # the later rows, and the later probes of the first ones, were not paid
        return out

    g, _ = drive(ALL[name].estimate(t, x, 0, t.loss0), t, f)
    assert torch.isfinite(g).all()
    assert g[0].abs().max() > 0 and g[2].abs().max() == 0


@pytest.mark.parametrize("name", ALL)
def test_a_row_does_not_depend_on_its_mates(name: str) -> None:
    """The loss adds in a fixed order, so that rows are answered to the bit alike."""
    w = affine()[0].float()

    def f(z: Tensor) -> Tensor:
        from blackbox.rowwise import row_sum

        return row_sum(torch.sin(3 * z) * w)

    x = images(7)
    together, _ = drive(ALL[name].estimate(task(x, f(x)), x, 1), task(x, f(x)), f)
    for i in (0, 3, 6):
        ids = np.array([i], np.uint64)
        one = x[i : i + 1]
        t = Task(one, ids, bb.Linf(0.1), Stream(3, ids), 10**6, f(one))
        alone, _ = drive(ALL[name].estimate(t, one, 1), t, f)
        assert torch.equal(alone[0], together[i])


def test_full_differences_hold_no_square_matrix() -> None:
    """A 3x64x64 image: one call's directions at a time, though d x d floats would be 600 MB."""
    shape = (3, 64, 64)
    ids = np.zeros(1, np.uint64)
    x = torch.full((1, *shape), 0.5)
    t = Task(x, ids, bb.Linf(0.1), Stream(0, ids), 10**6, torch.zeros(1), Access.SCORES)
    steps = Coordinates().estimate(t, x, 0)
    ask = next(steps)
    assert ask.u.count <= 128
    assert ask.u.make(torch.zeros(5, dtype=torch.int64), torch.arange(5)).shape == (5, *shape)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Groups(size=0), "size of at least 1"),
        (lambda: Groups(size=12, finest=5), "power of two"),
        (lambda: Gaussian(samples=7), "even number"),
        (lambda: Rademacher(samples=3), "even number"),
        (lambda: bases.Tiles(0), "at least 1"),
        (lambda: bases.DCT(low=0), "low in"),
        (lambda: bases.pca(torch.rand(5, 1, 4, 4), 5), "between 1 and 4"),
        (lambda: pca_basis().count((1, 4, 4)), "Expected images of shape"),
        (lambda: bases.Fixed(torch.ones(2, 1, 4, 4)), "independent"),
    ],
)
def test_settings_that_cannot_be_say_so(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "basis", [bases.Pixels(), bases.DCT(), bases.DCT(low=0.5), bases.Tiles(2), bases.Tiles(4), pca_basis()]
)
def test_bases_are_orthonormal(basis) -> None:
    u = bases.tensor(basis, SHAPE)
    assert u.shape == (basis.count(SHAPE), *SHAPE) and u.dtype == torch.float32
    gram = u.flatten(1).double() @ u.flatten(1).double().T
    torch.testing.assert_close(gram, torch.eye(len(u), dtype=torch.float64), rtol=0, atol=1e-5)


def test_dct_runs_from_low_to_high_frequency() -> None:
    u = bases.tensor(bases.DCT(), (1, 8, 8))
    rough = [(v[:, 1:] - v[:, :-1]).pow(2).sum() + (v[:, :, 1:] - v[:, :, :-1]).pow(2).sum() for v in u]
    assert rough[0] == pytest.approx(0, abs=1e-9)
    assert sum(rough[:16]) < 0.25 * sum(rough[-16:])
    assert bases.DCT(most=5).count((1, 8, 8)) == 5 and bases.DCT(low=0.25).count((3, 8, 8)) == 3 * 4


def test_a_basis_names_its_content() -> None:
    a, b = pca_basis(), bases.pca(torch.rand(80, *SHAPE), 12)
    assert repr(a) == repr(pca_basis()) and a == pca_basis() and repr(a) != repr(b)
    skew = torch.randn(4, *SHAPE)
    made = bases.tensor(bases.Fixed(skew), SHAPE).flatten(1)
    torch.testing.assert_close(made @ made.T, torch.eye(4), atol=1e-5, rtol=0)

"""Searches on targets with a known boundary; start images from a pool."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox import search
from blackbox.attacks.tangent import touch
from blackbox.estimators import boundary
from blackbox.proposals import noise as noise_kinds
from blackbox.protocol import Ask, Status, Task, Tell
from blackbox.rng import Stream
from blackbox.rowwise import row_norm, unit
from blackbox.start_images import starts
from blackbox.testing import Affine, Constant

SHAPE = (3, 4, 4)
G = torch.Generator().manual_seed(0)
WEIGHT = torch.randn(2, *SHAPE, generator=G)
TARGET = Affine(WEIGHT, -0.5 * WEIGHT.flatten(1).sum(1))
X = 0.35 + 0.3 * torch.rand(6, *SHAPE, generator=G)
Y = TARGET(X).argmax(1)


def task(threat: bb.Threat | None = None, **more: Any) -> Task:
    ids = np.arange(len(X), dtype=np.uint64)
    settings: dict[str, Any] = {"budget": 10**6, "loss0": torch.zeros(len(X)), "minimises": True, **more}
    return Task(x0=X, ids=ids, threat=threat or bb.L2(math.inf), rng=Stream(0, ids), **settings)


def drive(steps: Any, t: Task, until: int = 10**6) -> tuple[Any, Tensor]:
    """Run a search against TARGET: its result, and the queries of each row; nothing is answered past ``until``."""
    asked = torch.zeros(t.n, dtype=torch.int64)
    try:
        ask: Ask = next(steps)
        while True:
            mask = torch.ones(t.n, dtype=torch.bool) if ask.mask is None else ask.mask
            if ask.u is None:
                paid, x = mask & (asked < until), t.project(ask.x)
                adv = (TARGET(x).argmax(1) != Y) & paid
                asked += paid
            else:
                assert isinstance(ask.u, Tensor) and isinstance(ask.h, Tensor)
                q = len(ask.u)
                paid = mask[:, None] & (torch.arange(q)[None] < (until - asked).clamp(0, q)[:, None])
                points = t.clip(ask.x[:, None] + ask.h.view(-1, 1, 1, 1, 1) * ask.u[None])
                wrong = TARGET(points.flatten(0, 1)).argmax(1).view(t.n, q) != Y[:, None]
                adv, x = wrong & paid, None
                asked += paid.sum(1)
            loss = torch.where(paid, adv * 2.0 - 1.0, torch.nan)
            ask = steps.send(Tell(loss, adv, paid, x))
    except StopIteration as end:
        return end.value, asked


def beyond(factor: float, norm: str = "L2") -> Tensor:
    """Points ``factor`` times as far as the nearest boundary point, in the same direction."""
    return TARGET.nearest(X, Y, norm, factor).float()


def test_start_takes_a_given_image_for_one_query() -> None:
    given = beyond(1.5)
    (x, found), asked = drive(search.start(task(start=given)), task())
    assert found.all() and torch.equal(x, given) and (asked == 1).all()


def test_start_falls_back_to_noise_when_the_given_image_is_not_adversarial() -> None:
    (x, found), asked = drive(search.start(task(start=X)), task())
    assert found.all() and (asked >= 2).all()
    assert (TARGET(x).argmax(1) != Y).all()


@pytest.mark.parametrize("tries", [1, 5])
def test_start_gives_up_after_the_stated_number_of_tries(tries: int) -> None:
    result = bb.attack(
        bb.Oracle(Constant(2), "labels", 2),
        X,
        torch.zeros(len(X), dtype=torch.int64),
        bb.attacks.HopSkipJump(tries=tries),
        bb.L2(1.0),
        100,
    )
    assert set(result.status) == {Status.NO_START}
    assert (result.queries == 1 + tries).all()


def test_noise_stays_in_the_box_and_comes_in_kinds() -> None:
    t = task()
    images = [search.noise(t, i) for i in range(8)]
    assert all(image.shape == X.shape and image.min() >= 0 and image.max() <= 1 for image in images)
    assert (images[2].flatten(2).std(2) == 0).all() and set(images[3].unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(images[0], images[4])
    assert not torch.equal(images[0][0], images[0][1])


@pytest.mark.parametrize("norm", ["L2", "Linf"])
@pytest.mark.parametrize("tolerance", [0.05, 1e-3])
def test_to_boundary_ends_within_tolerance_on_the_adversarial_side(norm: str, tolerance: float) -> None:
    t = task(bb.L2(math.inf) if norm == "L2" else bb.Linf(math.inf))
    far, todo = beyond(1.6, norm), torch.ones(len(X), dtype=torch.bool)
    todo[0] = False
    x, asked = drive(search.to_boundary(t, far, tolerance, todo), t)
    best, reach = TARGET.distance(X, Y, norm), t.distance(x).double()
    assert torch.equal(x[0], far[0]) and asked[0] == 0
    assert (TARGET(x).argmax(1) != Y).all()
    assert ((reach - best)[1:] >= -1e-6).all() and ((reach - best)[1:] <= tolerance * t.distance(far)[1:] + 1e-5).all()
    assert (asked[1:] == math.ceil(math.log2(1 / tolerance))).all()


def test_bisect_keeps_the_adversarial_end_when_nothing_is_paid_any_more() -> None:
    t, far = task(), beyond(1.6)
    x, asked = drive(search.to_boundary(t, far, 1e-4, torch.ones(len(X), dtype=torch.bool)), t, until=3)
    assert (asked == 3).all() and (TARGET(x).argmax(1) != Y).all()
    x, asked = drive(search.to_boundary(t, far, 1e-4, torch.ones(len(X), dtype=torch.bool)), t, until=0)
    assert torch.equal(x, far) and (asked == 0).all()


def test_bisect_is_no_finer_than_the_target_can_see() -> None:
    far, todo = beyond(1.6), torch.ones(len(X), dtype=torch.bool)
    _, fine = drive(search.to_boundary(task(), far, 1e-6, todo), task())
    coarse_task = task(probe=1 / 255)
    _, coarse = drive(search.to_boundary(coarse_task, far, 1e-6, todo), coarse_task)
    assert (coarse < fine).all()
    level = (1 / 510) / row_norm(far - X, math.inf)
    assert (coarse == (1 / level).log2().ceil().clamp_min(0).long()).all()


def test_halve_finds_the_first_power_of_two_and_says_where_there_is_none() -> None:
    t, u = task(), torch.nn.functional.normalize((beyond(2.0) - X).flatten(1)).view_as(X)
    best = TARGET.distance(X, Y, "L2").float()

    def inside(step: Tensor) -> Tensor:  # adversarial for steps below the way back to the boundary
        return beyond(1.0) + (0.3 - step).view(-1, 1, 1, 1) * u

    step, held = drive(search.halve(inside, torch.full_like(best, 2.0), torch.ones(6, dtype=torch.bool), 10), t)[0]
    assert held.all() and (step == 0.25).all()
    step, held = drive(search.halve(inside, torch.full_like(best, 2.0), torch.ones(6, dtype=torch.bool), 3), t)[0]
    assert not held.any()


@pytest.mark.parametrize("noise", ["white", "dct", "resize"])
def test_normal_of_a_plane(noise: str) -> None:
    t, true = task(), beyond(2.0) - X
    true = true / row_norm(true).view(-1, 1, 1, 1)
    at, h = beyond(1.0), torch.full((6,), 0.05)
    g, asked = drive(boundary.normal(t, at, 0, 4000, h, noise_kinds.named(noise, 1.0)), t)
    assert (asked == 4000).all()
    assert ((g * true).flatten(1).sum(1) > 0.95).all()


def test_probes_at_right_angles_tell_more_than_independent_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many probes as dimensions the squared cosine is 2 / pi in the mean; independent probes reach q / (1 + q)."""
    t, true = task(), beyond(2.0) - X
    true = true / row_norm(true).view(-1, 1, 1, 1)
    at, h, d = beyond(1.0), torch.full((6,), 0.05), math.prod(SHAPE)

    def cosine() -> float:
        normals = (drive(boundary.normal(t, at, k, d, h, noise_kinds.White()), t)[0] for k in range(60))
        return float(torch.stack([(g * true).flatten(1).sum(1).square() for g in normals]).mean())

    q = 2 / math.pi
    assert cosine() == pytest.approx(q, abs=0.03)
    monkeypatch.setattr(boundary, "orthonormal", unit)
    assert cosine() == pytest.approx(q / (1 + q), abs=0.03)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (noise_kinds.White(), 768),
        (noise_kinds.LowFrequencies(0.25), 48),
        (noise_kinds.Resized(4.0), 48),
        (noise_kinds.Span(bb.bases.DCT()), None),
    ],
)
def test_dimensions_are_the_rank_of_the_draws(noise: noise_kinds.Noise, expected: int | None) -> None:
    shape = (3, 16, 16)
    u = noise.draw(Stream(0, np.zeros(0, np.uint64)), 0, "u", 800, shape).flatten(1).double()
    assert noise.dimensions(shape) == int(torch.linalg.matrix_rank(u, rtol=1e-5))
    assert expected in (None, noise.dimensions(shape))


def test_blocks_are_at_right_angles_and_end_where_the_space_does() -> None:
    low = noise_kinds.LowFrequencies(0.25)
    assert boundary.most(low, (3, 16, 16)) == 48
    assert boundary.most(noise_kinds.White(), (3, 224, 224)) == 64  # long ones: no more than fit into memory
    u = boundary.orthonormal(low.draw(Stream(0, np.zeros(0, np.uint64)), 0, "u", 48, (3, 16, 16))).flatten(1)
    assert torch.allclose(u @ u.T, torch.eye(48), atol=1e-5)


def test_noise_without_dimensions_is_named() -> None:
    class Old:
        draw = noise_kinds.White.draw

    with pytest.raises(ValueError, match="dimensions"):
        bb.attacks.HopSkipJump(noise=Old())  # type: ignore[arg-type]


def test_normal_is_zero_where_nothing_is_paid() -> None:
    t = task()
    g, _ = drive(boundary.normal(t, beyond(1.0), 0, 100, torch.full((6,), 0.05), noise_kinds.White()), t, until=0)
    assert (g == 0).all()


def test_low_frequencies_lie_in_their_span() -> None:
    u = noise_kinds.LowFrequencies(0.25).draw(Stream(0, np.zeros(0, np.uint64)), 0, "u", 20, (3, 16, 16))
    all_of_them = bb.bases.DCT()
    low = bb.bases.tensor(all_of_them, (3, 16, 16)).flatten(1)
    share = (u.flatten(1) @ low.T).square()
    assert torch.allclose(share.sum(1), u.flatten(1).square().sum(1), rtol=1e-4)
    assert int((share > 1e-6).any(0).sum()) == 3 * 4 * 4


def test_unknown_noise_is_named() -> None:
    with pytest.raises(ValueError, match="white, dct, resize"):
        bb.attacks.HopSkipJump(noise="pink")


@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_touching_point_lies_on_the_ellipsoid_and_its_tangent(ratio: float) -> None:
    g = torch.nn.functional.normalize(torch.randn(6, 48, generator=G)).view_as(X)
    p = torch.randn(6, *SHAPE, generator=G) - 1.0 * g
    long = 0.3 * row_norm(p)
    short = long / ratio
    at = touch(p, g, long, short)
    height = (at * g).flatten(1).sum(1)
    across = row_norm(at - height.view(-1, 1, 1, 1) * g)
    assert torch.allclose((height / long) ** 2 + (across / short) ** 2, torch.ones(6), atol=1e-4)
    assert (height > 0).all()
    # the gradient of the ellipsoid's equation at that point is at right angles to the ray from p
    steep = (height / long**2).view(-1, 1, 1, 1) * g + (at - height.view(-1, 1, 1, 1) * g) / (short**2).view(
        -1, 1, 1, 1
    )
    cosine = (steep * (at - p)).flatten(1).sum(1) / row_norm(steep) / row_norm(at - p)
    assert (cosine.abs() < 1e-3).all()


def test_starts_are_the_same_in_any_company() -> None:
    pool, labels = torch.rand(30, *SHAPE, generator=G), torch.arange(30) % 3
    target, ids = torch.tensor([0, 1, 2, 2, 1]), np.array([7, 3, 11, 4, 9])
    whole = starts(pool, labels, target, ids=ids)
    part = starts(pool, labels, target[[3, 1]], ids=ids[[3, 1]])
    assert torch.equal(whole[[3, 1]], part)
    assert not torch.equal(whole, starts(pool, labels, target, ids=ids, seed=1))
    for image, wanted in zip(whole, target, strict=True):
        assert any(torch.equal(image, one) for one in pool[labels == wanted])


def test_starts_without_an_image_of_the_class() -> None:
    with pytest.raises(ValueError, match="class 5, which sample 8"):
        starts(X, Y, torch.tensor([int(Y[0]), 5]), ids=[2, 8])


@pytest.mark.parametrize(
    "name", ["hop-skip-jump", "sign-opt", "rays", "sign-flip", "surfree", "boundary", "geoda", "tangent", "qeba"]
)
def test_targeted_from_a_pool(name: str) -> None:
    far = torch.cat([beyond(3.0), beyond(3.5)]).clamp(0, 1)
    labels, target = TARGET(far).argmax(1), 1 - Y
    begin = starts(far, labels, target)
    oracle = bb.Oracle(TARGET, "labels", 2)
    threat: bb.Threat = bb.Linf(0.4) if name in ("rays", "sign-flip") else bb.L2(math.inf)
    result = bb.attack(oracle, X, Y, name, threat, 150, target=target, start=begin)
    assert result.success.all()
    assert (TARGET(result.x_adv).argmax(1) == target).all()

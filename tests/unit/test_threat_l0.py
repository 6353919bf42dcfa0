"""L0: pixels are counted, not entries; the projection keeps those that change most."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.testing.problems import affine_problem


def images(seed: int, n: int = 4, shape: tuple[int, ...] = (3, 2, 3)) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    x0 = torch.tensor(rng.uniform(0, 1, (n, *shape)), dtype=torch.float32)
    return x0 + torch.tensor(rng.normal(0, 0.5, (n, *shape)), dtype=torch.float32), x0


def test_a_pixel_counts_once_whatever_its_channels() -> None:
    x0 = torch.full((2, 3, 2, 2), 0.5)
    x = x0.clone()
    x[0, :, 0, 0], x[0, 1, 1, 1], x[1, 2, 0, 1] = 1.0, 0.0, 0.5 + 1e-7
    assert bb.L0(1).distance(x, x0).tolist() == [2.0, 1.0]
    assert bb.L0(1).distance(torch.tensor([[0.0, 1.0, 1.0]]), torch.zeros(1, 3)).tolist() == [2.0]


@pytest.mark.parametrize("eps", [1, 2, 4, 6, 100, math.inf])
@pytest.mark.parametrize("shape", [(3, 2, 3), (1, 2, 3), (6,)])
def test_projection_is_the_nearest_point(eps: float, shape: tuple[int, ...]) -> None:
    """Against all subsets of six pixels."""
    x, x0 = images(0, shape=shape)
    threat = bb.L0(eps)
    got = threat.project(x, x0)
    assert bool((threat.distance(got, x0) <= eps).all())
    assert bool(((got >= 0) & (got <= 1)).all())
    assert torch.equal(threat.project(got, x0), got)
    clipped = x.clamp(0, 1)
    for i in range(len(x)):
        best = math.inf
        for kept in itertools.combinations(range(6), int(min(eps, 6))):
            mask = torch.zeros(6, dtype=torch.bool)
            mask[list(kept)] = True
            mask = mask.view(1, *shape[1:]) if len(shape) == 3 else mask
            best = min(best, float((torch.where(mask, clipped[i], x0[i]) - clipped[i]).norm()))
        assert float((got[i] - clipped[i]).norm()) == pytest.approx(best, abs=1e-6)


def test_ties_keep_no_more_than_eps() -> None:
    x0 = torch.zeros(2, 1, 2, 2)
    x = torch.ones(2, 1, 2, 2)
    x[1, 0, 0] = 0.0
    got = bb.L0(3).project(x, x0)
    assert got.flatten(1).tolist() == [[1, 1, 1, 0], [0, 0, 1, 1]]


def test_a_row_projects_as_it_does_alone() -> None:
    x, x0 = images(3, n=6)
    x[2] = x0[2] + 0.1  # ties in one row take the other path
    together = bb.L0(2).project(x, x0)
    assert all(torch.equal(together[i : i + 1], bb.L0(2).project(x[i : i + 1], x0[i : i + 1])) for i in range(6))


def test_steepest_changes_one_pixel_and_the_best_one() -> None:
    g = images(1)[0] - 0.5
    best = bb.L0(1).steepest(g)
    assert bb.L0(1).distance(best, torch.zeros_like(best)).tolist() == [1.0] * len(g)
    assert torch.allclose((best * g).flatten(1).sum(1), g.abs().sum(1).flatten(1).amax(1))
    assert float(bb.L0(1).steepest(torch.zeros(1, 3, 2, 2)).abs().sum()) == 0.0


def test_radius_and_name() -> None:
    with pytest.raises(ValueError, match=r"whole number of pixels, but it was 1\.5"):
        bb.L0(1.5)
    with pytest.raises(ValueError, match="at most 12 pixels for images with 12 entries"):
        bb.L0(13).check_dimension(12)
    bb.L0(12).check_dimension(12)
    bb.L0(math.inf).check_dimension(4)
    assert (str(bb.L0(5)), str(bb.L0(math.inf))) == ("L0 5", "L0 unlimited")


@pytest.mark.parametrize("targeted", [False, True])
def test_the_closed_form_of_the_affine_target(targeted: bool) -> None:
    """Against all subsets of pixels, each moved to its best corner."""
    problem = affine_problem("L0", (3, 2, 4), 3, targeted=targeted)
    target = problem.target
    for x, y, optimum in zip(problem.x, problem.y, problem.optimum, strict=True):
        least = math.inf
        for other in set(range(len(target.weight))) - {int(y)}:
            w = target.gradient(int(y), other)
            for count in range(1, 9):
                for kept in itertools.combinations(range(8), count):
                    mask = torch.zeros(8, dtype=torch.bool)
                    mask[list(kept)] = True
                    moved = torch.where(mask.view(1, 2, 4), (w > 0).float(), x)
                    logits = target(moved[None])[0]
                    if count < least and float(logits[other]) > float(logits[int(y)]):
                        least = count
        assert least == float(optimum)


def test_a_result_in_l0_is_saved_and_loaded(tmp_path: Path) -> None:
    problem = affine_problem("L0")
    result = bb.attack(bb.Oracle(problem.target, "logits", 3), problem.x, problem.y, "sparse", bb.L0(8), 200)
    assert bool(result.success.any())
    assert bool((result.distance[result.success] <= 8).all())
    assert bb.AttackResult.load(result.save(tmp_path / "run")).threat == bb.L0(8)

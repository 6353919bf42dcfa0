"""Every estimator keeps the contract: unbiased, of the right scale, at its planned price, whatever rows are beside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from blackbox.estimators import Coordinates, Gaussian, Groups, Rademacher, Subspace
from blackbox.proposals import bases
from blackbox.testing import EstimatorContract


class TestCoordinates(EstimatorContract):
    estimator, exact, draws = Coordinates(), True, 20


class TestCoordinatesOneSided(EstimatorContract):
    estimator, exact, draws = Coordinates(two_sided=False, block=5), True, 20


class TestGroupsOfOne(EstimatorContract):
    estimator, exact, draws = Groups(size=1), True, 20


class TestGroups(EstimatorContract):
    """A group of s pixels sees their mean: in the mean over groups an entry keeps 1/s of itself and mixes in the rest."""

    estimator, size, at_the_edges = Groups(size=4), 4, False
    draws = 400

    def expected(self, gradient: Tensor) -> Tensor:
        d = gradient.numel()
        others = (gradient.sum() - gradient) / (d - 1)
        return (gradient + (self.size - 1) * others) / self.size

    test_scale = None  # no multiple of the gradient is expected; entries are compared one by one


class TestGaussianPairs(EstimatorContract):
    estimator = Gaussian(h=0.02, samples=20)


class TestGaussianOneSided(EstimatorContract):
    estimator = Gaussian(h=0.02, samples=20, two_sided=False, block=7)


class TestGaussianOwn(EstimatorContract):
    estimator = Gaussian(h=0.02, samples=20, own=True)


class TestRademacher(EstimatorContract):
    estimator = Rademacher(samples=20)


class TestRademacherOwn(EstimatorContract):
    estimator = Rademacher(samples=20, own=True)


class TestSubspaceOfAll(EstimatorContract):
    """All directions of a basis: the whole gradient."""

    estimator, exact, at_the_edges, draws = Subspace(bases.DCT()), True, False, 3


class TestSubspaceOneSided(EstimatorContract):
    estimator, exact, at_the_edges, draws = Subspace(bases.DCT(), two_sided=False, block=5), True, False, 3


class TestSubspaceTiles(EstimatorContract):
    """Tiles of 2 x 2: the gradient averaged over each tile."""

    estimator, exact, at_the_edges, draws = Subspace(bases.Tiles(2)), True, False, 3

    def expected(self, gradient: Tensor) -> Tensor:
        mean = torch.nn.functional.avg_pool2d(gradient[None], 2)
        return torch.nn.functional.interpolate(mean, scale_factor=2)[0]

    test_scale = None  # as above: it is the tiles' part that is expected


def test_the_contract_asks_for_an_estimator() -> None:
    class Empty(EstimatorContract):
        pass

    with pytest.raises(TypeError, match="set `estimator`"):
        Empty().test_bill()


def test_a_scale_off_by_ten_percent_is_seen() -> None:
    class Off(EstimatorContract):
        class Louder:
            inner: Any = Coordinates()
            plan = inner.plan

            def estimate(self, *args: Any) -> Any:
                return 1.1 * (yield from self.inner.estimate(*args))

        estimator, draws = Louder(), 3

    for name in ("test_scale", "test_unbiased_inside_the_box", "test_unbiased_at_the_edges"):
        with pytest.raises(AssertionError):
            getattr(Off(), name)()

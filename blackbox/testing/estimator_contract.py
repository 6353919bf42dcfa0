"""`EstimatorContract`: the checks that every gradient estimator must pass, as tests to inherit."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.testing.driver import drive, task
from blackbox.testing.spy import expect
from blackbox.testing.targets import Affine, Quantised

_ERRORS = 4.0  # standard errors; an unbiased estimator rarely exceeds them, and the draws are the same in every run


@lru_cache(maxsize=8)
def _affine(shape: tuple[int, ...]) -> Affine:
    weight = torch.tensor(np.random.default_rng(7).standard_normal((2, *shape)), dtype=torch.float32)
    return Affine(weight, torch.zeros(2))


class EstimatorContract:
    """Inherit this, set ``estimator``, and pytest runs every check.

    The loss is affine, so the true gradient is known, at the faces of the box as well as inside it.

    Attributes:
        estimator: a frozen dataclass with ``estimate(t, x, k, loss, most)`` and ``plan(shape, centre, k, most)``
            (``most`` in the plan may be missing).
        shape: of one image.
        draws: how many estimates are averaged.
        exact: every single estimate equals the gradient, up to the rounding of float32.
        at_the_edges: the same holds where entries lie on the faces of the box.
        partial: ``most`` may be any number; False for an estimator without it.
    """

    estimator: ClassVar[Any] = None
    shape: ClassVar[tuple[int, ...]] = (2, 4, 4)
    draws: ClassVar[int] = 200
    exact: ClassVar[bool] = False
    at_the_edges: ClassVar[bool] = True
    partial: ClassVar[bool] = True

    def expected(self, gradient: Tensor) -> Tensor:
        """The expected mean of the estimates, [\\*shape]: the gradient, or the part of it that the estimator can see."""
        return gradient

    # -- what the checks are made of ----------------------------------------------------------------------------

    @property
    def built(self) -> Any:
        """The estimator under test."""
        if self.estimator is None:
            raise TypeError(f"Expected {type(self).__name__} to set `estimator`.")
        return self.estimator

    def affine(self) -> Affine:
        """Two classes; the loss is logit_1 - logit_0."""
        return _affine(self.shape)

    def loss(self, x: Tensor) -> Tensor:
        """[m, \\*shape] -> [m]."""
        out = self.affine()(x)
        return out[:, 1] - out[:, 0]

    @property
    def gradient(self) -> Tensor:
        """The gradient of the loss, the same everywhere, [\\*shape]."""
        return self.affine().gradient(0, 1)

    def inside(self, n: int) -> Tensor:
        """Images away from the faces of the box."""
        return torch.tensor(np.random.default_rng(1).uniform(0.3, 0.7, (n, *self.shape)), dtype=torch.float32)

    def edges(self, n: int) -> Tensor:
        """Images with a third of their entries at 0, a third at 1."""
        x = self.inside(n).flatten(1)
        x[:, 0::3], x[:, 1::3] = 0.0, 1.0
        return x.view(n, *self.shape)

    def estimates(self, x: Tensor) -> Tensor:
        """Estimates, one a step, [draws, n, \\*shape]."""
        t, at = task(x), self.loss(x)
        return torch.stack([drive(self.built.estimate(t, x, k, at), t, self.loss)[0] for k in range(self.draws)])

    # -- the checks ---------------------------------------------------------------------------------------------

    def test_unbiased_inside_the_box(self) -> None:
        """The mean of many estimates is the gradient within 4 standard errors, entry by entry."""
        self._unbiased(self.inside(1), "inside the box")

    def test_unbiased_at_the_edges(self) -> None:
        """The same where the clip to the box removes half of a probe."""
        if self.at_the_edges:
            self._unbiased(self.edges(1), "at the faces of the box")

    def test_scale(self) -> None:
        """The estimate's length along the gradient is right: no forgotten factor 2, h or number of samples."""
        truth = self.expected(self.gradient).double()
        for x in [self.inside(1), *([self.edges(1)] if self.at_the_edges else [])]:
            along = (self.estimates(x)[:, 0].double() * truth).flatten(1).sum(1) / (truth * truth).sum()
            error = float(along.std() / len(along) ** 0.5)
            mean = float(along.mean())
            expect(
                abs(mean - 1) <= _ERRORS * error + 2e-3,
                f"Expected an estimate of scale 1, but it was {mean:.4f} with a standard error of {error:.4f}.",
            )

    def test_same_in_any_company(self) -> None:
        """A row's estimate is bit-equal alone, in a batch and in another order."""
        x = self.edges(5) * 0.5 + self.inside(5) * 0.5
        whole_task = task(x, ids=np.array([3, 1, 4, 15, 9]))
        whole, _ = drive(self.built.estimate(whole_task, x, 2, self.loss(x)), whole_task, self.loss)
        for part in ([0], [4, 2], [1, 3, 0]):
            t = task(x[part], ids=whole_task.ids[part])
            alone, _ = drive(self.built.estimate(t, x[part], 2, self.loss(x[part])), t, self.loss)
            expect(torch.equal(alone, whole[part]), f"The estimates of rows {part} depend on the rows beside them.")

    def test_repeats(self) -> None:
        """The same (seed, id, step) gives the same estimate."""
        x = self.inside(3)
        t = task(x, seed=5)
        one, _ = drive(self.built.estimate(t, x, 0, self.loss(x)), t, self.loss)
        two, _ = drive(self.built.estimate(t, x, 0, self.loss(x)), t, self.loss)
        expect(torch.equal(one, two), "The same seed, sample and step gave another estimate.")

    def test_bill(self) -> None:
        """A row's queries are as many as ``plan`` said, with the loss at the centre known and unknown."""
        x = self.inside(3)
        for k in (0, 1, 5):
            for known in (True, False):
                t = task(x)
                _, asked = drive(self.built.estimate(t, x, k, self.loss(x) if known else None), t, self.loss)
                plan = self.built.plan(self.shape, not known, k)
                expect(
                    asked.unique().tolist() == [plan],
                    f"The plan was {plan} queries (step {k}, loss {'known' if known else 'not known'}), but {asked.tolist()} were asked.",
                )

    def test_most(self) -> None:
        """With fewer queries left than planned, no more are made, and the estimate is finite."""
        if not self.partial:
            return
        x = self.inside(2)
        told = "most" in inspect.signature(self.built.plan).parameters
        for known in (True, False):
            full = self.built.plan(self.shape, not known, 0)
            for most in sorted({0, 1, 2, 3, full // 2, full - 1, full, full + 9}):
                t = task(x)
                g, asked = drive(self.built.estimate(t, x, 0, self.loss(x) if known else None, most), t, self.loss)
                expect(int(asked.max()) <= most, f"Expected at most {most} queries, but {asked.tolist()} were asked.")
                if told:
                    plan = self.built.plan(self.shape, not known, 0, most)
                    expect(
                        asked.unique().tolist() == [plan],
                        f"The plan for most={most} was {plan} queries, but {asked.tolist()} were asked.",
                    )
                expect(torch.isfinite(g).all() and g.shape == x.shape, f"Expected finite numbers at most={most}.")

    def test_unpaid_answers(self) -> None:
        """Answers that were never paid for (NaN) leave the estimate finite."""
        x = self.inside(2)
        full = self.built.plan(self.shape, True, 0)
        for until in sorted({0, 1, full // 2, full - 1}):
            t = task(x)
            g, _ = drive(self.built.estimate(t, x, 0, self.loss(x)), t, self.loss, until=until)
            expect(torch.isfinite(g).all(), f"The estimate is not finite when answers stop after {until} queries.")

    def test_quantised_input(self) -> None:
        """Behind 8-bit input a probe is large enough to be seen: the estimate still points along the gradient."""
        seen = Quantised(self.affine(), levels=256)
        x = (self.inside(1) * 255).round() / 255

        def loss(points: Tensor) -> Tensor:
            out = seen(points)
            return out[:, 1] - out[:, 0]

        t = task(x, probe=1 / 255)
        draws = [drive(self.built.estimate(t, x, k, loss(x)), t, loss)[0][0] for k in range(min(self.draws, 100))]
        mean, truth = torch.stack(draws).mean(0).flatten().double(), self.expected(self.gradient).flatten().double()
        cosine = float((mean @ truth) / (mean.norm() * truth.norm()).clamp_min(1e-12))
        scale = float((mean @ truth) / (truth @ truth))
        expect(cosine > 0.9, f"Behind 8-bit input the estimates' cosine to the gradient is {cosine:.3f}.")
        expect(0.85 < scale < 1.15, f"Behind 8-bit input the estimates' scale is {scale:.3f}.")

    def _unbiased(self, x: Tensor, where: str) -> None:
        truth = self.expected(self.gradient).double()
        got = self.estimates(x)[:, 0].double()
        mean, error = got.mean(0), got.std(0) / len(got) ** 0.5
        rounding = 2e-3 * float(truth.abs().max())
        off = (mean - truth).abs()
        if self.exact:
            worst = float((got - truth).abs().max())
            expect(worst <= rounding, f"Expected every estimate to be exact {where}, but an entry is off by {worst:.3g}.")
        far = off > _ERRORS * error + rounding
        expect(
            ~far.any(),
            f"Expected a mean within 4 standard errors of the gradient {where}, but {int(far.sum())} of {off.numel()} "
            f"entries are farther off, the worst by {float((off / error.clamp_min(1e-9)).max()):.1f}.",
        )

    def test_the_loss_at_the_centre_is_asked_for_where_it_is_not_known(self) -> None:
        """With the loss at x given or not, the estimate is the same; only the bill may differ."""
        for x in (self.inside(2), self.edges(2)):
            t = task(x)
            given, _ = drive(self.built.estimate(t, x, 0, self.loss(x)), t, self.loss)
            asked, _ = drive(self.built.estimate(t, x, 0, None), t, self.loss)
            expect(torch.allclose(given, asked, rtol=1e-4, atol=1e-4), "The estimate changes when the loss at x is not given.")

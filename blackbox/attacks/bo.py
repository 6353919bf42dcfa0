"""BayesOpt attack (Ru, Cobb, Blaas & Gal 2020, "BayesOpt adversarial attack", ICLR)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.estimators.gaussian_process import LENGTHS, Process, Reduced, fit
from blackbox.protocol import Access, Ask, Attack, Steps, Task

PATIENCE = 5  # answers that are all equal before it is said


class Mean:
    """What the process's mean starts from: without a prior, nothing."""

    def slope(self, x: Tensor, step: int) -> Tensor | None:
        """The gradient [n, \\*shape] at the ascent's point ``x``, or None."""
        return None

    def rise(self, x: Tensor) -> Tensor:
        """The rise [n] over the clean images at the ascent's end."""
        return x.new_zeros(len(x))


@dataclass(frozen=True)
class BO(Attack):
    """Each query goes where a Gaussian process, fitted to all answers of this image, expects most of the loss.

    The process sees a change as its averages over tiles (`estimators.gaussian_process.Reduced`). From random signs of tiles on,
    a few steps climb the upper confidence bound, its mean and ``beta`` standard deviations, inside the threat; the first point is
    those signs themselves. A query costs one fit: up to ``memory`` answers are kept (the clean image's, the best, the latest),
    so its time does not grow with the budget. Where nothing can be fitted, because all answers are equal, random signs of tiles
    are asked on, and a warning names the image.

    Departs from the paper: the kernel is isotropic, its length the likeliest of five, and the tiles' number is fixed; the paper
    decomposes the space or learns its dimension. The threat may be L2 too.

    Args:
        cells: tiles along each side. beta: how much the unknown is worth. steps, step_size: of the climb; the latter a share of eps.
        memory: answers kept. (All tried by hand; `experiments.studies.bayesian --study settings` repeats it.)
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    cells: int = 8
    beta: float = 3.0
    steps: int = 10
    step_size: float = 0.3
    memory: int = 100

    def __post_init__(self) -> None:
        if self.cells < 1 or self.steps < 1 or self.memory < 3 or not self.beta >= 0 or not self.step_size > 0:
            raise ValueError(
                "Expected cells and steps of at least 1, memory of at least 3, beta >= 0 and step_size > 0, but they were "
                f"{self.cells}, {self.steps}, {self.memory}, {self.beta} and {self.step_size}."
            )

    @dataclass
    class State:
        z: Tensor  # [n, m, dimension] where it was asked, the clean image first
        y: Tensor  # [n, m] the rise of the loss over the clean image
        foretold: Tensor  # [n, m] what the prior foretold of it
        share: Tensor  # [n] of the kernel's length
        live: Tensor  # [n] paid for the last point and did not succeed
        told: Tensor  # [n] that nothing can be fitted

    def init(self, t: Task) -> State:
        none = t.x0.new_zeros(t.n, 1)
        z = none[:, :, None].expand(-1, -1, int(np.prod(Reduced.of_task(t, self.cells).small)))
        return self.State(z, none, none, none[:, 0], torch.ones(t.n, dtype=torch.bool, device=t.x0.device), none[:, 0] > 0)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        space, live = Reduced.of_task(t, self.cells), s.live.numpy(force=True)
        models = self.fitted(s, k, live)
        told = self.tell(t, s, models, live)
        part = t.take(live)
        x, rise = t.x0.clone(), torch.zeros_like(t.loss0)
        if part.n:
            x[s.live], rise[s.live] = self.climb(part, space, [models[i] for i in live.nonzero()[0]], k)
        a = yield Ask(x, mask=s.live)
        z = torch.from_numpy(space.of((a.x - t.x0).numpy(force=True))).to(s.z)
        z, y, g = (torch.cat([old, new[:, None]], 1) for old, new in ((s.z, z), (s.y, a.loss - t.loss0), (s.foretold, rise)))
        share = torch.tensor([0.0 if m is None else m.share for m in models], device=x.device)
        return self.bounded(self.State(z, y, g, share, s.live & a.paid & ~a.adv, told))

    def fitted(self, s: State, k: int, live: np.ndarray) -> list[Process | None]:
        """A process a row; the kernel's length is looked for anew at steps 1, 2, 4, 8 and so on."""
        z, y, g = (v.numpy(force=True).astype(np.float64) for v in (s.z, s.y, s.foretold))
        again, shares = k & (k - 1) == 0, s.share.tolist()
        return [
            self.fit(z[i], y[i], g[i], LENGTHS if again or not shares[i] else (shares[i],)) if live[i] else None for i in range(len(z))
        ]

    def fit(self, z: np.ndarray, y: np.ndarray, foretold: np.ndarray, shares: tuple[float, ...]) -> Process | None:
        return fit(z, y, shares=shares)

    def tell(self, t: Task, s: State, models: list[Process | None], live: np.ndarray) -> Tensor:
        """Warn of rows for which nothing can be fitted, once each; [n] of which it was said."""
        told = s.told.clone()
        for i, model in enumerate(models):
            if model is None and live[i] and s.y.shape[1] > PATIENCE and not told[i]:
                told[i] = True
                warnings.warn(
                    f"Expected answers that differ, to fit a Gaussian process to, but for sample {int(t.ids[i])} all "
                    f"{s.y.shape[1]} are equal or not finite. It goes on with random changes; an attack on labels may do better.",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return told

    def climb(self, t: Task, space: Reduced, models: list[Process | None], k: int) -> tuple[Tensor, Tensor]:
        """The points to ask [n, \\*shape], and the rise [n] that the prior foretells there."""
        x = self.begin(t, space, k)
        mean = self.mean(t, models, x, k)
        for i in range(self.steps):
            z = space.of((x - t.x0).numpy(force=True))
            g = np.stack([np.zeros_like(at) if m is None else m.slope(at, self.beta) for at, m in zip(z, models, strict=True)])
            u = torch.from_numpy(space.back(g)).to(x).view_as(x)
            if (prior := mean.slope(x, i)) is not None:
                u = u + prior
            x = t.project(x + self.step_size * t.radius * t.threat.steepest(u))
        return x, mean.rise(x)

    def begin(self, t: Task, space: Reduced, k: int) -> Tensor:
        """Where the climb begins: random signs of tiles."""
        signs = t.rng.signs(k, "tiles", space.small).numpy(force=True)
        u = torch.from_numpy(space.back(signs.astype(np.float64))).to(t.x0).view_as(t.x0)
        return t.project(t.x0 + t.radius * t.threat.steepest(u))

    def mean(self, t: Task, models: list[Process | None], x: Tensor, k: int) -> Mean:
        """What the process adds to; see `Mean`."""
        return Mean()

    def bounded(self, s: State) -> State:
        """Forget the oldest answer where there are too many, but neither the clean image's nor the best."""
        m = s.y.shape[1]
        if m <= self.memory:
            return s
        drop = torch.where(s.y.nan_to_num(nan=-torch.inf)[:, 1:].argmax(1) == 0, 2, 1)
        kept = torch.arange(m - 1, device=s.y.device).expand(len(s.y), -1)
        kept = kept + (kept >= drop[:, None])
        z = s.z.gather(1, kept[:, :, None].expand(-1, -1, s.z.shape[2]))
        return self.State(z, s.y.gather(1, kept), s.foretold.gather(1, kept), s.share, s.live, s.told)

"""SPSA: random signs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blackbox.estimators.gaussian import averaged, check_samples
from blackbox.estimators.probes import bill, probe_size
from blackbox.protocol import Steps, Task


@dataclass(frozen=True)
class Rademacher:
    """Simultaneous perturbation: the mean of ``df / (2h) * u`` over random signs u.

    Source: Spall 1992, Multivariate stochastic approximation using a simultaneous perturbation gradient
    approximation; Uesato et al. 2018, arXiv:1802.05666, Algorithm 1.

    Departs from the papers: each pixel is divided by the displacement that remains of 2h after the clip to the box.
    It is the same for every draw, so the estimate is unbiased on a linear loss at the box's edges too.

    Args:
        h: a pixel's change, in units of the image range (Uesato et al.: delta = 0.01).
        samples: probes, half of them pairs. own: different signs for every row, not for every step only.
        block: directions an Ask.
    """

    h: float = 0.01
    samples: int = 128
    own: bool = False
    block: int = 64

    def __post_init__(self) -> None:
        check_samples(self.samples, True)

    def plan(self, shape: tuple[int, ...], centre: bool = True, k: int = 0, most: int | None = None) -> int:
        return bill(self.samples // 2, True, centre, most)

    def estimate(
        self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]:
        h = probe_size(t, self.h, t.d**0.5)

        def shared(j: int, m: int) -> Tensor:
            return t.rng.shared_signs(k, f"signs {j}", (m, *t.shape))

        def own(keep: Tensor | None, j: int) -> Tensor:
            rng = t.rng if keep is None else t.rng.take(keep.numpy(force=True))
            return rng.signs(k, f"signs {j}", t.shape)

        g = yield from averaged(t, x, h, self.samples // 2, shared, own if self.own else None, loss, True, most, self.block)
        return g / (t.clip(x + h) - t.clip(x - h))

"""Transfer against eps: the curve, the area under it, and the smallest radius at which each image transfers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from blackbox.statistics.bootstrap import TwoLevel, two_level
from blackbox.statistics.rates import Estimate, median
from surrogates.transfer.compare import check_same

if TYPE_CHECKING:
    from surrogates.transfer.matrix import TransferMatrix


@dataclass(frozen=True, eq=False)
class EpsCurve:
    """An attack's transfer over the radii of a matrix.

    eps [E]: in increasing order. rates: at each, over runs and images. auc: area under the rate from eps 0 to the largest,
    as a share of that range, linear between the radii measured (at 0 the rate of clean images: 0 unless given is "all").
    smallest [R, N]: the smallest radius measured at which an image transfers; inf where none did (censored at the largest
    radius), NaN outside the denominator. It need not transfer at every larger one: crafting is not monotone.
    """

    eps: np.ndarray
    rates: tuple[TwoLevel, ...]
    auc: TwoLevel
    smallest: np.ndarray
    norm: str

    @property
    def censored(self) -> int:
        """How many images (counted in every run) transferred at no radius."""
        return int(np.isinf(self.smallest).sum())

    def median(self, level: float = 0.95) -> Estimate:
        """Median smallest radius over images (inf beyond half); of several runs, over each image's median."""
        per_image = np.sort(self.smallest, axis=0)  # NaN last: an image counts by the runs in whose denominator it is
        kept = (~np.isnan(per_image)).sum(0)
        column = np.arange(per_image.shape[1])
        return median(per_image[np.maximum(kept - 1, 0) // 2, column][kept > 0], level)

    def __str__(self) -> str:
        points = ", ".join(f"{e:.4g}: {r.value:.3f}" for e, r in zip(self.eps, self.rates, strict=True))
        return (
            f"{self.norm} eps {points}; AUC {self.auc}; median smallest eps {self.median()}; {self.censored} censored"
        )


def eps_curve(
    matrix: TransferMatrix,
    source: str,
    target: str,
    attack: str,
    *,
    norm: str = "Linf",
    given: str = "target-correct",
    level: float = 0.95,
    seed: int = 0,
) -> EpsCurve:
    """The curve of one attack from ``source`` (all its runs) to ``target`` over the threats of ``norm`` in ``matrix``.

    Raises:
        ValueError: no threat of that norm; ``given="source-fooled"``, whose denominator changes with eps.
    """
    check_same(given)
    threats = sorted((t for t in matrix.threats if t.norm == norm), key=lambda t: t.eps)
    if not threats:
        known = ", ".join(sorted({t.norm for t in matrix.threats}))
        raise ValueError(f"Expected a norm of this matrix ({known}), but it was {norm!r}.")
    cells = [matrix.outcomes(source, target, attack, threat, given) for threat in threats]
    among, which = np.logical_and.reduce([kept for _, kept, _ in cells]), cells[0][2]
    hits = np.stack([hit for hit, _, _ in cells]).astype(np.float64)  # [E, R, N]
    eps = np.array([t.eps for t in threats])
    t = matrix._at(matrix.targets, target, "target")
    clean = np.broadcast_to(matrix._fooled(matrix.clean_target[t]), hits[:1].shape)
    heights = np.concatenate([clean if given == "all" else np.zeros_like(hits[:1]), hits])
    widths = np.diff(eps, prepend=0.0)[:, None, None] / eps[-1]
    area = (widths * (heights[1:] + heights[:-1]) / 2).sum(0)
    first = np.where(hits.any(0), eps[hits.argmax(0)], np.inf)
    rates = tuple(two_level(hit, among, which, level=level, seed=seed) for hit in hits)
    auc = two_level(area, among, which, level=level, seed=seed)
    return EpsCurve(eps, rates, auc, np.where(among, first, np.nan), norm)

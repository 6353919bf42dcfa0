"""Paired comparison of two attacks, image by image, on a transfer matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blackbox.statistics import Discordance, TwoLevel, holm, mcnemar, two_level
from blackbox.threat import Threat
from surrogates.transfer.conditions import check_same

if TYPE_CHECKING:
    from surrogates.transfer.matrix import TransferMatrix


@dataclass(frozen=True)
class Comparison:
    """The comparison of two attacks on the same images and runs of a source.

    difference: rate of the first minus that of the second, with an interval over both (`two_level`). tests: McNemar's exact test
    of every run by itself. Runs share their images, so their counts must not be pooled into one test.
    """

    first: str
    second: str
    difference: TwoLevel
    tests: tuple[Discordance, ...]

    @property
    def p(self) -> float:
        """The p-value of the run; for several runs the smallest one times their number (Bonferroni)."""
        return min(1.0, len(self.tests) * min(test.p for test in self.tests))

    def __str__(self) -> str:
        if not self.difference.n:
            return f"{self.first} less {self.second}: no image on which both are known"
        ps = holm([t.p for t in self.tests])
        each = "; ".join(f"{t.first_only} against {t.second_only} images, p = {p:.3g}" for t, p in zip(self.tests, ps, strict=True))
        more = f", corrected for {len(ps)} tests by Holm" if len(ps) > 1 else ""
        d = self.difference
        return (
            f"{self.first} less {self.second}: {100 * d.value:+.1f} points [{100 * d.low:+.1f}, {100 * d.high:+.1f}] "
            f"(n = {d.n}); fooled by one alone: {each} (McNemar, exact{more})"
        )


def compare(
    matrix: TransferMatrix,
    first: str,
    second: str,
    *,
    source: str,
    target: str,
    threat: Threat | str,
    given: str = "both-correct",
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare two attacks of ``matrix`` on one source (all its runs), target and threat.

    Raises:
        ValueError: an unknown name; ``given="source-fooled"``, where each attack has a denominator of its own.
    """
    check_same(given)
    hits, among, which = matrix.outcomes(source, target, first, threat, given)
    others, also, _ = matrix.outcomes(source, target, second, threat, given)
    among &= also  # the same except for answers that a failing target never gave
    difference = two_level(hits, among, which, minus=others, level=level, seed=seed)
    tests = tuple(mcnemar(a[keep], b[keep]) for a, b, keep in zip(hits, others, among, strict=True))
    return Comparison(first, second, difference, tests)

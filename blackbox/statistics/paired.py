"""Comparisons of attacks on the same images, and one for different images (`logrank`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from blackbox.statistics.intervals import by_image, mean_estimate
from blackbox.statistics.multiple import holm
from blackbox.statistics.outcomes import (
    Outcomes,
    array,
    check_same_samples,
    complete,
    costs,
    cut_short,
    horizon_of,
    left_out,
    times,
    within,
)
from blackbox.statistics.rates import Estimate, Rate

Compared = TypeVar("Compared", bound=Any)


@dataclass(frozen=True)
class VirtualBest:
    """The result of a perfect choice, in hindsight, of the best attack for each image.

    success: the images that at least one attack fooled. queries: the mean of the smallest query counts, with failures
    charged. share: for each attack, the share of fooled images on which it was the fastest (ties count for all). Images that
    one of the runs did not finish are left out, and counted in ``success.unknown``.
    """

    success: Rate
    queries: Estimate
    share: dict[str, Rate]


def virtual_best(
    results: Mapping[str, Outcomes], horizon: int | None = None, level: float = 0.95, seed: int = 0
) -> VirtualBest:
    """Compute the per-image best of several attacks on the same images (the "virtual best solver" of algorithm selection;
    Rice 1976). It is optimistic for random attacks: the best of several draws is better than any.

    Raises:
        ValueError: no results, or results about other samples.
    """
    if not results:
        raise ValueError("Expected at least one result, but there was none.")
    every = list(results.values())
    check_same_samples(every)
    most = horizon_of(every, horizon)
    keep = np.logical_and.reduce([complete(r, most) for r in every])
    cost = np.stack([costs(r, most)[keep] for r in every])
    hit = np.stack([within(r, most)[keep] for r in every])
    best, found = cost.min(0), hit.any(0)
    share = {name: Rate.of(hit[i] & (cost[i] == best), found) for i, name in enumerate(results)}
    success = Rate(int(found.sum()), int(keep.sum()), unknown=left_out(every, most))
    return VirtualBest(success, mean_estimate(best, level, seed, bounds=(1, most)), share)


@dataclass(frozen=True)
class Common:
    """The images that all attacks fooled and finished. n: how many. mean, median: queries of each result there."""

    n: int
    mean: dict[str, Estimate]
    median: dict[str, float]


def common_success(results: Mapping[str, Outcomes], level: float = 0.95, seed: int = 0) -> Common:
    """Compare queries on the images that every attack fooled: fair between them, but easier than the rest.

    Raises:
        ValueError: the results are not about the same samples.
    """
    check_same_samples(list(results.values()))
    both = np.logical_and.reduce([array(r.success) & ~cut_short(r) for r in results.values()])
    queries = {name: array(r.queries)[both].astype(np.float64) for name, r in results.items()}
    return Common(
        int(both.sum()),
        {name: mean_estimate(q, level, seed, bounds=(1, int(results[name].config["budget"]))) for name, q in queries.items()},
        {name: float(np.median(q)) if len(q) else float("nan") for name, q in queries.items()},
    )


@dataclass(frozen=True)
class Paired:
    """The comparison of two attacks on the same images.

    both, first_only, second_only, neither: images fooled within the horizon. p: McNemar's exact test of equal success.
    saved: mean queries of the second minus those of the first, failures at the horizon; above 0 the first is cheaper.
    unknown: images left out of all this, because one of the runs was cut off before it had finished with them.
    tests: how many tests p is corrected for (`corrected`).
    """

    both: int
    first_only: int
    second_only: int
    neither: int
    p: float
    saved: Estimate
    horizon: int
    unknown: int = 0
    tests: int = 1

    def __str__(self) -> str:
        out = f"; {self.unknown} images left out: not finished by both" if self.unknown else ""
        if not self.both + self.first_only + self.second_only + self.neither:
            return f"within {self.horizon:,} queries: no image was finished by both{out}"
        more = f", corrected for {self.tests} tests by Holm" if self.tests > 1 else ""
        return (
            f"within {self.horizon:,} queries: both {self.both}, only the first {self.first_only}, only the second "
            f"{self.second_only}, neither {self.neither} (McNemar p = {self.p:.3g}{more}); the first saves {self.saved} queries{out}"
        )


def paired(first: Outcomes, second: Outcomes, horizon: int | None = None, level: float = 0.95, seed: int = 0) -> Paired:
    """Compare two attacks image by image, on those that both attacked.

    McNemar 1947, exact: of the images that only one of them fooled, either is as likely as the other
    (`scipy.stats.binomtest`). The difference of restricted means has a bootstrap-t interval over images.

    Args:
        horizon: queries within which success counts, at most the smaller budget, and by default that.

    Raises:
        ValueError: the results are not about the same samples, or the horizon is beyond a budget.
    """
    check_same_samples([first, second])
    most = horizon_of([first, second], horizon)
    keep = complete(first, most) & complete(second, most)
    saved = mean_estimate((costs(second, most) - costs(first, most))[keep], level, seed, bounds=(1 - most, most - 1))
    table = mcnemar(within(first, most)[keep], within(second, most)[keep])
    return Paired(*table, saved, most, left_out([first, second], most))


def corrected(found: Sequence[Compared]) -> list[Compared]:
    """Comparisons that are shown together, with p corrected for their number (Holm 1979, `holm`): `Paired`, or of another dataclass
    with ``p`` and ``tests``."""
    return [replace(each, p=float(p), tests=len(found)) for each, p in zip(found, holm([each.p for each in found]), strict=True)]


class Discordance(NamedTuple):
    """The counts of two outcomes on the same samples, and p of McNemar's exact test that both are equally frequent."""

    both: int
    first_only: int
    second_only: int
    neither: int
    p: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> Discordance:
    """McNemar's exact test (1947) of two outcomes [N] bool: the counts, and p.

    Null hypothesis: of the samples where exactly one outcome holds, it is either with probability a half
    (`scipy.stats.binomtest`, two-sided); p is 1 if there are none."""
    from scipy.stats import binomtest

    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(binomtest(one, one + other).pvalue) if one + other else 1.0
    return Discordance(int((first & second).sum()), one, other, int((~first & ~second).sum()), p)


def logrank(first: Outcomes, second: Outcomes) -> float:
    """The p-value of equal censored curves (Mantel 1966, `scipy.stats.logrank`), for two runs on *different* images.

    On the same images `paired` has more power; this test assumes independence and is then conservative. NaN where a run
    attacked nothing, or was cut off before any clean answer.
    """
    from scipy.stats import CensoredData
    from scipy.stats import logrank as test

    data = []
    for result in (first, second):
        time, event = times(result)
        if not len(time):
            return float("nan")
        data.append(CensoredData(uncensored=time[event], right=time[~event]))
    return float(test(*data).pvalue)


def sign_flip(differences: Any, among: Any = None, count: int = 9_999, seed: int = 0) -> float:
    """The p-value of no difference between two attacks in the mean over images: under it, either sign of an image's difference is as
    likely (Fisher 1935), two-sided, from ``count`` drawn flips and the one seen (Phipson & Smyth 2010).

    Args:
        differences: [N], or [R, N] for R seeds or targets of the same images, which are averaged first. among: which count, by default
            all.
    """
    x = by_image(differences, among)
    signs = np.random.default_rng(seed).integers(0, 2, (count, len(x))) * 2 - 1
    as_large = np.abs(signs @ x) >= abs(x.sum()) - 1e-9 * np.abs(x).sum()
    return float((as_large.sum() + 1) / (count + 1))

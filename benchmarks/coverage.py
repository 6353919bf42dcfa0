"""How often do the intervals of `blackbox.statistics` hold the truth that they claim to hold 95 times in 100?

The truth is known where images are drawn from a population that is known. Populations: the per-image queries of committed results
(experiments/results/queries, benchmark_peers.json) with one seed and with all, and made ones: queries of which more or fewer are two,
rates from .5 to .99 with one seed and with three whose outcomes on an image agree more or less, trainings of a surrogate that
lie more or less apart. From each, samples of n images are drawn, and of each the interval is computed as a report does (with 999 resamples
instead of 9,999). A row: the interval, the population (what), n, samples, in how many of them the truth was inside, and in how many it
was below or above the interval. 20 and 50 images stand beside, as a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from blackbox import statistics
from experiments.runner import load

SIZES, RESAMPLES, BUDGET = (20, 50, 100, 200, 500), 999, 1000
RATES, AGREE, SEEDS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99), (0.5, 0.7, 0.9, 1.0), 3
MADE = {  # share of twos; of the others' lognormal part the median and the deviation of the logarithm; share at the budget
    "half are twos": (0.5, 30, 1.5, 0.0), "85 % are twos": (0.85, 30, 1.2, 0.0), "95 % are twos": (0.95, 50, 1.0, 0.0),
    "a search": (0.05, 60, 1.2, 0.0), "a search that fails on 2 %": (0.05, 60, 1.2, 0.02),
    "a search that fails on 30 %": (0.0, 150, 1.2, 0.3),
}  # fmt: skip
PEERS, ALSO = ("linf", "l2", "linf-mnist"), ("nes", "simba", "bandits", "torchattacks Square")  # pairs of benchmark_peers.json
Ends = tuple[np.ndarray, np.ndarray]


def coverage(s: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    samples, sizes = (40, (20, 100)) if s.quick else (s.samples, s.sizes)
    found = populations()
    for n in sizes:
        rng = np.random.default_rng(n)
        for part in (means, pairs, medians, rates, trainings, differences):
            for interval, what, truth, (low, high) in part(found, n, samples, rng):
                yield interval, row(what, truth, n, low, high)


def row(what: str, truth: float, n: int, low: np.ndarray, high: np.ndarray) -> dict[str, Any]:
    """How many of these intervals hold the truth."""
    inside = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
    p = float(inside.mean())
    return {
        "what": what, "n": n, "samples": len(low), "covered": int(inside.sum()), "below": int((truth < low - 1e-12).sum()),
        "above": int((truth > high + 1e-12).sum()), "coverage": p, "error": float(np.sqrt(p * (1 - p) / len(low))),
        "width": float(np.median(high - low)),
    }  # fmt: skip


Found = dict[str, tuple[np.ndarray, int]]  # name -> queries [seeds, images] with failures at the budget, budget
Part = Iterator[tuple[str, str, float, Ends]]


def populations() -> Found:
    """Queries of each image, made and of committed results on 100 images or more; none of attacks to which all images are alike."""
    rng, out = np.random.default_rng(0), {}
    for name, (twos, middle, spread, failed) in MADE.items():
        drawn = np.clip(2 + np.exp(rng.normal(np.log(middle), spread, 20_000)).round(), 2, BUDGET)
        kind = rng.random(20_000)
        out[f"made: {name}"] = (np.where(kind < twos, 2, np.where(kind < twos + failed, BUDGET, drawn))[None], BUDGET)
    for path in sorted((Path("experiments") / "results" / "queries").glob("*.json")):
        for r in (load(f"queries/{path.stem}") or {"rows": []})["rows"]:
            queries = np.where(r["found"], r["queries"], r["budget"]).astype(float)
            name = f"{path.stem}: {r['attack']}, {r['access']}, {r['goal']}"
            if len(queries) >= 100:
                out[name] = (np.vstack([*([out[name][0]] if name in out else []), queries]), int(r["budget"]))
    for r in (load("benchmark_peers") or {"rows": []})["rows"]:
        if len(r.get("first", [[]])[0]) >= 100:
            first = np.array(r["first"], dtype=float)
            out[f"{r['part']}: {r['attack']}"] = (np.where(first > 0, first, r["budget"]), int(r["budget"]))
    return {name: (q, budget) for name, (q, budget) in out.items() if np.ptp(q.mean(0)) > 0}


def means(found: Found, n: int, samples: int, rng: np.random.Generator) -> Part:
    for name, (queries, budget) in found.items():
        kinds = {"mean queries": queries[0]} | ({f"mean queries, {len(queries)} seeds": queries.mean(0)} if len(queries) > 1 else {})
        for interval, x in kinds.items():
            drawn = rng.choice(x, (samples, n))
            yield interval, name, x.mean(), statistics.mean_interval(drawn, bounds=(1, budget), count=RESAMPLES)


def pairs(found: Found, n: int, samples: int, rng: np.random.Generator) -> Part:
    """Each attack against the square search on the same images, and against one that is cheaper on each image by chance alone."""
    for one, (a, budget) in found.items():
        place = one.partition(": ")[0]
        if place == "made":
            x = a[0]
            y = np.minimum(np.round(x * rng.choice([1.0, 2.0, 4.0], len(x))), budget)
            what = f"{one}, against up to 4 times as many"
        else:
            base = next((name for name in found if name.startswith(f"{place}: square") and name != one), None)
            if base is None or (place in PEERS and not one.endswith(ALSO)):
                continue
            if found[base][1] != budget or found[base][0].shape[1] != a.shape[1]:
                continue
            x, y, what = a.mean(0), found[base][0].mean(0), f"{one} against square"
        which = rng.integers(0, len(x), (samples, n))
        saved = statistics.mean_interval((y - x)[which], bounds=(1 - budget, budget - 1), count=RESAMPLES)
        yield "queries saved, paired", what, float((y - x).mean()), saved
        ratio = statistics.ratio_interval(x[which], y[which], bounds=(1, budget), count=RESAMPLES)
        yield "ratio of mean queries, paired", what, float(x.mean() / y.mean()), ratio


def medians(found: Found, n: int, samples: int, rng: np.random.Generator) -> Part:
    for name, (queries, _) in found.items():
        if name.startswith("made: a search") or "square" in name:
            x = queries.mean(0)
            each = [statistics.median(row) for row in rng.choice(x, (samples // 2, n))]
            yield "median queries", name, float(np.quantile(x, 0.5, method="inverted_cdf")), ends(each)


def rates(found: Found, n: int, samples: int, rng: np.random.Generator) -> Part:
    for p in RATES:
        hits = rng.random((4 * samples, n)) < p
        yield "rate", f"{p:g}", p, statistics.rate_interval(hits.astype(float))
        for agree in AGREE:
            if agree < 1:
                more = 1 / agree - 1  # of a beta distribution whose draws agree so much
                each = rng.binomial(SEEDS, rng.beta(p * more, (1 - p) * more, (2 * samples, n))) / SEEDS
            else:
                each = (rng.random((2 * samples, n)) < p).astype(float)
            what = f"{p:g}, correlation {agree:g} within an image"
            yield f"rate, {SEEDS} seeds", what, p, statistics.rate_interval(each, seeds=SEEDS)


def outcomes(p: float, apart: float, runs: int, n: int, rng: np.random.Generator, more: float = 0.0) -> np.ndarray:
    """Outcomes [runs, n, 2] that hold with probability p, the second with that of a threshold moved by ``more``; images differ with a
    deviation of 2, runs of ``apart``, by the noise of a single outcome."""
    scale = np.sqrt(1 + 4 + apart**2)
    latent = 2 * rng.normal(size=n) + apart * rng.normal(size=(runs, 1)) + rng.normal(size=(2, runs, n))
    return np.stack([latent[k] < scale * (norm.ppf(p) + k * more) for k in range(2)], 2)


def trainings(found: Found, n: int, samples: int, rng: np.random.Generator) -> Part:
    for runs in (2, 3, 5):
        for p in (0.5, 0.9):
            for apart in (0.0, 0.2, 0.5):
                each = [statistics.two_level(outcomes(p, apart, runs, n, rng)[..., 0]) for _ in range(samples // 2)]
                yield f"rate, {runs} trainings", f"{p:g}, trainings apart by {apart:g}", p, ends(each)


def differences(found: Found, n: int, samples: int, rng: np.random.Generator) -> Part:
    for runs in (1, 3):
        for p in (0.5, 0.9):
            made = (outcomes(p, 0.2 * (runs > 1), runs, n, rng, more=0.2) for _ in range(samples // 2))
            each = [statistics.two_level(x[..., 1], minus=x[..., 0]) for x in made]
            name = "difference of rates" + (f", {runs} trainings" if runs > 1 else "")
            yield name, f"{p:g} and more", float(norm.cdf(norm.ppf(p) + 0.2) - p), ends(each)


def ends(each: list[Any]) -> Ends:
    return np.array([e.low for e in each]), np.array([e.high for e in each])

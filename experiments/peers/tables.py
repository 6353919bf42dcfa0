"""Ours beside the peers', as the rows tell it: paired ratios with intervals, and which differences are more than chance.

A pair is an attack of ours and a peer's on the same images with the same budget. Tested is that neither is the cheaper (a permutation
test of the paired difference of images' means); p is corrected for all pairs of all tables together (Holm). What is then no smaller
than 0.05 is called a tie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

import blackbox as bb
from blackbox import statistics
from experiments import ground
from experiments.measurements import ROOT, Rows, grounded, has, results, rows
from experiments.peers import adapters, benchmark, settings, transfer
from experiments.publishable import Figure, Spread, mean_of, ratio_of, told
from experiments.runner import RESULTS

LEVEL = 0.05


@dataclass(frozen=True)
class Pair:
    """Two attacks on the same images. a, b: what ours and theirs needed, [seeds, images]; near: after so many queries, distances."""

    title: str
    target: str
    ours: str
    peer: str
    a: np.ndarray
    b: np.ndarray
    budget: int
    near: bool = False

    @property
    def images(self) -> int:
        return int(self.a.shape[1])

    @property
    def ratio(self) -> Figure:
        """Ours over theirs: of mean queries; of distances the geometric mean of an image's ratios."""
        if self.near:
            e = statistics.mean_estimate(np.log(self.a.mean(0) / self.b.mean(0)))
            value, low, high = (float(np.exp(v)) for v in (e.value, e.low, e.high))
            return Figure(value, low, high, self.images, digits=2)
        return ratio_of(self.a, self.b, self.budget)

    @property
    def p(self) -> float:
        """Of equal means, by changing the sides of images at random."""
        from scipy.stats import permutation_test

        a, b = (np.log(v.mean(0)) if self.near else v.mean(0) for v in (self.a, self.b))
        if not (a != b).any():
            return 1.0
        rng = np.random.default_rng(0)
        return float(permutation_test(
            (a - b,), np.mean, permutation_type="samples", vectorized=True, n_resamples=9_999, rng=rng,
        ).pvalue)  # fmt: skip

    def needed(self, side: np.ndarray) -> Figure:
        """Mean queries, or the geometric mean of images' distances."""
        return settings.typical(side) if self.near else mean_of(side, self.budget)


def queried() -> Iterator[Pair]:
    """The pairs of experiments/results/queries; of a peer that attacked some of the images, those."""
    for target in ground.targets("reporting"):
        mine = f"queries/{target}"
        about = ground.entry("targets", target)
        for peer in adapters.by_part("linf").values():
            b = next((found for theirs in _files(target) if (found := _rows(theirs, peer.name))), None)
            for name in (peer.ours, "ripples"):
                a = _rows(mine, name) if has(mine) else None
                if a and b and set(b.ids) <= set(a.ids):
                    some = a.spent[:, [a.ids.index(i) for i in b.ids]]
                    yield Pair(f"scores, {about['threat']}", about["title"], name, peer.name, some, b.spent, a.budget)


def _files(target: str) -> list[str]:
    """The files with the peers' rows on a target: of all images first, then of the most."""
    whole, folder = f"queries/{target}_peers", ROOT / RESULTS / "queries"
    names = [path.stem.removesuffix("_peers").removeprefix(f"{target}-") for path in folder.glob(f"{target}-*_peers.json")]
    sizes = sorted((int(name) for name in names if name.isdigit()), reverse=True)
    return [whole] * has(whole) + [f"queries/{target}-{size}_peers" for size in sizes]


def _rows(source: str, attack: str) -> Rows | None:
    asked = {"attack": attack, "access": "scores", "goal": "untargeted", "budget": 1000}
    some = any(all(r.get(k) == v for k, v in asked.items()) for r in results(source)["rows"])
    return rows(source, **asked) if some else None


def benchmarked() -> Iterator[Pair]:
    """The pairs of experiments/results/peers."""
    for part, what in benchmark.PARTS.items():
        source = f"{benchmark.RESULTS_IN}/{part}"
        found = {"rows": [], **(results(source) if has(source) else {})}
        for peer in adapters.by_part(what.kind).values():
            b = [r for r in found["rows"] if r["attack"] == peer.name]
            for name in dict.fromkeys((peer.ours, what.ours[0])):
                a = [r for r in found["rows"] if r["attack"] == name]
                if not (a and b):
                    continue
                grounded(source, found, [r["seed"] for r in (*a, *b)])
                ours, theirs = (np.array([_values(r) for r in some], float) for some in (a, b))  # [seeds, numbers of queries, images]
                for i, after in enumerate(a[0].get("at", [0])):
                    title = (said := settings.TITLES[what.kind])[0].lower() + said[1:] + (f" after {after:,} queries" if after else "")
                    yield Pair(title, found["target"]["title"], name, peer.name, ours[:, i], theirs[:, i], a[0]["budget"], after > 0)


def _values(row: dict[str, Any]) -> list[list[float]]:
    if "near" in row:
        return row["near"]  # type: ignore[no-any-return]
    return [[q if f else row["budget"] for q, f in zip(row["queries"], row["found"], strict=True)]]


@lru_cache(maxsize=1)
def pairs() -> tuple[tuple[Pair, float], ...]:
    """All pairs, and p of each, corrected for all of them."""
    some = [p for p in (*queried(), *benchmarked()) if np.isfinite(p.a).all() and np.isfinite(p.b).all()]
    return tuple(zip(some, statistics.holm([p.p for p in some]), strict=True))


def verdict(pair: Pair, p: float) -> str:
    return "tie" if p >= LEVEL else "ours" if pair.ratio.value < 1 else "theirs"


def beside(title: str = "") -> Iterator[list[Any]]:
    """A line a pair: of all, or of those whose title begins so."""
    for pair, p in pairs():
        if pair.title.startswith(title):
            cells = [pair.needed(side) for side in (pair.a, pair.b)]
            seeds = f"{len(pair.a)}, {len(pair.b)}"
            yield [pair.target, pair.title, pair.ours, pair.peer, pair.images, seeds, *(told(c, True) for c in cells),
                   told(pair.ratio, True), f"{p:.2g}", verdict(pair, p)]  # fmt: skip


def clocks() -> Iterator[list[Any]]:
    """Wall time over the bare forward time of the same calls."""
    source = f"{benchmark.RESULTS_IN}/time"
    for r in results(source)["times"] if has(source) else []:
        name = f"*{r['attack']}*" if r["peer"] else r["attack"]
        alone = "one image at a time, whatever it is given" if r["one at a time"] else f"{r['batch']} images"
        yield [r["part"], r["target"], name, alone, len(r["all"]), Spread(r["middle"], min(r["all"]), max(r["all"]), len(r["all"])).brief]


def to_the_end() -> Iterator[list[Any]]:
    """Seconds of ours over Square's, each until all images are fooled or the budget is spent."""
    source = f"{benchmark.RESULTS_IN}/time"
    for r in results(source).get("whole", []) if has(source) else []:
        spread = Spread(r["middle"], min(r["all"]), max(r["all"]), len(r["all"])).brief
        yield [r["target"], r["attack"], f"{r['batch']} images", len(r["all"]), spread]


def tried() -> Iterator[tuple[str, str, list[list[str]]]]:
    """The peers' settings: title of the part, peer, lines."""
    yield from settings.tables()


# ---- transfer ------------------------------------------------------------------------------------------------------------------


def transferred() -> Iterator[tuple[str, str, list[list[Any]], list[Any] | None]]:
    """From each source to each target of the reporting ground: the shared presets in pairs, and the best of either side, as told on
    choosing ground."""
    if not has(transfer.RESULT):
        return
    reported = [r for r in results(transfer.RESULT)["rows"] if r["use"] == "reporting"]
    for source, eps in dict.fromkeys((r["source"], r["eps"]) for r in reported):
        of = {r["attack"]: r for r in reported if (r["source"], r["eps"]) == (source, eps)}
        for target in next(iter(of.values()))["fooled"]:
            lines = []
            for label in transfer.SHARED:
                theirs = transfer.beside(label)
                if label in of and theirs in of:
                    lines.append([label, theirs.removeprefix("torchattacks "), *_against(of, label, theirs, target)])
            best = [transfer.best(side, eps) for side in (False, True)]
            last = [*best, *_against(of, *best, target)] if all(b in of for b in best) else None
            yield f"{source}, {eps:g}/255", ground.entry("targets", target)["title"], _corrected(lines), last


def _against(of: dict[str, Any], one: str, other: str, target: str) -> list[Any]:
    a, b = (np.array(of[name]["fooled"][target], bool) for name in (one, other))
    test = statistics.mcnemar(a, b)
    return [str(bb.Rate(int(v.sum()), len(v))) for v in (a, b)] + [test.first_only, test.second_only, test.p]


def _corrected(lines: Sequence[list[Any]]) -> list[list[Any]]:
    """The last column, p, corrected for the lines of a table."""
    every = statistics.holm([line[-1] for line in lines]) if lines else []
    return [[*line[:-1], f"{p:.2g}"] for line, p in zip(lines, every, strict=True)]

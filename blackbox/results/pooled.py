"""Runs of one attack with several seeds, pooled: what holds for the attack, not for one draw of it."""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.results import words
from blackbox.results.result import AttackResult
from blackbox.results.summary import incomplete
from blackbox.statistics import Rate, TwoLevel, few, mean_estimate, rate_estimate
from blackbox.statistics.outcomes import array, complete, costs, known_within, perhaps_attacked, within

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SEEDS = "seeds.json"
_ALIKE = (
    "attack", "parameters", "target", "access", "classes", "budget", "targeted", "objective", "votes", "eight_bit", "probe",
    "goal", "goal_identity", "mask", "weights", "ranges", "bounds", "table", "max_bad", "tariff", "shared_budget",
)  # fmt: skip
_TOLD = {"bounds": "the hash of mask and ranges"}


@dataclass(frozen=True, eq=False)
class Pooled:
    """Results of the same attack on the same images with different seeds; see `pool`.

    Seeds repeat the attack on the same images: an image's seeds are averaged first, and 95 % intervals are over images
    (`blackbox.statistics.rate_estimate`, `mean_estimate`). They hold for other images of the same kind; a deterministic attack
    tells no more with three seeds than with one. Outcomes that are unknown are in no rate; `bounds` says what they could make of
    it.

    results: one a seed.
    """

    results: tuple[AttackResult, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(int(r.config["seed"]) for r in self.results)

    @property
    def unknown(self) -> int:
        """The number of outcomes, over images and seeds, that are unknown."""
        return sum(int((~r.known).sum()) for r in self.results)

    @cached_property
    def success_rate(self) -> TwoLevel:
        """The share of successful attacks among the images that the target classified correctly."""
        return self._share(lambda r: r.success, lambda r: array(perhaps_attacked(r)) & array(r.known))

    @cached_property
    def robust_accuracy(self) -> TwoLevel:
        """The share of all images that the target classifies correctly and that were not attacked successfully."""
        return self._share(lambda r: r.attacked & ~r.success, lambda r: r.known)

    @cached_property
    def mean_queries(self) -> TwoLevel:
        """The mean queries over attacked images that came to their end, with failures counted at the whole budget."""
        budget = int(self.results[0].config["budget"])
        mean = mean_estimate(self._stacked(lambda r: costs(r, budget)), among=self._stacked(complete), bounds=(1, budget))
        return TwoLevel(**asdict(mean), runs=len(self.results))

    def curve(self, budgets: Sequence[int] | np.ndarray) -> list[TwoLevel]:
        """The success rate within each number of queries, among attacked images."""

        def at(budget: int) -> TwoLevel:
            return self._share(lambda r: within(r, budget), lambda r: array(perhaps_attacked(r)) & array(known_within(r, budget)))

        return [at(int(b)) for b in budgets]

    def bounds(self, rate: Callable[[AttackResult], Rate]) -> tuple[float, float]:
        """The least and the largest that a rate, such as ``lambda r: r.success_rate``, can be over all seeds, if all the unknown went
        either way."""
        each = [rate(r).bounds for r in self.results]
        return float(np.mean([low for low, _ in each])), float(np.mean([high for _, high in each]))

    def per_seed(self) -> dict[int, Rate]:
        """The success rate of each seed."""
        return {seed: r.success_rate for seed, r in zip(self.seeds, self.results, strict=True)}

    def _share(self, outcomes: Callable[[AttackResult], Any], among: Callable[[AttackResult], Any]) -> TwoLevel:
        return TwoLevel(**asdict(rate_estimate(self._stacked(outcomes), self._stacked(among))), runs=len(self.results))

    def _stacked(self, column: Callable[[AttackResult], Any]) -> np.ndarray:
        """[S, N]"""
        return np.stack([array(column(r)) for r in self.results])

    def summary(self) -> str:
        """A few lines: what the seeds say together, and how far they lie apart."""
        first, c = self.results[0], self.results[0].config
        cut = [f"{told}." for r, s in zip(self.results, self.seeds, strict=True) if (told := incomplete(r, f"seed {s}"))]
        each = [100 * rate.value for rate in self.per_seed().values()]
        means = [r.mean_queries for r in self.results]
        most = max(self.results, key=lambda r: int(r.clean_known.sum()))
        success = self._told(self.success_rate, lambda r: r.success_rate)
        robust = self._told(self.robust_accuracy, lambda r: r.robust_accuracy)
        kind = words.kind_of(self.results)
        text = "\n".join([
            *cut,
            f"{c['attack']} on {c['target']} · sees {c['access']} · {first.threat} · "
            f"{'' if words.goal_of(c) else words.kind(c) + ' · '}budget {c['budget']:,} · "
            f"{_seeds(len(self.results))}: {', '.join(map(str, self.seeds))}",
            *words.rates(most, f"{success}  of {words.denominator(c)}; by seed {_spread(each, '.0f')} %", robust),
            f"queries          mean {_number(self.mean_queries)} an attacked image (failures charged at {c['budget']:,}); "
            f"by seed {_spread(means, '.1f')}; {sum(int(r.queries.sum()) for r in self.results):,} spent in all",
            "intervals        95 %, for other images of this kind: an image's seeds are averaged first",
            *([f"{f'few {kind}s':<17}{few(n)}"] if few(n := self.success_rate.n) else []),
        ])  # fmt: skip
        return words.of_inputs(text, kind)

    def _told(self, pooled: TwoLevel, rate: Callable[[AttackResult], Rate]) -> str:
        if not self.unknown:
            return _percent(pooled)
        low, high = (100 * b for b in self.bounds(rate))
        return f"{_percent(pooled)}, with the unknown between {low:.0f} and {high:.0f} %"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def __repr__(self) -> str:
        c = self.results[0].config
        return f"Pooled({c['attack']} on {c['target']}, seeds {', '.join(map(str, self.seeds))}, success {_percent(self.success_rate)})"

    def to_pandas(self) -> pd.DataFrame:
        """The tables of all seeds below one another; see `AttackResult.to_pandas`."""
        import pandas as pd

        return pd.concat([r.to_pandas() for r in self.results], ignore_index=True)

    def plot(self, ax: Axes | None = None, label: str | None = None, **line: Any) -> Axes:
        """Draw success against queries over all seeds, with a 95 % band over images, and each seed as a thin line."""
        from blackbox.results import draw

        return draw.plot_pooled(self, ax, label, **line)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Save each result into ``folder/seed-N``, the summary, and which seeds there are."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        for seed, result in zip(self.seeds, self.results, strict=True):
            result.save(path / f"seed-{seed}")
        self.save_summary(path)
        return path

    def save_summary(self, folder: str | os.PathLike[str]) -> None:
        """Write the summary, and which seeds there are, beside results that are saved in ``folder/seed-N`` already."""
        path = Path(folder)
        (path / SEEDS).write_text(json.dumps(list(self.seeds)) + "\n", encoding="utf-8")
        (path / "summary.txt").write_text(self.summary() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Pooled:
        """Load what `save` wrote.

        Raises:
            ValueError: the folder holds no such results, or damaged ones. FileNotFoundError: one of them is missing.
        """
        path = Path(folder)
        try:
            seeds = [int(s) for s in json.loads((path / SEEDS).read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"Expected pooled results in {path}, but {SEEDS} cannot be read: {error}.") from None
        return pool([AttackResult.load(path / f"seed-{seed}") for seed in seeds])


def folders(path: Path, attacks: Sequence[str]) -> list[Path]:
    """The folder of each attack of a run with several seeds: of a single one the run's own, else one named after it."""
    return [path] if len(attacks) == 1 else [path / re.sub(r"[^\w.=-]+", "_", name) for name in attacks]


def pool(results: Sequence[AttackResult]) -> Pooled:
    """Pool runs of one attack on the same images that differ in their seeds.

    Raises:
        ValueError: no results, a seed twice, or runs of different attacks, targets, threats, budgets or images.
    """
    runs = tuple(results)
    if not runs:
        raise ValueError("Expected at least one result to pool, but there was none.")
    for other in runs[1:]:
        for name in _ALIKE:
            mine, its = (json.loads(json.dumps(run.config.get(name), default=str)) for run in (runs[0], other))  # as it is saved
            if mine != its:
                raise ValueError(
                    f"Expected runs that differ in their seeds alone, but {_TOLD.get(name, name)} is {mine!r} in one and {its!r} in "
                    "another. Pool each by itself."
                )
        if str(other.threat) != str(runs[0].threat):
            raise ValueError(f"Expected runs within one threat, but it is {runs[0].threat} in one and {other.threat} in another.")
        if any(not np.array_equal(array(getattr(runs[0], name)), array(getattr(other, name))) for name in ("ids", "y", "prints")):
            raise ValueError("Expected runs on the same images in the same order, but their ids, labels or pixels differ.")
    pooled = Pooled(runs)
    if len(set(pooled.seeds)) < len(runs):
        raise ValueError(f"Expected a seed for each run, but they were {', '.join(map(str, pooled.seeds))}: equal seeds are one run.")
    return pooled


def _seeds(count: int) -> str:
    return f"{count} seed{'s'[: count != 1]}"


def _percent(t: TwoLevel) -> str:
    return f"{100 * t.value:.0f} % [{100 * t.low:.0f}, {100 * t.high:.0f}] ({_seeds(t.runs)} × {t.n} images)" if t.n else "– (n = 0)"


def _number(t: TwoLevel) -> str:
    return f"{t.value:.1f} [{t.low:.1f}, {t.high:.1f}]" if t.n else "– (n = 0)"


def _spread(values: Sequence[float], form: str) -> str:
    there = [v for v in values if v == v]
    return f"{min(there):{form}} to {max(there):{form}}" if there else "–"

"""All ratios of the toolkit, printed in one table, on any device.

    python -m benchmarks [--only speed,craft] [--device cuda] [--data ../shared/data] [--quick]

speed, craft, training: `benchmarks.nets`; recipes: `benchmarks.recipes`; target, memory: `benchmarks.services`; rest: `benchmarks.rest`;
sweep: `benchmarks.sweeps`; logging: `benchmarks.loggers`; league: `benchmarks.league`. Every row is the median of pairs measured in turn,
with the smallest and the largest. coverage: how often intervals hold the truth, with the Monte Carlo error of two deviations
(`benchmarks.coverage`);
stopping: the same where one stops when it looks good (`benchmarks.stopping`). Writes experiments/results/benchmarks.json (coverage and
stopping: files of their own), part by part; --quick shows in a minute that all of it runs, and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import coverage, league, loggers, nets, recipes, rest, services, stopping, sweeps
from experiments.runner import Book, Real, run, says

PARTS = {
    "speed": nets.speed, "craft": nets.craft, "recipes": recipes.recipes, "training": nets.training, "target": services.target,
    "sweep": sweeps.sweep, "memory": services.memory, "rest": rest.rest, "logging": loggers.logging, "coverage": coverage.coverage,
    "stopping": stopping.stopping, "league": league.league,
}  # fmt: skip


@dataclass(frozen=True)
class Settings(Real):
    only: tuple[str, ...] = says(tuple(PARTS), "parts", PARTS)
    device: str = says("cpu", "where nets run: cpu, cuda")
    repeats: int = says(3, "of every measurement")
    threads: int = says(1, "of torch")
    samples: int = says(1000, "that coverage draws from each population")
    sizes: tuple[int, ...] = says(coverage.SIZES, "images of a sample, of coverage")
    leagues: int = says(stopping.LEAGUES, "of stopping, for each population")
    quick: bool = says(False, "tiny settings, to see that it runs")


def anew(row: dict[str, Any], part: str, s: Settings) -> bool:
    """Whether a kept row has been measured anew: of coverage those of the sizes asked for, else all of the part."""
    return (row["part"], row["device"]) == (part, s.device) and (part != "coverage" or row["n"] in s.sizes)


def shown(row: dict[str, Any]) -> tuple[float, float, float]:
    """The middle and the ends of a row."""
    if "coverage" in row:
        return row["coverage"], row["coverage"] - 2 * row["error"], row["coverage"] + 2 * row["error"]
    return row["median"], row["low"], row["high"]


def measure(s: Settings) -> None:
    torch.set_num_threads(s.threads)
    console = Console(width=140)
    table = Table("part", "ratio", "of", "median", "low", "high", title=f"{s.device}, {s.threads} thread(s), torch {torch.__version__}")
    for part in s.only:
        rows = []
        for ratio, row in PARTS[part](s):
            rows.append({"part": part, "ratio": ratio, "device": s.device, "torch": torch.__version__, **row})
            of = ", ".join(str(row[k]) for k in ("target", "attack", "what") if k in row)
            of += f", {row['n']} images" if "coverage" in row else ""
            middle, *ends = shown(row)
            table.add_row(part, ratio, of, *(f"{value:.3f}" for value in (middle, *ends)))
            print(part, ratio, of, f"{middle:.3f}", sep="  ", flush=True)
        if not s.quick:
            book = Book(part if part in ("coverage", "stopping") else "benchmarks", s)
            book.put(rows=[r for r in book.found.get("rows", []) if not anew(r, part, s)] + rows)
    console.print(table)


if __name__ == "__main__":
    run(Settings, measure)

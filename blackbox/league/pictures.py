"""Success against queries of every attack in a scenario, over all its targets and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from blackbox.league.standing import Standing
from blackbox.report.figures import against_queries, budgets


def curves(found: Sequence[Standing], path: Path) -> Path:
    """One line an attack with its band; floors are thin."""
    first = found[0]
    at = budgets(first.budget)
    lines = {one.name: (at, [one.success(int(q)) for q in at]) for one in found}
    under = f"{first.scenario.threat}; {len(first.images)} images, {first.played}; bands are 95 % intervals over images."
    floors = [one.name for one in found if one.entry.floor]
    return against_queries(lines, first.budget, path, f"Success against queries: {first.scenario.name}", under, thin=floors)

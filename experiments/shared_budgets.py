"""The table of budgets that images share, from the rows of `experiments.studies.shared_budget`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from experiments.measurements import of_targets
from experiments.publishable import Figure, Table, figure, mean_of, share_of


def _more(found: np.ndarray, than: np.ndarray) -> Figure:
    """The share of images fooled, less another's, on the same images; [seeds, n] each."""
    return replace(mean_of(found.mean(0) - than.mean(0)), percent=True)


def _as_dear(long: list[dict[str, Any]], shared: list[dict[str, Any]]) -> np.ndarray:
    """[seeds, n] what a plain run fools with the budget an image at which it costs what the shared one of the seed did."""
    out = []
    for row, other in zip(long, shared, strict=True):
        queries, found, spent = np.array(row["queries"]), np.array(row["found"], dtype=bool), sum(other["queries"])
        budgets = np.arange(1, queries.max() + 1)
        costs = np.minimum(queries[None], budgets[:, None]).sum(1)
        out.append(found & (queries <= budgets[min(int(np.searchsorted(costs, spent)), len(budgets) - 1)]))
    return np.array(out)


@figure
def shared_budget_table(use: str = "reporting") -> Table:
    """What plain runs and runs on a shared budget fool, paired, and what plain runs fool for the same queries in all."""
    lines = []
    for _, title, kept in of_targets("shared_budget", use):
        for attack, budget in dict.fromkeys((r["attack"], r["budget"]) for r in kept["rows"]):
            some = [r for r in kept["rows"] if (r["attack"], r["budget"]) == (attack, budget)]
            plain, shared, long = ([r for r in some if r["way"] == way] for way in ("plain", "shared", "long"))
            n = min(len(plain), len(shared), len(long))
            one, two = (np.array([r["found"] for r in rows[:n]], dtype=bool) for rows in (plain, shared))
            dear = _as_dear(long[:n], shared[:n])
            spent = [mean_of(np.array([r["queries"] for r in rows[:n]])) for rows in (plain, shared)]
            lines.append([
                title, len(kept["ids"]), attack, budget, share_of(one), share_of(two), _more(two, one), share_of(dear),
                _more(two, dear), *spent,
            ])  # fmt: skip
    columns = ["plain fools", "shared fools", "more", "plain for as many queries", "more than that", "plain: queries an image", "shared"]
    return Table(["target", "images", "attack", "budget", *columns], lines)

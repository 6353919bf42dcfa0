"""What decision attacks reach on rows of tables, ours and ART's, from the rows of `experiments.studies.tabular`."""

from __future__ import annotations

from typing import Any

import numpy as np

import blackbox as bb
from experiments.measurements import results
from experiments.publishable import Figure, Table, Words, figure, mean_of, ratio_of, share_of

FOLDER = "tabular"
KINDS = ("ranges", "integer", "categorical", "immutable", "increasing")


def kept(table: str) -> dict[str, Any]:
    """A table's file."""
    return results(f"{FOLDER}/{table}")


def rows_of(table: str) -> dict[str, dict[str, Any]]:
    """The rows that count distances, by name: of ours with labels, and of ART's that are held to valid rows."""
    out = {}
    for row in kept(table)["rows"]:
        if row["access"] == "labels" if row["toolkit"] == "ours" else row["held"]:
            out[named(row)] = row
    return out


def named(row: dict[str, Any]) -> str:
    return str(row["attack"]) if row["toolkit"] == "ours" else f"ART {row['attack']}"


def near(table: str, name: str, queries: int) -> np.ndarray:
    """The distance of each row after so many queries, of valid rows alone; NaN where there is none."""
    found = rows_of(table)
    if name not in found:
        raise ValueError(f"Expected a row of the table {table} ({', '.join(found)}), but it was {name!r}.")
    at = kept(table)["case"]["budgets"].index(queries)
    return np.array(found[name]["near"][at], dtype=float)


def _share(hit: np.ndarray) -> bb.Rate:
    return bb.Rate(int(hit.sum()), len(hit))


@figure
def tabular_rows(table: str) -> int:
    """How many rows were attacked."""
    return int(kept(table)["case"]["n"])


@figure
def tabular_table(table: str, first: str = "100", last: str = "500") -> Table:
    """Rows fooled by valid rows, and the mean distance over rows that all but ZOO fool in the first queries."""
    names, lines = list(rows_of(table)), []
    walks = [n for n in names if "Zoo" not in n]
    common = np.all([np.isfinite(near(table, n, int(first))) for n in walks], axis=0)
    for name in names:
        fooled = np.isfinite(near(table, name, int(last)))
        far = [mean_of(near(table, name, int(q))[common]) if name in walks else "" for q in (first, last)]
        lines.append([name, len(fooled), _share(fooled), int(common.sum()) if name in walks else "", *far])
    return Table(["attack", "n", "fooled by a valid row", "of these in the means", f"distance, {first} queries", f"{last} queries"], lines)


@figure
def tabular_nearer(table: str, ours: str, theirs: str, queries: str) -> Figure:
    """The mean distance of ours over theirs after so many queries, on the rows that both fool."""
    one, other = (near(table, name, int(queries)) for name in (ours, theirs))
    both = np.isfinite(one) & np.isfinite(other)
    return ratio_of(one[both], other[both])


@figure
def tabular_pairs(table: str) -> Table:
    """The chosen attack of ours over each of ART's: the ratio of mean distances, on rows that both fool."""
    ours, lines = str(kept(table)["best"]["labels"]), []
    for name in rows_of(table):
        if name.startswith("ART") and "Zoo" not in name:
            lines.append([f"{ours} over {name}", *(tabular_nearer(table, ours, name, str(q)) for q in kept(table)["case"]["budgets"])])
    return Table(["pair", *(f"{q} queries" for q in kept(table)["case"]["budgets"])], lines)


@figure
def tabular_broken(table: str) -> Table:
    """Of ART's nearest raw example of each row after the last query: is it a valid row, what does it break, and does the nearest
    valid row still fool the model?"""
    lines = []
    for row in results(f"{FOLDER}/{table}-raw")["rows"]:
        raw = np.array([v is not None for v in row["raw"][-1]])
        breaks = np.array([row["violates"][kind] for kind in KINDS], dtype=bool)
        some = [f"{kind} {int(hit.sum())}" for kind, hit in zip(KINDS, breaks, strict=True) if hit.any()]
        still = np.array([v is not None for v in row["near"][-1]])
        of = [_share(raw), int((breaks.any(0) & raw).sum()), "; ".join(some) or "none", _share(still)]
        lines.append([named(row), len(raw), *of])
    return Table(["attack", "n", "fooled by what it sent", "of these no valid row", "what they break", "fooled once projected"], lines)


def within(row: dict[str, Any], budget: int) -> list[Any]:
    """A line: what a row's search fooled or reached within the radius, and its mean queries with failures at the budget."""
    found = np.array(row["found"], dtype=bool)
    return [named(row), len(found), share_of(found), mean_of(np.where(found, row["queries"], budget), budget)]


@figure
def tabular_scores(table: str) -> Table:
    """Fooled within the radius: ours with scores beside ART's ZOO, and what sees labels alone within the same radius."""
    lines, case = [], kept(table)["case"]
    budget = case["budgets"][-1]
    for name, row in rows_of(table).items():
        if "found" not in row:  # of a walk it is known how near it came, not when
            found = near(table, name, budget) <= case["eps"]
            lines.append([f"{name}, labels", len(found), share_of(found), ""])
    for row in kept(table)["rows"]:
        if "found" in row and (row["toolkit"] == "ours" or row["held"]):
            lines.append(within(row, budget))
    return Table(["attack", "n", "fooled within the radius", "mean queries, failures at the budget"], lines)


@figure
def tabular_moved() -> Table:
    """The diabetes numbers that rose within the radius, and the mean queries."""
    diabetes = kept("diabetes")
    lines = [within(row, diabetes["case"]["budgets"][-1]) for row in diabetes["rows"]]
    return Table(["attack", "n", "rose by as much", "mean queries, failures at the budget"], lines)


@figure
def tabular_rise() -> Words:
    case = kept("diabetes")["case"]
    return Words(f"{case['rise']:g} within an L2 radius of {case['eps']:g}")


@figure
def tabular_radius(table: str) -> Words:
    return Words(f"{kept(table)['case']['eps']:g}")

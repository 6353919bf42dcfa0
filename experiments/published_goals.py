"""Tables of goals beyond one class on other people's nets, from the rows of `experiments.studies.goal_faces`, ``goal_photographs`` and
``goal_detector``: a file each of experiments/results/goals."""

from __future__ import annotations

from typing import Any

import blackbox as bb
from experiments.ground import entry
from experiments.measurements import Rows, ground, has, results
from experiments.publishable import Figure, Table, figure, ratio_of, share_of

FOLDER, NOISE = "goals", "noise"
FIRST = 100  # queries
NAMED = {NOISE: "noise of the same size"}


def kept(name: str) -> dict[str, Any]:
    """What stands in a task's file.

    Raises:
        ValueError: a task that is not on the ground, or that was measured on what is kept for choosing.
    """
    about, found = entry("tasks", name), results(f"{FOLDER}/{name}")
    seeds = {row["seed"] for row in found["rows"]}
    if "choosing" in (about["use"], entry("images", found["images"]["among"])["use"]) or not seeds <= set(ground()["seeds"]["reporting"]):
        raise ValueError(f"Expected goals/{name}.json to rest on what is for reporting. See experiments/ground.toml.")
    return found


def lines(name: str) -> dict[tuple[str, str], Rows]:
    """The rows of a task by what the service shows and the attack."""
    found = kept(name)
    return {(row["access"], row["attack"]): Rows(f"{FOLDER}/{name}", (row,), {"ids": row["ids"]}) for row in found["rows"]}


def by_then(rows: Rows, queries: int) -> Figure:
    return share_of(rows.found & (rows.spent <= queries))


@figure
def goal_table(name: str) -> Table:
    """Of a task each attack: the share of images that reach the goal within 100 queries and within the budget, and mean queries."""
    some = lines(name)
    budget, cells = max(rows.budget for rows in some.values()), []
    for (access, attack), rows in sorted(some.items(), key=_place):
        floor = attack == NOISE
        cells.append([
            access, NAMED.get(attack, attack), rows.n, "" if floor else by_then(rows, FIRST),
            [rows.rate(), f"in {rows.budget - 1} draws"] if floor else rows.rate(), "" if floor else rows.mean(),
        ])  # fmt: skip
    return Table(["the service shows", "attack", "n", f"success at {FIRST}", f"at {budget:,}", "mean queries"], cells)


def _place(item: tuple[tuple[str, str], Rows]) -> tuple[int, bool]:
    (access, attack), _ = item
    last = ("words and two decimals", "a word", "yes or no")  # from what shows most to what shows least
    return last.index(access) + 1 if access in last else 0, attack == NOISE


@figure
def goal_tasks() -> Table:
    """The tasks: net, goal, images, threat."""
    measured = [(about, kept(name)) for name, about in ground()["tasks"].items() if has(f"{FOLDER}/{name}")]
    made = [
        [about["title"], about["net"], about["goal"], found["images"]["what"], len(found["ids"]), about["threat"]]
        for about, found in measured
    ]  # fmt: skip
    return Table(["task", "net", "goal", "images", "n", "threat"], made)


@figure
def goal_rate(name: str, access: str, attack: str, queries: str = "") -> Figure:
    """The share of a row's images that reach the goal within so many queries, by default the budget."""
    rows = lines(name)[access, attack]
    return by_then(rows, int(queries)) if queries else rows.rate()


@figure
def goal_over(name: str, access: str, attack: str, base: str, other: str = "") -> Figure:
    """Mean queries of an attack over another's (``base``, where the service shows ``other``), on the images that both have."""
    a, b = lines(name)[access, attack], lines(name)[other or access, base]
    both = [i for i in a.ids if i in b.ids]
    ours, theirs = (rows.spent[:, [rows.ids.index(i) for i in both]] for rows in (a, b))
    return ratio_of(ours, theirs, min(a.budget, b.budget))


@figure
def goal_count(name: str, what: str) -> bb.Rate:
    """A count that a task's file holds, ``[k, n]``: pairs within the threshold, photographs."""
    return bb.Rate(*kept(name)[what])

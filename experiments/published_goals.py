"""Tables of goals beyond one class on other people's nets, from the rows of `experiments.studies.goal_faces`, ``goal_photographs`` and
``goal_detector``: a file each of experiments/results/goals."""

from __future__ import annotations

from typing import Any

import blackbox as bb
from experiments.measurements import Rows, ground, has, results
from experiments.publishable import Figure, Table, figure, ratio_of, share_of

FOLDER, NOISE = "goals", "noise"
FIRST = 100  # queries
NAMED = {NOISE: "noise of the same size"}


def tasks(*names: str) -> dict[str, dict[str, Any]]:
    """What stands in the files of these tasks, or of all that were measured.

    Raises:
        ValueError: a task that is not on the ground, or that was measured on what is kept for choosing.
    """
    tables, found = ground(), {}
    for name in names or tables["tasks"]:
        if name not in tables["tasks"]:
            raise ValueError(f"Expected one of the tasks of experiments/ground.toml ({', '.join(tables['tasks'])}), but it was {name!r}.")
        if names or has(f"{FOLDER}/{name}"):
            found[name] = results(f"{FOLDER}/{name}")
            among = tables["images"][found[name]["images"]["among"]]
            seeds = {row["seed"] for row in found[name]["rows"]}
            if "choosing" in (tables["tasks"][name]["use"], among["use"]) or not seeds <= set(tables["seeds"]["reporting"]):
                raise ValueError(f"Expected goals/{name}.json to rest on what is for reporting. See experiments/ground.toml.")
    return found


def lines(name: str) -> dict[tuple[str, str], Rows]:
    """The rows of a task by what the service shows and the attack."""
    found = tasks(name)[name]
    return {(row["access"], row["attack"]): Rows(f"{FOLDER}/{name}", (row,), {"ids": row["ids"]}) for row in found["rows"]}


def by_then(rows: Rows, queries: int) -> Figure:
    return share_of(rows.found & (rows.spent <= queries))


@figure
def goal_table(name: str) -> Table:
    """Of a task each attack: the share of images that reach the goal within 100 queries and within the budget, and mean queries."""
    budget = max(rows.budget for rows in lines(name).values())
    cells = []
    for (access, attack), rows in sorted(lines(name).items(), key=_place):
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
    tables = ground()["tasks"]
    made = [
        [about["title"], about["net"], about["goal"], tasks(name)[name]["images"]["what"], len(tasks(name)[name]["ids"]), about["threat"]]
        for name, about in tables.items() if has(f"{FOLDER}/{name}")
    ]  # fmt: skip
    return Table(["task", "net", "goal", "images", "n", "threat"], made)


@figure
def goal_rate(name: str, access: str, attack: str, queries: str = "") -> Figure:
    """The share of a row's images that reach the goal within so many queries, by default the budget."""
    rows = lines(name)[access, attack]
    return by_then(rows, int(queries)) if queries else rows.rate()


@figure
def goal_mean(name: str, access: str, attack: str) -> Figure:
    """Mean queries, failures at the budget."""
    return lines(name)[access, attack].mean()


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
    return bb.Rate(*tasks(name)[name][what])

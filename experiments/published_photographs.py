"""The figures of the page on transfer between nets for photographs, from the rows of `experiments.studies.family_photographs`."""

from __future__ import annotations

from typing import Any

import blackbox as bb
from experiments.measurements import results
from experiments.paths import rated
from experiments.publishable import Figure, Table, Words, figure
from experiments.published_families import Row, Test, against, difference, of_use, only, outcomes, tally

SOURCE, TARGET = "family_photographs", "effnet"
BOTH = "both"  # the nets together, on which torchattacks crafts too


def rows(goal: str, use: str = "reporting") -> list[Row]:
    """The rows of a goal. Raises ValueError: their target is not for this use of the ground."""
    return of_use([row for row in results(SOURCE)[use] if row["goal"] == goal], use, SOURCE)


def one(goal: str, recipe: str, source: str = BOTH) -> Row:
    """A row; ``chosen``: by the recipe that was (and from the source, where that is ``chosen``); ``theirs``: torchattacks' best."""
    found = results(SOURCE)["chosen"][goal]
    if recipe == "theirs":
        return max(theirs(goal), key=lambda row: float(outcomes(row, "all").mean()))
    wanted = (found["source"] if source == "chosen" else source, found["recipe"] if recipe == "chosen" else recipe)
    return only(rows(goal), *wanted, f"{SOURCE}.json for {goal}")


def theirs(goal: str) -> list[Row]:
    return [row for row in rows(goal) if row["recipe"].startswith("torchattacks")]


def tests(goal: str) -> list[Test]:
    """What was chosen against every other row of its goal: McNemar's exact test, and p for the number of rows (Holm)."""
    first = one(goal, "chosen", "chosen")
    return against(first, [row for row in rows(goal) if row is not first])


@figure
def photograph_images(use: str = "reporting") -> int:
    """Photographs that all three nets have right; ``choosing``: on which was chosen, that two nets have right."""
    return len(results(SOURCE)["ids"]) if use == "reporting" else len(next(iter(rows("untargeted", use)[0]["fooled"].values())))


@figure
def photograph_rate(goal: str, recipe: str, source: str = BOTH) -> bb.Rate:
    """The share of photographs that reach the goal."""
    return rated(one(goal, recipe, source)["fooled"][TARGET])


@figure
def photograph_gain(goal: str, recipe: str, other: str, source: str = BOTH, of: str = BOTH) -> Figure:
    """Points by which one recipe and source are ahead of another, paired by photograph."""
    return difference(one(goal, recipe, source), one(goal, other, of), "all")


@figure
def photograph_theirs(goal: str) -> Words:
    """The name of torchattacks' class that fools most."""
    return Words(one(goal, "theirs")["recipe"])


@figure
def photograph_recipe(goal: str) -> Words:
    """The name of the recipe that was chosen."""
    return Words(results(SOURCE)["chosen"][goal]["recipe"])


@figure
def photograph_tests(goal: str, which: str) -> int:
    """How many of these tests, by `tally`."""
    return tally(tests(goal))[which]


@figure
def photograph_untold(goal: str) -> Words:
    """The rows that what was chosen is not told from at 5 %."""
    return Words("; ".join(titled(row) for row, _, _, p in tests(goal) if p >= 0.05) or "none")


def titled(row: Row) -> str:
    return f"{row['recipe']} from {row['source']}"


@figure
def photograph_table(goal: str) -> Table:
    """All rows of a goal: the rate, and what the choice is ahead, paired, with p."""
    first, lines = one(goal, "chosen", "chosen"), []
    p_of = {id(row): p for row, _, _, p in tests(goal)}
    for row in sorted(rows(goal), key=lambda row: -outcomes(row, "all").mean()):
        name = f"**{row['recipe']}** *" if row is first else row["recipe"]
        more: list[Any] = ["", ""] if row is first else [difference(first, row, "all"), f"{p_of[id(row)]:.2g}"]
        lines.append([row["source"], name, row["gradients"], *map(rated, row["fooled"].values()), *more])
    return Table(["source", "recipe", "gradients", "EfficientNet-Lite0", "the choice is ahead by, points", "p"], lines)


@figure
def photograph_choosing(goal: str) -> Table:
    """How the choice was made: the SqueezeNet's rates, and the mean logarithm of its probability of what is wanted."""
    order = sorted(rows(goal, "choosing"), key=lambda row: (rated(row["fooled"]["squeezenet"]).value, row["log probability"]), reverse=True)
    lines = [[row["source"], row["recipe"], row["gradients"], rated(row["fooled"]["squeezenet"]), f"{row['log probability']:.2f}"]
             for row in order]  # fmt: skip
    return Table(["source", "recipe", "gradients", "SqueezeNet", "log probability"], lines)

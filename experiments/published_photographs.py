"""The figures of the page on transfer between nets for photographs, from the rows of `experiments.studies.family_photographs`."""

from __future__ import annotations

from typing import Any

import blackbox as bb
from blackbox import statistics
from experiments.ground import ground
from experiments.measurements import results
from experiments.paths import rated
from experiments.publishable import Figure, Table, Words, figure, ratio_of
from experiments.published_families import Row, against, difference, outcomes

SOURCE, TARGET = "family_photographs", "effnet"
BOTH = "both"  # the nets together, on which torchattacks crafts too


def rows(goal: str, use: str = "reporting") -> list[Row]:
    """The rows of a goal. Raises ValueError: their target is not for this use of the ground."""
    some: list[Row] = [row for row in results(SOURCE)[use] if row["goal"] == goal]
    wrong = {name for row in some for name in row["fooled"] if ground()["targets"][name]["use"] != use}
    if wrong:
        raise ValueError(f"Expected {SOURCE}.json to hold targets for {use}, but {', '.join(sorted(wrong))} are not.")
    return some


def one(goal: str, recipe: str, source: str = BOTH) -> Row:
    """A row; ``chosen``: by the recipe that was (and from the source, where that is ``chosen``); ``theirs``: torchattacks' best."""
    found = results(SOURCE)["chosen"][goal]
    if recipe == "theirs":
        return max(theirs(goal), key=lambda row: float(outcomes(row, "all").mean()))
    wanted = (found["source"] if source == "chosen" else source, found["recipe"] if recipe == "chosen" else recipe)
    some = [row for row in rows(goal) if (row["source"], row["recipe"]) == wanted]
    if len(some) != 1:
        raise ValueError(f"Expected one row of {SOURCE}.json for {goal} by {wanted[1]} from {wanted[0]}, but there are {len(some)}.")
    return some[0]


def theirs(goal: str) -> list[Row]:
    return [row for row in rows(goal) if row["recipe"].startswith("torchattacks")]


def tests(goal: str) -> list[tuple[Row, str, statistics.Discordance, float]]:
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
def photograph_ratio(goal: str, recipe: str, other: str, source: str = BOTH, of: str = BOTH) -> Figure:
    """The rate of one recipe and source over that of another."""
    return ratio_of(*(outcomes(row, "all")[:, 0].astype(float) for row in (one(goal, recipe, source), one(goal, other, of))))


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
    """How many of these tests: all; at 5 %, what was chosen wins (better), and loses (worse)."""
    found = tests(goal)
    better = [test.first_only > test.second_only for _, _, test, p in found if p < 0.05]
    return {"all": len(found), "better": sum(better), "worse": len(better) - sum(better)}[which]


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

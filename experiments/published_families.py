"""The figures of the page on transfer between families, from the rows of `experiments.studies.families`: see `experiments.published`."""

from __future__ import annotations

from typing import Any

import numpy as np

from blackbox import statistics
from experiments import nets
from experiments.ground import ground
from experiments.measurements import results
from experiments.paths import rated
from experiments.publishable import Figure, Table, Words, figure, mean_share_of, points_of, ratio_of

SOURCE = "families"
FOUR = "four nets"
PLAIN, OTHERS = "VGG", ("densenet", "poolcnn", "vit_adv")  # the net as it is; the targets that means are over, where nothing else is said
ALIKE = 10  # gradients an image that two rows may be apart and still be compared as recipes
Row = dict[str, Any]
Test = tuple[Row, str, statistics.Discordance, float]  # the other row, the target, the test, p for the number of tests


def kept(goal: str) -> tuple[dict[str, Any], str]:
    """The file of a goal, and its name there: ``targeted``, or ``targeted jpeg``, on images that were JPEG once."""
    name, _, among = goal.partition(" ")
    return results("_".join(filter(None, [SOURCE, among]))), name


def rows(goal: str, eps: str, among: str = "reporting") -> list[Row]:
    """The rows of a goal (`kept`) at a radius in 255ths. Raises ValueError: their targets are not for this use of the ground."""
    file, name = kept(goal)
    return of_use([r for r in file[among] if (r["goal"], str(r["eps"])) == (name, eps)], among, SOURCE)


def of_use(some: list[Row], use: str, file: str) -> list[Row]:
    """The rows of a file. Raises ValueError: their targets are not for this use of the ground."""
    wrong = {name for r in some for name in r["fooled"] if ground()["targets"][name]["use"] != use}
    if wrong:
        raise ValueError(f"Expected {file}.json to hold targets for {use}, but {', '.join(sorted(wrong))} are not.")
    return some


def only(some: list[Row], source: str, recipe: str, where: str) -> Row:
    """The row of a source and a recipe. Raises ValueError: there is none, or there are several."""
    found = [r for r in some if (r["source"], r["recipe"]) == (source, recipe)]
    if len(found) != 1:
        raise ValueError(f"Expected one row of {where} from {source} by {recipe}, but there are {len(found)}.")
    return found[0]


def chosen(goal: str, plain: str = PLAIN) -> tuple[str, str]:
    """The source and the recipe that were chosen, where the net as it is, or the nets, are these."""
    file, name = kept(goal)
    found = file["chosen"][name if plain == PLAIN else f"{name}, {plain}"]
    return found["source"], found["recipe"]


def one(goal: str, eps: str, source: str, recipe: str) -> Row:
    """A row; for ``chosen`` what was chosen (``chosen of four nets``: where these are the sources), for ``same`` the recipe that was, for
    ``theirs`` the source's best row of published settings (by the mean over three targets; ``theirs of all``: over all)."""
    if recipe in ("theirs", "theirs of all"):
        on = "all" if recipe.endswith("all") else "three"
        some = [r for r in rows(goal, eps) if r["source"] == source]
        theirs = [r for r in some if r["recipe"].startswith("torchattacks") or r["recipe"].endswith("published")]
        return max(theirs, key=lambda r: float(outcomes(r, on).mean()))
    first = chosen(goal, FOUR if FOUR in source else PLAIN)
    source, recipe = first[0] if source.startswith("chosen") else source, first[1] if recipe in ("chosen", "same") else recipe
    return only(rows(goal, eps), source, recipe, f"{SOURCE}.json for {goal} at {eps}")


def targets(row: Row, on: str) -> tuple[str, ...]:
    """The targets that ``on`` stands for: three (`OTHERS`), all, or the one that it names."""
    return {"three": OTHERS, "all": tuple(row["fooled"])}.get(on, (on,))


def outcomes(row: Row, on: str = "three") -> np.ndarray:
    """Which images [n, targets] reach the goal on these targets; all have them right."""
    return np.array([[c == "1" for c in row["fooled"][name]] for name in targets(row, on)]).T


def difference(first: Row, other: Row, on: str = "three") -> Figure:
    """Points of transfer rate between two rows, a mean over the targets, paired by image."""
    return points_of((outcomes(first, on).astype(float) - outcomes(other, on)).mean(1))


def mean(row: Row) -> Figure:
    """The mean over the targets of the share of images that reach the goal."""
    return mean_share_of(outcomes(row).mean(1))


def mean_rate(row: Row) -> float:
    """The mean of a row's rates over its targets, each over the images that the target has right; by which the choice was made."""
    return float(np.mean([rated(text).value for text in row["fooled"].values()]))


def by_family(some: list[Row]) -> list[Row]:
    """The rows, those of one net behind each other, as it is and refined; nets in the order of their first row."""
    first: dict[str, int] = {}
    for place, row in enumerate(some):
        first.setdefault(row["source"].partition(",")[0], place)
    return sorted(some, key=lambda row: first[row["source"].partition(",")[0]])


def titled(row: Row, goal: str = "") -> str:
    plain = FOUR if FOUR in row["source"] else PLAIN
    star = " *" if (row["source"], row["recipe"]) == chosen(goal or row["goal"], plain) else ""
    return f"**{row['recipe']}**{star}" if star else row["recipe"]


@figure
def family_images(among: str = "") -> int:
    """Images that all targets have right; ``jpeg``: those that were JPEG once."""
    return len(kept(f"all {among}".strip())[0]["ids"])


@figure
def family_theirs(goal: str, eps: str, on: str = "three", plain: str = PLAIN) -> Words:
    """The name of the best row of published settings, in the mean over three targets or over all."""
    return Words(one(goal, eps, plain, "theirs of all" if on == "all" else "theirs")["recipe"])


@figure
def family_rate(goal: str, eps: str, source: str, recipe: str) -> Figure:
    """The mean rate over three targets; ``chosen``: of what was chosen."""
    return mean(one(goal, eps, source, recipe))


@figure
def family_gain(goal: str, eps: str, source: str, recipe: str, other: str = PLAIN, instead: str = "same", on: str = "three") -> Figure:
    """Points by which one source and recipe are ahead of another: over three targets, all, or on the one that is named."""
    return difference(one(goal, eps, source, recipe), one(goal, eps, other, instead), on)


@figure
def family_learned() -> Words:
    """What the net of one's own learned from."""
    return Words(ground()["learned"][nets.VGG.data]["what"])


@figure
def family_peers(goal: str, eps: str) -> Words:
    """The least and the most gradients an image that torchattacks' classes took."""
    some = [row["gradients"] for row in rows(goal, eps) if row["source"] == PLAIN and row["recipe"].startswith("torchattacks")]
    return Words(f"{min(some)} to {max(some)}")


def tests(goal: str, eps: str, of: str = "choice", on: str = "three") -> list[Test]:
    """Target by target McNemar's exact test, and its p for the number of tests (Holm).

    of: ``choice``: what was chosen against every other row on the net as it is; ``recipe``: the recipe that was chosen, on the net as it
    is, against the recipes there that take about as many gradients (`ALIKE`).
    """
    first = one(goal, eps, "chosen", "chosen") if of == "choice" else one(goal, eps, PLAIN, "same")
    others = [row for row in rows(goal, eps) if row is not first and row["source"] == PLAIN]
    if of == "recipe":
        others = [row for row in others if abs(row["gradients"] - first["gradients"]) <= ALIKE]
    return against(first, others, on)


def against(first: Row, others: list[Row], on: str = "all") -> list[Test]:
    """A row against others, target by target: McNemar's exact test, and its p for the number of tests (Holm)."""
    pairs = [(row, name, statistics.mcnemar(outcomes(first, name)[:, 0], outcomes(row, name)[:, 0]))
             for row in others for name in targets(first, on)]  # fmt: skip
    adjusted = statistics.holm([test.p for *_, test in pairs]).tolist()
    return [(*pair, p) for pair, p in zip(pairs, adjusted, strict=True)]


def tally(found: list[Test]) -> dict[str, int]:
    """How many tests there are (all), and at 5 % what the first row wins (better), of that against noise (noise), and loses (worse)."""
    sure = [(row, test.first_only > test.second_only) for row, _, test, p in found if p < 0.05]
    noise = sum(ahead and row["recipe"] == "noise" for row, ahead in sure)
    better = sum(ahead for _, ahead in sure)
    return {"all": len(found), "better": better, "noise": noise, "worse": len(sure) - better}


@figure
def family_tests(goal: str, eps: str, which: str, of: str = "choice", on: str = "three") -> int:
    """How many of these tests, by `tally`."""
    return tally(tests(goal, eps, of, on))[which]


@figure
def family_beaten(goal: str, eps: str, which: str = "somewhere", of: str = "choice", on: str = "three") -> Words:
    """The rows that are beaten at 5 % and on which targets; ``nowhere``: those that are not. Without noise."""
    where: dict[str, list[str]] = {}
    for row, name, test, p in tests(goal, eps, of, on):
        if row["recipe"] != "noise":
            where.setdefault(row["recipe"], []).extend([name] * (p < 0.05 and test.first_only > test.second_only))
    if which == "nowhere":
        return Words("; ".join(recipe for recipe, names in where.items() if not names))
    return Words("; ".join(f"{recipe} on {', '.join(names)}" for recipe, names in where.items() if names))


@figure
def family_table(goal: str, eps: str, plain: str = PLAIN) -> Table:
    """All rows of a goal at a radius on the net as it is and the chosen source: rates, and what the choice is ahead, paired."""
    first = one(goal, eps, f"chosen of {plain}", "chosen")
    some = [r for r in rows(goal, eps) if r["source"] in (plain, first["source"])]
    lines = []
    for row in sorted(some, key=lambda r: -outcomes(r).mean()):
        ahead = ["", ""] if row is first else [difference(first, row, on) for on in ("three", "all")]
        lines.append([row["source"], titled(row, goal), row["gradients"], *map(rated, row["fooled"].values()), mean(row), *ahead])
    columns = ["mean of three", "the choice is ahead by, points, of three", "of all four"]
    return Table(["source", "recipe", "gradients", *first["fooled"], *columns], lines)


@figure
def family_sources(goal: str = "untargeted", eps: str = "8") -> Table:
    """Every source by the chosen recipe."""
    some = by_family([r for r in rows(goal, eps) if r["recipe"] == chosen(goal)[1]])
    return Table(["source", *some[0]["fooled"]], [[r["source"], *map(rated, r["fooled"].values())] for r in some])


@figure
def family_refined() -> Table:
    """Nets as they are and as refiners made them, by the chosen recipe: each target's rate, and points gained over three and over all."""
    of = chosen("untargeted")[1]
    found = {row["source"]: row for row in by_family(rows("untargeted", "8")) if row["recipe"] == of}
    refined = {name.partition(",")[0] for name in found if ", " in name and name.partition(",")[0] in found}
    lines = []
    for name, row in found.items():
        plain = found.get(name.partition(",")[0])
        if plain and plain["source"] in refined:
            gained = ["", ""] if row is plain else [difference(row, plain, on) for on in ("three", "all")]
            lines.append([name, *map(rated, row["fooled"].values()), *gained])
    return Table(["source", *next(iter(found.values()))["fooled"], "points gained, mean of three", "mean of all four"], lines)


@figure
def family_recipes(source: str) -> Table:
    """Recipes on one source, untargeted at 8/255: each target's rate, and what each is ahead of MI-FGSM, paired, over three."""
    some = [row for row in rows("untargeted", "8") if row["source"] == source]
    base = one("untargeted", "8", source, "mi-fgsm")
    lines = [
        [titled(row), row["gradients"], *map(rated, row["fooled"].values()), mean(row), "" if row is base else difference(row, base)]
        for row in sorted(some, key=lambda row: -outcomes(row).mean())
    ]
    return Table(["recipe", "gradients", *base["fooled"], "mean of three", "ahead of mi-fgsm by, points, of three"], lines)


@figure
def family_choosing(goal: str) -> Table:
    """How the choice was made: rates on the ground for choosing."""
    some = rows(goal, "8" if goal == "untargeted" else "16", "choosing")
    order = sorted(some, key=mean_rate, reverse=True)
    lines = [[r["source"], titled(r), r["gradients"], *map(rated, r["fooled"].values())] for r in order]
    return Table(["source", "recipe", "gradients", *some[0]["fooled"]], lines)


@figure
def family_ratio(goal: str, eps: str, source: str, recipe: str, other: str, instead: str) -> Figure:
    """The mean rate of one source and recipe over that of another."""
    return ratio_of(*(outcomes(row).mean(1) for row in (one(goal, eps, source, recipe), one(goal, eps, other, instead))))

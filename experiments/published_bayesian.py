"""Tables of what attacks fool within 50 queries, from the rows of `experiments.studies.bayesian`."""

from __future__ import annotations

from blackbox import statistics
from experiments.measurements import Rows, ground, has, results, rows
from experiments.publishable import Table, Words, figure, share_of

FOLDER = "bayesian"
NAMED = {
    "p-bo, two": "p-bo, coefficient fitted", "p-bo, two, coefficient 1.0": "p-bo, coefficient 1",
    "p-bo, misled": "p-bo, misled, coefficient fitted", "p-bo, misled, coefficient 1.0": "p-bo, misled, coefficient 1",
}  # fmt: skip


def named(attack: str) -> str:
    return NAMED.get(attack, attack.partition(",")[0])


def measured(prefix: str = "") -> dict[str, dict[str, Rows]]:
    """For each target with a file, the rows of each attack."""
    found: dict[str, dict[str, Rows]] = {}
    for name, target in ground()["targets"].items():
        if has(source := f"{FOLDER}/{prefix}{name}"):
            attacks = dict.fromkeys(row["attack"] for row in results(source).get("rows", ()))
            found[name] = {attack: rows(source, target["use"], attack=attack) for attack in attacks}
    return found


def titles(found: dict[str, dict[str, Rows]]) -> list[str]:
    return [ground()["targets"][name]["title"] for name in found]


@figure
def fifty_table(what: str = "fooled", prefix: str = "") -> Table:
    """Each attack on each target: the share fooled, or with ``mean`` the mean queries, failures at the budget. prefix: of the files."""
    found = measured(prefix)
    attacks = dict.fromkeys(attack for some in found.values() for attack in some)
    lines = []
    for attack in attacks:
        cells = [some.get(attack) for some in found.values()]
        made = ["" if c is None else c.rate() if what == "fooled" else c.mean() for c in cells]
        lines.append([named(attack) if not prefix else attack, max(c.n for c in cells if c), *made])
    return Table(["attack", "n", *titles(found)], lines)


@figure
def fifty_pairs(one: str, *others: str) -> Table:
    """Of the same images: those fooled by ``one`` alone and by each of the others alone; p of all of them, by Holm."""
    lines, ps = [], []
    for (_, some), title in zip((found := measured()).items(), titles(found), strict=True):
        for other in others or [attack for attack in some if attack != one]:
            if one in some and other in some:
                got = statistics.mcnemar(some[one].found[0], some[other].found[0])
                lines.append([title, named(other), some[one].n, got.first_only, got.second_only])
                ps.append(got.p)
    adjusted = statistics.holm(ps)
    return Table(
        ["target", "beside", "n", f"{named(one)} alone", "the other alone", "p (McNemar, Holm)"],
        [[*line, f"{p:.2g}"] for line, p in zip(lines, adjusted, strict=True)],
    )


@figure
def fifty_ahead(one: str) -> Words:
    """The targets on which ``one`` fools more images than every other attack (other settings of itself and of its search aside)."""
    ahead = []
    for (_, some), title in zip((found := measured()).items(), titles(found), strict=True):
        family = ("bo", "p-bo")
        others = [rows.found.sum() for attack, rows in some.items() if attack.partition(",")[0] not in family]
        if one in some and some[one].found.sum() > max(others, default=0):
            ahead.append(title)
    return Words(", ".join(ahead) or "none")


@figure
def fifty_of_longer(one: str, *others: str) -> Table:
    """The first 50 queries of runs that had a larger budget, beside ``one``, whose budget was 50: the first seed, the same images."""
    lines, ps = [], []
    for (target, some), title in zip((found := measured()).items(), titles(found), strict=True):
        for folder, other in ((folder, other) for other in others for folder in ("queries", "robust")):
            if one not in some or not has(source := f"{folder}/{target}"):
                continue
            key = {"attack": other, "seed": 0, "budget": 1000} | ({"access": "scores", "goal": "untargeted"} if folder == "queries" else {})
            absent = not any(all(r.get(k) == v for k, v in key.items()) for r in results(source)["rows"])
            if absent or [title, other] in [line[:2] for line in lines]:
                continue
            long = rows(source, **key)
            place = [long.ids.index(i) for i in some[one].ids]
            early = (long.found[0] & (long.spent[0] <= some[one].budget))[place]
            got = statistics.mcnemar(some[one].found[0], early)
            lines.append([title, other, len(place), share_of(early[None]), got.first_only, got.second_only])
            ps.append(got.p)
    columns = ["target", "attack", "n", "fooled by then", f"{one} alone", "the other alone", "p (McNemar, Holm)"]
    return Table(columns, [[*line, f"{p:.2g}"] for line, p in zip(lines, statistics.holm(ps), strict=True)])

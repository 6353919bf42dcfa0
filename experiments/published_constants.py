"""What the constants of `ripples` and `hybrid` cost beside others, on ground for choosing: see `experiments.published`."""

from __future__ import annotations

from typing import Any

from experiments.measurements import Rows, ground, grounded, has, results
from experiments.publishable import Figure, Table, Words, figure
from experiments.studies.constants import AS_IT_IS, KNOBS, Knob, source_of


def rows_of(knob: str, value: str, target: str, prior: str) -> Rows | None:
    """The seeds of a value on a target; None where it was not measured."""
    source = source_of(KNOBS[knob])
    of = "" if value == AS_IT_IS else knob
    some = tuple(
        r for r in (results(source)["rows"] if has(source) else ())
        if (r["knob"], r["value"], r["target"], r["prior"]) == (of, value, target, prior)
    )  # fmt: skip
    if not some:
        return None
    about = {"target": {"name": target}, "images": {"among": some[0]["among"]}, "ids": some[0]["ids"]}
    grounded(source, about, [r["seed"] for r in some], "choosing")
    return Rows(source, some, about)


def grounds(knob: str) -> list[tuple[str, str]]:
    """Targets and priors with which a knob was measured."""
    found = results(source_of(KNOBS[knob]))["rows"]
    return list(dict.fromkeys((r["target"], r["prior"]) for r in found if r["knob"] == knob))


def ratios(knob: str) -> list[tuple[str, str, str, Figure | str]]:
    """Of each value and target the mean queries over those of the value that is in use, image by image: value, target, prior."""
    out: list[tuple[str, str, str, Figure | str]] = []
    for value in KNOBS[knob].others:
        for target, prior in grounds(knob):
            one, now = (rows_of(knob, label, target, prior) for label in (value.label, AS_IT_IS))
            if one and now:
                out.append((value.label, target, prior, over(one, now)))
    return out


def over(one: Rows, now: Rows) -> Figure | str:
    """The ratio, or a word where nothing differs and there is no interval."""
    return "the same" if (one.spent == now.spent).all() else one.over(now)


@figure
def constant_table(knob: str) -> Table:
    """A target a row: mean queries with the value in use, and of each other value the ratio to it."""
    about: Knob = KNOBS[knob]
    found = {(value, target, prior): ratio for value, target, prior, ratio in ratios(knob)}
    lines: list[list[Any]] = []
    for target, prior in grounds(knob):
        now = rows_of(knob, AS_IT_IS, target, prior)
        assert now is not None
        title = ground()["targets"][target]["title"] + (f", {prior.replace('-', ', ')}" if prior else "")
        lines.append([title, now.n, len(now.rows), now.mean(), *(found.get((v.label, target, prior), "") for v in about.others)])
    return Table(["target", "images", "seeds", f"{about.now}: mean queries", *(f"{v.label}: over it" for v in about.others)], lines)


@figure
def constants_compared(which: str = "all") -> int:
    """Comparisons of a value in use with another on a target: all, or those whose interval leaves out 1 (``less``: the other
    needs less; ``more``), not corrected for their number."""
    some = [ratio for knob in KNOBS if has(source_of(KNOBS[knob])) for *_, ratio in ratios(knob)]
    figures = [ratio for ratio in some if isinstance(ratio, Figure)]
    return {"all": len(some), "less": sum(f.high < 1 for f in figures), "more": sum(f.low > 1 for f in figures)}[which]


@figure
def constants_better() -> Words:
    """The values that need less somewhere, each with the targets where, and those where it needs more."""
    told = []
    for knob in KNOBS:
        some = ratios(knob) if has(source_of(KNOBS[knob])) else []
        for value in dict.fromkeys(label for label, *_ in some):
            less, more = (
                [f"{target}{f' ({prior})' if prior else ''}" for label, target, prior, f in some
                 if label == value and isinstance(f, Figure) and (f.high < 1 if sign < 0 else f.low > 1)]
                for sign in (-1, 1)
            )  # fmt: skip
            if less:
                told.append(f"{knob} {value}: less on {', '.join(less)}" + (f", more on {', '.join(more)}" if more else ""))
    return Words("; ".join(told) or "none")

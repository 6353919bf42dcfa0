"""Figures that stand in a results file as they are, found by the way to them, word by word.

    <!-- m: share detector_defence_digits attacks deepfool "both fooled" --><!-- /m -->
    <!-- m: share why_it_transfers rows "net=same data, other architecture" fooled --><!-- /m -->

A word is the name of an entry, the place in a list, or ``name=value``, which picks from a list the one row that has this value
(``way.name=value`` looks inside). At the end stand outcomes (a text of 1, 0 and - for images that do not count, or [k, n]), or a
value with its interval and number, or a count.
"""

from __future__ import annotations

from typing import Any

import blackbox as bb
from experiments.measurements import ground, results
from experiments.publishable import Figure, OneImage, Table, figure


def found(source: str, *words: str) -> Any:
    """What lies at the end of the way.

    Raises:
        ValueError: nothing does; or it was measured on what settings are chosen on.
    """
    here: Any = results(source)
    settings = here.get("settings", {})
    asked = settings.get("targets", settings.get("target", ()))
    choosing = {name for name, target in ground()["targets"].items() if target["use"] == "choosing"}
    if "choosing" in words or choosing & set([asked] if isinstance(asked, str) else asked):
        raise ValueError(f"Expected {source}.json at {words} to rest on what is for reporting, but it is for choosing. Publish other rows.")
    for i, word in enumerate(words):
        name, picks, value = word.partition("=")
        if isinstance(here, dict) and word in here:
            here = here[word]
        elif isinstance(here, list) and word.lstrip("-").isdigit() and int(word) < len(here):
            here = here[int(word)]
        elif isinstance(here, list) and picks and len(some := [row for row in here if str(_inside(row, name)) == value]) == 1:
            here = some[0]
        else:
            known = list(here) if isinstance(here, dict) else f"{len(here)} rows" if isinstance(here, list) else here
            raise ValueError(f"Expected {source}.json to have {' > '.join(words[: i + 1])}, but there it has {known}. Mend the mark.")
    return here


def _inside(row: Any, name: str) -> Any:
    for part in name.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return row


def rated(outcomes: Any, where: Any = "") -> bb.Rate:
    """Of outcomes: a text of 1, 0 and -, or [k, n].

    Raises:
        ValueError: they are none.
    """
    if isinstance(outcomes, str) and outcomes and set(outcomes) <= set("10-"):
        return bb.Rate(outcomes.count("1"), len(outcomes) - outcomes.count("-"))
    if isinstance(outcomes, list) and len(outcomes) == 2 and all(isinstance(v, int) for v in outcomes):
        return bb.Rate(*outcomes)
    raise ValueError(f"Expected outcomes, a text such as 10-1 or [k, n], but {where} has {str(outcomes)[:60]!r}.")


@figure
def share(source: str, *words: str) -> bb.Rate:
    """A share of images, of one run: how many of them it holds for."""
    return rated(found(source, *words), words)


@figure
def estimate(source: str, *words: str) -> Figure:
    """A value that a study keeps as [value, low, high, n]."""
    kept = found(source, *words)
    if not (isinstance(kept, list) and len(kept) == 4):
        raise ValueError(f"Expected [value, low, high, n] in {source}.json at {words}, but it was {str(kept)[:60]}.")
    value, low, high, n = kept
    return Figure(value, low, high, int(n), digits=2)


@figure
def count(source: str, *words: str) -> int:
    """A whole number that counts what was done: images, answers, kills; of a list its length."""
    kept = found(source, *words)
    kept = len(kept) if isinstance(kept, list) else kept
    if isinstance(kept, bool) or not isinstance(kept, int):
        raise ValueError(f"Expected a whole number in {source}.json at {words}, but it was {str(kept)[:60]}. Publish means with intervals.")
    return kept


@figure
def seen(source: str, form: str, *words: str) -> OneImage:
    """What was seen on one image; form: ``.3g``, ``.0%``."""
    return OneImage(format(found(source, *words), form).replace("%", " %"))


@figure
def share_table(source: str, *words: str) -> Table:
    """Shares of a study that keeps them as {net: {attack: outcomes}}: an attack a row, a net a column."""
    nets = found(source, *words)
    inner = {net: entry.get("wrong", entry) for net, entry in nets.items()}
    return Table(["", *inner], [[what, *(rated(entry[what], what) for entry in inner.values())] for what in next(iter(inner.values()))])

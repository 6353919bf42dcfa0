"""Galleries of runs whose goal is not one class: what the target answered before and after, drawn over the images or beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.areas import Patch
from blackbox.goals.excerpt import named, with_score
from blackbox.report import marks
from blackbox.report.gallery import Gallery, colours
from blackbox.report.sections.common import number
from blackbox.results import words

if TYPE_CHECKING:
    from blackbox.report.sections.common import Item
    from blackbox.report.shown import Shown
    from blackbox.results import AttackResult

COLUMNS = 5  # of pictures that are drawn over
Row = tuple[str, list[np.ndarray], list[str]]


def gallery(item: Item, shown: Shown, columns: int) -> Gallery:
    """The gallery of a run, of images that were kept of it; at most so many ``columns``."""
    r = item.result
    over = [before_after(r, int(k)) for k in shown.index[:columns]]
    beside = any(_beside(each) for pair in over for each in pair) or any("reference" in each for each in r.answers.values())
    drawn = r.mask is not None or isinstance(r.threat, Patch) or beside
    count = min(columns, COLUMNS) if drawn else columns
    index, over = shown.index[:count].tolist(), over[:count]
    change = (shown.changed - shown.clean)[:count]
    masks = [changeable(r, k, change[c]) for c, k in enumerate(index)]
    return Gallery(
        item.label,
        f"{words.sentence(r.config)} {item.attack} on {r.config['target']}, {r.threat}, target shows {r.config.get('access')}."
        + (" Outlined: what might change." if any(marks.of(None, m) for m in masks if m is not None) else ""),
        [head(r, shown.classes, k) for k in index], shown.clean[:count], shown.changed[:count],
        ([said(a, shown.classes) for a, _ in over], [said(b, shown.classes) for _, b in over],
         [f"query {int(r.first_success_query[k]):,}, {factor(change[c])}" for c, k in enumerate(index)]),
        ([marks.of(a, m) for (a, _), m in zip(over, masks, strict=True)], [marks.of(b, m) for (_, b), m in zip(over, masks, strict=True)]),
        [*_maps(over), *_references(r, index)],
    )  # fmt: skip


def before_after(result: AttackResult, sample: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The excerpts of the answers to a clean input and to its example; empty where they were not kept."""
    kept = result.answers.get(sample, {})
    if not kept and words.with_classes(result.config):  # a sweep keeps labels alone
        columns = ((result.clean_label, result.clean_confidence), (result.adv_label, result.adv_confidence))
        before, after = (_label(int(label[sample]), float(sure[sample])) for label, sure in columns)
        return before, after
    return kept.get("before", {}), kept.get("after", {})


def _label(label: int, sure: float) -> dict[str, Any]:
    """The excerpt of an answer of which the first class alone is known."""
    if label < 0:
        return {}
    known = None if np.isnan(sure) else sure
    told = with_score(str(label), known)
    return {"form": "classes", "classes": [label], "sure": None if known is None else [known], "names": None, "says": told}


def said(excerpt: dict[str, Any], classes: Sequence[str] = ()) -> str:
    """An answer in a line. classes: their names by number."""
    if excerpt.get("form") == "classes" and excerpt.get("names") is None and classes:
        sure = excerpt["sure"] or [None] * len(excerpt["classes"])
        pairs = zip(excerpt["classes"], sure, strict=True)
        return ", ".join(with_score(named(c, classes), p) for c, p in pairs)
    return str(excerpt.get("says", "answer not kept"))


def head(result: AttackResult, classes: Sequence[str], sample: int) -> str:
    """The line above a sample: its number, and its true class where it has one."""
    true = int(result.y[sample])
    name = f": {named(true, classes)}" if true >= 0 and words.with_classes(result.config) else ""
    return f"{int(result.ids[sample])}{name}"


def changeable(result: AttackResult, sample: int, change: np.ndarray) -> np.ndarray | None:
    """What of a sample might change, [\\*shape] bool; of a patch whose place was searched, where it came to lie, by the ``change``
    [\\*shape]. None where all might."""
    if result.mask is None and isinstance(result.threat, Patch) and change.ndim == 3:
        place = np.zeros(change.shape[-2:], bool)
        rows, across = np.nonzero((change != 0).any(0))
        if len(rows):
            place[rows.min() : rows.max() + 1, across.min() : across.max() + 1] = True
        return place
    if result.mask is None or result.x_clean is not None:
        return None
    mask: np.ndarray = (result.mask[sample if len(result.mask) > 1 else 0] != 0).numpy(force=True)
    return mask


def factor(change: np.ndarray) -> str:
    """By how much the drawn difference is larger than the true one, on a scale from -1/2 to 1/2."""
    largest = float(np.abs(change).max())
    return f"×{number(0.5 / largest, '.3g')}" if largest else "no change"


def _beside(excerpt: dict[str, Any]) -> bool:
    return excerpt.get("form") in ("boxes", "map")


def _reference(result: AttackResult, sample: int) -> np.ndarray | None:
    found: np.ndarray | None = result.answers.get(sample, {}).get("reference")
    return found


def _maps(over: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[Row]:
    """The maps of classes before and after, where the target answers with such."""
    if not all("map" in a and "map" in b for a, b in over):
        return []
    return [
        (f"map {when}", [marks.map_colours(pair[at]["map"]) for pair in over], [when] * len(over))
        for at, when in enumerate(("before", "after"))
    ]


def _references(result: AttackResult, index: Sequence[int]) -> list[Row]:
    """What the goal compares with, where it can be seen."""
    found = [_reference(result, k) for k in index]
    if not any(each is not None for each in found):
        return []
    blank = np.full((8, 8, 3), 255, np.uint8)
    return [("reference", [blank if each is None else colours(each / 255) for each in found], ["reference"] * len(found))]

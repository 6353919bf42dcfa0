"""Attacks on rows of a table: which columns changed, how often and how far, and a few examples column by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from blackbox.report.sections.answers import before_after, said
from blackbox.report.sections.common import Item, number
from blackbox.statistics import Rate

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.results import AttackResult
    from blackbox.tabular import Change

EXAMPLES, LONGEST, ROWS = 6, 6, 30  # rows shown; changed columns of one that are written out; columns in a table


def add(page: Page, chosen: Sequence[Item]) -> None:
    """Two tables for each result on rows of a table that found an example."""
    for item in chosen:
        r = item.result
        if r.x_clean is None or not bool(r.success.any()):
            continue
        found = r.changes()
        page.head(f"Changed columns: {item.label}", 3)
        _columns(page, r, found)
        _examples(page, r, found)


def _columns(page: Page, r: AttackResult, found: Sequence[Change]) -> None:
    n = int(r.success.sum())
    by_column: dict[str, list[Change]] = {}
    for change in found:
        by_column.setdefault(change.column, []).append(change)
    often = sorted(by_column.items(), key=lambda each: (-len(each[1]), each[0]))
    rows: list[list[str | Rate]] = []
    for name, some in often[:ROWS]:
        if name not in r.config["table"]["categorical"]:  # whose codes may be numbers too, of no order and no size
            moves = np.array([float(c.after) - float(c.before) for c in some])
            far = number(float(f"{np.median(np.abs(moves)):.4g}"), ",.6g")
            share = f"{100 * float(np.median([abs(c.scaled) for c in some])):.3g} %"
            how = f"{int((moves > 0).sum())} up, {int((moves < 0).sum())} down"
        else:
            (most, times), far, share = Counter(f"{_value(c.before)} → {_value(c.after)}" for c in some).most_common(1)[0], "–", "–"
            how = f"{most}, {times} times"
        rows.append([name, how, Rate(len(some), n), far, share])
    more = f" {len(often) - ROWS} more columns changed." if len(often) > ROWS else ""
    caption = f"Of the {n} examples found, in how many a column changed; the median change of those, in its own unit and of its range."
    caption += more
    page.table(["Column", "How", "Changed in", "By", "Of its range"], rows, caption, left=2)


def _examples(page: Page, r: AttackResult, found: Sequence[Change]) -> None:
    rows = []
    for k in r.success.nonzero().flatten().tolist()[:EXAMPLES]:
        mine = [c for c in found if c.sample == k]
        told = "; ".join(f"{c.column} {_value(c.before)} → {_value(c.after)}" for c in mine[:LONGEST])
        more = f"; and {len(mine) - LONGEST} more" if len(mine) > LONGEST else ""
        rows.append([str(int(r.ids[k])), _answer(r, k), f"{told}{more}"])
    page.table(["Row", "Answer", "Changed, the most first"], rows, "The first examples, in the table's own units.", left=3)


def _answer(r: AttackResult, k: int) -> str:
    """What the target said of a row, and says now."""
    before, after = before_after(r, k)
    if before or after:
        return f"{said(before)} → {said(after)}"
    return f"{int(r.clean_label[k])} → {int(r.adv_label[k]) if r.adv_label[k] >= 0 else '?'}"


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"

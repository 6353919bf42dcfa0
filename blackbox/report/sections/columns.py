"""Attacks on rows of a table: which columns changed, how often and how far, and a few examples column by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from blackbox.report.sections.answers import before_after, said
from blackbox.report.sections.common import Item, number
from blackbox.report.sections.seeds import FIXED
from blackbox.statistics import Rate
from blackbox.tabular.changes import Moves, by_column

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.results import AttackResult
    from blackbox.tabular import Change

EXAMPLES, LONGEST, ROWS = 6, 6, 30  # rows shown; changed columns of one that are written out; columns in a table
SHORT = 20  # letters of an answer that stay on a line on a telephone


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
    often = by_column(found)
    rows: list[list[str | Rate]] = []
    for name, some in often[:ROWS]:
        if name not in r.config["table"]["categorical"]:  # whose codes may be numbers too, of no order and no size
            moves = Moves.of(some)
            far, share, how = number(moves.far, ",.6g"), f"{100 * moves.share:.3g} %", f"{moves.up} up, {moves.down} down"
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
        answer = _answer(r, k)
        rows.append([str(int(r.ids[k])), answer if len(answer) > SHORT else answer.replace(" ", FIXED), f"{told}{more}"])
    page.table(["Row", "Answer", "Changed, the most first"], rows, "The first examples, in the table's own units.", left=3)


def _answer(r: AttackResult, k: int) -> str:
    """What the target said of a row, and says now."""
    before, after = before_after(r, k)
    names = tuple(r.config.get("class_names") or ())
    if before or after:
        return f"{said(before, names)} → {said(after, names)}"
    return f"{int(r.clean_label[k])} → {int(r.adv_label[k]) if r.adv_label[k] >= 0 else '?'}"


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"

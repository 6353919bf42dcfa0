"""The tables of a page that hold rates, for papers: LaTeX with booktabs. Needs pandas (the extra ``data``)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from blackbox.report.pages import Page, Table

FILE = "tables.tex"
_SIGNS = {"×": r"$\times$", "∞": r"$\infty$", "→": r"$\to$", "·": r"$\cdot$", "–": "--", "\u00a0": "~"}
_ESCAPED = str.maketrans({c: f"\\{c}" for c in "%_&#$"})


def write(page: Page, folder: Path) -> list[str]:
    """Write tables.tex: each table of numbers of the page. Returns the file's name; nothing without pandas, or such a table."""
    made = [latex(block) for block in page.blocks if isinstance(block, Table) and _numbers(block)]
    if not made or find_spec("pandas") is None:
        return []
    (folder / FILE).write_text("% needs \\usepackage{booktabs}\n\n" + "\n".join(made), encoding="utf-8")
    return [FILE]


def latex(table: Table) -> str:
    """One table with its caption; names to the left, numbers to the right."""
    import pandas

    columns = "l" * table.left + "r" * (len(table.head) - table.left)
    frame = pandas.DataFrame([[str(cell) for cell in row] for row in table.rows], columns=list(table.head))
    caption = table.caption.translate(_ESCAPED) or None
    text = frame.to_latex(index=False, escape=True, column_format=columns, caption=caption)
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    return text


def _numbers(table: Table) -> bool:
    return any(not isinstance(cell, str) or "seeds ×" in cell for row in table.rows for cell in row)

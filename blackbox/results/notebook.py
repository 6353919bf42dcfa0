"""A result as a notebook shows it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blackbox.results.result import AttackResult

_BAR = (
    '<div style="background:#eceef0;width:180px;height:8px"><div style="background:#b23a48;height:8px;width:{:.1f}%"></div></div>'
)


def as_html(result: AttackResult) -> str:
    """The headline, the rates with bars, and the whole summary folded away."""
    from blackbox.results.summary import incomplete

    rates = {
        "clean accuracy": result.clean_accuracy,
        "attack success": result.success_rate,
        "robust accuracy": result.robust_accuracy,
    }
    rows = [
        f"<tr><th style='text-align:left'>{name}</th><td style='text-align:left'>{html.escape(str(rate))}</td>"
        f"<td>{_BAR.format(100 * rate.value) if rate.n else ''}</td></tr>"
        for name, rate in rates.items()
    ]
    cut, c = incomplete(result), result.config
    head = f"{c['attack']} on {c['target']}, {result.threat}, sees {c['access']}, budget {c['budget']:,}"
    warning = f"<p style='color:#b23a48'><b>{html.escape(cut)}.</b></p>" if cut else ""
    return (
        f"<p><b>{html.escape(head)}</b></p>{warning}<table>{''.join(rows)}</table>"
        f"<details><summary>more</summary><pre>{html.escape(result.summary())}</pre></details>"
    )

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
    from blackbox.results import words
    from blackbox.results.summary import incomplete

    goal = words.goal_of(result.config)
    rates = {
        "reached the goal unchanged" if goal else "clean accuracy": result.unchanged if goal else result.clean_accuracy,
        "attack success": result.success_rate,
        "withstood" if goal else "robust accuracy": result.robust_accuracy,
    }
    rows = [
        f"<tr><th style='text-align:left'>{name}</th><td style='text-align:left'>{html.escape(str(rate))}</td>"
        f"<td>{_BAR.format(100 * rate.value) if rate.n else ''}</td></tr>"
        for name, rate in rates.items()
    ]
    cut, c = incomplete(result), result.config
    head = f"{c['attack']} on {c['target']}, {result.threat}, sees {c['access']}, budget {c['budget']:,}"
    told = f"<p>{html.escape(words.sentence(c))} Attack success is of {html.escape(words.among(c))}.</p>" if goal else ""
    warning = f"<p style='color:#b23a48'><b>{html.escape(cut)}.</b></p>" if cut else ""
    return (
        f"<p><b>{html.escape(head)}</b></p>{told}{warning}<table>{''.join(rows)}</table>"
        f"<details><summary>more</summary><pre>{html.escape(result.summary())}</pre></details>"
    )

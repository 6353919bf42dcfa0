"""The threat model of each run: access, allowed change, query budget, goal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from blackbox.report.sections.common import evaluated, items, target_names, without_run
from blackbox.results import words

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.report.runs import Run

HEAD = ["Runs", "Way", "Target, and what it shows", "Change allowed", "Queries", "Goal", "Images"]


_UNITS = {  # are there rows of tables, and nothing else?
    (False, False): "Images are in [0, 1].",
    (True, True): "Rows are in their table's own units; norms are over columns scaled by their ranges.",
    (True, False): "Images are in [0, 1], rows of tables in their own units; norms are over columns scaled by their ranges.",
}


def add(page: Page, runs: Sequence[Run]) -> None:
    """One line for each threat model; runs that share one share its line."""
    found: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        for row in _rows(page, run):
            names = found.setdefault(tuple(row), [])
            if run.name not in names:
                names.append(run.name)
    if not found:
        return
    page.head("Threat model")
    head, rows, left = without_run(HEAD, [[", ".join(names), *row] for row, names in found.items()], len(HEAD))
    page.table(head, rows, left=left)
    tables = [i.result.x_clean is not None for run in runs for i in items([run])]
    page.text(
        f"{_UNITS[any(tables), bool(tables) and all(tables)]} A query is one image evaluated by the target; the check of the clean image, "
        "probes and failed tries are all charged. The attacker sees nothing of the target but what is written here."
    )


def _rows(page: Page, run: Run) -> list[list[str]]:
    out = []
    for item in items([run]):
        c = item.result.config
        extra = [f"through {' → '.join(channels)}"] if (channels := run.settings.get("channels")) else []
        extra += [f"majority of {c['votes']} answers"] if c.get("votes", 1) > 1 else []
        allowed = f"{item.result.threat}{', 8-bit images' if c.get('eight_bit') else ''}"
        allowed += f", {100 * c['mask']:.3g} % of the entries" if c.get("mask") is not None else ""
        out.append([
            "by queries", "; ".join([f"{c['target']}: {c.get('access', 'unknown')}", *extra]), allowed,
            f"at most {int(c['budget']):,} an image", words.goal_of(c) or _goal(c.get("targeted") or None),
            _images(run, len(item.result)),
        ])  # fmt: skip
    if (e := run.evaluation) is not None:
        target, images = evaluated(run), _images(run, len(e.ids))
        for sees in dict.fromkeys(r.sees for r in e.rows):
            budgets = [r.budget for r in e.rows if r.sees == sees and r.budget]
            most = f"at most {max(budgets):,} an image" if budgets else "none"
            out.append(["evaluation", f"{target}: {sees}", str(e.threat), most, e.goal or "any wrong class", images])
    if (m := run.matrix) is not None:
        taught = f"from {', '.join(dict.fromkeys(r.source for r in m.runs))}"
        goal = "a given class" if m.goals is not None else "any wrong class"
        out.append([
            f"transfer {taught}", f"{', '.join(m.targets)}: nothing; labels are read to measure",
            ", ".join(map(str, m.threats)), "none to craft", goal, _images(run, len(m)),
        ])  # fmt: skip
    if run.surrogate:
        bill, s = run.surrogate["bill"], run.settings
        shows = s.get("access", "labels")
        asked = bill.get("queries") or run.surrogate["training"].get("queries")
        out.append([
            "surrogate", f"{bill.get('target') or s.get('target', 'a target')}: {shows}", "–",
            f"{asked:,} to learn from" if asked else "–", "name the target's class", _own(run),
        ])  # fmt: skip
    if run.sweep is not None:
        study, count = run.sweep.plan.study, run.sweep.plan.count
        images = f"{count:,} of {study.images.data}"
        if (a := study.attack) is not None:
            shows = f"{', '.join(target_names(a.targets).values())}: {a.shows}"
            budget = f"at most {', '.join(f'{b:,}' for b in a.budgets)} an image"
            out.append(["by queries", shows, _threats(a.threats), budget, a.goal or _goal(a.targeted), images])
        if (t := study.transfer) is not None:
            shows = f"{', '.join(target_names(t.targets).values())}: nothing; labels are read to measure"
            way = f"transfer from {', '.join(t.sources)}"
            out.append([way, shows, _threats(t.threats), "none to craft", _goal(t.targeted), images])
    return [[page.of_inputs(cell) if i == 3 else cell for i, cell in enumerate(row)] for row in out]  # its number of queries an image


def _goal(targeted: object) -> str:
    return "any wrong class" if targeted is None else "a given class"


def _threats(words: Sequence[str]) -> str:
    from blackbox.specs import read_threat

    return ", ".join(str(read_threat(word)) for word in words)


def _images(run: Run, count: int) -> str:
    data = run.settings.get("data") or ("digits" if run.settings.get("verb") == "demo" else "")
    return f"{count:,} of {data}" if data else f"{count:,}"


def _own(run: Run) -> str:
    s = run.settings
    if "own_images" in s:
        return f"{s['own_images']:,} of one's own, {s.get('held_out', 0):,} to measure"
    return "of one's own"

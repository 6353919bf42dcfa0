"""Several seeds of one attack, pooled: rates over seeds and images, and how far the seeds lie apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blackbox.report import style
from blackbox.report.sections.common import number, once, safe, without_run
from blackbox.results import words

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.report.runs import Run
    from blackbox.results.pooled import Pooled
    from blackbox.statistics import TwoLevel

FIXED = "\u00a0"  # a space at which no line ends
HEAD = ["Run", "Attack", "Target", "Shows", "Within", "Budget", "Seeds", "Fooled, %", "by seed, %", "Robust accuracy, %",
        "Mean queries", "by seed"]  # fmt: skip
GOAL = ["Reached, %", "by seed, %", "Withstood, %", *HEAD[10:]]


def every(runs: Sequence[Run]) -> Iterator[tuple[Run, str, Pooled]]:
    """The run, the attack's own name ("" for the only one), and what its seeds say together."""
    for run in runs:
        for name, pooled in run.pooled.items():
            yield run, name, pooled


def add(page: Page, runs: Sequence[Run], folder: Path, own: bool = False) -> None:
    """A line and a curve for each attack that was run with several seeds. own: on the page of the run itself."""
    found = list(every(runs))
    if not found:
        return
    page.head("Several seeds, pooled")
    for other in (False, True):
        _table(page, [each for each in found if bool(words.goal_of(each[2].results[0].config)) is other], other)
    for k, (run, name, pooled) in enumerate(found):
        label = run.label(name) or str(pooled.results[0].config["attack"])
        path = folder / ("curve.png" if own and not k else f"seeds-{safe(label)}.svg")
        page.picture(f"Success against queries over {len(pooled.seeds)} seeds", curve(pooled, path, label))


def _table(page: Page, found: Sequence[tuple[Run, str, Pooled]], other: bool) -> None:
    """Those that leave or reach a class, or those with an ``other`` goal."""
    if not found:
        return
    rows = [_row(*each) for each in found]
    named = [*HEAD[:7], *(["Goal"] if other else []), *(GOAL if other else HEAD[7:])]
    if other:
        rows = [[*row[:7], words.goal_of(pooled.results[0].config), *row[7:]] for row, (_, _, pooled) in zip(rows, found, strict=True)]
    head, rows, left, said = once(named, rows, 7 + other, keep=2)
    head, rows, left = without_run(head, rows, left)
    text = "An image's seeds are averaged first; 95 % intervals are over images: for other images of this kind. By seed: the "
    text += "smallest and the largest of the seeds' own."
    text += f" Reached: of the inputs {words.OPEN}; withstood: of all." if other else ""
    page.table(head, rows, f"{text} {said}".strip(), left)


def curve(pooled: Pooled, path: Path, label: str) -> Path:
    """One line over all seeds with its band, and each seed as a thin line."""
    made, axes, height = style.canvas(1)
    pooled.plot(axes, color=style.COLOURS[0], linewidth=2)
    axes.set_title("")
    style.label(axes, "queries an image (logarithmic)", words.axis(pooled.results))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    style.clean(axes)
    r = pooled.results[0]
    under = f"{r.config['target']}, {r.threat}; thick: all seeds, with a 95 % band over images; thin: each seed."
    under += " A line ends where its run was cut off." if pooled.unknown else ""
    style.heading(made, f"Success against queries: {label}", under, height)
    return style.save(made, path)


def percent(t: TwoLevel) -> str:
    """``15 % [5, 36] (3 seeds × 20 images)``."""
    if not t.n:
        return "– (n = 0)"
    return f"{100 * t.value:.0f} % [{100 * t.low:.0f}, {100 * t.high:.0f}]".replace(" ", FIXED) + f" ({t.runs} seeds × {t.n} images)"


def spread(values: Sequence[float], form: str = ".0f") -> str:
    """``50 to 60``."""
    there = [v for v in values if v == v]
    return f"{min(there):{form}} to {max(there):{form}}" if there else "–"


def _row(run: Run, name: str, pooled: Pooled) -> list[str]:
    r, mean = pooled.results[0], pooled.mean_queries
    c, unknown = r.config, f"; {pooled.unknown} unknown" if pooled.unknown else ""
    return [
        run.name, name or str(c["attack"]), str(c["target"]), str(c.get("access", "–")), str(r.threat), f"{int(c['budget']):,}",
        ", ".join(map(str, pooled.seeds)), percent(pooled.success_rate) + unknown,
        spread([100 * rate.value for rate in pooled.per_seed().values()]), percent(pooled.robust_accuracy) + unknown,
        f"{number(mean.value, ',.1f')} [{number(mean.low, ',.1f')},{FIXED}{number(mean.high, ',.1f')}]" if mean.n else "–",
        spread([one.mean_queries for one in pooled.results], ",.1f"),
    ]  # fmt: skip

"""Progress of a run: a live bar on a terminal, a line every few seconds elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blackbox.engine import Progress

EVERY = 5.0  # seconds between plain lines


def eta(p: Progress, budget: int) -> float:
    """Seconds left at most: every image that is not done may still use what is left of its budget.

    What the live images have spent already is not told apart from what the finished ones cost, so the bound is taken
    from a whole budget for each of them, and from the whole run's budget less what is spent, whichever is less.
    """
    if not p.spent:
        return float("inf")
    left = min((p.total - p.done) * budget, p.total * budget - p.spent)
    return max(left, 0) * p.seconds / p.spent


def describe(p: Progress, budget: int) -> str:
    """``40 of 100 images done, 36 fooled (90 %), 4,210 queries, at most 12 s left``."""
    share = f" ({100 * p.success / p.done:.0f} %)" if p.done else ""
    left = "" if p.done == p.total else f", at most {clock(eta(p, budget))} left"
    return f"{p.done} of {p.total} images done, {p.success} fooled{share}, {p.spent:,} queries{left}"


def clock(seconds: float) -> str:
    """``75`` -> "1:15"; "–" where nothing is known."""
    if seconds == float("inf"):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def attack_progress(budget: int, quiet: bool, what: str = "attack") -> Iterator[Callable[[Progress], None] | None]:
    """A callback for ``blackbox.attack(progress=)``."""
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield _plain(budget, what)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bar

        columns: list[Any] = [
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            TextColumn("fooled {task.fields[fooled]}"), TextColumn("{task.fields[spent]} queries"),
            TextColumn("≤ {task.fields[left]} left"),
        ]  # fmt: skip
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None, fooled="–", spent="0", left="–")

            def live(p: Progress) -> None:
                fooled = f"{p.success}/{p.done} ({100 * p.success / p.done:.0f} %)" if p.done else "–"
                bar.update(
                    task, total=p.total, completed=p.done, fooled=fooled, spent=f"{p.spent:,}", left=clock(eta(p, budget))
                )  # fmt: skip

            yield live


def _plain(budget: int, what: str) -> Callable[[Progress], None]:
    last = time.perf_counter()

    def line(p: Progress) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last >= EVERY:
            last = now
            print(f"{what}: {describe(p, budget)}", file=sys.stderr, flush=True)

    return line


def say(text: str, quiet: bool = False) -> None:
    """A line about the run for a person: on standard output, where a table or summary goes as well."""
    if not quiet:
        print(text, flush=True)

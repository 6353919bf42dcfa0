"""Progress of a run: a live bar on a terminal, a line every few seconds elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blackbox.engine import Progress

EVERY, LIVE = 5.0, 0.2  # seconds between lines, and on a terminal


def eta(p: Progress) -> float:
    """Seconds left, about: the queries still to be expected, at the pace of this process. Infinite before its first query: what
    an earlier one paid, and how long it took, says nothing of that."""
    return p.left * p.working / p.paid if p.paid else float("inf")


def describe(p: Progress, goal: bool = False, kind: str = "image") -> str:
    """``40 of 100 images done, 36 fooled (36 % of all), 4,210 queries, about 0:12 left``. kind: what the inputs are called."""
    left = "" if p.done == p.total else f", about {clock(eta(p))} left"
    return f"{p.done} of {p.total} {kind}s done, {fooled(p, goal)}, {p.spent:,} queries{left}"


def fooled(p: Progress, goal: bool = False) -> str:
    """``36 fooled (36 % of all)``: of all images, also those that are not done. goal: they reached one that is not a class."""
    return f"{p.success} {'reached the goal' if goal else 'fooled'} ({100 * p.success / max(p.total, 1):.0f} % of all)"


def clock(seconds: float) -> str:
    """``75`` -> "1:15"; "–" where nothing is known."""
    if seconds == float("inf"):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def attack_progress(
    quiet: bool, what: str = "attack", goal: bool = False, kind: str = "image"
) -> Iterator[Callable[[Progress], None] | None]:
    """A callback for ``blackbox.attack(progress=)``. goal: one that is not a class. kind: what the inputs are called."""
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        line = Line()
        yield lambda p: line(f"{what}: {describe(p, goal, kind)}")
    else:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bar

        columns: list[Any] = [
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            TextColumn("{task.fields[fooled]}"), TextColumn("{task.fields[spent]} queries"),
            TextColumn("about {task.fields[left]} left"),
        ]  # fmt: skip
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None, fooled="", spent="0", left="–")

            def live(p: Progress) -> None:
                bar.update(task, total=p.total, completed=p.done, fooled=fooled(p, goal), spent=f"{p.spent:,}", left=clock(eta(p)))

            yield live


class Line:
    """A line of progress: rewritten in place on a terminal, every few seconds elsewhere, nothing when quiet."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet, self.live = quiet, sys.stderr.isatty()
        self.last = self.begin = time.perf_counter()

    def __call__(self, text: str, last: bool = False) -> None:
        """``last``: the line stays on the terminal."""
        now = time.perf_counter()
        if self.quiet or (now - self.last < (LIVE if self.live else EVERY) and not (last and self.live)):
            return
        self.last = now
        start, end = ("\r\x1b[K", "\n" if last else "") if self.live else ("", "\n")
        print(f"{start}{text}", end=end, file=sys.stderr, flush=True)


def say(text: str, quiet: bool = False) -> None:
    """Print a line about the run on standard output."""
    if not quiet:
        print(text, flush=True)

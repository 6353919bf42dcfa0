"""What several sections need: names of results, numbers as text, tables that say once what is the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from blackbox.report.runs import Run
    from blackbox.results import AttackResult
    from blackbox.statistics import Estimate, Rate

Cell = "str | Rate"


class Item(NamedTuple):
    """A query attack of a run. name: within the run, "" for its only one."""

    run: Run
    name: str
    result: AttackResult

    @property
    def label(self) -> str:
        """What it is called in a report."""
        return self.run.label(self.name)

    @property
    def attack(self) -> str:
        """The attack's name, with what its run told it apart by: ``fd-fgsm-PCA``."""
        method = str(self.result.config["attack"])
        return self.name if self.name.startswith(method) else method


def items(runs: Sequence[Run]) -> list[Item]:
    """The query attacks of all runs."""
    return [Item(run, name, result) for run in runs for name, result in run.attacks.items()]


_FIELDS: tuple[tuple[str, Callable[[Item], str]], ...] = (
    ("target", lambda i: str(i.result.config["target"])),
    ("threat", lambda i: str(i.result.threat)),
    ("access", lambda i: f"{i.result.config.get('access')} shown"),
    ("budget", lambda i: f"budget {int(i.result.config['budget']):,}"),
    ("seed", lambda i: f"seed {i.result.config.get('seed')}"),
    ("run", lambda i: i.label),
)


def short(chosen: Sequence[Item]) -> list[str]:
    """Names for the lines of one picture: the attack, and as much more as tells them apart."""
    out = [i.attack for i in chosen]
    for _, field in _FIELDS:
        if len(set(out)) == len(out):
            break
        words = [field(i) for i in chosen]
        if len({*zip(out, words, strict=True)}) > len(set(out)):
            out = [f"{name}, {word}" for name, word in zip(out, words, strict=True)]
    return out


def number(value: float | None, form: str = ",.4g") -> str:
    """A number, a dash where there is none, ∞."""
    if value is None or math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else format(value, form)


def between(estimate: Estimate, form: str = ",.1f") -> str:
    """``40.2 [35.1, 46.0]``."""
    if not estimate.n or math.isnan(estimate.value):
        return "–"
    return f"{number(estimate.value, form)} [{number(estimate.low, form)}, {number(estimate.high, form)}]"


def once(head: list[str], rows: list[list[Any]], left: int, keep: int = 1) -> tuple[list[str], list[list[Any]], int, str]:
    """Take out of the first ``left`` columns (but for the first ``keep``) what is the same in all rows.

    Returns:
        Head, rows, how many left columns there are now, and a sentence that says what was taken out.
    """
    same = [i for i in range(keep, left) if len(rows) > 1 and len({row[i] for row in rows}) == 1]
    said = [f"{head[i].lower()} {rows[0][i]}" for i in same if rows[0][i] not in ("", "–")]
    kept = [i for i in range(len(head)) if i not in same]
    text = f"In all rows: {'; '.join(said)}." if said else ""
    return [head[i] for i in kept], [[row[i] for i in kept] for row in rows], left - len(same), text


def safe(text: str) -> str:
    """A name as a part of a file's name."""
    return "".join(c if c.isalnum() or c in "-." else "-" for c in text).strip("-.") or "run"

"""Shared by sections: names of results, numbers as text, tables without columns that are the same in all rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from blackbox.results import words

if TYPE_CHECKING:
    from blackbox.report.runs import Run
    from blackbox.results import AttackResult
    from blackbox.statistics import Estimate


class Item(NamedTuple):
    """A query attack of a run. name: within the run, "" for its only one."""

    run: Run
    name: str
    result: AttackResult

    @property
    def label(self) -> str:
        """What it is called in a report."""
        return self.run.label(self.name) or self.attack

    @property
    def attack(self) -> str:
        """The attack's name, with what its run told it apart by: ``fd-fgsm-PCA``."""
        method = str(self.result.config["attack"])
        return self.name if self.name.startswith(method) else method


def items(runs: Sequence[Run]) -> list[Item]:
    """The query attacks of all runs."""
    return [Item(run, name, result) for run in runs for name, result in run.attacks.items()]


_FIELDS: tuple[Callable[[Item], str], ...] = (
    lambda i: str(i.result.threat),
    lambda i: str(i.result.config["target"]),
    lambda i: words.kind(i.result.config),
    lambda i: f"{i.result.config.get('access')} shown",
    lambda i: f"budget {int(i.result.config['budget']):,}",
    lambda i: f"seed {i.result.config.get('seed')}",
    lambda i: i.run.name,
)
def target_names(specs: Iterable[str]) -> dict[str, str]:
    """A short name for each target as it was named on the command line: ``nets/resnet32.safetensors`` is resnet32, ``digits:knn``
    knn. The whole word for an address, and where two would be called the same."""
    every = list(dict.fromkeys(specs))
    names = {spec: _short_name(spec) for spec in every}
    return {spec: name if list(names.values()).count(name) == 1 else spec for spec, name in names.items()}


def _short_name(spec: str) -> str:
    if "://" in spec:
        return spec
    word = spec.partition("#")[0].rpartition(":")[2]
    return (PurePath(word).stem or spec) if "/" in word or PurePath(word).suffix[1:].isalpha() else word or spec


def evaluated(run: Run) -> str:
    """What an evaluation's target is called."""
    known = run.settings.get("target")
    return str(run.settings.get("target_name") or (target_names([str(known)])[str(known)] if known else "a model"))


LONGEST = 40  # characters of a line's name


def short(chosen: Sequence[Item]) -> list[str]:
    """Names for the lines of one picture: the attack, with as little more as makes them unique."""
    fields = [[field(i) for i in chosen] for field in _FIELDS]
    for count in range(len(fields) + 1):
        for some in combinations(fields, count):
            names = [", ".join(words) for words in zip([i.attack for i in chosen], *some, strict=True)]
            names = [name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}" for name in names]
            if len(set(names)) == len(names):
                return names
    return [i.label for i in chosen]


def count(value: Any) -> str:
    """A count, with a dash where there is none."""
    return "–" if value is None else f"{int(value):,}"


def number(value: float | None, form: str = ",.4g") -> str:
    """A number, a dash where there is none, ∞."""
    if value is None or math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else format(value, form)


def parts(chosen: Sequence[Item], most: int) -> list[list[Item]]:
    """Those that make one picture: all, if no more than ``most``; else each threat by itself, and together those that are
    alone with theirs."""
    if len(chosen) <= most:
        return [list(chosen)]
    groups: dict[str, list[Item]] = {}
    for item in chosen:
        groups.setdefault(str(item.result.threat), []).append(item)
    alone = [group[0] for group in groups.values() if len(group) == 1]
    out = [group for group in groups.values() if len(group) > 1] + ([alone] if alone else [])
    return [group[i : i + 2 * most] for group in out for i in range(0, len(group), 2 * most)]


def between(estimate: Estimate, form: str = ",.1f") -> str:
    """``40.2 [35.1, 46.0]``."""
    if not estimate.n or math.isnan(estimate.value):
        return "–"
    return f"{number(estimate.value, form)} [{number(estimate.low, form)}, {number(estimate.high, form)}]"


def without_run(head: list[str], rows: list[list[Any]], left: int) -> tuple[list[str], list[list[Any]], int]:
    """Without the first column, of runs' names, where they have none: on the page of the run itself."""
    return (head, rows, left) if any(row[0] for row in rows) else (head[1:], [row[1:] for row in rows], left - 1)


def once(head: list[str], rows: list[list[Any]], left: int, keep: int = 1) -> tuple[list[str], list[list[Any]], int, str]:
    """Take out of the first ``left`` columns (but for the first ``keep``) what is the same in all rows.

    Returns:
        Head, rows, how many left columns there are now, and a sentence that says what was taken out.
    """
    same = [i for i in range(keep, left) if len(rows) > 1 and len({row[i] for row in rows}) == 1]
    said = [f"{head[i].lower()} {rows[0][i]}" for i in same if rows[0][i] not in ("", "–")]
    kept = [i for i in range(len(head)) if i not in same]
    text = f"In every line: {'; '.join(said)}." if said else ""
    return [head[i] for i in kept], [[row[i] for i in kept] for row in rows], left - len(same), text


def safe(text: str) -> str:
    """A name as a part of a file's name."""
    return "".join(c if c.isalnum() or c in "-." else "-" for c in text).strip("-.") or "run"

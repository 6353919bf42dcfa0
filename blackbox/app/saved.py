"""Read a folder that a verb of ``blackbox`` wrote, to show it on the page."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.report.runs import read_json

if TYPE_CHECKING:
    from torch import Tensor

    from blackbox.report.gallery import Gallery
    from blackbox.results import AttackResult

INCOMPLETE = "INCOMPLETE"
MOST_ROWS, MOST_BYTES, EXAMPLES = 200, 8_000_000, 12
_DEPTH = 2  # folders below the root in which runs are looked for
_TABLES = ("outcomes.csv", "rates.csv", "outcomes-queries.csv", "rates-transfer.csv")


@dataclass(frozen=True)
class Saved:
    """A saved run.

    incomplete: the sentence that says which outcomes are unknown, empty where all are known. command: that wrote it, if known.
    summary: its summary.txt. pictures: PNG files. head, rows: the first lines of its
    table; total: how many there are. raw: the table has raw outcomes, not rates. examples: (image
    [C, H, W], caption) of a query attack. galleries: of the points of a sweep. problems: what of a sweep cannot be read. goal: of a
    sweep, where that is not one class.
    """

    path: Path
    title: str
    command: str = ""
    incomplete: str = ""
    summary: str = ""
    pictures: list[Path] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    total: int = 0
    raw: bool = True
    examples: list[tuple[Tensor, str]] = field(default_factory=list)
    galleries: list[Gallery] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    goal: str = ""


def found(root: str | Path, most: int = 100) -> list[str]:
    """Run folders under ``root``, newest first."""
    base = Path(root)
    if not base.is_dir():
        return []
    runs = [p.parent for depth in range(_DEPTH) for p in base.glob("*/" * depth + "*/run.json")]
    return [str(p) for p in sorted(runs, key=lambda p: (p / "run.json").stat().st_mtime, reverse=True)[:most]]


def opened(folder: str | Path) -> Saved:
    """Read a run.

    Raises:
        ValueError, FileNotFoundError: no folder, no run in it, or files that are damaged; says which.
    """
    text = str(folder).strip()
    if not text:
        raise ValueError("Expected the folder of a run, such as runs/demo, but none was named.")
    path = Path(text).expanduser()
    if not path.is_dir():
        raise FileNotFoundError(
            f"Expected the folder of a run at {path}, but there is {'a file' if path.is_file() else 'none'}."
        )
    result = _result(path)
    known = [name for name in ("run.json", "transfer.json", "summary.txt") if (path / name).is_file()]
    if result is None and not known:
        raise ValueError(
            f"Expected {path} to hold a run (run.json, summary.txt or config.json), but it holds none. "
            "Write one with blackbox attack, blackbox transfer or result.save(…)."
        )
    run = read_json(path / "run.json") or {}
    verb = run.get("settings", {}).get("verb", "")
    cut, summary = _incomplete(_summary(path, result))
    name = next((name for name in _TABLES if (path / name).is_file()), None)
    head, rows, total = _table(path / name) if name else ([], [], 0)
    galleries, problems, goal = _sweep(path) if verb == "sweep" else ([], [], "")
    pictures = sorted(p for p in path.glob("*.png") if p.stat().st_size <= MOST_BYTES)
    examples = _examples(result) if result is not None else []
    title, raw = f"{verb or 'attack'} · {path.name}", name is None or name.startswith("outcomes")
    return Saved(
        path, title, str(run.get("command", "")), cut, summary or _settings(run), pictures, head, rows, total, raw=raw,
        examples=examples, galleries=galleries, problems=problems, goal=goal,
    )  # fmt: skip


def _summary(path: Path, result: AttackResult | None) -> str:
    """As the run was told of; anew where images are unknown, because older versions counted those as robust."""
    told = _text(path / "summary.txt")
    if result is not None and (not told or not (result.complete or told.startswith(INCOMPLETE))):
        return result.summary()
    return told


def _incomplete(summary: str) -> tuple[str, str]:
    """The first sentence, if it says that outcomes are unknown, and the rest."""
    first, _, rest = summary.partition("\n")
    return (first, rest) if first.startswith(INCOMPLETE) else ("", summary)


def _sweep(path: Path) -> tuple[list[Gallery], list[str], str]:
    """The galleries that ``blackbox report`` shows of a sweep, what of it cannot be read, and its goal."""
    from blackbox.report import runs
    from blackbox.report.sections import galleries

    run = runs.read(path, path.name)
    if run.sweep is None:
        return [], run.problems, ""
    room = galleries.Room(len(run.images))
    found = [gallery for _, gallery in galleries.pictured(run, run.sweep, room) if gallery is not None]
    return found, run.problems, run.sweep.goal


def _settings(run: dict[str, Any]) -> str:
    return "\n".join(f"{key:<16} {value}" for key, value in run.get("settings", {}).items() if value is not None)


def _result(path: Path) -> AttackResult | None:
    from blackbox.results import AttackResult

    if not (path / "config.json").is_file() or not (path / "examples.safetensors").is_file():
        return None
    try:
        return AttackResult.load(path)
    except Exception as error:  # a damaged file raises many kinds
        raise ValueError(f"Expected {path} to hold a whole result, but it cannot be read: {error}.") from None


def _examples(result: AttackResult) -> list[tuple[Tensor, str]]:
    """Fooled images first, each with what was found."""
    from blackbox.report.figures import choose
    from blackbox.results import words

    shown = choose(result, EXAMPLES).tolist()
    rest = [i for i in range(len(result)) if i not in shown][: EXAMPLES - len(shown)]
    out = []
    for i in [*shown, *rest]:
        told = result.status[i].name.lower().replace("_", " ") if bool(result.known[i]) else "cut off, not known"
        price = f"{int(result.first_success_query[i]):,} queries" if bool(result.success[i]) else told
        of = f", class {int(result.y[i])}" if int(result.y[i]) >= 0 and words.with_classes(result.config) else ""
        now = f"; now {said['says']}" if (said := result.answers.get(i, {}).get("after")) else ""
        out.append((result.x_adv[i], f"sample {int(result.ids[i])}{of}: {price}{now}"))
    return [pair for pair in out if pair[0].ndim == 3 and pair[0].shape[0] in (1, 3)]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _table(path: Path) -> tuple[list[str], list[list[str]], int]:
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        lines = list(csv.reader(file))
    return (lines[0], lines[1 : MOST_ROWS + 1], len(lines) - 1) if lines else ([], [], 0)

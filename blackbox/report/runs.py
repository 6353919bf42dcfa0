"""Read saved runs back: what a folder holds of attacks, transfers, surrogates, sweeps, and what could not be read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from blackbox.report import shown

if TYPE_CHECKING:
    from blackbox.evaluation.evaluation import Evaluation
    from blackbox.report.shown import Shown
    from blackbox.results import AttackResult
    from blackbox.results.pooled import Pooled
    from blackbox.sweep import Store
    from blackbox.sweep.table import Table
    from surrogates import TransferMatrix

Read = TypeVar("Read")
VERBS = ("attack", "evaluate", "transfer", "surrogate", "sweep", "demo")
MARKS = (
    "run.json", "config.json", "examples.safetensors", "evaluation.json", "transfer.json", "training.json", "study.toml",
    "store.sqlite", "seeds.json",
)  # fmt: skip

POINTS = 12  # of a sweep, whose images are shown


@dataclass
class Run:
    """One folder.

    name: unique among the runs of a report; "" on the page of the run itself. made: run.json (command,
    settings, versions, machine), empty where it is not.
    attacks: results by their own name, "" for the only one. images: those kept to be looked at, by the same names, and
    "transfer" for those of the matrix, and the point's words for those of a sweep. surrogate: its bill, report and summary.
    sweep: the table of a study. unseen: points of it whose images are left out, so that they are not too many.
    evaluation: its rows; the single runs of it are not among ``attacks``. not_run: attacks that it ended before.
    pooled: by the attack's name ("" for the only one), those of ``attacks`` that are one with several seeds.
    """

    name: str
    path: Path
    made: dict[str, Any] = field(default_factory=dict)
    attacks: dict[str, AttackResult] = field(default_factory=dict)
    images: dict[str, Shown] = field(default_factory=dict)
    matrix: TransferMatrix | None = None
    surrogate: dict[str, Any] = field(default_factory=dict)
    sweep: Table | None = None
    unseen: list[str] = field(default_factory=list)
    evaluation: Evaluation | None = None
    problems: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    pooled: dict[str, Pooled] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        found = self.made.get("settings")
        return found if isinstance(found, dict) else {}

    @property
    def empty(self) -> bool:
        return not (self.attacks or self.matrix or self.surrogate or self.sweep or self.evaluation)

    def label(self, attack: str) -> str:
        """What one of its results is called beside those of other runs."""
        return f"{self.name}/{attack}" if attack and self.name else attack or self.name

    def seeds(self, attack: str) -> str | None:
        """By which name the attack is among ``pooled``; None where it has one seed."""
        name, _, last = attack.rpartition("/")
        return name if name in self.pooled and last.startswith("seed-") else None

    def again(self, attack: str) -> bool:
        """Is it not the first seed of its attack?"""
        name = self.seeds(attack)
        return name is not None and self.attacks[attack] is not self.pooled[name].results[0]

    def given(self) -> str:
        """The denominator that its transfer rates were asked for with."""
        return str(self.settings.get("given") or "target-correct")


def read_all(paths: Sequence[str | Path]) -> list[Run]:
    """Read every folder (or the store of a sweep). A run of which nothing can be read says why in its ``problems``."""
    folders = [p.parent if p.is_file() and p.suffix in (".sqlite", ".db") else p for p in map(Path, paths)]
    folders = list({p.resolve(): p for given in folders for p in _children(given)}.values())
    return [read(path, name) for path, name in zip(folders, names(folders), strict=True)]


def _children(path: Path) -> list[Path]:
    """The folder itself; of one that only holds runs, those."""
    if not path.is_dir() or any((path / mark).exists() for mark in MARKS):
        return [path]
    inside = [p for p in sorted(path.iterdir()) if p.is_dir() and any((p / mark).exists() for mark in MARKS)]
    return [p for p in inside if not is_report(p)] or [path]


def is_report(path: Path) -> bool:
    try:
        return bool((read_json(path / "run.json") or {})["settings"]["verb"] == "report")
    except (ValueError, KeyError, TypeError):
        return False


def names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = [p.resolve().parts for p in paths]
    out = []
    for mine in parts:
        n = 1
        while n < len(mine) and sum(other[-n:] == mine[-n:] for other in parts) > 1:
            n += 1
        out.append("/".join(mine[-n:]))
    return out


def read(path: Path, name: str) -> Run:
    """Read one folder: its parts, each by itself, so that a damaged one does not hide the others."""
    run = Run(name, path)
    if not path.is_dir():
        run.problems.append(f"Expected a folder with a saved run, but {path} is {'a file' if path.exists() else 'not there'}.")
        return run
    run.made = _try(run, lambda: read_json(path / "run.json") or {}) or {}
    if is_report(path):
        run.problems.append(f"Expected a saved run, but {path} is a report of such. Leave it out.")
        return run
    if (path / "evaluation.json").is_file():  # its single runs have the denominators of what smaller budgets left standing
        run.evaluation = _try(run, lambda: _evaluation(path))
        return run
    for where in sorted({p.parent for n in ("config.json", "examples.safetensors") for p in _below(path, n)}):
        _attack(run, where, "" if where == path else where.relative_to(path).as_posix().removeprefix("queries/"))
    for where in sorted({p.parent for p in _below(path, "seeds.json")}):
        _pool(run, "" if where == path else where.relative_to(path).as_posix())
    _not_run(run)
    if any((path / n).exists() for n in ("transfer.json", "transfer.npz")):
        run.matrix = _try(run, lambda: _matrix(path))
        if run.matrix is not None:
            _images(run, path, "transfer")
    run.surrogate = _try(run, lambda: _surrogate(run) or {}) or {}
    if run.settings.get("verb") == "sweep" or (path / "study.toml").is_file() or (path / "store.sqlite").is_file():
        run.sweep = _try(run, lambda: _sweep(run))
    if run.empty and not run.problems:
        what = "nothing of it is saved: did it end early?" if run.made else "it holds nothing of any."
        verbs = ", ".join(VERBS)
        run.problems.append(f"Expected the folder of a run ({verbs}, or AttackResult.save) at {path}, but {what}")
    return run


def own(path: Path, **parts: Any) -> Run:
    """A run that has just ended, for the page in its folder; one of several attacks has its settings in the folder above."""
    made = read_json(path / "run.json") or read_json(path.parent / "run.json") or {}
    return Run("", path, made, **parts)


def _try(run: Run, read: Callable[[], Read]) -> Read | None:
    """What was read; else None, and a sentence among the problems."""
    try:
        return read()
    except (ValueError, OSError, KeyError, TypeError, sqlite3.Error) as error:
        text = " ".join(str(error).split())
        run.problems.append(text if text.startswith("Expected") else f"Expected a saved run in {run.path}, but: {text}.")
        return None


def _below(path: Path, name: str) -> list[Path]:
    """A file of this name in the folder, or one or two folders below."""
    return [p for pattern in (name, f"*/{name}", f"*/*/{name}") for p in path.glob(pattern)]


def read_json(path: Path) -> Any:
    """The content of a JSON file of settings; None if there is none.

    Raises:
        ValueError: the file is damaged, or holds something else.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"Expected JSON in {path}, but it cannot be read: {error}.") from None
    if not isinstance(found, dict):
        raise ValueError(f"Expected an object of settings in {path}, but it was {type(found).__name__}.")
    return found


def _attack(run: Run, where: Path, name: str) -> None:
    from blackbox.results import AttackResult

    result = _try(run, lambda: AttackResult.load(where))
    if result is not None:
        run.attacks[name] = result
        _images(run, where, name)


def _pool(run: Run, name: str) -> None:
    """Several seeds of one attack, where all of them could be read; else they stay single runs."""
    from blackbox.results.pooled import SEEDS, pool

    def read() -> Pooled | None:
        seeds = json.loads((run.path / name / SEEDS).read_text(encoding="utf-8"))
        single = [run.attacks.get(f"{name}/seed-{seed}" if name else f"seed-{seed}") for seed in seeds]
        there = [result for result in single if result is not None]
        return pool(there) if len(there) == len(seeds) > 1 else None

    if (pooled := _try(run, read)) is not None:
        run.pooled[name] = pooled


def _not_run(run: Run) -> None:
    """Note which of several attacks are not there, because the run ended before them."""
    asked = run.settings.get("parameters")
    if run.settings.get("verb") != "attack" or not isinstance(asked, dict) or not run.attacks or "" in run.attacks:
        return
    if lost := [name for name, given in asked.items() if isinstance(given, dict) and not (run.path / name).is_dir()]:
        run.not_run = lost


def _images(run: Run, where: Path, name: str) -> None:
    found = _try(run, lambda: shown.read(where))
    if found is not None:
        run.images[name] = found


def _matrix(path: Path) -> TransferMatrix:
    from surrogates import TransferMatrix

    return TransferMatrix.load(path)


def _evaluation(path: Path) -> Evaluation:
    from blackbox.evaluation.evaluation import Evaluation

    return Evaluation.load(path)


def _surrogate(run: Run) -> dict[str, Any] | None:
    """Bill, training report, agreement curve and summary of what `blackbox surrogate` wrote."""
    path, ours = run.path, run.settings.get("verb") == "surrogate"
    bill, training = read_json(path / "surrogate.json"), read_json(path / "training.json")
    if bill is None and training is None:
        return None
    found: dict[str, Any] = {"bill": bill or {}, "training": training or {}}
    if (path / "curve.json").is_file():
        from surrogates.acquisition.curve import AgreementCurve

        found["curve"] = AgreementCurve.load(path / "curve.json")
    if ours and (path / "summary.txt").is_file():
        found["summary"] = (path / "summary.txt").read_text(encoding="utf-8").strip()
    return found


def _of_points(run: Run, store: Store, table: Table) -> None:
    from blackbox.report import points

    found, rest = points.of_each(store, table, POINTS)
    run.images |= {str(point): shown for point, shown in found.items()}
    run.unseen = list(map(str, rest))


def _sweep(run: Run) -> Table:
    """The table of a study, from its raw outcomes.

    Raises:
        ValueError: no study, no store, one of another version, or one without a cell of this study.
    """
    from blackbox.sweep import Plan, Store, Study, Table

    path = run.path
    given = run.settings.get("store")
    found = [p for p in (path / "store.sqlite", Path(given) if given else path / "store.sqlite") if p.is_file()]
    if not found:
        raise ValueError(f"Expected the store of a sweep, {path / 'store.sqlite'}, but there is no such file.")
    study = Study.load(path / "study.toml")
    with Store(found[0], look=True) as store:
        cells = len(store.done())
        if not cells:
            raise ValueError(f"Expected outcomes in {found[0]}, but no cell of the sweep is done. Run it first: blackbox sweep.")
        table = Table.read(Plan.of(study), store)
        _try(run, lambda: _of_points(run, store, table))
    if not table.done:
        raise ValueError(
            f"Expected outcomes of {study.name} in {found[0]}, but its {cells:,} cells belong to other studies, or the study, "
            "its images or models were changed since."
        )
    return table

"""`load`: whatever a run has saved, read back in one line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def load(folder: str | os.PathLike[str]) -> Any:
    """Read what a run saved into ``folder``, whichever verb or `save` wrote it.

    Returns:
        Of an attack an `AttackResult`, of one with several seeds a `Pooled`, of several in one folder a dict from their names;
        of an evaluation an `Evaluation`; of a transfer a `surrogates.TransferMatrix`; of a surrogate the net; of a sweep its
        `blackbox.sweep.Table`. A folder that holds several kinds (a demo) gives a dict from their names.

    Raises:
        ValueError: the folder does not exist, holds no saved run, or one that is damaged.
    """
    from blackbox.report.runs import read
    from blackbox.results.pooled import SEEDS, Pooled

    path = Path(folder)
    if (path / SEEDS).is_file():
        return Pooled.load(path)
    if (planned := _of_seeds(path)) is not None:
        return {where.name: _pooled(where) for where in planned}
    run = read(path, path.name)
    if run.problems:
        raise ValueError(" ".join(run.problems))
    found: dict[str, Any] = dict(run.attacks)
    if run.evaluation is not None:
        found["evaluation"] = run.evaluation
    if run.matrix is not None:
        found["transfer"] = run.matrix
    if run.sweep is not None:
        found["sweep"] = run.sweep
    if run.surrogate:
        found |= _net(path)
    if not found:
        raise ValueError(f"Expected the folder of a run at {path}, but it holds nothing that can be read back.")
    return next(iter(found.values())) if len(found) == 1 else found


def _net(path: Path) -> dict[str, Any]:
    from blackbox.specs.model import SURROGATE_FILE

    if not (path / SURROGATE_FILE).is_file():
        return {}
    import surrogates as sg

    return {"surrogate": sg.from_spec(str(path / SURROGATE_FILE))}


def _of_seeds(path: Path) -> list[Path] | None:
    """The folders, one an attack, of a run with several seeds; None of another run."""
    from blackbox.report.runs import read_json
    from blackbox.results.pooled import folders

    settings = (read_json(path / "run.json") or {}).get("settings", {})
    if settings.get("verb") != "seeds":
        return None
    return folders(path, settings["attacks"])


def _pooled(where: Path) -> Any:
    from blackbox.results.pooled import SEEDS, Pooled

    if not (where / SEEDS).is_file():
        done = [p.name for p in sorted(where.glob("seed-*")) if (p / "config.json").is_file()]
        raise ValueError(
            f"Expected all seeds of a run in {where}, but it ended early ({', '.join(done) or 'none'} is saved). Give the same command "
            "again, or load one of them by itself."
        )
    return Pooled.load(where)

"""A TransferMatrix as files: raw outcomes in one, names and settings in the other."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox import areas
from blackbox.threat import L1, L2, Linf, Threat
from surrogates.transfer.runs import Run

if TYPE_CHECKING:
    from surrogates.transfer.matrix import TransferMatrix

_ARRAYS = (
    "labels", "ids", "clean_source", "clean_target", "adv_source", "adv_target", "linf", "l2", "noise_target",
    "noise_linf", "noise_l2", "steps", "cost",
)  # fmt: skip
_NORMS: dict[str, type[Threat]] = {"Linf": Linf, "L2": L2, "L1": L1}


def save(matrix: TransferMatrix, folder: Path) -> Path:
    """See `TransferMatrix.save`."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: getattr(matrix, name) for name in _ARRAYS}
    if matrix.goals is not None:
        arrays["goals"] = matrix.goals
    np.savez_compressed(folder / "transfer.npz", **arrays)
    threats = [{"norm": t.norm, **asdict(t)} for t in matrix.threats]
    names = {"sources": matrix.sources, "targets": matrix.targets, "attacks": matrix.attacks, "threats": threats}
    rest = {"d": matrix.d, "seed": matrix.seed, "queries": matrix.queries, "runs": matrix.runs, "stopped": matrix.stopped}
    rest |= {} if matrix.goal is None else {"goal": matrix.goal}
    (folder / "transfer.json").write_text(json.dumps({"format": 1} | names | rest, indent=1) + "\n", encoding="utf-8")
    return folder


def load(folder: Path, cls: type[TransferMatrix]) -> TransferMatrix:
    """See `TransferMatrix.load`."""
    for name in ("transfer.npz", "transfer.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"Expected a saved transfer matrix in {folder}, but {name} is not there.")
    try:
        raw = json.loads((folder / "transfer.json").read_text(encoding="utf-8"))
        with np.load(folder / "transfer.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        threats = tuple(areas.read(t) or _NORMS[t["norm"]](t["eps"], t["lower"], t["upper"]) for t in raw["threats"])
        names = {k: tuple(raw[k]) for k in ("sources", "targets", "attacks")}
        fixed: dict[str, Any] = {name: arrays[name] for name in _ARRAYS} | {"goals": arrays.get("goals")}
        fixed |= names | {"threats": threats} | {k: raw[k] for k in ("d", "seed", "queries")}
        fixed["runs"] = tuple(Run(*run) for run in raw.get("runs", ()))  # older files have none
        fixed |= {name: raw.get(name) for name in ("stopped", "goal")}
        return cls(**fixed)
    except Exception as error:
        raise ValueError(
            f"Expected a saved transfer matrix in {folder}, but it could not be read: {error!r}."
        ) from None

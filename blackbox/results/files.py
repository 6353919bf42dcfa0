"""Saves and loads a result: config.json, outcomes.csv, examples.safetensors and summary.txt."""

from __future__ import annotations

import csv
import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from blackbox import areas
from blackbox.engine.ledger import STATUSES
from blackbox.environment import environment
from blackbox.goals.excerpt import packed, unpacked
from blackbox.results import words
from blackbox.threat import L0, L1, L2, Linf, Threat

if TYPE_CHECKING:
    from blackbox.results.result import AttackResult

FORMAT, ANSWERS = "blackbox-result-1", "answers.json"
BESIDE = ("x_adv", "status", "threat", "config", "trace", "mask", "answers", "x_clean")  # the fields of a result that are no columns
_THREATS: dict[str, type[Threat]] = {"Linf": Linf, "L2": L2, "L1": L1, "L0": L0}
_SETTINGS = ("attack", "target", "access", "budget", "seed", "targeted")  # the settings that a summary needs


def save(result: AttackResult, folder: str | os.PathLike[str]) -> Path:
    """Write a result into a folder."""
    from safetensors.torch import save_file

    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    threat = {"norm": result.threat.norm, **asdict(result.threat)}
    config = {"environment": environment(), **result.config, "threat": threat}
    (path / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    with open(path / "outcomes.csv", "w", newline="") as f:
        records = result.records()
        paid = ["money"] if "tariff" in result.config else []
        writer = csv.DictWriter(f, fieldnames=[*words.columns(result), *paid, "status", "known"])
        writer.writeheader()
        writer.writerows(records)
    tensors = {name: getattr(result, name).contiguous().clone() for name in result.columns()}  # y and goal may be one tensor
    tensors["status"] = torch.tensor([STATUSES.index(s) for s in result.status], dtype=torch.int8)
    tensors["trace"] = result.trace.contiguous()
    if result.x_clean is not None:
        tensors["x_clean"] = result.x_clean.contiguous()
    if result.mask is not None:
        tensors["mask"] = result.mask.contiguous()
    save_file(
        {**tensors, "x_adv": result.x_adv.contiguous()},
        path / "examples.safetensors",
        {"format": FORMAT},
    )
    (path / ANSWERS).unlink(missing_ok=True)  # of a run before
    if result.answers:
        (path / ANSWERS).write_text(packed(result.answers), encoding="utf-8")
    (path / "summary.txt").write_text(result.summary() + "\n")
    return path


def load(kind: type[AttackResult], folder: str | os.PathLike[str]) -> AttackResult:
    """Load a result that `save` wrote; see `AttackResult.load`."""
    path = Path(folder)
    if not (path / "config.json").exists() or not (path / "examples.safetensors").exists():
        raise FileNotFoundError(
            f"Expected {path} to hold a saved result (config.json, examples.safetensors), but it does not. "
            "Write one with AttackResult.save."
        )
    try:
        made, tensors = _tensors(path / "examples.safetensors")
    except Exception as error:
        raise ValueError(f"Expected a saved result in {path}, but examples.safetensors cannot be read: {error}.") from None
    if made != FORMAT:
        raise ValueError(f"Expected a result of format {FORMAT} in {path}, but it has {made or 'none'}: another version?")
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        spec = config["threat"]
        threat = areas.read(spec) or _THREATS[spec["norm"]](float(spec["eps"]), spec["lower"], spec["upper"])
        status = tuple(STATUSES[code] for code in tensors.pop("status").tolist())
        lengths = {name: len(tensor) for name, tensor in tensors.items() if name not in ("trace", "mask")}
        if odd := [name for name, length in lengths.items() if length != len(status)]:
            raise ValueError(f"{odd[0]} has {lengths[odd[0]]} entries for {len(status)} samples")
        if lacking := [key for key in _SETTINGS if key not in config]:
            raise ValueError(f"config.json does not say {', '.join(lacking)}")
        answers = unpacked((path / ANSWERS).read_text(encoding="utf-8")) if (path / ANSWERS).exists() else {}
        return kind(status=status, threat=threat, config=config, answers=answers, **tensors)
    except Exception as error:
        raise ValueError(f"Expected a saved result in {path}, but it could not be read: {error!r}.") from None


def _tensors(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The format that a file declares, and its tensors."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return (file.metadata() or {}).get("format", ""), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def records(result: AttackResult) -> list[dict[str, Any]]:
    """One dict a sample; see `AttackResult.records`."""
    known, paid = result.known.tolist(), result.money.tolist() if "tariff" in result.config else None
    columns = {name: getattr(result, name).tolist() for name in words.columns(result)}
    return [
        {
            **{name: there(name, column[i], known[i]) for name, column in columns.items()},
            **({} if paid is None else {"money": paid[i]}),
            "status": result.status[i].name.lower(),
            "known": known[i],
        }
        for i in range(len(result))
    ]


def there(name: str, value: Any, known: bool) -> Any:
    """A value of a column for people; None where it stands for none, or for what is not known."""
    if name in ("success", "success_float"):
        return value if known or value else None
    if name in ("first_success_query", "prints"):
        return value or None
    if name in ("y", "goal", "clean_label", "adv_label", "verified", "flagged", "bad"):
        return None if value < 0 else value
    return value if not isinstance(value, float) or math.isfinite(value) else None

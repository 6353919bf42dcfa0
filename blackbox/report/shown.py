"""The few images that a run keeps for reports: clean, and adversarial."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.sweep.pictures import MOST, spread

if TYPE_CHECKING:
    from torch import Tensor

    from blackbox.results import AttackResult
    from blackbox.threat import Threat
    from surrogates import Dataset, TransferMatrix
    from surrogates.crafting.presets import Preset

FILE = "shown.safetensors"
FORMAT = "blackbox-shown-1"


@dataclass(frozen=True)
class Shown:
    """index [m]: which samples of the run. clean, changed [m, C, H, W] in [0, 1]. classes: names by index, may be empty.
    about: which cell of a run they belong to where it has several (source, attack, threat of a transfer). said: columns [m] of
    what the target said of them, by their names in an `AttackResult`, where the run's outcomes do not have them."""

    index: np.ndarray
    clean: np.ndarray
    changed: np.ndarray
    classes: tuple[str, ...] = ()
    about: dict[str, str] = field(default_factory=dict)
    said: dict[str, np.ndarray] = field(default_factory=dict)

    def name(self, label: int) -> str:
        """A class by its name, else by its number."""
        return self.classes[label] if 0 <= label < len(self.classes) else str(label)


def keep(
    folder: Path, index: Any, clean: Tensor, changed: Tensor, classes: Sequence[str], about: Mapping[str, str] | None = None
) -> Path | None:
    """Write clean and changed images of the samples ``index`` [m] into ``folder``; None where there is none."""
    from safetensors.numpy import save_file

    if not len(index):
        return None
    arrays = {"index": np.asarray(index, dtype=np.int64)}
    for name, images in (("clean", clean), ("changed", changed)):
        arrays[name] = np.ascontiguousarray(images.numpy(force=True), dtype=np.float32)
    told = json.dumps({"classes": [str(c) for c in classes], "about": dict(about or {})})
    folder.mkdir(parents=True, exist_ok=True)
    save_file(arrays, folder / FILE, {"format": FORMAT, "told": told})
    return folder / FILE


def of_attack(folder: Path, result: AttackResult, data: Dataset) -> Path | None:
    """A few images of an attack, spread over classes and outcomes."""
    from blackbox.report import figures

    index = figures.choose(result, MOST)
    return keep(folder, index, data.images[index], result.x_adv[index], data.classes)


@dataclass
class LastCell:
    """Holds the images of the cell that `surrogates.transfer_matrix` made last: give it as ``keep``."""

    source: str = ""
    attack: str = ""
    threat: str = ""
    crafted: Tensor | None = None

    def __call__(self, run: str, attack: Preset, threat: Threat, crafted: Tensor) -> None:
        self.source, self.attack, self.threat, self.crafted = run, attack.name, str(threat), crafted


def of_transfer(
    folder: Path, matrix: TransferMatrix, cell: LastCell, data: Dataset, target: str | None = None
) -> Path | None:
    """A few images of a cell that fool a target, the first by default, spread over the classes."""

    assert cell.crafted is not None
    about = {"source": cell.source, "attack": cell.attack, "threat": cell.threat}
    if target is not None:
        about["target"] = target
    fooled, among, _ = matrix.outcomes(cell.source, target or matrix.targets[0], cell.attack, cell.threat)
    index = spread((fooled & among)[0].nonzero()[0], matrix.labels, MOST)
    return keep(folder, index, data.images[index], cell.crafted[index], data.classes, about)


def read(folder: Path) -> Shown | None:
    """What `keep` wrote; None where it wrote nothing.

    Raises:
        ValueError: the file is damaged, or of another version.
    """
    from safetensors import safe_open

    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            head = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in ("index", "clean", "changed")}
        told = json.loads(head["told"])
        if head["format"] != FORMAT:
            raise ValueError(f"its format is {head['format']}")
        return Shown(**arrays, classes=tuple(told["classes"]), about=told["about"])
    except Exception as error:
        raise ValueError(f"Expected images to look at in {path}, but it cannot be read: {error}.") from None

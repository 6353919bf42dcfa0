"""The few images that a run keeps to be looked at: clean ones, and what they were changed into."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

FILE = "shown.safetensors"
FORMAT = "blackbox-shown-1"
MOST = 8  # images kept


@dataclass(frozen=True)
class Shown:
    """index [m]: which samples of the run. clean, changed [m, C, H, W] in [0, 1]. classes: names by index, may be empty.
    about: which cell of a run they belong to where it has several (source, attack, threat of a transfer)."""

    index: np.ndarray
    clean: np.ndarray
    changed: np.ndarray
    classes: tuple[str, ...] = ()
    about: dict[str, str] = field(default_factory=dict)

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

"""`CSV`: a folder for each run with its numbers as a table, its settings as JSON and its pictures as PNG."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from blackbox.loggers.logger import free_folder, pixels, plain

if TYPE_CHECKING:
    from torch import Tensor


class CSV:
    """Writes ``folder/RUN/scalars.csv`` (name, step, value; a line each, flushed at every call), ``settings.json`` and ``*.png``.

    Args:
        folder: holds a folder for each run.
    """

    def __init__(self, folder: str | Path = "runs/csv") -> None:
        self.folder = Path(folder)
        self.run = self.folder
        self.file: TextIO | None = None
        self.settings: dict[str, Any] = {}

    def start(self, settings: Mapping[str, Any]) -> None:
        self.run, self.settings = free_folder(self.folder, str(settings["run"])), plain(settings)
        self._note("running")
        self.file = open(self.run / "scalars.csv", "w", newline="", encoding="utf-8")  # noqa: SIM115
        self.lines = csv.writer(self.file)
        self.lines.writerow(["name", "step", "value"])

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        assert self.file is not None
        self.lines.writerows([name, step, repr(float(value))] for name, value in values.items())
        self.file.flush()

    def images(self, step: int, pictures: Mapping[str, Tensor]) -> None:
        from PIL import Image

        for name, picture in pictures.items():
            path = self.run / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels(picture).squeeze()).save(path)

    def end(self, status: str) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None
        self._note(status)

    def _note(self, status: str) -> None:
        text = json.dumps({**self.settings, "status": status}, indent=1)
        (self.run / "settings.json").write_text(text + "\n", encoding="utf-8")

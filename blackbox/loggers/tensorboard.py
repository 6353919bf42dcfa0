"""`TensorBoard`: a folder of event files for each run; look at them with ``tensorboard --logdir FOLDER``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.loggers.logger import free_folder, need, plain

if TYPE_CHECKING:
    from torch import Tensor


class TensorBoard:
    """Writes event files with `torch.utils.tensorboard`: numbers, pictures, and the settings as hyperparameters.

    Args:
        folder: holds a folder for each run.

    Raises:
        ValueError: the package tensorboard is not installed.
    """

    def __init__(self, folder: str | Path = "runs/tensorboard") -> None:
        need("tensorboard", "log")
        self.folder = Path(folder)
        self.run = self.folder
        self.writer: Any = None
        self.settings: dict[str, Any] = {}
        self.last: dict[str, float] = {}

    def start(self, settings: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.run, self.settings, self.last = free_folder(self.folder, str(settings["run"])), plain(settings), {}
        self.writer = SummaryWriter(str(self.run), flush_secs=10)
        lines = [f"| {name} | {value} |" for name, value in self.settings.items()]
        self.writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *lines]))
        self.writer.flush()  # the run is seen from its beginning

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step, double_precision=True)
        self.last |= {name: value for name, value in values.items() if name.startswith("final/")}

    def images(self, step: int, pictures: Mapping[str, Tensor]) -> None:
        for name, picture in pictures.items():
            self.writer.add_image(name, picture, step)

    def end(self, status: str) -> None:
        from torch.utils.tensorboard.summary import hparams

        # the same folder as the curves: SummaryWriter.add_hparams would open a run of its own beside it
        for part in hparams({**self.settings, "status": status}, dict(self.last)):
            self.writer.file_writer.add_summary(part)
        self.writer.close()
        self.writer = None

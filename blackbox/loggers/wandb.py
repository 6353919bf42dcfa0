"""`WandB`: Weights & Biases; offline unless an account is set up, then ``wandb sync`` sends what was written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.loggers.logger import need, pixels, plain

if TYPE_CHECKING:
    from torch import Tensor


class WandB:
    """Writes a run of Weights & Biases for each run. Offline it needs neither network nor account.

    Args:
        project: where the runs are filed.
        mode: ``"online"`` or ``"offline"``. By default what WANDB_MODE says, ``"online"`` where WANDB_API_KEY is set,
            and ``"offline"`` elsewhere.
        folder: holds wandb's own folder.

    Raises:
        ValueError: the package wandb is not installed.
    """

    def __init__(self, project: str = "blackbox", mode: str | None = None, folder: str | Path = "runs") -> None:
        need("wandb", "wandb")
        environment = os.environ.get("WANDB_MODE") or ("online" if "WANDB_API_KEY" in os.environ else "offline")
        self.project, self.mode, self.folder = project, mode or environment, Path(folder)
        self.run: Any = None

    def start(self, settings: Mapping[str, Any]) -> None:
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        quiet = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True)
        self.groups: set[str] = set()
        self.run = wandb.init(
            project=self.project, name=str(settings["run"]), config=plain(settings), dir=str(self.folder),
            mode=self.mode, reinit="create_new", settings=quiet,  # type: ignore[arg-type]
        )  # fmt: skip

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._log(step, dict(values))

    def images(self, step: int, pictures: Mapping[str, Tensor]) -> None:
        import wandb

        self._log(step, {name: wandb.Image(pixels(picture).squeeze()) for name, picture in pictures.items()})

    def _log(self, step: int, values: dict[str, Any]) -> None:
        """Each group has a step of its own: wandb's single one may never go back."""
        groups = {name.partition("/")[0] for name in values}
        for group in groups - self.groups:
            self.run.define_metric(f"{group}/*", step_metric=f"{group}/step")
        self.groups |= groups
        self.run.log({**values, **{f"{group}/step": step for group in groups}})

    def end(self, status: str) -> None:
        self.run.summary["status"] = status
        self.run.finish(exit_code=int(status not in ("done", "incomplete")))
        self.run = None

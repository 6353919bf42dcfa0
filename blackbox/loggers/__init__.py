"""Loggers: where the numbers of a run are written while it runs.

    logger       the four methods of a logger, and `Log`: several at once, of which one that fails is dropped
    read         words to loggers: ``tensorboard``, ``csv:DIR``, ``wandb:PROJECT``, ``mlflow:FOLDER``
    csv_files, tensorboard, wandb, mlflow    one backend a file
    attack       what is logged of an attack: live numbers, the curve of success against queries, first examples

    blackbox.attack(oracle, x, y, "square", threat, 1000, log=["csv:runs/log", MyLogger()])

The name of a number begins with its group, ``curve/success_rate``: the numbers of one group share the meaning of ``step``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox.lazy import lazy

_WHERE = {
    "Logger": "blackbox.loggers.logger",
    "Log": "blackbox.loggers.logger",
    "CSV": "blackbox.loggers.csv_files",
    "TensorBoard": "blackbox.loggers.tensorboard",
    "WandB": "blackbox.loggers.wandb",
    "MLflow": "blackbox.loggers.mlflow",
    "read": "blackbox.loggers.read",
    "opened": "blackbox.loggers.read",
}
__all__ = list(_WHERE)

if TYPE_CHECKING:
    from blackbox.loggers.csv_files import CSV
    from blackbox.loggers.logger import Log, Logger
    from blackbox.loggers.mlflow import MLflow
    from blackbox.loggers.read import opened, read
    from blackbox.loggers.tensorboard import TensorBoard
    from blackbox.loggers.wandb import WandB

__getattr__, __dir__ = lazy(__name__, _WHERE)

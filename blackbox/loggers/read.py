"""Words to loggers: ``tensorboard``, ``csv:DIR``, ``wandb:PROJECT``, ``mlflow:FOLDER``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blackbox.loggers.logger import METHODS, Log

WORDS = ("tensorboard", "csv", "wandb", "mlflow")


def read(text: str, base: str | Path = "runs") -> Any:
    """Make a logger from a word and, after a colon, its folder (W&B: its project). Without one it writes below ``base``.

    Raises:
        ValueError: an unknown word, or the backend's package is not installed.
    """
    word, _, rest = text.partition(":")
    if word == "tensorboard":
        from blackbox.loggers.tensorboard import TensorBoard

        return TensorBoard(rest or Path(base) / word)
    if word == "csv":
        from blackbox.loggers.csv_files import CSV

        return CSV(rest or Path(base) / word)
    if word == "wandb":
        from blackbox.loggers.wandb import WandB

        return WandB(rest or "blackbox", folder=base)
    if word == "mlflow":
        from blackbox.loggers.mlflow import MLflow

        return MLflow(rest or Path(base) / "mlruns")
    raise ValueError(
        f"Expected a logger, {', '.join(WORDS)}, with :FOLDER or (wandb) :PROJECT, but it was {text!r}. "
        "For example --log csv:runs/log."
    )


def opened(log: Any, base: str | Path = "runs") -> Log | None:
    """What callers give as ``log=``, checked: None, a word, an object with a logger's methods, or several of these.

    Raises:
        ValueError: an unknown word, or a package is missing. TypeError: an object that is no logger.
    """
    if log is None or isinstance(log, Log):
        return log
    single = isinstance(log, str) or any(hasattr(log, name) for name in METHODS) or not isinstance(log, Iterable)
    found = Log(read(one, base) if isinstance(one, str) else one for one in ([log] if single else log))
    return found if found else None

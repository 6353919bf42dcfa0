"""What is logged of a training run: ``train/`` loss and accuracy after each epoch; step: the epoch, from 1.

With a target's answers, accuracy is agreement: ``train/agreement`` on the answers trained on, ``train/held_out_agreement`` on
answers held out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blackbox.loggers.logger import Log
from surrogates.training.recipe import Recipe, TrainReport

NAMES = {name: name for name in ("loss", "accuracy", "held_out_loss", "held_out_accuracy")}
AGREEMENT = {**NAMES, "accuracy": "agreement", "held_out_accuracy": "held_out_agreement"}


class TrainLog:
    """Logs one training run. Never raises for what a logger does.

    Args:
        taught: the labels are a target's answers.
    """

    def __init__(self, log: Log, taught: bool) -> None:
        self.log, self.names, self.told = log, AGREEMENT if taught else NAMES, 0

    def beside(self, progress: Callable[[int, TrainReport], None] | None) -> Callable[[int, TrainReport], None]:
        """A progress callback that logs, and calls the caller's own."""

        def told(epoch: int, report: TrainReport) -> None:
            self.epochs(report)
            if progress is not None:
                progress(epoch, report)

        return told

    def epochs(self, report: TrainReport) -> None:
        """Log the epochs that are new; a run read from a file has several at first."""
        for i in range(self.told, len(report.loss)):
            columns = {self.names[name]: getattr(report, name) for name in self.names}
            self.log.scalars(i + 1, {f"train/{name}": column[i] for name, column in columns.items() if i < len(column)})
        self.told = len(report.loss)

    def finish(self, report: TrainReport) -> None:
        """Log what is left, the epoch kept and the queries."""
        self.epochs(report)
        final: dict[str, float] = {"best_epoch": report.best, "queries": report.queries}
        if report.best:
            columns = {self.names[name]: getattr(report, name) for name in self.names}
            final |= {name: column[report.best - 1] for name, column in columns.items() if report.best <= len(column)}
        self.log.scalars(max(self.told, 1), {f"final/{name}": float(value) for name, value in final.items()})


def described(net: Any, recipe: Recipe, seed: int, verb: str = "train", **more: Any) -> dict[str, Any]:
    """The settings of a training run, as a logger is told."""
    name, given = type(net).__name__, {f"recipe_{key}": value for key, value in recipe.settings().items()}
    return {"run": f"{verb}-{name}-seed{seed}", "verb": verb, "net": name, "seed": seed, **more, **given}

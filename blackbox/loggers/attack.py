"""What is logged of an attack: numbers while it runs, the curve of success against queries, and the first examples.

Groups and their steps:

    attack/   success_rate, mean_queries, known, unknown: so far; step: queries spent in all
    curve/    success_rate: share of attacked images fooled (that reached the goal) within so many queries; step: queries an image
    final/    what the result says at the end; step: queries spent in all
    example/  clean, adversarial and difference side by side; step: the query that found the example

A point of the curve is logged as soon as every image that is still at work has spent that many queries: nothing that comes
later can change it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from blackbox.engine.ledger import CODES, LIVE, Ledger
from blackbox.engine.progress import Progress
from blackbox.loggers.logger import Log
from blackbox.protocol import Status

if TYPE_CHECKING:
    from torch import Tensor

    from blackbox.results import AttackResult

PAUSE, SHARE = 0.2, 1 / 200
"""Seconds between live numbers, at least; and the share of a run's time that they may take."""
POINTS = 100  # of a curve
EXAMPLES = 8


def grid(budget: int) -> np.ndarray:
    """The numbers of queries at which a curve is logged: all at first, then ever wider apart, the budget last."""
    return np.unique(np.round(np.geomspace(1, budget, POINTS)).astype(np.int64))


def curve(first: np.ndarray, attacked: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The share of attacked images whose first success (0: none) came within each number of queries."""
    found = np.sort(first[attacked & (first > 0)])
    return np.searchsorted(found, at, side="right") / attacked.sum()


def strip(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Clean, adversarial and difference side by side, [C, H, 3 W]; the difference around grey, stretched to its largest entry."""
    change = adversarial - clean
    return torch.cat([clean, adversarial, 0.5 + 0.5 * change / change.abs().max().clamp_min(1e-12)], -1)


class AttackLog:
    """Logs one attack. Never raises for what a logger does.

    Args:
        log: the loggers. settings: of the run. budget: the most queries an image. eight_bit: successes are decided at the
            end only, so the curve comes then.
    """

    def __init__(self, log: Log, settings: Mapping[str, Any], budget: int, eight_bit: bool = False) -> None:
        self.log, self.at, self.hold, self.logged = log, grid(budget), eight_bit, 0
        log.start(settings)
        self.begin = self.next = time.perf_counter()

    def beside(
        self, progress: Callable[[Progress], None] | None, ledger: Callable[[], Ledger]
    ) -> Callable[[Progress], None]:
        """A progress callback that logs, and calls the caller's own."""

        def told(now: Progress) -> None:
            if progress is not None:
                progress(now)
            self.live(ledger())

        return told

    def live(self, ledger: Ledger) -> None:
        """Log how far the run is, unless it was logged a moment ago."""
        begin = time.perf_counter()
        if begin < self.next or not self.log:
            return
        status, spent = ledger.status, ledger.spent
        live, wrong = status == LIVE, np.isin(status, [CODES[Status.CLEAN_WRONG], CODES[Status.REACHED]])
        attacked, unknown = (spent > 0) & ~wrong, live | (status == CODES[Status.ERROR]) | (status == CODES[Status.REJECTED])
        self._so_far(attacked, ledger.first > 0, spent, unknown)
        if not self.hold:
            settled = int(spent[live].min()) if live.any() else int(self.at[-1])
            self._curve(ledger.first, attacked, settled)
        now = time.perf_counter()
        self.next = now + max(PAUSE, (now - self.begin) * SHARE, (now - begin) / SHARE)

    def finish(self, result: AttackResult, status: str | None, images: Tensor | None = None) -> None:
        """Log what the result says, the rest of the curve, and the first examples; end the run unless ``status`` is None.

        Where a run was cut short, the curve ends at the number of queries up to which all its images are known.
        """
        if not self.log:
            return
        first, spent = result.first_success_query.numpy(), result.queries.numpy()
        attacked, unknown = result.attacked.numpy(), ~result.known.numpy()
        step = self._so_far(attacked, result.success.numpy(), spent, unknown)
        if not (self.hold and unknown.any()):
            settled = int(spent[unknown].min()) if unknown.any() else int(self.at[-1])
            self._curve(first, attacked, settled)
        rest = "withstood" if result.config.get("goal") else "robust_accuracy"  # of all: they did not reach it, unchanged or attacked
        rates = {"success_rate": result.success_rate, rest: result.robust_accuracy}
        values = {name: rate.value for name, rate in rates.items() if rate.n}
        if not np.isnan(result.mean_queries):
            values["mean_queries"] = result.mean_queries
        values |= {"known": int((~unknown).sum()), "unknown": int(unknown.sum()), "spent": step}
        self.log.scalars(step, {f"final/{name}": float(value) for name, value in values.items()})
        if images is not None:
            self._examples(result, images)
        if status is not None:
            self.log.end(status)

    def _so_far(self, attacked: np.ndarray, found: np.ndarray, spent: np.ndarray, unknown: np.ndarray) -> int:
        step, count = int(spent.sum()), int(attacked.sum())
        values: dict[str, float] = {"attack/known": float((~unknown).sum()), "attack/unknown": float(unknown.sum())}
        if count:
            values["attack/success_rate"] = float((found & attacked).sum() / count)
            values["attack/mean_queries"] = float(spent[attacked].sum() / count)
        self.log.scalars(step, values)
        return step

    def _curve(self, first: np.ndarray, attacked: np.ndarray, settled: int) -> None:
        end = int(np.searchsorted(self.at, settled, side="right"))
        if end <= self.logged or not attacked.any():
            return
        at, self.logged = self.at[self.logged : end], end
        for step, value in zip(at.tolist(), curve(first, attacked, at).tolist(), strict=True):
            self.log.scalars(step, {"curve/success_rate": value})

    def _examples(self, result: AttackResult, images: Tensor) -> None:
        """The examples that were found first; of equals those of the first images."""
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            return
        found = np.flatnonzero(result.success.numpy())
        first = result.first_success_query.numpy()[found]
        for i in found[np.argsort(first, kind="stable")][:EXAMPLES].tolist():
            name = f"example/{int(result.ids[i])}"
            self.log.images(int(result.first_success_query[i]), {name: strip(images[i], result.x_adv[i])})

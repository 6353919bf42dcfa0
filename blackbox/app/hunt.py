"""A query attack on one image, shown while it runs; it can be stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox.app.bench import Bench, Shot
from blackbox.app.compute import Said, replied
from blackbox.attacks import REGISTRY, build, get, with_prior
from blackbox.oracle.oracle import Oracle, Reply, TargetError
from blackbox.run import resolve

if TYPE_CHECKING:
    from blackbox.results import AttackResult

STOPPED = "stopped by hand"
_LOOK = 0.1  # seconds between two updates


def names() -> list[str]:
    """The attacks that serve Linf: `square` first, then in the order of the registry."""
    found = [name for name in REGISTRY if "Linf" in get(name).norms]
    return sorted(found, key=lambda name: name != "square")


class Watched(Oracle):
    """An Oracle that records what it shows, and can be slowed down and stopped without losing an answer.

    stop: set to end the attack at its next query. pace: queries a second at most, 0 for no limit.
    """

    stop: threading.Event
    pace: float = 0.0
    leave: int = 0

    def watch(self, leave: int, stop: threading.Event, pace: float) -> Watched:
        """Begin to record the probability of the label ``leave``, query by query."""
        self.leave, self.stop, self.pace = leave, stop, pace
        self.trail: list[tuple[int, float]] = []  # (query, probability of ``leave``), an improvement each
        self.best: tuple[Tensor, Reply] | None = None
        self.first: Reply | None = None
        self._lowest, self._begin = float("inf"), time.perf_counter()
        return self

    def submit(self, x: Tensor, purpose: str) -> Reply:
        if purpose == "verify":
            return super().submit(x, purpose)
        if self.pace:
            self.stop.wait(max(0.0, self._begin + (self.rows + len(x)) / self.pace - time.perf_counter()))
        if self.stop.is_set():
            raise TargetError(STOPPED)
        reply = super().submit(x, purpose)
        self.first = self.first or reply
        p = reply.probabilities()[:, self.leave].cpu()
        asked = self.rows - len(x)
        for i, value in enumerate(p.tolist()):
            if value < self._lowest:
                self._lowest = value
                self.trail.append((asked + i + 1, value))
                self.best = x[i : i + 1].cpu(), _row(reply, i)
        return reply


def _row(reply: Reply, i: int) -> Reply:
    at = slice(i, i + 1)
    values, classes = (None if v is None else v[at] for v in (reply.values, reply.classes))
    return Reply(reply.access, reply.label[at], values, classes, reply.total)


@dataclass(frozen=True)
class Meter:
    """State of the attack. spent: rows charged, of at most budget. trail: (query, probability of the right label) at every
    improvement. said: the answers to the best image so far. ended: why it ended, empty while it runs."""

    attack: str
    eps: float
    spent: int
    budget: int
    clean: Tensor
    image: Tensor
    said: Said | None
    trail: list[tuple[int, float]]
    seconds: float
    ended: str = ""
    result: AttackResult | None = None

    @property
    def change(self) -> float:
        return float((self.image - self.clean).abs().max())


@dataclass(eq=False)
class Hunt:
    """One query attack, run by `watch` in a thread of its own.

    Args:
        attack: a name from `names`. surrogate: for attacks that take a prior. budget: queries at most. pace: a second.
    """

    bench: Bench
    shot: Shot
    target: str
    attack: str = "square"
    surrogate: str = ""
    eps: float = 0.1
    budget: int = 1000
    seed: int = 0
    pace: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> Iterator[Meter]:
        """The meter, ten times a second and once at the end. Closing the iterator stops the attack.

        Raises:
            ValueError, TargetError: the attack could not begin, or the target failed before it had answered anything.
        """
        attack = self._built()
        access = "labels" if attack.access is bb.Access.LABELS else None
        oracle = self.bench.oracle(self.target, access, Watched)
        assert isinstance(oracle, Watched)
        leave = self.shot.label
        if leave is None:
            leave = int(self.bench.look(self.target, self.shot.image[None], "clean").label[0])
        oracle.watch(leave, self.stop, self.pace)
        resolve(attack, oracle, bb.Linf(self.eps), tuple(self.shot.image.shape))
        box: dict[str, Any] = {}

        def work() -> None:
            try:
                box["result"] = bb.attack(
                    oracle, self.shot.image[None], torch.tensor([leave]), attack, bb.Linf(self.eps), int(self.budget),
                    seed=self.seed, cohort=1,
                )  # fmt: skip
            except TargetError as error:
                box["result"], box["error"] = error.result, error
            except (Exception, SystemExit) as error:  # raised again in the visitor's thread
                box["error"] = error

        begin = time.perf_counter()
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                yield self._meter(oracle, leave, time.perf_counter() - begin)
                thread.join(_LOOK)
        finally:
            self.stop.set()
        if box.get("result") is None:
            raise box["error"]
        yield self._end(oracle, leave, time.perf_counter() - begin, box["result"], box.get("error"))

    def _built(self) -> Any:
        if self.attack not in names():
            raise ValueError(
                f"Expected an attack that serves Linf, one of {', '.join(names())}, but it was {self.attack!r}."
            )
        if not (isinstance(self.budget, (int, float)) and self.budget >= 1):
            raise ValueError(f"Expected a budget of at least one query, but it was {self.budget!r}.")
        prior = {"prior": sg.prior(self.bench.net(self.surrogate))} if self.attack in with_prior() else {}
        return build(self.attack, **prior)

    def _meter(self, oracle: Watched, leave: int, seconds: float) -> Meter:
        first, best = oracle.first, oracle.best
        said = None if first is None or best is None else replied(self.target, leave, first, best[1])
        image = self.shot.image if best is None else best[0][0]
        trail, budget = list(oracle.trail), int(self.budget)
        return Meter(self.attack, self.eps, oracle.rows, budget, self.shot.image, image, said, trail, seconds)

    def _end(self, oracle: Watched, leave: int, seconds: float, result: AttackResult, error: Exception | None) -> Meter:
        """The attack's example and the target's answer to it (a query of the page, not charged to the attack)."""
        first = oracle.first
        image, last = result.x_adv, None
        if first is not None:
            try:
                shown = self.bench.look(self.target, image, "look")
            except TargetError:  # it failed before: its last answer to this image
                shown = oracle.best[1] if oracle.best is not None else first
            if oracle.access is bb.Access.LABELS:  # show no more than the attack saw
                shown = Reply(oracle.access, shown.label, None, None, shown.total)
            last = replied(self.target, leave, first, shown)
        ended = result.status[0].value if error is None else str(error)
        return replace(self._meter(oracle, leave, seconds), image=image[0], said=last, ended=ended, result=result)

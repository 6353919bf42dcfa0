"""Searches by turns: code that asks a model whenever it likes, stopped at each question until it is answered.

A `Turn` is one search in a thread of its own, which runs only while `Turn.resume` waits for it: no two run at once, and nothing runs
between two turns. It has its own state of the global random generators (Python's, numpy's, torch's on the CPU); those of the program are
as they were after each turn.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Question", "Stopped", "Turn", "seed_all"]

Question = Callable[[Tensor], Tensor]
"""points [m, \\*shape] -> answers [m, ...]."""


class Stopped(BaseException):
    """Raised in a search where it stands, to end it. No ``Exception``, so that code which catches these does not go on."""


def seed_all(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch (on the CPU) with ``seed``, 0 to 2**32 - 1; in a turn these are the search's
    own, and the program's are restored after it."""
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed those of other devices, too, which no turn restores


_numpys = np.random.RandomState


class _Kind(type):
    """Whatever is one of numpy's is one of `_RandomState`, also where it was made before the turn."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _numpys) if cls is _RandomState else super().__instancecheck__(instance)


class _RandomState(np.random.RandomState, metaclass=_Kind):
    """A generator that is made without a seed takes one from numpy's global generator, which has one."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(np.random.randint(2**31) if seed is None else seed)


_default_rng = np.random.default_rng


def _rng(seed: Any = None) -> np.random.Generator:
    return _default_rng(np.random.randint(2**31) if seed is None else seed)


class Turn:
    """One search, by turns.

    Args:
        work: called in the thread with the function that asks: it gives points and gets their answers.

    Attributes:
        ended: it has come to its end, or was stopped. error: what it raised; None where it returned.
    """

    def __init__(self, work: Callable[[Question], object]) -> None:
        self.error: BaseException | None = None
        self.ended = self._stopped = False
        self._work, self._asked, self._answer = work, torch.empty(0), torch.empty(0)
        self._state: Any = None
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._body, name="blackbox search", daemon=True)

    def resume(self, answer: Tensor | None = None) -> Tensor | None:
        """Begin the search, or answer what it asked, and run it until it asks again.

        Returns:
            The points that it asks about next; None where it has ended.
        """
        if self.ended:
            return None
        if answer is not None:
            self._answer = answer
        with self._generators():
            if self._thread.ident is None:
                self._thread.start()
            self._go.release()
            try:
                self._back.acquire()
            except BaseException:  # ctrl-C in the middle of a turn: it must not draw from generators that are given back
                self._end()
                raise
        if self.ended:
            self._thread.join()
            return None
        return self._asked

    def stop(self) -> None:
        """End the search where it stands and wait for its thread. (A search that catches `Stopped` and asks on and on never ends.)"""
        if self._thread.ident is None:
            self.ended = True
        elif not self.ended and not sys.is_finalizing():  # then no other thread runs any more
            with self._generators():
                self._end()

    def _end(self) -> None:
        self._stopped = True
        self._go.release()
        self._thread.join()

    def _body(self) -> None:
        self._go.acquire()
        try:
            if not self._stopped:
                self._work(self._ask)
        except BaseException as error:  # whoever resumes it decides
            self.error = error
        self.ended = True
        self._back.release()

    def _ask(self, z: Tensor) -> Tensor:
        if threading.current_thread() is not self._thread:  # it could get another's answer, and would run between two turns
            raise RuntimeError(
                "Expected a search to ask from the thread that it runs in, but it asked from another, "
                f"{threading.current_thread().name}. Have it ask about several points in one batch, without threads of its own."
            )
        if not self._stopped:
            self._asked = z
            self._back.release()
            self._go.acquire()
        if self._stopped:
            raise Stopped
        return self._answer

    @contextmanager
    def _generators(self) -> Iterator[None]:
        """The search's own generators, until the turn is over."""
        before = _states()
        numpys = {"RandomState": np.random.RandomState, "default_rng": np.random.default_rng}
        if self._state is not None:
            _put(self._state)
        np.random.RandomState, np.random.default_rng = _RandomState, _rng  # type: ignore[misc, assignment]
        try:
            yield
        finally:
            for name, value in numpys.items():
                setattr(np.random, name, value)
            self._state = _states()
            _put(before)


def _states() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def _put(states: tuple[Any, ...]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])

"""Many searches by turns, so that a peer that takes one image at a time is answered in batches.

Each search has a thread, a state of the random generators and a turn; no two run at once. What all of them ask in a round is
answered in one call of the net. A search finds what it would find alone: its own draws, its own answers.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

Ask = Callable[[Tensor], Tensor]  # [n, *shape] -> scores [n, classes]
Work = Callable[[Ask], object]


def seed_all(seed: int) -> None:
    """All three generators that the peers draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def seeded() -> Iterator[None]:
    """Generators that a peer makes without a seed (ART's HopSkipJump does) take theirs from numpy's, which has one."""

    class Seeded(np.random.RandomState):
        def __init__(self, seed: Any = None) -> None:
            super().__init__(np.random.randint(2**31) if seed is None else seed)

    with mock.patch.object(np.random, "RandomState", Seeded):
        yield


class Turn:
    """One search: what it asks, what it was answered, and its own state of the generators."""

    def __init__(self, work: Work) -> None:
        self.work, self.asked, self.answer, self.error = work, torch.empty(0), torch.empty(0), None
        self.done, self.broken = False, False
        self.state: tuple[Any, ...] = ()
        self.go, self.back = threading.Semaphore(0), threading.Semaphore(0)
        self.thread = threading.Thread(target=self._body, daemon=True)
        self.thread.start()

    def _body(self) -> None:
        self.go.acquire()
        try:
            if not self.broken:
                self.work(self.ask)
        except BaseException as error:  # told to whoever waits, see `by_turns`
            self.error = error
        self.done = True
        self.back.release()

    def ask(self, z: Tensor) -> Tensor:
        self.asked = z
        self.state = (random.getstate(), np.random.get_state(), torch.get_rng_state())
        self.back.release()
        self.go.acquire()
        if self.broken:
            raise RuntimeError("The net failed in another search's turn.")
        for put, state in zip((random.setstate, np.random.set_state, torch.set_rng_state), self.state, strict=True):
            put(state)
        return self.answer

    def run(self) -> bool:
        """Until it asks again (True) or ends."""
        self.go.release()
        self.back.acquire()
        return not self.done


def by_turns(net: nn.Module, works: Sequence[Work], largest: int = 128) -> list[BaseException | None]:
    """Run the searches to their ends.

    Args:
        net: answers, in calls of at most ``largest`` rows, without gradients.

    Returns:
        What each search ended with: an exception, or None.
    """
    turns = [Turn(work) for work in works]
    live = turns
    try:
        with seeded():
            while live := [turn for turn in live if turn.run()]:
                with torch.no_grad():
                    out = torch.cat([net(part) for part in torch.cat([turn.asked for turn in live]).split(largest)])
                for turn, answer in zip(live, out.split([len(turn.asked) for turn in live]), strict=True):
                    turn.answer = answer.clone()  # a peer may write into it
    finally:
        for turn in turns:
            if not turn.done:
                turn.broken = True
                turn.run()
    return [turn.error for turn in turns]

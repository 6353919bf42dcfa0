"""Surgery: what is done to the nets while gradients are taken, as context managers; feature taps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from blackbox.rng import Stream
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.parts.base import Part


@dataclass(frozen=True)
class Surgery(Part):
    """Base class: ``__call__(nets)`` is a context manager around all calls of a craft; afterwards the nets are as before.

    It yields None or a `Listener`. tap: it yields a `Listener` whose ``take`` gives features.
    """

    slot: ClassVar[str] = "nets"
    tap: ClassVar[bool] = False

    def __call__(self, nets: Sequence[nn.Module]) -> AbstractContextManager[Any]:
        raise NotImplementedError


class Listener(Protocol):
    """What a surgery may yield. Any of the methods may be missing."""

    def meet(self, pool: Pool) -> None:
        """Called once, before the first step, with the images that may be mixed in."""

    def before(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> None:
        """Called before each call of a net with the rows it is about to see (random surgery draws here, row by row)."""

    def take(self) -> Tensor:
        """Called after each call of a net: its feature [m, ...], with graph, of the rows just seen."""

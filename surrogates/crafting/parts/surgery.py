"""Surgery: what is done to the nets while gradients are taken, as context managers around all calls; feature taps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from blackbox.rng import Stream
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.parts.base import Part
from surrogates.crafting.surgery import hooks


@dataclass(frozen=True)
class Surgery(Part):
    """Base class: ``__call__(nets)`` is a context manager around all calls of the nets; afterwards they are as before.

    It yields None or a `Listener`. tap: it yields a `Listener` whose ``take`` gives features.
    """

    slot: ClassVar[str] = "nets"
    tap: ClassVar[bool] = False


class Listener(Protocol):
    """What a surgery may yield. Any of the methods may be missing."""

    def meet(self, pool: Pool) -> None:
        """Called once, before the first step, with the images that may be mixed in."""

    def before(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> None:
        """Called before each call of a net with the rows it is about to see (random surgery draws here, row by row)."""

    def take(self) -> Tensor:
        """Called after each call of a net: its feature [m, ...], with graph, of the rows just seen."""


@contextmanager
def _each(nets: Sequence[nn.Module], edit: Callable[[nn.Module], AbstractContextManager[Any]]) -> Iterator[None]:
    with ExitStack() as stack:
        for net in dict.fromkeys(nets):  # a net that stands in an ensemble twice is edited once
            stack.enter_context(edit(net))
        yield


@dataclass(frozen=True)
class SGM(Surgery):
    """Gradients through residual branches times ``gamma``; see `surrogates.hooks.sgm`."""

    gamma: float = 0.2

    def __call__(self, nets: Sequence[nn.Module]) -> AbstractContextManager[None]:
        return _each(nets, lambda net: hooks.sgm(net, self.gamma))


@dataclass(frozen=True)
class LinBP(Surgery):
    """ReLUs pass gradients on as they are, from the share ``start`` on; see `surrogates.hooks.linbp`."""

    start: float = 0.5

    def __call__(self, nets: Sequence[nn.Module]) -> AbstractContextManager[None]:
        return _each(nets, lambda net: hooks.linbp(net, self.start))


@dataclass(frozen=True)
class BPA(Surgery):
    """SiLU's derivative for ReLUs, a softmax for max pooling; see `surrogates.hooks.bpa`."""

    start: float = 0.5
    temperature: float = 10.0

    def __call__(self, nets: Sequence[nn.Module]) -> AbstractContextManager[None]:
        return _each(nets, lambda net: hooks.bpa(net, self.start, self.temperature))


class _Taps:
    """The taps of all nets as one: they look at whichever was called last."""

    def __init__(self) -> None:
        self.last: Tensor | None = None

    def look(self, t: Tensor) -> None:
        self.last = t

    def take(self) -> Tensor:
        assert self.last is not None, "a net was asked without graph"
        return self.last


@dataclass(frozen=True)
class Tap(Surgery):
    """Shows a layer's activations to the loss; see `surrogates.hooks.tap`.

    layer: a module's name, or the share of the net's depth before which the block of interest ends.
    """

    layer: str | float = 0.5
    tap = True

    @contextmanager
    def __call__(self, nets: Sequence[nn.Module]) -> Iterator[_Taps]:
        taps = _Taps()
        with _each(nets, lambda net: hooks.tap(net, self.layer, taps.look)):
            yield taps

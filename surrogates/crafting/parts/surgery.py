"""Surgery: context managers that change how nets compute gradients during crafting; feature taps."""

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
    """Base class: ``__call__(nets)`` is a context manager around all calls of the nets, which it restores at the end.

    It yields None or a `Listener`. tap: the `Listener` has a ``take`` that returns features. copied: it works on copies of the nets in
    the faster channels-last layout as well.
    """

    slot: ClassVar[str] = "nets"
    tap: ClassVar[bool] = False
    copied: ClassVar[bool] = False


class Listener(Protocol):
    """What a surgery may yield to be called back. Any of the methods may be missing."""

    def meet(self, pool: Pool) -> None:
        """Receive the images that may be mixed in; called once, before the first step."""

    def before(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> None:
        """Receive the rows that a net is about to be called with (random surgery draws here, for each row)."""

    def told(self, loss: Tensor) -> None:
        """Receive the loss [m] of these rows, over all nets; called before the gradient is taken."""

    def take(self) -> Tensor:
        """Return the net's features [m, ...], with graph, of the last call; called after each call of a net."""


@contextmanager
def _each(nets: Sequence[nn.Module], edit: Callable[[nn.Module], AbstractContextManager[Any]]) -> Iterator[None]:
    with ExitStack() as stack:
        for net in dict.fromkeys(nets):  # a net listed twice is edited once
            stack.enter_context(edit(net))
        yield


@dataclass(frozen=True)
class SGM(Surgery):
    """Multiplies gradients through residual branches by ``gamma``; see `surrogates.hooks.sgm`."""

    gamma: float = 0.2

    def __call__(self, nets: Sequence[nn.Module]) -> AbstractContextManager[None]:
        return _each(nets, lambda net: hooks.sgm(net, self.gamma))


@dataclass(frozen=True)
class LinBP(Surgery):
    """Lets ReLUs pass gradients unchanged, from the share ``start`` of them on; see `surrogates.hooks.linbp`."""

    start: float = 0.5

    def __call__(self, nets: Sequence[nn.Module]) -> AbstractContextManager[None]:
        return _each(nets, lambda net: hooks.linbp(net, self.start))


@dataclass(frozen=True)
class BPA(Surgery):
    """Uses SiLU's derivative for ReLUs and softmax weights for max pooling; see `surrogates.hooks.bpa`."""

    start: float = 0.5
    temperature: float = 10.0

    def __call__(self, nets: Sequence[nn.Module]) -> AbstractContextManager[None]:
        return _each(nets, lambda net: hooks.bpa(net, self.start, self.temperature))


class _Taps:
    """The taps of all nets: holds the features of the net called last."""

    def __init__(self) -> None:
        self.last: Tensor | None = None

    def look(self, t: Tensor) -> None:
        self.last = t

    def take(self) -> Tensor:
        assert self.last is not None, "a net was called without graph"
        return self.last


@dataclass(frozen=True)
class Tap(Surgery):
    """Passes a layer's activations to the loss; see `surrogates.hooks.tap`.

    layer: a module's name, or a share of the net's depth: the last block that ends within it.
    """

    layer: str | float = 0.5
    tap = True

    @contextmanager
    def __call__(self, nets: Sequence[nn.Module]) -> Iterator[_Taps]:
        taps = _Taps()
        with _each(nets, lambda net: hooks.tap(net, self.layer, taps.look)):
            yield taps

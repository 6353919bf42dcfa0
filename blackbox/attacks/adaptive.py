"""`Adaptive`: the base of attacks that stand around another one and change what it asks and what it is told."""

from __future__ import annotations

import inspect
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from blackbox import attacks
from blackbox.adopted import as_attack
from blackbox.protocol import Access, Ask, Attack, Retire, Task, Tell
from blackbox.threat import Threat


@dataclass(frozen=True)
class Adaptive(Attack):
    """An attack around another one, with the norms, the access, the parts and the prior of that one.

    A subclass writes `begin`, what it remembers of each row at first, and `ask`, which answers one Ask of the inner attack with
    Asks of its own.

    Args:
        attack: a registered name or an attack.
    """

    access: ClassVar[Access] = Access.TOPK  # of the default; an instance has its attack's
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2", "L1")

    attack: str | Attack = "square"

    def __post_init__(self) -> None:
        inner = self.inner
        for name in ("access", "minimises", "informed", "needs_prior", "needs_images"):
            object.__setattr__(self, name, getattr(inner, name))
        object.__setattr__(self, "norms", tuple(inner.norms))
        object.__setattr__(self, "parts", tuple(inner.parts))
        object.__setattr__(self, "prior", inner.prior)

    @property
    def inner(self) -> Attack:
        """The attack that is wrapped."""
        return attacks.build(self.attack) if isinstance(self.attack, str) else as_attack(self.attack)  # type: ignore[no-any-return]

    def settle(self, access: Access, threat: Threat) -> Attack:
        inner = self.inner
        settled = inner.settle(access, threat)
        return self if settled is inner else replace(self, attack=settled)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        self.inner.check_shape(shape)

    @dataclass
    class State:
        inner: Any  # the State of the attack
        memory: Any  # [n, ...] tensors: what the wrapper knows of each row

    def init(self, t: Task) -> Any:
        memory = yield from self.begin(t)
        return (yield from self.through(t, self.inner.init(t), memory, -1))

    def step(self, t: Task, s: Any, k: int) -> Any:
        return (yield from self.through(t, self.inner.step(t, s.inner, k), s.memory, k))

    def begin(self, t: Task) -> Generator[Ask, Tell, Any]:
        """The memory of each row before the first step."""
        raise NotImplementedError

    def ask(self, t: Task, ask: Ask, memory: Any, tag: str) -> Generator[Ask, Tell, tuple[Tell, Any]]:
        """The answer to one Ask of the attack, and the memory after it. ``tag`` is a new address for draws."""
        raise NotImplementedError

    def through(self, t: Task, made: Any, memory: Any, k: int) -> Generator[Ask, Tell, Any]:
        """Run a method of the attack to its end: its State, with the memory."""
        count, end = 0, made
        if inspect.isgenerator(made):
            tell: Any = None
            asked: Any
            while True:
                try:
                    asked = made.send(tell)
                except StopIteration as stop:
                    end = stop.value
                    break
                tell, memory = yield from self.ask(t, asked, memory, f"{type(self).__name__} {k} {count}")
                count += 1
        if isinstance(end, Retire):
            return Retire(self.State(end.state, memory), end.rows, end.status)
        return None if end is None else self.State(end, memory)


def masked(t: Task, ask: Ask) -> Tensor:
    """The rows that an Ask is about, [n] bool."""
    return torch.ones(t.n, dtype=torch.bool, device=t.x0.device) if ask.mask is None else ask.mask

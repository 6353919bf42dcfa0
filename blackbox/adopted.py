"""`as_attack`: attacks whose class does not inherit from `blackbox.Attack`."""

from __future__ import annotations

from typing import Any

from blackbox.protocol import Access, Attack, Task
from blackbox.threat import Threat


class Adopted(Attack):
    """An attack whose class does not inherit from `Attack`: what it has is used as it is, the defaults stand for the rest."""

    def __init__(self, own: Any) -> None:
        self.own = own
        for name in ("access", "norms", "prior", "from_start"):
            setattr(self, name, getattr(own, name, getattr(Attack, name, None)))
        for name in ("minimises", "informed", "needs_prior", "needs_images"):
            setattr(self, name, bool(getattr(own, name, False)))
        self.parts = tuple(getattr(own, "parts", ()))  # type: ignore[misc]

    def __repr__(self) -> str:
        return repr(self.own)

    def init(self, t: Task) -> Any:
        return self.own.init(t)

    def step(self, t: Task, s: Any, k: int) -> Any:
        return self.own.step(t, s, k)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        super().check_shape(shape)
        if hasattr(self.own, "check_shape"):
            self.own.check_shape(shape)

    def settle(self, access: Access, threat: Threat) -> Attack:
        settle = getattr(self.own, "settle", None)
        if settle is None or getattr(settle, "__func__", None) is Attack.settle:  # passed on to one that inherits the default
            return self
        return as_attack(settle(access, threat))


def as_attack(value: Any) -> Attack:
    """``value`` if it is an `Attack`; an object of another class with the same methods is adopted.

    Raises:
        TypeError: it is no attack.
    """
    if isinstance(value, Attack):
        return value
    if isinstance(value, type) or not all(hasattr(value, name) for name in ("access", "norms", "init", "step")):
        raise TypeError(
            "Expected attack to be a name from blackbox.attacks.names() or an attack such as blackbox.attacks.Square(), "
            f"but it was {value!r}."
        )
    return Adopted(value)

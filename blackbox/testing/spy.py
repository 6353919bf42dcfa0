"""Tools of the contracts: an attack that is observed, and a bitwise comparison of results."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor, equal

from blackbox.adopted import Adopted
from blackbox.protocol import Attack, Retire
from blackbox.results import AttackResult
from blackbox.testing.targets import Recording

_COLUMNS = (
    "success",
    "queries",
    "first_success_query",
    "x_adv",
    "distance",
    "loss",
    "clean_loss",
    "clean_label",
    "verified",
)


def expect(holds: bool | Tensor, message: str) -> None:
    """An assertion with a message that ``python -O`` keeps and that does not need pytest's rewriting."""
    if not bool(holds):
        raise AssertionError(message)


def expect_same(a: AttackResult, b: AttackResult, rows: list[int] | None, where: str) -> None:
    """Check that ``b`` equals ``a``, or its ``rows``, to the bit; ``where`` ends the message."""
    for name in _COLUMNS:
        left, right = getattr(a, name), getattr(b, name)
        left = left if rows is None else left[rows]
        if not np.array_equal(left.numpy(), right.numpy(), equal_nan=left.is_floating_point()):
            apart = (left != right) & ~(left.isnan() & right.isnan()) if left.is_floating_point() else left != right
            who = apart.flatten(1).any(1) if apart.ndim > 1 else apart
            raise AssertionError(
                f"Expected the very same {name} {where}, but rows {who.nonzero().flatten().tolist()} differ: a sample's "
                "result depends on the rest of the batch, on the order, or on something hidden between steps."
            )
    status = a.status if rows is None else tuple(a.status[i] for i in rows)
    expect(status == b.status, f"Expected the very same status {where}, but {status} became {b.status}.")


class Spy(Attack):
    """Wraps an attack and records when it makes queries and what its States contain.

    Args:
        inner: the attack.
        seen: the target that it is run against, which counts the queries.

    Attributes:
        asked_at: the queries that the target had answered at each Ask.
        faults: what is wrong with the States, in sentences.
    """

    def __init__(self, inner: Any, seen: Recording) -> None:
        self.inner, self.seen = inner, seen
        for name in ("access", "norms", "minimises", "informed", "parts"):
            setattr(self, name, getattr(inner, name))
        self.asked_at: list[int] = []
        self.faults: list[str] = []
        self._own = inner.own if isinstance(inner, Adopted) else inner  # the object that the user wrote
        self._repr = repr(self._own)
        self._before = copy.deepcopy(dict(vars(self._own))) if hasattr(self._own, "__dict__") else {}

    @property
    def changed(self) -> bool:
        """Whether the attack object changed during the run."""
        now = dict(vars(self._own)) if hasattr(self._own, "__dict__") else {}
        return (
            repr(self._own) != self._repr
            or now.keys() != self._before.keys()
            or not all(
                equal(v, self._before[k]) if isinstance(v, Tensor) else repr(v) == repr(self._before[k])
                for k, v in now.items()
            )
        )

    def init(self, t: Any) -> Any:
        return self._watch(self.inner.init(t), t)

    def step(self, t: Any, s: Any, k: int) -> Any:
        self._look(s, t.n, f"the State that step {k} was given")
        return self._watch(self.inner.step(t, s, k), t)

    def _watch(self, made: Any, t: Any) -> Any:
        if inspect.isgenerator(made):
            return self._through(made, t)
        self._look(made, t.n, "a State")
        return made

    def _through(self, made: Any, t: Any) -> Any:
        try:
            ask = next(made)
            while True:
                self.asked_at.append(self.seen.count)
                ask = made.send((yield ask))
        except StopIteration as end:
            self._look(end.value, t.n, "a State")
            return end.value

    def _look(self, state: Any, n: int, what: str) -> None:
        if isinstance(state, Retire):
            state = state.state
        for path, value in _leaves(state, type(state).__name__):
            if isinstance(value, (Tensor, np.ndarray)):
                if value.ndim == 0 or len(value) != n:
                    self.faults.append(f"Expected {path} of {what} to have {n} rows on axis 0, but its shape was {tuple(value.shape)}")
            elif value is not None and not isinstance(value, (bool, int, float, str)):
                self.faults.append(f"Expected {path} of {what} to be a tensor or a plain value, but it was {type(value).__name__}")


def _leaves(state: Any, path: str) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        for f in dataclasses.fields(state):
            yield from _leaves(getattr(state, f.name), f"{path}.{f.name}")
    elif isinstance(state, tuple):
        for i, value in enumerate(state):
            yield from _leaves(value, f"{path}[{i}]")
    else:
        yield path, state

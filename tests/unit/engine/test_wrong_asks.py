"""An attack that asks wrongly is named in a sentence, before the target is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import blackbox as bb


class Wrong:
    access, norms = bb.Access.LABELS, ("Linf",)

    def __init__(self, made: Callable[[torch.Tensor], Any]) -> None:
        self.made = made

    def init(self, t: bb.Task) -> torch.Tensor:
        return t.x0

    def step(self, t: bb.Task, s: torch.Tensor, k: int) -> Any:
        yield self.made(s)
        return s


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda x: bb.Ask(x.expand(50, *x.shape)), r"shape \(50, 2, 3, 4, 4\)"),
        (lambda x: bb.Ask(x[:, :1]), r"shape \(2, 1, 4, 4\)"),
        (lambda x: bb.Ask(x.flatten(1)), r"shape \(2, 48\)"),
        (lambda x: bb.Ask(x[:0]), r"shape \(0, 3, 4, 4\)"),
        (lambda x: bb.Ask(x.numpy()), "a ndarray"),
        (lambda x: x, "Tensor"),
    ],
)
def test_named_before_the_call(made: Callable[[torch.Tensor], Any], said: str) -> None:
    oracle = bb.Oracle(lambda x: torch.tensor([[1.0, 0.0]]).repeat(len(x), 1), "labels", 2, returns="logits")
    with pytest.raises(ValueError, match=rf"the attack Wrong to yield Ask.*shape \(2, 3, 4, 4\) here, but it was {said}") as caught:
        bb.attack(oracle, torch.rand(2, 3, 4, 4), torch.zeros(2, dtype=torch.long), Wrong(made), bb.Linf(0.1), 9)
    assert oracle.rows == 2 and int(caught.value.result.queries.sum()) == 2  # type: ignore[attr-defined]

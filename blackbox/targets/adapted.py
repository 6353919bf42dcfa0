"""`Adapted`: a target with what its user says of it: how many rows it takes, what it returns, the words of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from blackbox.targets.batches import answers, check_batch
from blackbox.targets.info import TargetInfo, info_of
from blackbox.targets.reading import check_returns
from blackbox.targets.target import Wrapper


class Adapted(Wrapper):
    """A target around any target, which adds what its user says of it.

    Args:
        model: anything an `Oracle` takes.
        returns: what it returns, whatever it announces itself.
        batch: the number of rows of every call; shorter ones are filled up, and cut back.
        class_names: the words of its classes in index order, if it answers in words.
    """

    def __init__(
        self, model: Any, *, returns: str | None = None, batch: int | None = None, class_names: Sequence[str] | None = None
    ) -> None:
        super().__init__(model)
        self._returns, self._batch, self._words = check_returns(returns), check_batch(batch), class_names
        own = getattr(self.inner, "words", None)
        if class_names is not None and own and all(map(str.isdecimal, own)) and sorted(own) == sorted(class_names):
            arrange = getattr(self.inner, "in_order", None)  # numbers have no order of their own that the user must keep to
            self.inner, own = (self.inner, own) if arrange is None else (arrange(class_names), class_names)
        if class_names is not None and own is not None and list(own) != list(class_names) and sorted(own) == sorted(class_names):
            raise ValueError(
                f"Expected the classes in the order of {super().info.name}, {', '.join(map(str, own))}, but they were "
                f"{', '.join(class_names)}. Give them in its order, and labels likewise."
            )
        if batch is not None and super().info.keyed:
            raise ValueError(f"Expected no batch with {super().info.name}, an endpoint, which takes the rows that it is sent.")

    @property
    def info(self) -> TargetInfo:  # type: ignore[override]
        behind = info_of(self.inner)
        return replace(behind, returns=self._returns or behind.returns, max_rows=self._batch or behind.max_rows)

    def predict(self, x: Tensor, **keys: Any) -> Any:
        call = self.inner.predict if not keys else lambda rows: self.inner.predict(rows, **keys)
        return answers(call, x, info_of(self.inner).name, self._batch, self._words)

"""Any callable as a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from blackbox.targets.batches import answers, check_batch
from blackbox.targets.info import Described, TargetInfo
from blackbox.targets.outputs import scores_of
from blackbox.targets.reading import check_returns


class FunctionTarget(Described):
    """Calls a function on float32 tensors [m, \\*shape] in [0, 1].

    Args:
        function: returns [m, C] scores or [m] labels, as tensor or array, alone or as the ``logits`` of an output object; or, for
            each image, a word, ``{word: score}``, or a list of ``{"label": word, "score": score}``.
        device: where the function expects its input.
        numpy: pass a numpy array instead of a tensor.
        returns: "logits", "probabilities", "percent" or "labels"; None lets the oracle tell from the first answer.
        batch: the number of rows that the function takes; shorter calls are filled up with copies of their last row, whose
            answers are dropped and not charged.
        class_names: the words of the classes in index order, if it answers in words.
        any_form: its answers are not of classes, and are passed on as they are (``Oracle(..., access="answers")``).
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        device: torch.device | str | None = None,
        *,
        numpy: bool = False,
        returns: str | None = None,
        batch: int | None = None,
        class_names: Sequence[str] | None = None,
        name: str | None = None,
        any_form: bool = False,
    ) -> None:
        name = str(name or getattr(function, "__name__", type(function).__name__))
        self.info = TargetInfo(name, check_returns(returns), max_rows=check_batch(batch))
        self.device = torch.device(device or "cpu")
        self._function, self._numpy, self._batch, self._words, self.any_form = function, numpy, batch, class_names, any_form

    def predict(self, x: Tensor) -> Any:
        plain = self._batch is None and self._words is None
        return self._call(x) if plain else answers(self._call, x, self.info.name, self._batch, self._words)

    def _call(self, x: Tensor) -> Any:
        with torch.inference_mode():
            # a copy: writing into it must not change what the engine records
            out = self._function(x.numpy(force=True).copy() if self._numpy else x.clone())
        if self.any_form:
            return out
        out = scores_of(out, self.info.name)
        return out.detach().clone() if isinstance(out, Tensor) else out

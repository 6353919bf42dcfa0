"""Any callable as a target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from blackbox.targets.info import Described, TargetInfo
from blackbox.targets.outputs import scores_of


class FunctionTarget(Described):
    """Calls a function on float32 tensors [m, \\*shape] in [0, 1].

    Args:
        function: returns [m, C] scores or [m] labels, as tensor or array, alone or as the ``logits`` of an output object.
        device: where the function expects its input.
        numpy: pass a numpy array instead of a tensor.
        returns: "logits", "probabilities" or "labels"; None lets the oracle tell from the first answer.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        device: torch.device | str | None = None,
        *,
        numpy: bool = False,
        returns: str | None = None,
        name: str | None = None,
    ) -> None:
        self.info = TargetInfo(str(name or getattr(function, "__name__", type(function).__name__)), returns)
        self.device = torch.device(device or "cpu")
        self._function, self._numpy = function, numpy

    def predict(self, x: Tensor) -> Any:
        with torch.inference_mode():
            # a copy: writing into it must not change what the engine records
            out = self._function(x.numpy(force=True).copy() if self._numpy else x.clone())
        out = scores_of(out, self.info.name)
        return out.detach().clone() if isinstance(out, Tensor) else out

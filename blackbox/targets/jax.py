"""JAX functions as targets (extra ``[jax]``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.targets.batches import in_batches
from blackbox.targets.info import Described, TargetInfo
from blackbox.targets.outputs import scores_of
from blackbox.targets.packages import need


class JaxTarget(Described):
    """Compiles a function of JAX and calls it with a fixed number of images, so that it is compiled once.

    Short calls are filled up with copies of their last image, whose answers are dropped and not charged.

    Args:
        function: gives [m, C] scores for float32 images [m, \\*shape] in [0, 1]: ``lambda x: model.apply(params, x)``.
        batch: images a call. layout: "first" gives it [m, C, H, W], "last" [m, H, W, C].
        returns: "logits" or "probabilities"; None lets the oracle tell from the first answer.

    Raises:
        ModuleNotFoundError: jax is not installed. ValueError: no such layout, or no image a call.
    """

    device = torch.device("cpu")

    def __init__(
        self,
        function: Callable[[Any], Any],
        *,
        batch: int = 32,
        layout: str = "first",
        returns: str | None = None,
        name: str | None = None,
    ) -> None:
        if layout not in ("first", "last"):
            raise ValueError(f"Expected layout to be first or last, but it was {layout!r}.")
        if batch < 1:
            raise ValueError(f"Expected batch to be at least 1, but it was {batch}.")
        self._jax, self._batch, self._last = need("jax", "jax", "a JAX function"), batch, layout == "last"
        # one that is compiled already says so; compiled anew inside another it would be the same
        self._function = function if hasattr(function, "lower") else self._jax.jit(function)
        self.info = TargetInfo(str(name or getattr(function, "__name__", "jax")), returns)

    def predict(self, x: Tensor) -> Tensor:
        return in_batches(self._run, x, self._batch, self._batch)

    def _run(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1) if self._last and x.ndim == 4 else x
        out = self._function(np.ascontiguousarray(rows.numpy(force=True), dtype=np.float32))
        found = out if isinstance(out, self._jax.Array) else scores_of(self._jax.tree.map(np.asarray, out), self.name)
        return torch.from_numpy(np.array(found, dtype=np.float32))

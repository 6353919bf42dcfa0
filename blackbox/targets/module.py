"""A torch module as a target."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from blackbox.targets.batches import answers, check_batch
from blackbox.targets.info import Described, TargetInfo, precision_of
from blackbox.targets.outputs import scores_of
from blackbox.targets.reading import check_returns

_training = attrgetter("training")  # faster than Python code: a net has many modules


class ModuleTarget(Described):
    """Calls a torch module in eval mode, without gradients, in the dtype of its parameters.

    Args:
        model: gives [m, C] scores for [m, \\*shape] floats in [0, 1], alone or as the ``logits`` of an output object.
        device: where to move it; by default it stays where its parameters are.
        returns, batch, any_form: as in `FunctionTarget`.

    In half precision it does not see changes of its input below the type's grid, and announces that as ``probe`` and the
    relative steps of its scores as ``precision``.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        device: torch.device | str | None = None,
        name: str | None = None,
        *,
        returns: str | None = None,
        batch: int | None = None,
        any_form: bool = False,
    ) -> None:
        if device is not None:
            model = model.to(device)
        weight = next((p for p in [*model.parameters(), *model.buffers()] if p.is_floating_point()), None)
        self.device = torch.device(device) if device is not None else weight.device if weight is not None else torch.device("cpu")
        self._dtype = torch.float32 if weight is None else weight.dtype
        name, coarse = name or type(model).__name__, precision_of(self._dtype)
        self.info = TargetInfo(name, check_returns(returns), max_rows=check_batch(batch), probe=coarse / 2, precision=coarse)
        self._batch, self.any_form = batch, any_form
        self._model = model.eval()
        self._parts = tuple(model.modules())

    def predict(self, x: Tensor) -> Any:
        return self._call(x) if self._batch is None else answers(self._call, x, self.info.name, self._batch, None)

    def _call(self, x: Tensor) -> Any:
        # the net, or a part of it, may be in training mode again: dropout and batch statistics would couple the rows
        if any(map(_training, self._parts)):
            self._model.eval()
        with torch.inference_mode():
            # a copy: a model that normalises in place must not change what the engine records
            out = self._model(x.to(self._dtype, copy=True))
        out = out if self.any_form else scores_of(out, self.info.name)
        # an inference tensor cannot be used in autograd (surrogates are trained on answers); a copy can
        return out.clone() if isinstance(out, Tensor) else out

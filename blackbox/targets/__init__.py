"""What can stand behind an Oracle. Each adapter answers a batch of images and knows nothing of counting."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Target(Protocol):
    """A thing that classifies images.

    name: for reports. device: where `predict` wants its rows. returns: "logits", "probabilities", "labels", or None
    when the oracle shall tell from the first answer.
    """

    name: str
    device: torch.device
    returns: str | None

    def predict(self, x: Tensor) -> Any:
        """Float rows [m, \\*shape] in [0, 1] -> [m, C] scores or [m] labels."""


def as_target(model: Any, device: torch.device | str | None = None) -> Target:
    """Find the adapter for a model.

    Raises:
        TypeError: it is neither a Target, a torch module, a scikit-learn classifier nor a callable.
    """
    from blackbox.targets.function import FunctionTarget
    from blackbox.targets.module import ModuleTarget
    from blackbox.targets.sklearn import SklearnTarget

    if isinstance(model, torch.nn.Module):
        return ModuleTarget(model, device)
    if isinstance(model, Target) and not isinstance(model, type):
        return model
    if hasattr(model, "predict") and hasattr(model, "fit") and not callable(model):
        return SklearnTarget(model)
    if callable(model) and not isinstance(model, type):
        return FunctionTarget(model, device)
    raise TypeError(
        "Expected the model to be a torch module, a callable on [m, *shape] floats, a fitted scikit-learn classifier "
        f"or a blackbox target, but it was {model!r}."
    )

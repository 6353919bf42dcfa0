"""Target: what can stand behind an Oracle, how a model becomes one, and targets around targets."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from blackbox.targets.info import Described, TargetInfo, flags_of, info_of, retried_of


@runtime_checkable
class Target(Protocol):
    """A thing that classifies images.

    name: for reports. device: where `predict` wants its rows. returns: "logits", "probabilities", "labels", or None
    when the first answer shall tell.

    A target may say more of itself, as ``info`` (a `TargetInfo`, which then stands for name and returns too) or in
    attributes of the same names as its fields. What changes while it runs stands beside it: ``flags`` ([m] bool, the rows
    so far that a detector took for an attack) and ``retried`` (rows of calls that were made again).
    """

    name: str
    device: torch.device
    returns: str | None

    def predict(self, x: Tensor) -> Any:
        """Float rows [m, \\*shape] in [0, 1], to be read and not written into -> [m, C] scores, [m] labels, or an `Answer`
        with both."""


class Wrapper(Described):
    """A target around a target. Of itself it says what the one inside says, unless a subclass says otherwise.

    Args:
        model: anything an `Oracle` takes, another wrapper among them.

    Attributes:
        inner: the target inside.
    """

    def __init__(self, model: Any) -> None:
        self.inner: Target = as_target(model)
        self.device = self.inner.device

    @property
    def info(self) -> TargetInfo:  # type: ignore[override]
        return info_of(self.inner)

    @property
    def flags(self) -> np.ndarray | None:
        """[m] bool: the rows so far that a detector took for an attack; None without one."""
        return flags_of(self.inner)

    @property
    def retried(self) -> int:
        """Rows of calls that were made again."""
        return retried_of(self.inner)


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
    described = isinstance(getattr(model, "info", None), TargetInfo)
    if (isinstance(model, Target) or described) and not isinstance(model, type):
        return model
    if hasattr(model, "predict") and hasattr(model, "fit") and not callable(model):
        return SklearnTarget(model)
    if callable(model) and not isinstance(model, type):
        return FunctionTarget(model, device)
    raise TypeError(
        "Expected the model to be a torch module, a callable on [m, *shape] floats, a fitted scikit-learn classifier "
        f"or a blackbox target, but it was {model!r}."
    )

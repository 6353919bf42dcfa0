"""`Target`: what an Oracle wraps, how a model becomes one, and wrappers around targets."""

from __future__ import annotations

import sys
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from blackbox.targets.info import Described, TargetInfo, busy_of, flags_of, info_of, retried_of


@runtime_checkable
class Target(Protocol):
    """Anything that classifies images.

    name: for reports. device: where `predict` expects its input. returns: "logits", "probabilities", "labels", or None to
    tell from the first answer.

    A target may describe itself further with ``info`` (a `TargetInfo`, which then replaces name and returns) or with
    attributes named like its fields. Two more attributes change while it runs: ``flags`` ([m] bool, the queries so far that
    a detector flagged) and ``retried`` (rows of calls that were repeated).
    """

    name: str
    device: torch.device
    returns: str | None

    def predict(self, x: Tensor) -> Any:
        """Answer images [m, \\*shape], floats in [0, 1] that must not be modified, with scores [m, C], labels [m], or an
        `Answer` with both."""


class Wrapper(Described):
    """A target around another target, with that target's ``info`` unless a subclass overrides it.

    Args:
        model: anything an `Oracle` takes, also another wrapper.

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
        """The queries so far that a detector flagged as an attack, [m] bool; None without one."""
        return flags_of(self.inner)

    @property
    def retried(self) -> int:
        """The rows of calls that were repeated."""
        return retried_of(self.inner)

    @property
    def told_busy(self) -> tuple[int, float | None]:
        """The rows of them that a service was too busy for, and the requests a second at which it was not."""
        return busy_of(self.inner)


def as_target(model: Any, device: torch.device | str | None = None, any_form: bool = False) -> Target:
    """Wrap a model in the matching adapter.

    any_form: its answers are not of classes; of what scikit-learn fits, regressors among them, they are those of ``predict``.

    Raises:
        TypeError: it is neither a Target, a torch module, a scikit-learn classifier, a Keras model, a booster of XGBoost or
            LightGBM, a compiled JAX function nor a callable.
    """
    from blackbox.targets.function import FunctionTarget
    from blackbox.targets.module import ModuleTarget
    from blackbox.targets.sklearn import SklearnTarget

    if any_form and hasattr(model, "predict") and hasattr(model, "fit"):
        return FunctionTarget(lambda x: model.predict(x.reshape(len(x), -1)), name=type(model).__name__, numpy=True, any_form=True)
    if (library := _library(model)) is not None:
        return library(model)
    if isinstance(model, torch.nn.Module):
        return ModuleTarget(model, device, any_form=any_form)
    described = isinstance(getattr(model, "info", None), TargetInfo)
    if (isinstance(model, Target) or described) and not isinstance(model, type):
        return model
    if hasattr(model, "predict") and hasattr(model, "fit") and not callable(model):
        return SklearnTarget(model)
    if callable(model) and not isinstance(model, type):
        return FunctionTarget(model, device, any_form=any_form)
    raise TypeError(
        "Expected the model to be a torch module, a callable on [m, *shape] floats, a fitted scikit-learn classifier "
        f"or a blackbox target, but it was {model!r}."
    )


def _library(model: Any) -> Any:
    """The adapter of a library that has been imported, for one of its models; None for others."""
    if isinstance(model, type):
        return None
    if (keras := sys.modules.get("keras")) is not None and isinstance(model, getattr(keras, "Model", ())):
        from blackbox.targets.keras import KerasTarget

        return KerasTarget
    for library in ("xgboost", "lightgbm"):
        if (found := sys.modules.get(library)) is not None and isinstance(model, getattr(found, "Booster", ())):
            from blackbox.targets.boosted import BoosterTarget

            return BoosterTarget
    if "jax" in sys.modules and type(model).__name__ == "PjitFunction":
        from blackbox.targets.jax import JaxTarget

        return JaxTarget
    return None

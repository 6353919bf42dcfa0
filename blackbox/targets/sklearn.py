"""A fitted scikit-learn classifier as a target: a black box that has no gradient at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.targets.info import Described, TargetInfo


class SklearnTarget(Described):
    """Calls ``predict_proba`` where the classifier has it, else ``predict``, on rows flattened to [m, d].

    Args:
        model: a fitted classifier or pipeline whose classes are 0..C-1. Its features are the image's entries in
            [0, 1]; scaling belongs into a pipeline.

    Raises:
        ValueError: not fitted, or its classes are not 0..C-1.

    Attributes:
        classes: C, which an `Oracle` must be given.
    """

    device = torch.device("cpu")

    def __init__(self, model: Any, name: str | None = None) -> None:
        name = name or type(model[-1] if hasattr(model, "steps") else model).__name__
        classes = getattr(model, "classes_", None)
        if classes is None:
            raise ValueError(f"Expected a fitted scikit-learn classifier, but {name} has no classes_. Call fit first.")
        if not np.array_equal(classes, np.arange(len(classes))):
            raise ValueError(
                f"Expected the classifier's classes to be 0..{len(classes) - 1}, but they were {np.asarray(classes)[:10].tolist()}. "
                "Fit it on class indices."
            )
        probabilities = getattr(model, "predict_proba", None)
        self.info = TargetInfo(name, "labels" if probabilities is None else "probabilities", classes=len(classes))
        self._predict = probabilities or model.predict

    def predict(self, x: Tensor) -> Any:
        # a copy, because a pipeline may scale in place; made by torch, so that memory is always aligned in the same way
        return np.asarray(self._predict(x.flatten(1).clone().numpy(force=True)))

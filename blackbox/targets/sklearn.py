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
        model: a fitted classifier or pipeline whose classes are 0..C-1, or words, which are counted in their (alphabetical)
            order. Its features are the image's entries in [0, 1]; scaling belongs into a pipeline. One that was fitted on a
            table gets a table with the same columns.

    Raises:
        ValueError: not fitted, or its classes are neither 0..C-1 nor words.

    Attributes:
        classes: C, which an `Oracle` must be given. words: the classes in words, or None.
    """

    device = torch.device("cpu")

    def __init__(self, model: Any, name: str | None = None) -> None:
        name = name or type(model[-1] if hasattr(model, "steps") else model).__name__
        classes = getattr(model, "classes_", None)
        if classes is None:
            raise ValueError(f"Expected a fitted scikit-learn classifier, but {name} has no classes_. Call fit first.")
        self.words = tuple(map(str, classes)) if all(isinstance(each, str) for each in np.asarray(classes).tolist()) else None
        if self.words is None and not np.array_equal(classes, np.arange(len(classes))):
            raise ValueError(
                f"Expected the classifier's classes to be 0..{len(classes) - 1}, but they were {np.asarray(classes)[:10].tolist()}. "
                "Fit it on class indices."
            )
        probabilities = getattr(model, "predict_proba", None)
        self.info = TargetInfo(name, "labels" if probabilities is None else "probabilities", classes=len(classes))
        self._predict = probabilities or model.predict
        self._columns = getattr(model, "feature_names_in_", None)

    def predict(self, x: Tensor) -> Any:
        # a copy, because a pipeline may scale in place; made by torch, so that memory is always aligned in the same way
        rows: Any = x.flatten(1).clone().numpy(force=True)
        if self._columns is not None and len(self._columns) == rows.shape[1]:
            import pandas as pd

            rows = pd.DataFrame(rows, columns=self._columns)
        out = np.asarray(self._predict(rows))
        return np.searchsorted(self.words, out) if self.words is not None and out.ndim == 1 else out

"""A fitted scikit-learn classifier as a target: a black box that has no gradient at all."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.targets.info import Described, TargetInfo


class SklearnTarget(Described):
    """Calls ``predict_proba`` where the classifier has it, else ``predict``, on rows flattened to [m, d].

    Args:
        model: a fitted classifier or pipeline whose classes are 0..C-1, or words, which are counted in their (alphabetical)
            order; words that are all whole numbers, "0" .. "11", in the order of the numbers, or in that of the class words
            that a user gives. Its features are the image's entries in [0, 1]; scaling belongs into a pipeline. One that was
            fitted on a table gets a table with the same columns.

    Raises:
        ValueError: not fitted, or its classes are neither 0..C-1 nor words.

    Attributes:
        classes: C, which an `Oracle` must be given. words: the classes in words, in their order, or None.
    """

    device = torch.device("cpu")

    def __init__(self, model: Any, name: str | None = None) -> None:
        name = name or type(_last(model)).__name__
        classes: Any = getattr(model, "classes_", None)
        _check_classifier(model, name, classes)
        self.words = tuple(map(str, classes)) if all(isinstance(each, str) for each in np.asarray(classes).tolist()) else None
        if self.words is None and not np.array_equal(classes, np.arange(len(classes))):
            raise ValueError(
                f"Expected the classifier's classes to be 0..{len(classes) - 1}, but they were {np.asarray(classes)[:10].tolist()}. "
                "Fit it on class indices."
            )
        self._own: tuple[str, ...] | None = None  # its words in its own order, and where each class of ours stands there
        self._order: list[int] = []
        if self.words is not None and all(map(str.isdecimal, self.words)) and len(set(map(int, self.words))) == len(self.words):
            self._arrange(sorted(self.words, key=int))
        probabilities = getattr(model, "predict_proba", None)
        self.info = TargetInfo(name, "labels" if probabilities is None else "probabilities", classes=len(classes))
        self._predict, self._watched = probabilities or model.predict, probabilities is not None
        self._columns = getattr(model, "feature_names_in_", None)

    def predict(self, x: Tensor) -> Any:
        # a copy, because a pipeline may scale in place; made by torch, so that memory is always aligned in the same way
        rows: Any = x.flatten(1).clone().numpy(force=True)
        if self._columns is not None and len(self._columns) == rows.shape[1]:
            import pandas as pd

            rows = pd.DataFrame(rows, columns=self._columns)
        out = np.asarray(self._predict(rows))
        if self._watched and out.ndim == 2:
            self._watched = False  # one look is enough: several labels are independent of each other in every row
            if float(np.abs(out.sum(1) - 1).max()) > 0.01:
                raise _several_labels(self.info.name, f"rows of predict_proba sum to {out.sum(1).min():.2g} to {out.sum(1).max():.2g}")
        if self._own is not None:
            return out[:, self._order] if out.ndim > 1 else np.argsort(self._order)[np.searchsorted(self._own, out)]
        return np.searchsorted(self.words, out) if self.words is not None and out.ndim == 1 else out

    def _arrange(self, words: Sequence[str]) -> None:
        """Count the classes in the order of these ``words``, which are the classifier's in another order."""
        self._own = self._own or self.words or ()
        self._order = [self._own.index(word) for word in words]
        self.words = tuple(words)

    def in_order(self, words: Sequence[str]) -> SklearnTarget:
        """A copy whose classes are counted in the order of ``words``, the same as ``words`` of this one."""
        made = copy.copy(self)
        made._arrange(words)
        return made


def _last(model: Any) -> Any:
    """The classifier at the end of a pipeline, or the best one of a search."""
    while True:
        if hasattr(model, "steps"):
            model = model[-1]
        elif hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        else:
            return model


def _check_classifier(model: Any, name: str, classes: Any) -> None:
    """Refuse what is no classifier that names one of several classes, or is not fitted.

    Raises:
        ValueError: it says which, and what to give instead.
    """
    last = _last(model)
    kind = getattr(last, "_estimator_type", None)
    if kind is None:
        try:
            from sklearn.utils import get_tags

            kind = get_tags(last).estimator_type
        except Exception:  # not scikit-learn's own, or an older version
            kind = "classifier" if classes is not None or hasattr(last, "predict_proba") else None
    if kind not in (None, "classifier"):
        raise ValueError(
            f"Expected a classifier, but {name} is a {kind}. Fit a classifier, or give a function that turns what it predicts into "
            "labels [m] or a score for each class [m, C]."
        )
    if classes is None:
        raise ValueError(f"Expected a fitted scikit-learn classifier, but {name} has no classes_. Call fit first.")
    several = isinstance(classes, list) and any(isinstance(c, np.ndarray) for c in classes)
    if several or getattr(last, "multilabel_", False):
        raise _several_labels(name, f"it was fitted on {len(classes)} labels at once", "[j]" if several else "[:, j]")
    if getattr(last, "out_activation_", None) == "logistic" and len(classes) > 2:  # MLPClassifier
        raise _several_labels(name, f"its {len(classes)} outputs are independent")
    if len(classes) < 2:
        raise ValueError(f"Expected a classifier of at least two classes, but {name} was fitted on one. Fit it on images of all classes.")


def _several_labels(name: str, why: str, column: str = "[:, j]") -> ValueError:
    return ValueError(
        f"Expected a classifier that names one class for each image, but {name} answers several labels: {why}. Attack one label j at a "
        f"time: Oracle(lambda x: model.predict_proba(x.flatten(1).numpy()){column}, classes=2, returns='probabilities')."
    )

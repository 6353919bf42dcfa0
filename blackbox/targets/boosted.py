"""XGBoost's and LightGBM's trees as targets (extra ``[boost]``): boosters, and the files that they save.

What their scikit-learn classes fit (``XGBClassifier``, ``LGBMClassifier``) is a `blackbox.targets.SklearnTarget`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.targets.info import Described, TargetInfo
from blackbox.targets.packages import need


class BoosterTarget(Described):
    """Calls a booster on rows flattened to [m, d] and answers with probabilities [m, C].

    One that was trained with early stopping answers with the trees up to its best iteration, as its scikit-learn class does;
    so does the file that it saved.

    Args:
        model: an ``xgboost.Booster``, a ``lightgbm.Booster``, or a file that one of them saved: ``.ubj`` and ``.json`` are
            XGBoost's, ``.txt`` LightGBM's. Its features are the image's entries in [0, 1].

    Raises:
        ModuleNotFoundError: the library is not installed. FileNotFoundError: no such file.
        ValueError: not a file of it, or not trained to tell classes apart.
    """

    device = torch.device("cpu")

    def __init__(self, model: Any, name: str | None = None) -> None:
        path = Path(model) if isinstance(model, (str, os.PathLike)) else None
        booster = model if path is None else _loaded(path)
        library = type(booster).__module__.partition(".")[0]
        read = _xgboost if library == "xgboost" else _lightgbm
        self._answer, classes, features = read(booster, str(path or f"the {library} booster"))
        self._features = features
        self.info = TargetInfo(name or (path.stem if path else library), "probabilities", classes=classes)

    def predict(self, x: Tensor) -> np.ndarray:
        rows = x.flatten(1).clone().numpy(force=True)
        if rows.shape[1] != self._features:
            raise ValueError(
                f"Expected images of {self._features} entries, as {self.name} was trained on, but they had {rows.shape[1]}."
            )
        p = np.asarray(self._answer(rows), np.float32)
        return p if p.ndim == 2 else np.stack([1 - p, p], 1)


def _loaded(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"Expected a saved booster at {path}, but there is none.")
    try:
        if path.suffix == ".txt":
            return need("lightgbm", "boost", str(path)).Booster(model_file=str(path))
        return need("xgboost", "boost", str(path)).Booster(model_file=str(path))
    except ModuleNotFoundError:
        raise
    except Exception as error:
        what = "LightGBM" if path.suffix == ".txt" else "XGBoost"
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"Expected {path} to be a model that {what} saved, but it cannot be read: {said}") from error


def _xgboost(booster: Any, name: str) -> tuple[Any, int, int]:
    import json

    import xgboost

    learner = json.loads(booster.save_config())["learner"]
    objective = learner["objective"]["name"]
    classes = {"binary:logistic": 2, "multi:softprob": int(learner["learner_model_param"]["num_class"])}.get(objective)
    if objective == "multi:softmax":
        raise ValueError(f"Expected {name} to answer with probabilities, but its objective is multi:softmax. Train it with multi:softprob.")
    if classes is None:
        raise ValueError(f"Expected {name} to tell classes apart (multi:softprob, binary:logistic), but its objective is {objective}.")
    booster.set_param({"nthread": torch.get_num_threads()})
    names = booster.feature_names
    best = booster.attr("best_iteration")
    trees = (0, 0 if best is None else int(best) + 1)  # (0, 0): all of them
    return (
        lambda rows: booster.predict(xgboost.DMatrix(rows, feature_names=names), iteration_range=trees),
        classes,
        int(booster.num_features()),
    )


def _lightgbm(booster: Any, name: str) -> tuple[Any, int, int]:
    objective = booster.dump_model(num_iteration=0).get("objective", "").partition(" ")[0]
    if objective not in ("binary", "multiclass", "softmax", "multiclassova"):
        raise ValueError(f"Expected {name} to tell classes apart (multiclass, binary), but its objective is {objective or 'not said'}.")
    classes = 2 if objective == "binary" else int(booster.num_model_per_iteration())
    threads = torch.get_num_threads()
    return lambda rows: booster.predict(rows, num_threads=threads), classes, int(booster.num_feature())

"""Surrogates: models one owns, trained at home or from a target's answers, and what their gradients do to a target.

    net    = surrogates.train(surrogates.build("resnet20"), train_set, surrogates.Recipe(epochs=20), seed=0)
    x_adv  = surrogates.craft(net, x, y, "mi-fgsm", threat=Linf(8/255), steps=10)
    matrix = surrogates.transfer_matrix({"a": net}, {"hidden": oracle}, x, y, attacks=["fgsm"], threats=[Linf(8/255)])

Names are loaded on first use, so that importing the package does not import torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surrogates import acquire as acquire
    from surrogates import data as data
    from surrogates import gradients as gradients
    from surrogates import hooks as hooks
    from surrogates import minimum_norm as minimum_norm
    from surrogates import models as models
    from surrogates import parts as parts
    from surrogates import presets as presets
    from surrogates import refine as refine
    from surrogates import robust as robust
    from surrogates.acquire.learn import learn as learn
    from surrogates.alignment import Alignment as Alignment
    from surrogates.alignment import alignment as alignment
    from surrogates.alignment import gradient_size as gradient_size
    from surrogates.alignment import loss_variability as loss_variability
    from surrogates.answers import Answers as Answers
    from surrogates.answers import ask as ask
    from surrogates.ascent import ascend as ascend
    from surrogates.bootstrap import TwoLevel as TwoLevel
    from surrogates.bootstrap import two_level as two_level
    from surrogates.compare import Comparison as Comparison
    from surrogates.compare import compare as compare
    from surrogates.correlation import rank_correlation as rank_correlation
    from surrogates.craft import craft as craft
    from surrogates.data import Dataset as Dataset
    from surrogates.data import load as load
    from surrogates.data import split as split
    from surrogates.decomposition import Decomposition as Decomposition
    from surrogates.decomposition import decompose as decompose
    from surrogates.directional import DirectionalProbe as DirectionalProbe
    from surrogates.eps_curve import EpsCurve as EpsCurve
    from surrogates.eps_curve import eps_curve as eps_curve
    from surrogates.factorial import Factorial as Factorial
    from surrogates.factorial import factorial as factorial
    from surrogates.league import league as league
    from surrogates.league import league_plan as league_plan
    from surrogates.league_result import League as League
    from surrogates.matrix import TransferMatrix as TransferMatrix
    from surrogates.models import build as build
    from surrogates.models import from_spec as from_spec
    from surrogates.models import load_weights as load_weights
    from surrogates.models import save_weights as save_weights
    from surrogates.noise import same_length_noise as same_length_noise
    from surrogates.policy import Spend as Spend
    from surrogates.policy import advise as advise
    from surrogates.policy import teach as teach
    from surrogates.predict import accuracy as accuracy
    from surrogates.predict import fidelity as fidelity
    from surrogates.predict import predict as predict
    from surrogates.prior import prior as prior
    from surrogates.reach import Reached as Reached
    from surrogates.reach import reach as reach
    from surrogates.recipe import Recipe as Recipe
    from surrogates.recipe import TrainReport as TrainReport
    from surrogates.runs import Retrained as Retrained
    from surrogates.train import report as report
    from surrogates.train import train as train
    from surrogates.transfer import transfer_matrix as transfer_matrix

_MODULES = ("acquire", "data", "gradients", "hooks", "minimum_norm", "models", "parts", "presets", "refine", "robust")
_FROM = {
    "learn": "acquire.learn",
    "Answers": "answers",
    "ask": "answers",
    "ascend": "ascent",
    "craft": "craft",
    "Dataset": "data",
    "load": "data",
    "split": "data",
    "Factorial": "factorial",
    "factorial": "factorial",
    "TransferMatrix": "matrix",
    "build": "models",
    "from_spec": "models",
    "load_weights": "models",
    "save_weights": "models",
    "same_length_noise": "noise",
    "accuracy": "predict",
    "fidelity": "predict",
    "predict": "predict",
    "prior": "prior",
    "Spend": "policy",
    "advise": "policy",
    "teach": "policy",
    "Reached": "reach",
    "reach": "reach",
    "Recipe": "recipe",
    "TrainReport": "recipe",
    "report": "train",
    "train": "train",
    "transfer_matrix": "transfer",
    "Alignment": "alignment",
    "alignment": "alignment",
    "gradient_size": "alignment",
    "loss_variability": "alignment",
    "TwoLevel": "bootstrap",
    "two_level": "bootstrap",
    "Comparison": "compare",
    "compare": "compare",
    "rank_correlation": "correlation",
    "Decomposition": "decomposition",
    "decompose": "decomposition",
    "DirectionalProbe": "directional",
    "EpsCurve": "eps_curve",
    "eps_curve": "eps_curve",
    "League": "league_result",
    "league_plan": "league",
    "league": "league",
    "Retrained": "runs",
}
__all__ = sorted([*_MODULES, *_FROM])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _FROM:
        value = getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Importing the file train.py would bind the package's name ``train`` to the module; the function shall win."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _FROM.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

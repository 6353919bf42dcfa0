"""Surrogates: models one owns, trained at home or from a target's answers, and what their gradients do to a target.

    net    = surrogates.train(surrogates.build("resnet20"), train_set, surrogates.Recipe(epochs=20), seed=0)
    x_adv  = surrogates.craft(net, x, y, "mi-fgsm", threat=Linf(8/255), steps=10)
    matrix = surrogates.transfer_matrix({"a": net}, {"hidden": oracle}, x, y, attacks=["fgsm"], threats=[Linf(8/255)])

Names are loaded on first use, so that importing the package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import blackbox.moved  # old names of public modules still import

if TYPE_CHECKING:
    from blackbox.statistics.bootstrap import TwoLevel as TwoLevel
    from blackbox.statistics.bootstrap import two_level as two_level
    from blackbox.statistics.correlation import rank_correlation as rank_correlation
    from surrogates import acquisition as acquire
    from surrogates.acquisition.learn import learn as learn
    from surrogates.acquisition.teach import teach as teach
    from surrogates.analysis.alignment import Alignment as Alignment
    from surrogates.analysis.alignment import alignment as alignment
    from surrogates.analysis.alignment import gradient_size as gradient_size
    from surrogates.analysis.alignment import loss_variability as loss_variability
    from surrogates.analysis.decomposition import Decomposition as Decomposition
    from surrogates.analysis.decomposition import decompose as decompose
    from surrogates.analysis.directional import DirectionalProbe as DirectionalProbe
    from surrogates.analysis.factorial import Factorial as Factorial
    from surrogates.analysis.factorial import factorial as factorial
    from surrogates.crafting import gradients as gradients
    from surrogates.crafting import minimum_norm as minimum_norm
    from surrogates.crafting import parts as parts
    from surrogates.crafting import presets as presets
    from surrogates.crafting.ascent import ascend as ascend
    from surrogates.crafting.craft import craft as craft
    from surrogates.crafting.prior import prior as prior
    from surrogates.crafting.surgery import hooks as hooks
    from surrogates.data import dataset as data
    from surrogates.data.answers import Answers as Answers
    from surrogates.data.answers import ask as ask
    from surrogates.data.dataset import Dataset as Dataset
    from surrogates.data.dataset import split as split
    from surrogates.data.loaders import load as load
    from surrogates.nets import registry as models
    from surrogates.nets.predict import accuracy as accuracy
    from surrogates.nets.predict import fidelity as fidelity
    from surrogates.nets.predict import predict as predict
    from surrogates.nets.registry import build as build
    from surrogates.nets.registry import from_spec as from_spec
    from surrogates.nets.registry import load_weights as load_weights
    from surrogates.nets.registry import save_weights as save_weights
    from surrogates.training import adversarial as robust
    from surrogates.training import averaging as refine
    from surrogates.training.recipe import Recipe as Recipe
    from surrogates.training.recipe import TrainReport as TrainReport
    from surrogates.training.train import report as report
    from surrogates.training.train import train as train
    from surrogates.transfer.compare import Comparison as Comparison
    from surrogates.transfer.compare import compare as compare
    from surrogates.transfer.matrix import TransferMatrix as TransferMatrix
    from surrogates.transfer.measure import transfer_matrix as transfer_matrix
    from surrogates.transfer.noise import same_length_noise as same_length_noise
    from surrogates.transfer.runs import Retrained as Retrained

_MODULES = {
    "acquire": "surrogates.acquisition",
    "data": "surrogates.data",
    "gradients": "surrogates.crafting.gradients",
    "hooks": "surrogates.crafting.surgery.hooks",
    "minimum_norm": "surrogates.crafting.minimum_norm",
    "models": "surrogates.nets.registry",
    "parts": "surrogates.crafting.parts",
    "presets": "surrogates.crafting.presets",
    "refine": "surrogates.training.averaging",
    "robust": "surrogates.training.adversarial",
}
_FROM = {
    "learn": "surrogates.acquisition.learn",
    "Answers": "surrogates.data.answers",
    "ask": "surrogates.data.answers",
    "ascend": "surrogates.crafting.ascent",
    "craft": "surrogates.crafting.craft",
    "Dataset": "surrogates.data.dataset",
    "load": "surrogates.data.loaders",
    "split": "surrogates.data.dataset",
    "Factorial": "surrogates.analysis.factorial",
    "factorial": "surrogates.analysis.factorial",
    "TransferMatrix": "surrogates.transfer.matrix",
    "build": "surrogates.nets.registry",
    "from_spec": "surrogates.nets.registry",
    "load_weights": "surrogates.nets.registry",
    "save_weights": "surrogates.nets.registry",
    "same_length_noise": "surrogates.transfer.noise",
    "accuracy": "surrogates.nets.predict",
    "fidelity": "surrogates.nets.predict",
    "predict": "surrogates.nets.predict",
    "prior": "surrogates.crafting.prior",
    "teach": "surrogates.acquisition.teach",
    "Recipe": "surrogates.training.recipe",
    "TrainReport": "surrogates.training.recipe",
    "report": "surrogates.training.train",
    "train": "surrogates.training.train",
    "transfer_matrix": "surrogates.transfer.measure",
    "Alignment": "surrogates.analysis.alignment",
    "alignment": "surrogates.analysis.alignment",
    "gradient_size": "surrogates.analysis.alignment",
    "loss_variability": "surrogates.analysis.alignment",
    "TwoLevel": "blackbox.statistics.bootstrap",
    "two_level": "blackbox.statistics.bootstrap",
    "Comparison": "surrogates.transfer.compare",
    "compare": "surrogates.transfer.compare",
    "rank_correlation": "blackbox.statistics.correlation",
    "Decomposition": "surrogates.analysis.decomposition",
    "decompose": "surrogates.analysis.decomposition",
    "DirectionalProbe": "surrogates.analysis.directional",
    "Retrained": "surrogates.transfer.runs",
}
__all__ = sorted([*_MODULES, *_FROM])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name in _FROM:
        value = getattr(import_module(_FROM[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return __all__

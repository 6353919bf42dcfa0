"""Surrogates: models you own, trained on your data or on a target's answers, and attacks with their gradients.

    net    = surrogates.train(surrogates.build("resnet20"), train_set, surrogates.Recipe(epochs=20), seed=0)
    x_adv  = surrogates.craft(net, x, y, "mi-fgsm", threat=Linf(8/255), steps=10)
    matrix = surrogates.transfer_matrix({"a": net}, {"hidden": oracle}, x, y, attacks=["fgsm"], threats=[Linf(8/255)])

Names are loaded on first use, so that importing the package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import blackbox.moved  # old names of public modules still import
from blackbox.lazy import lazy

if TYPE_CHECKING:
    from blackbox.statistics import TwoLevel, rank_correlation, two_level
    from surrogates import acquisition as acquire
    from surrogates import data
    from surrogates.acquisition.extract import extract  # not from the room: mypy may take its file of that name
    from surrogates.acquisition.learn import learn
    from surrogates.acquisition.teach import teach
    from surrogates.analysis import (
        Alignment,
        Decomposition,
        DirectionalProbe,
        Factorial,
        alignment,
        decompose,
        factorial,
        gradient_size,
        loss_variability,
    )
    from surrogates.crafting import Ceiling, ascend, gradients, minimum_norm, parts, presets
    from surrogates.crafting.ceiling import ceiling
    from surrogates.crafting.craft import craft
    from surrogates.crafting.prior import prior
    from surrogates.crafting.surgery import hooks
    from surrogates.crafting.universal import universal, universal_prior
    from surrogates.data import Answers, Dataset, ask, load, split
    from surrogates.nets import accuracy, build, fidelity, from_spec, load_weights, predict, save_weights
    from surrogates.nets import registry as models
    from surrogates.training import adversarial as robust
    from surrogates.training import averaging as refine
    from surrogates.training.many import Many, many
    from surrogates.training.recipe import Recipe, TrainReport
    from surrogates.training.train import report, train
    from surrogates.training.weighing import weigh
    from surrogates.transfer import Comparison, Retrained, TransferMatrix, same_length_noise, transfer_matrix
    from surrogates.transfer.compare import compare

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
_ROOMS = {
    "blackbox.statistics": "TwoLevel rank_correlation two_level",
    "surrogates.acquisition": "extract learn teach",
    "surrogates.analysis": "Alignment Decomposition DirectionalProbe Factorial alignment decompose factorial gradient_size "
    "loss_variability",
    "surrogates.crafting": "Ceiling ascend ceiling craft prior universal universal_prior",
    "surrogates.data": "Answers Dataset ask load split",
    "surrogates.nets": "accuracy build fidelity from_spec load_weights predict save_weights",
    "surrogates.training": "Many Recipe TrainReport many report train weigh",
    "surrogates.transfer": "Comparison Retrained TransferMatrix compare same_length_noise transfer_matrix",
}
_FROM = {name: room for room, names in _ROOMS.items() for name in names.split()}
__all__ = sorted([*_MODULES, *_FROM])

__getattr__, __dir__ = lazy(__name__, _FROM, _MODULES)

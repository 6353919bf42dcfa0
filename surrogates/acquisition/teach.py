"""Trains nets further on a target's answers before an attack.

nets   = surrogates.teach(nets, own, oracle, 300)
result = blackbox.attack(oracle, x, y, "auto", threat, budget, prior=surrogates.prior(nets))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from blackbox.checks import check_int
from blackbox.oracle.oracle import Oracle
from surrogates.data.answers import Answers, ask
from surrogates.data.dataset import Dataset, as_dataset
from surrogates.training.recipe import Recipe
from surrogates.training.train import train

Net = TypeVar("Net", bound=nn.Module)
AFTER = Recipe(epochs=10, lr=0.02, weight_decay=4e-3)  # for nets that are trained already (ours)


def teach(
    nets: Sequence[Net],
    own: Dataset | tuple[Any, Any],
    oracle: Oracle,
    answers: int,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
) -> list[Net]:
    """Train nets further, in place, on labelled images of which the target's answers replace some labels.

    Args:
        nets: already trained on ``own``.
        own: labelled images.
        oracle: the target; charged under ``"train"``, each answer once for all nets.
        answers: how many images to query; with 0 nothing is queried and nothing trained.
        recipe: by default `AFTER`.
        seed: for the choice of images and the training.

    Raises:
        ValueError: more answers than images, or as `train`. TargetError: ``error.result`` holds the answers paid for.
    """
    data = as_dataset(own)
    if not 0 <= check_int(answers, "answers") <= len(data):
        raise ValueError(
            f"Expected answers to be between 0 and the {len(data):,} images given, but it was {answers:,}."
        )
    if answers == 0:
        return list(nets)
    both = blend(data, ask(oracle, data, answers, seed))
    return [train(net, both, recipe or AFTER, seed=seed + i) for i, net in enumerate(nets)]


def blend(own: Dataset, answers: Answers) -> Answers:
    """All images of ``own`` with their true labels, except that queried images get the target's answer."""
    labels, at = own.labels.clone(), torch.from_numpy(answers.index)
    labels[at] = answers.labels
    soft = None
    if answers.probabilities is not None:
        soft = F.one_hot(own.labels, answers.classes).to(torch.float32)
        soft[at] = answers.probabilities
    return replace(answers, images=own.images, labels=labels, probabilities=soft, index=np.arange(len(own)))

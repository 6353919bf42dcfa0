"""Policy: is it worth to buy answers of the target for the surrogates' sake, before the attack begins?

spend  = surrogates.advise(images=len(x), pool=len(own))
nets   = surrogates.teach(nets, own, oracle, spend.answers)
result = blackbox.attack(oracle, x, y, "auto", threat, budget, prior=surrogates.prior(nets))
print(spend, spend.account(result))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from blackbox.checks import check_int
from blackbox.oracle.oracle import Oracle
from blackbox.results import AttackResult
from surrogates.acquisition.answers import Answers, ask
from surrogates.data.dataset import Dataset, as_dataset
from surrogates.training.recipe import Recipe
from surrogates.training.train import train

Net = TypeVar("Net", bound=nn.Module)

# answers bought -> queries that `hybrid` then saves on an image, beside none bought
# (CIFAR ResNet-32, Linf 8/255, two nets trained on 6,000 images: `python -m experiments.query_budget_frontier`; one seed,
# standard errors of the means between 1.3 and 1.9, so a rule of thumb and no more; measured before `candidates.Ripples`, which
# leave less to save)
SAVED: dict[int, float] = {0: 0.0, 300: -1.0, 1500: 0.0, 6000: 2.0}
AFTER = Recipe(epochs=10, lr=0.02, weight_decay=4e-3)  # of nets that are trained already (ours)


@dataclass(frozen=True)
class Spend:
    """answers: to buy, for an attack on ``images`` images. saved: queries that each of them is then expected to save; None
    where nobody asked for advice."""

    answers: int
    images: int
    saved: float | None = None

    def __str__(self) -> str:
        if not self.answers and self.saved is not None:
            return f"no answers bought for training: on {self.images:,} images they would cost more than they save"
        text = f"{self.answers:,} answers bought for training, {self.answers / self.images:.1f} an image"
        return text if self.saved is None else f"{text}; expected to save {self.saved:.1f} queries an image"

    def account(self, result: AttackResult) -> dict[str, float]:
        """Queries in all, for training and attack; an image's own; and an image's with its share of the training."""
        own = float(result.queries.sum())
        count = max(len(result), 1)
        return {"total": own + self.answers, "an image": own / count, "amortised": (own + self.answers) / count}


def advise(images: int, pool: int, saved: dict[int, float] | None = None) -> Spend:
    """How many answers to buy.

    Args:
        images: how many are going to be attacked. pool: images of one's own that could be shown to the target.
        saved: answers -> queries saved on an image, instead of `SAVED`, which holds for one target and says little of
            very different ones. Between its rows nothing is guessed.

    Returns:
        The row with the largest gain, ``images * saved - answers``; none where no row gains.

    Raises:
        ValueError: no images, or a negative pool.
    """
    if images < 1 or pool < 0:
        raise ValueError(f"Expected at least one image to attack and a pool of 0 or more, but they were {images} and {pool}.")
    rows = {count: gain for count, gain in (SAVED if saved is None else saved).items() if count <= pool} | {0: 0.0}
    best = max(sorted(rows), key=lambda count: images * rows[count] - count)
    return Spend(best, images, rows[best])


def teach(
    nets: Sequence[Net], own: Dataset | tuple[Any, Any], oracle: Oracle, answers: int, recipe: Recipe | None = None, *,
    seed: int = 0,
) -> list[Net]:  # fmt: skip
    """Train nets on, in place: on one's own images with their true labels, and the target's answers to ``answers`` of
    them instead of those.

    Args:
        nets: trained on ``own`` already. own: labelled images. oracle: the target; charged under ``"train"``, each answer
            once for all nets. answers: how many; with 0 nothing is asked and nothing trained.
        recipe: `AFTER`. seed: decides which images are asked about, and of the training.

    Raises:
        ValueError: more answers than images, or as `train`. TargetError: ``error.result`` holds the answers paid for.
    """
    data = as_dataset(own)
    if not 0 <= check_int(answers, "answers") <= len(data):
        raise ValueError(f"Expected answers between 0 and the {len(data):,} images of one's own, but it was {answers:,}.")
    if answers == 0:
        return list(nets)
    lesson = blend(data, ask(oracle, data, answers, seed))
    return [train(net, lesson, recipe or AFTER, seed=seed + i) for i, net in enumerate(nets)]


def blend(own: Dataset, told: Answers) -> Answers:
    """All images of ``own`` with their true labels, but for those that the target was asked about: these with its answer."""
    labels, at = own.labels.clone(), torch.from_numpy(told.index)
    labels[at] = told.labels
    soft = None
    if told.probabilities is not None:
        soft = F.one_hot(own.labels, told.classes).to(torch.float32)
        soft[at] = told.probabilities
    return replace(told, images=own.images, labels=labels, probabilities=soft, index=np.arange(len(own)))

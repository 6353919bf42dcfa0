"""Bagging: several surrogates from one set of answers, without more queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from blackbox.statistics import Rate
from surrogates.data.answers import Answers
from surrogates.nets.predict import logits
from surrogates.nets.registry import build
from surrogates.training.recipe import Recipe
from surrogates.training.train import train


@dataclass(frozen=True, eq=False)
class Bag:
    """The result of `bagged`. nets: for `craft`, which fuses them. agreement: of the members' mean logits with the target, for
    each answer over the members that were not trained on it (out of bag)."""

    nets: list[nn.Module]
    agreement: Rate


def bagged(
    make: str | Callable[[int], nn.Module],
    answers: Answers,
    members: int = 5,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    soft: bool | None = None,
    bootstrap: bool = True,
    cache: str | Path | None = None,
) -> Bag:
    """Bootstrap aggregation (Breiman 1996, "Bagging predictors") of surrogates.

    Args:
        make: a name for `surrogates.build`, or a function from a seed to a fresh net.
        answers: a target's answers, already paid for.
        members: number of nets; 5 (ours). Each is trained on as many answers drawn with replacement, and keeps the epoch
            that is best on those left out.
        recipe, soft, cache: as for `surrogates.train`.
        bootstrap: False: each is trained on all answers, so that they differ only in initial weights and batch order
            (Lakshminarayanan et al. 2017, arXiv:1612.01474); agreement is then not measured.
        seed: for draws, weights and orders.

    Raises:
        ValueError: fewer than two members, or as `surrogates.train`.
    """
    if members < 2:
        raise ValueError(f"Expected at least 2 members, but members was {members!r}.")
    if recipe is not None and recipe.held_out:
        raise ValueError("Expected a recipe without held_out: each member holds out the answers it did not draw.")
    count, classes = len(answers), answers.classes
    nets: list[nn.Module] = []
    votes, judges = torch.zeros(count, classes), torch.zeros(count)
    for i in range(members):
        u = Stream(seed, np.array([i], dtype=np.uint64)).uniform_array(0, "bag", count)[0]
        drawn = np.sort((u * count).astype(np.int64)) if bootstrap else np.arange(count)
        rest = np.setdiff1d(np.arange(count), drawn)
        first = seed * members + i
        net = build(make, classes, answers.images.shape[1:], first) if isinstance(make, str) else make(first)
        left_out = answers.take(rest) if len(rest) else None
        nets.append(train(net, answers.take(drawn), recipe, seed=first, soft=soft, validation=left_out, cache=cache))
        if len(rest):
            at = torch.from_numpy(rest)
            votes[at] += logits(net, answers.images[at])
            judges[at] += 1
    return Bag(nets, _agreement(votes, judges, answers.labels))


def _agreement(votes: Tensor, judges: Tensor, labels: Tensor) -> Rate:
    return Rate.of((votes.argmax(1) == labels).numpy(), (judges > 0).numpy())

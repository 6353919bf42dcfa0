"""`weigh`: how much each net of an ensemble counts, fitted from a target's answers, or from held-out nets of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from blackbox.checks import as_images
from surrogates.crafting.gradients import as_nets
from surrogates.data.answers import Answers
from surrogates.nets.predict import logits

_ROUNDS = 500


def weigh(
    nets: Sequence[nn.Module], told: Answers | nn.Module | Sequence[nn.Module], x: Any = None, *, alike: float = 0.5
) -> tuple[float, ...]:
    """Fit the weights of an ensemble without a gradient: the mixture of the nets' probabilities under which what was ``told`` is likeliest.

    It is the maximum of a concave function, found by expectation maximisation (Dempster, Laird & Rubin 1977); for
    ``parts.LogitFusion(weights)`` or another fusion. Which images were asked about matters: answers to examples that were crafted on
    the nets, one query each, tell more of what transfers than clean images do.

    Args:
        nets: the ensemble.
        told: a target's `Answers` (`ask`), with scores or labels alone; or held-out nets of one's own, whose mean probabilities on
            ``x`` stand for them, at no query.
        x: [N, \\*shape] images, for held-out nets.
        alike: the share of all votes that is spread evenly, in [0, 1]: 0 gives the likeliest mixture, often of a few nets alone, 1 equal
            weights; a half is ours, since it is also their number that makes an ensemble transfer.

    Returns:
        A weight of at least 0 for each net; together 1.

    Raises:
        ValueError: images are missing, or there are some beside answers; the nets have other classes.
    """
    found = as_nets(nets)
    if not 0 <= alike <= 1:
        raise ValueError(f"Expected alike, a share of the votes, in [0, 1], but it was {alike!r}.")
    if isinstance(told, Answers):
        if x is not None:
            raise ValueError("Expected no x beside answers, which have images, but there was one. Leave it out.")
        images, wanted = told.images, told.probabilities
        if wanted is None:
            wanted = torch.nn.functional.one_hot(told.labels, told.classes).float()
    else:
        if x is None:
            raise ValueError("Expected x, the images that the held-out nets are asked about, but there were none.")
        images = as_images(x, "x")
        wanted = torch.stack([logits(net, images).softmax(1) for net in as_nets(told)]).mean(0)
    own = torch.stack([logits(net, images).softmax(1) for net in found], 1)  # [N, nets, C]
    if own.shape[2] != wanted.shape[1]:
        raise ValueError(f"Expected nets with the {wanted.shape[1]} classes that were told, but they have {own.shape[2]}.")
    own, wanted = own.double().clamp_min(1e-12), wanted.double()
    weights = torch.full((len(found),), 1 / len(found), dtype=torch.float64)
    for _ in range(_ROUNDS):
        part = own * weights[:, None]
        share = part / part.sum(1, keepdim=True)
        weights = (share * wanted[:, None]).sum(2).mean(0)
        weights = (1 - alike) * weights / weights.sum() + alike / len(found)
    return tuple(weights.tolist())

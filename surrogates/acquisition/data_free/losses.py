"""How far copy and target disagree: what the generator raises and the copy lowers, a number an image.

l1               sum |centred log-probabilities' difference|              DFME (Truong et al. 2021, arXiv:2011.14779)
kl               KL(target || copy)                                       MAZE (Kariyappa et al. 2021, arXiv:2005.03161)
minimax          -log(1 - q)   with q the distance in variation           Goodfellow et al. 2014, arXiv:1406.2661, eq. 1
non-saturating   log q         ibid., section 3                           steep where copy and target agree

The last two are a generator's losses against a critic that says with what probability q the two disagree: q = sum |p_c - p_t| / 2.
A generator that lowers log(1 - q), the minimax game's, learns little where q is near 0; one that raises log q learns most there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LOSSES = ("l1", "kl", "minimax", "non-saturating")
_LEAST = 1e-6  # a probability that a target rounds to 0 has no logarithm


def disagreement(kind: str, scores: Tensor, probabilities: Tensor) -> Tensor:
    """How far the copy's scores [n, C] are from the target's probabilities [n, C]: [n], to be raised by a generator.

    *Departs from DFME*: both sides are centred, where the paper centres the target's, so that a constant added to the copy's
    scores makes no difference.

    Raises:
        ValueError: an unknown kind.
    """
    if kind == "l1":
        return (centred(probabilities.clamp_min(_LEAST).log()) - centred(scores)).abs().sum(1)
    if kind == "kl":
        return F.kl_div(scores.log_softmax(1), probabilities, reduction="none").sum(1)
    if kind in ("minimax", "non-saturating"):
        return against_critic(kind, (scores.softmax(1) - probabilities).abs().sum(1) / 2)
    raise ValueError(f"Expected the loss of a generator to be one of {', '.join(LOSSES)}, but it was {kind!r}.")


def centred(logs: Tensor) -> Tensor:
    """Log-probabilities [n, C] less their mean: logits, as far as probabilities show them (DFME, section 3.4)."""
    return logs - logs.mean(1, keepdim=True)


def against_critic(kind: str, q: Tensor) -> Tensor:
    """What a generator raises whose critic says that copy and target disagree with probabilities ``q`` [n]."""
    q = q.clamp(_LEAST, 1 - _LEAST)
    return q.log() if kind == "non-saturating" else -torch.log1p(-q)


def taught(kind: str, scores: Tensor, labels: Tensor, probabilities: Tensor | None) -> Tensor:
    """What the copy lowers, a number: l1 with l1, cross-entropy with the target's probabilities, or labels, otherwise."""
    if probabilities is None:
        return F.cross_entropy(scores, labels)
    return disagreement("l1", scores, probabilities).mean() if kind == "l1" else F.cross_entropy(scores, probabilities)

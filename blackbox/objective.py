"""Objective: an answer and a goal -> (loss, adv). A larger loss is closer to success, whatever the access level."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.oracle import Reply
from blackbox.protocol import Access

KINDS = ("margin", "cross-entropy")
_SMALLEST = 1e-30  # below any probability that float32 softmax tells from 0, above where a logarithm overflows


@dataclass(frozen=True)
class Objective:
    """Loss and success of a batch of answers.

    Args:
        kind: ``"margin"`` (Carlini & Wagner 2017, arXiv:1608.04644, f6: best other class minus the true one, or the
            target class minus the best other) or ``"cross-entropy"`` (-log p_label, or log p_target).
        targeted: the goal is a class to reach instead of a label to leave.
        resolution: the rounding step of the scores, or twice the standard deviation of their noise where that is more;
            probabilities are floored at half of it before the logarithm.

    Logits are used as they are; from probabilities the margin is taken between their logarithms, which are the
    logits up to a constant. From the top k only, an unlisted class counts with an equal share of the mass that the
    list leaves over. From labels the loss is +1 or -1. Success is always read from the label that the target
    gives: at an exact tie the target's own choice decides.
    """

    kind: str = "margin"
    targeted: bool = False
    resolution: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Expected objective to be one of {', '.join(KINDS)}, but it was {self.kind!r}.")

    def __call__(self, reply: Reply, goal: Tensor) -> tuple[Tensor, Tensor]:
        """``reply`` for m points and their ``goal`` classes [m] -> loss [m] float32, adv [m] bool."""
        adv = reply.label == goal if self.targeted else reply.label != goal
        if reply.values is None:
            return adv.to(torch.float32) * 2 - 1, adv
        if reply.access is Access.TOPK:
            own, other = self._from_top(reply, goal)
        else:
            values = reply.values if reply.access is Access.LOGITS else self._log(reply.values)
            own = values.gather(1, goal[:, None])[:, 0]
            if self.kind == "cross-entropy":
                other = values.logsumexp(1) if reply.access is Access.LOGITS else torch.zeros_like(own)
            else:
                other = values.scatter(1, goal[:, None], -torch.inf).amax(1)
        return (own - other if self.targeted else other - own), adv

    def _log(self, p: Tensor) -> Tensor:
        return p.clamp_min(max(self.resolution / 2, _SMALLEST)).log()

    def _from_top(self, reply: Reply, goal: Tensor) -> tuple[Tensor, Tensor]:
        assert reply.values is not None and reply.classes is not None
        p, listed = reply.values, reply.classes == goal[:, None]
        hidden = max(reply.total - p.shape[1], 1)
        spread = p[:, 0]
        for j in range(1, p.shape[1]):  # k is small; a fixed order keeps rows apart
            spread = spread + p[:, j]
        rest = torch.minimum((1 - spread).clamp_min(0) / hidden, p[:, -1])
        own = torch.where(listed, p, torch.zeros_like(p)).amax(1).where(listed.any(1), rest)
        if self.kind == "cross-entropy":
            return self._log(own), torch.zeros_like(own)
        best_other = torch.where(listed, torch.zeros_like(p), p).amax(1)
        return self._log(own), self._log(torch.maximum(best_other, rest))

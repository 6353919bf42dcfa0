"""`Objective`: computes loss and success from an answer and a goal. A larger loss is closer to success at any access level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blackbox.oracle.oracle import Oracle, Reply
from blackbox.protocol import Access

KINDS = ("margin", "cross-entropy")
_ONE = np.float32(1)
_LARGEST = np.float32(1e12)  # of a loss: the difference of two is finite, 0 where both are of a masked class, and so is its square
_SMALLEST = 1e-30  # smaller than any probability of a float32 softmax but 0, large enough for a finite logarithm


def resolution_of(oracle: Oracle) -> float:
    """The rounding step of the scores that an oracle shows, or twice the standard deviation of their noise where that is more."""
    return max(oracle.rounding, 2 * oracle.noise)


@dataclass(frozen=True)
class Objective:
    """Loss and success of a batch of answers.

    Args:
        kind: ``"margin"`` (Carlini & Wagner 2017, arXiv:1608.04644, f6: best other class minus the true one, or the
            target class minus the best other) or ``"cross-entropy"`` (-log p_label, or log p_target).
        targeted: the goal is a class to reach instead of a label to leave.
        resolution: of the scores (`resolution_of`); probabilities are floored at half of it before the logarithm.

    Logits are used directly; of probabilities the logarithms are used, which are the logits up to a constant. With top-k
    access, the unlisted classes share the remaining probability equally. A loss is finite, at most 1e12 in size, also where a
    target masks a class with a logit of -inf. From labels the loss is +1 or -1. Success always
    depends on the target's label: at an exact tie its choice decides.
    """

    kind: str = "margin"
    targeted: bool = False
    resolution: float = 0.0

    @classmethod
    def behind(cls, oracle: Oracle, kind: str = "margin", targeted: bool = False) -> Objective:
        """The objective for the answers of this oracle, with its resolution."""
        return cls(kind, targeted, resolution_of(oracle))

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Expected objective to be one of {', '.join(KINDS)}, but it was {self.kind!r}.")

    def __call__(self, reply: Reply, goal: Tensor) -> tuple[Tensor, Tensor]:
        """Compute loss [m] float32 and adv [m] bool from the ``reply`` to m points and their ``goal`` classes [m]; a point that was
        rejected is not adversarial, and has the loss NaN, since nothing is known of it."""
        loss, adv = self.judge(reply, goal.numpy(force=True))
        return torch.from_numpy(loss).to(goal.device), torch.from_numpy(adv).to(goal.device)

    def judge(self, reply: Reply, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same in numpy, which is faster than torch for a few rows; the engine uses it at every call."""
        if reply.rejected is not None:
            return self._of_answered(reply, goal)
        label = reply.label.numpy(force=True)
        adv = label == goal if self.targeted else label != goal
        if reply.values is None:
            return np.where(adv, _ONE, -_ONE), adv
        if reply.access is Access.TOPK:
            own, other = self._from_top(reply, goal)
        else:
            values = reply.values.numpy(force=True)
            values = self._log(values) if reply.access is Access.SCORES else values.copy()  # a copy that may be modified
            flat, at = values.reshape(-1), np.arange(0, values.size, values.shape[1]) + goal  # faster than two indices
            own = flat[at]
            if self.kind == "margin":
                flat[at] = -np.inf
                other = np.maximum.reduce(values, 1)
            elif reply.access is Access.LOGITS:
                other = reply.values.logsumexp(1).numpy(force=True)
            else:
                other = np.zeros_like(own)
        loss = own - other if self.targeted else other - own
        if reply.access is Access.LOGITS:  # the logit of a masked class is -inf
            loss = np.minimum(np.maximum(loss, -_LARGEST), _LARGEST)
        return loss, adv

    def _of_answered(self, reply: Reply, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rejected = reply.rejected
        assert rejected is not None
        loss, adv = np.full(len(goal), np.nan, np.float32), np.zeros(len(goal), np.bool_)
        kept = (~rejected).numpy(force=True)
        if kept.any():
            loss[kept], adv[kept] = self.judge(reply.take(~rejected), goal[kept])
        return loss, adv

    def shown(self, reply: Reply, classes: int) -> np.ndarray:
        """What an answer shows, as logits [m, classes] float32: logarithms of probabilities, NaN for unlisted classes and for
        points that were rejected; from a label alone 0 for the predicted class."""
        if reply.rejected is not None and bool(reply.rejected.any()):
            out = np.full((len(reply.label), classes), np.nan, np.float32)
            kept = ~reply.rejected
            out[kept.numpy(force=True)] = self.shown(reply.take(kept), classes)
            return out
        if reply.values is None or reply.access is Access.TOPK:
            out = np.full((len(reply.label), classes), np.nan, np.float32)
            listed = reply.label[:, None] if reply.values is None else reply.classes
            assert listed is not None
            values = np.zeros_like(out[:, :1]) if reply.values is None else self._log(reply.values.numpy(force=True))
            np.put_along_axis(out, listed.numpy(force=True), values, 1)
            return out
        values = reply.values.numpy(force=True)
        return self._log(values) if reply.access is Access.SCORES else values.astype(np.float32)

    def _log(self, p: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(p, np.float32(max(self.resolution / 2, _SMALLEST)), order="C"))

    def _from_top(self, reply: Reply, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert reply.values is not None and reply.classes is not None
        p, listed = reply.values.numpy(force=True), reply.classes.numpy(force=True) == goal[:, None]
        hidden = max(reply.total - p.shape[1], 1)
        spread = p[:, 0]
        for j in range(1, p.shape[1]):  # k is small; a fixed order keeps rows independent
            spread = spread + p[:, j]
        rest = np.minimum(np.maximum(1 - spread, 0) / np.float32(hidden), p[:, -1])
        own = np.where(listed.any(1), np.where(listed, p, 0).max(1), rest)
        if self.kind == "cross-entropy":
            return self._log(own), np.zeros_like(own)
        return self._log(own), self._log(np.maximum(np.where(listed, 0, p).max(1), rest))

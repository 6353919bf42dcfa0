"""Gradient sources: what fills the first place of *gradient source -> direction chain -> step -> projection*.

Autograd through surrogates is one source. Whatever has the same call can stand in its place: an estimator over a
target's queries, or a source that looks at changed views of ``x`` (it has the stream and the step to draw them from).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blackbox.rng import Stream
from surrogates.predict import chunk_rows, class_count, cut, frozen, pieces, place

LOSSES = ("cross-entropy", "margin")


@runtime_checkable
class Gradient(Protocol):
    """A source of gradients.

    cost: forward-and-backward passes that an image costs at each call, over all nets (the G of a preset's table).
    """

    cost: int

    def __call__(self, x: Tensor, goal: Tensor, rng: Stream, k: int) -> Tensor:
        """Images [n, \\*shape] and classes [n] -> the gradient [n, \\*shape] of a loss that is larger closer to success.

        Each row is the gradient of its own loss, whatever rows lie beside it. ``rng``: draws for these rows; ``k``: the
        step, from 0.
        """


def attack_loss(scores: Tensor, goal: Tensor, kind: str, targeted: bool) -> Tensor:
    """Logits [n, C], classes [n] -> loss [n], larger is closer to success.

    ``"cross-entropy"``: -log p of the true class (Goodfellow et al. 2015, arXiv:1412.6572), or log p of the target.
    ``"margin"``: best other logit minus the true one, or target minus best other (Carlini & Wagner 2017,
    arXiv:1608.04644, f6, without the cut at zero).
    """
    if kind == "cross-entropy":
        loss = F.cross_entropy(scores, goal, reduction="none")
    else:
        own = scores.gather(1, goal[:, None])[:, 0]
        loss = scores.scatter(1, goal[:, None], -torch.inf).amax(1) - own
    return -loss if targeted else loss


class Autograd:
    """Gradients through one net, or through several whose logits are averaged.

    Args:
        nets: a net or a sequence of nets that give logits [m, C] for images in [0, 1], on one device. Several are
            fused by the mean of their logits (Dong et al. 2018, arXiv:1710.06081, section 3.3).
        x: [N, \\*shape] example images, to see that the nets take them.
        loss: ``"cross-entropy"`` (what the FGSM family maximises) or ``"margin"``; see `attack_loss`.
        targeted: the goal is a class to reach instead of the label to leave.
        chunk: images a call; by default a function of their shape and the device. Every call carries exactly so many
            (the last is filled up with copies), so results do not depend on the batch, its size or its order; memory is
            that of one call.

    The nets are used in eval mode and get their flags back after each call.

    Raises:
        ValueError: no net; nets with different numbers of classes or on different devices; images that a net does not
            take; an unknown loss.
    """

    def __init__(
        self,
        nets: nn.Module | Sequence[nn.Module],
        x: Tensor,
        loss: str = "cross-entropy",
        targeted: bool = False,
        chunk: int | None = None,
    ) -> None:
        self.nets = as_nets(nets)
        if loss not in LOSSES:
            raise ValueError(f"Expected loss to be one of {', '.join(LOSSES)}, but it was {loss!r}.")
        if chunk is not None and chunk < 1:
            raise ValueError(f"Expected chunk to be at least 1, but it was {chunk}.")
        several = len(self.nets) > 1
        counts = [
            class_count(net, x, f"net {i} of the ensemble" if several else "the net") for i, net in enumerate(self.nets)
        ]
        if len(set(counts)) > 1:
            raise ValueError(
                f"Expected the nets of an ensemble to tell the same classes apart, but they have {', '.join(map(str, counts))} "
                "classes. Craft on each alone, or build them alike."
            )
        places = {place(net)[0] for net in self.nets}
        if len(places) > 1:
            raise ValueError(f"Expected all nets on one device, but they are on {', '.join(sorted(map(str, places)))}.")
        self.classes, self.device = counts[0], places.pop()
        self.loss, self.targeted = loss, targeted
        self.chunk = chunk or chunk_rows(tuple(x.shape[1:]), self.device)
        self.cost = len(self.nets)

    def __call__(self, x: Tensor, goal: Tensor, rng: Stream, k: int) -> Tensor:
        out = torch.empty_like(x)
        with frozen(self.nets):
            for where, fill in pieces(len(x), self.chunk):
                g = self._piece(cut(x, where, fill), cut(goal, where, fill))
                out[where] = g[: where.stop - where.start]
        if not bool(out.isfinite().all()):
            bad = int((~out.isfinite()).flatten(1).any(1).nonzero()[0])
            raise ValueError(
                f"Expected finite gradients, but that of row {bad} holds NaN or infinity. Was the net trained?"
            )
        return out

    def _piece(self, x: Tensor, goal: Tensor) -> Tensor:
        x = x.to(self.device).detach().requires_grad_()
        with torch.enable_grad():
            scores = [net(x.to(place(net)[1])).float() for net in self.nets]
            fused = scores[0] if len(scores) == 1 else torch.stack(scores).mean(0)
            # the sum, never the mean: a row's gradient must not shrink with the number of rows
            total = attack_loss(fused, goal.to(self.device), self.loss, self.targeted).sum()
            return torch.autograd.grad(total, x)[0]


def as_nets(nets: Any) -> tuple[nn.Module, ...]:
    """A net, or a sequence of them, as a tuple."""
    found = (nets,) if isinstance(nets, nn.Module) and not isinstance(nets, nn.ModuleList) else tuple(nets)
    if not found or not all(isinstance(net, nn.Module) for net in found):
        what = ", ".join(sorted({type(net).__name__ for net in found})) or "none"
        raise ValueError(f"Expected one or more torch modules to take gradients through, but there were: {what}.")
    return found

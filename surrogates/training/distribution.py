"""DRA: an update after which a net's gradients point along the distribution of its data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.training.update import Batch, Update, still_statistics


@dataclass(frozen=True)
class ScoreMatching(Update):
    """Distribution-relevant training: cross-entropy, plus ``weight`` times how far the gradient of log p(y | x) is from that of the data's
    density, by sliced score matching.

    Zhu et al. 2022, arXiv:2210.04213, "Toward understanding and boosting adversarial transferability from a distribution perspective"
    (IEEE TIP); the distance to the unknown gradient is, up to a constant, the mean of |g|^2 + 2 v' H v (Hyvaerinen 2005; Song et al. 2019,
    arXiv:1905.07088), g and H the first two derivatives of log p(y | x) by the image, v random signs. Departs from the paper: v' H v is
    a difference of three values, ``step`` apart along v (Pang et al. 2020, arXiv:2007.03317), since torch has no third derivative of batch
    norm; and the distance is per entry of an image, so that one weight suits all sizes. Batch norm normalises by the batch, whose images
    so touch each other's derivatives. An update takes three forward passes and a second derivative.

    Args:
        weight: of the distance. step: of the difference, in units of the image range. Both ours.
    """

    weight: float = 0.1
    step: float = 4 / 255

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf or not 0 < self.step < 1:
            raise ValueError(f"Expected weight of at least 0 and step in (0, 1), but they were {self.weight!r} and {self.step!r}.")

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        x = batch.x.detach().requires_grad_()
        loss, scores = batch.loss(x)
        v = batch.rng.signs(0, "score matching", tuple(x.shape[1:])).to(x)
        with still_statistics(batch.net):
            ahead, behind = (batch.loss(x.detach() + way * self.step * v)[1] for way in (1, -1))
        far = distance(x, scores, ahead, behind, batch.labels, self.step).mean() / x[0].numel()
        batch.descend(loss + self.weight * far)
        return loss.detach(), scores.detach()


def distance(x: Tensor, scores: Tensor, ahead: Tensor, behind: Tensor, labels: Tensor, step: float) -> Tensor:
    """|g|^2 + 2 v' H v of each image ``x``, [m], with graph, from the scores there and ``step`` v ahead of it and behind it."""
    here, there, back = (sure(z, labels) for z in (scores, ahead, behind))
    (g,) = torch.autograd.grad(here.sum(), x, create_graph=True)
    return g.square().flatten(1).sum(1) + 2 * (there - 2 * here + back) / step**2


def sure(scores: Tensor, labels: Tensor) -> Tensor:
    """log p(label | x), [m]."""
    return (scores if scores.dtype == torch.float64 else scores.float()).log_softmax(1).gather(1, labels[:, None])[:, 0]

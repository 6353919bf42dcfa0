"""The three quantities of Demontis et al. 2019, "Why do adversarial attacks transfer?" (arXiv:1809.02861).

For a query-only target see `DirectionalProbe`; for how well they predict measured rates, `rank_correlation`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.checks import as_images, as_labels
from blackbox.rng import Stream
from blackbox.rowwise import row_dot, row_norm
from blackbox.statistics import TwoLevel, two_level
from blackbox.threat import L2, Threat
from surrogates.crafting.goal import Goal
from surrogates.crafting.gradients import Autograd, as_nets
from surrogates.crafting.parts import losses
from surrogates.crafting.parts.losses import Answer
from surrogates.nets.predict import logits
from surrogates.transfer.runs import Source

_DUAL = {math.inf: 1.0, 2.0: 2.0, 1.0: math.inf}


@dataclass(frozen=True, eq=False)
class Alignment:
    """The comparison of two models' input gradients at the same images.

    cosine [N]: between the two gradients, R of the paper; NaN where one is zero. source_size, target_size [N]: their
    lengths in the dual norm, S of the paper: to first order, how much a change of length 1 adds to the loss.
    """

    cosine: np.ndarray
    source_size: np.ndarray
    target_size: np.ndarray

    @property
    def mean(self) -> TwoLevel:
        """The mean cosine over the images where it is defined, with a bootstrap-t interval."""
        return two_level(np.nan_to_num(self.cosine), ~np.isnan(self.cosine), bounds=(-1, 1))


def alignment(
    source: Source, target: Source, x: Any, y: Any, *, threat: Threat | None = None, loss: str = "cross-entropy"
) -> Alignment:
    """Compare the input gradients of a surrogate and of a target you own, at x [N, \\*shape] with labels y [N].

    Args:
        threat: its norm decides the dual norm of the sizes (Linf: L1; L2: L2; L1: Linf); L2 by default.
        loss: ``"cross-entropy"`` (the paper's, for nets), or ``"margin"``, whose gradient does not vanish where a model is
            confident.

    *Departs from the paper:* values are kept image by image; the paper averages them.

    Raises:
        ValueError: images or labels that do not fit the nets, an unknown loss.
    """
    images = as_images(x, "x")
    g, h = (input_gradient(nets, images, y, loss) for nets in (source, target))
    lengths = row_norm(g) * row_norm(h)
    cosine = torch.where(lengths > 0, row_dot(g, h) / lengths.clamp_min(1e-300), torch.nan)
    q = _DUAL[(threat or L2(1.0)).p]
    return Alignment(cosine.numpy(), row_norm(g, q).numpy(), row_norm(h, q).numpy())


def gradient_size(
    net: Source, x: Any, y: Any, *, threat: Threat | None = None, loss: str = "cross-entropy"
) -> np.ndarray:
    """The dual norm of the loss's gradient at each image [N], S of the paper. Arguments as for `alignment`."""
    return row_norm(input_gradient(net, x, y, loss), _DUAL[(threat or L2(1.0)).p]).numpy()


def input_gradient(nets: Source, x: Any, y: Any, loss: str = "cross-entropy") -> Tensor:
    """The loss's gradient at each image, [N, \\*shape] float64 on the CPU; the loss grows as the label becomes less likely."""
    images = as_images(x, "x")
    source = Autograd(nets, images, loss)
    labels = as_labels(y, len(images), source.classes, "y")
    rng = Stream(0, np.arange(len(images), dtype=np.uint64), source.device)
    return source(images, labels.to(images.device), rng, 0).double().cpu()


def loss_variability(nets: Sequence[Source], x: Any, y: Any, *, loss: str = "cross-entropy") -> np.ndarray:
    """The variance of the loss at each image (adversarial ones, say) over trainings of one model [N], V of the paper.

    Raises:
        ValueError: fewer than two trainings, or images and labels that do not fit.
    """
    if isinstance(nets, nn.Module) or len(nets) < 2:
        raise ValueError("Expected two or more trainings of a surrogate, but there was one. Train it with other seeds.")
    values = [loss_values(net, x, y, loss) for net in nets]
    return np.var(np.stack(values), axis=0)


def loss_values(net: Source, x: Any, y: Any, loss: str = "cross-entropy") -> np.ndarray:
    """The loss of each image, [N] float64."""
    members = as_nets(net)
    scores = torch.stack([logits(member, x) for member in members]).double().mean(0)
    labels = as_labels(y, len(scores), scores.shape[1], "y")
    return losses.get(loss)(Answer(scores), Goal.of(labels)).numpy()

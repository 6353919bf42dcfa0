"""Channels that show less of the scores, or show them with noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.channels.channel import Scores
from blackbox.rng import Stream
from blackbox.targets.answer import Answer
from blackbox.targets.info import TargetInfo


class TopK(Scores):
    """Shows the k largest probabilities; the other classes share what is left equally, which tells nothing of them.

    The partial-information setting of Ilyas et al. 2018 (arXiv:1804.08598, section 2.1). An oracle with
    ``access="topk"`` in front of it lists exactly these k; one with ``access="scores"`` shows the filled-up row.

    Args:
        k: classes listed.
    """

    def __init__(self, model: Any, k: int) -> None:
        super().__init__(model)
        if k < 1:
            raise ValueError(f"Expected k to be at least 1, but it was {k}; use LabelsOnly to hide scores.")
        self._k = k

    @property
    def info(self) -> TargetInfo:  # type: ignore[override]
        return replace(super().info, k=self._k)

    def __str__(self) -> str:
        return f"TopK {self._k}"

    def change(self, label: Tensor, p: Tensor, rows: np.ndarray) -> Answer:
        hidden = p.shape[1] - self._k
        if hidden <= 0:
            return Answer(label, p)
        top, classes = p.topk(self._k, dim=1)
        # at most the smallest listed probability, even if rounding and noise in inner channels changed the sum
        rest = torch.minimum((1 - top.sum(1, keepdim=True)).clamp_min(0) / hidden, top[:, -1:])
        return Answer(label, rest.expand_as(p).scatter(1, classes, top))


class Rounded(Scores):
    """Shows probabilities rounded to some decimals (Tramèr et al. 2016, arXiv:1609.02943, section 7).

    Args:
        decimals: at least 1.
    """

    def __init__(self, model: Any, decimals: int = 2) -> None:
        super().__init__(model)
        if decimals < 1:
            raise ValueError(f"Expected decimals to be at least 1, but it was {decimals}; use LabelsOnly to hide scores.")
        self.decimals, self.own_resolution = decimals, 10.0**-decimals

    def __str__(self) -> str:
        return f"Rounded {self.decimals}"

    def change(self, label: Tensor, p: Tensor, rows: np.ndarray) -> Answer:
        return Answer(label, p.round(decimals=self.decimals))


class Noisy(Scores):
    """Adds Gaussian noise to every probability, clips it to [0, 1], and names the class that then is largest.

    The simplest randomised target: each answer is a new draw, so one success proves nothing.

    Args:
        scale: standard deviation, in units of a probability. seed: of the noise.
    """

    own_randomised = True

    def __init__(self, model: Any, scale: float, seed: int = 0) -> None:
        super().__init__(model)
        if not scale > 0:
            raise ValueError(f"Expected scale to be a positive standard deviation, but it was {scale}.")
        self.scale, self.seed, self.own_noise = float(scale), seed, float(scale)

    def __str__(self) -> str:
        return f"Noisy {self.scale:g}"

    def change(self, label: Tensor, p: Tensor, rows: np.ndarray) -> Answer:
        noise = Stream(self.seed, rows).normal(0, "score noise", p.shape[1]).to(p)
        shown = p + self.scale * noise
        return Answer(shown.argmax(1), shown.clamp(0, 1))

"""`AAA`: scores whose loss leads a search the wrong way, and whose confidence is calibrated."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from blackbox.channels.channel import Scores
from blackbox.targets.answer import Answer

CURVES = ("linear", "sine")


class AAA(Scores):
    """Scores whose margin rises where the true one falls, within intervals of ``period``; the label stays the target's own.

    Chen et al. 2022, "Adversarial attack on attackers: post-process to mitigate black-box score-based query attacks" (NeurIPS,
    arXiv:2205.12134). With the margin M (largest logit minus the next) and the middle A of its interval of length ``period``, the
    margin shown is M - (1 + slope)(M - A) for the linear curve, which is reversed with ``slope=1``, and
    M - slope * period * sin(pi (1 - 2 (M - A) / period)) for the sine, which bends less in the middle and goes on at the ends.
    So a greedy search sees no progress towards the boundary where it makes some. The confidence shown is the largest of
    softmax(logits / temperature).

    Departs from the paper: it finds logits with both properties by gradient descent, here the two are solved for: the largest
    logit gives the margin, a shift of all classes below the second gives the confidence, as far as it can while the second stays
    the second. A margin is never shown below ``1e-3``, so that the label shown first is the target's.

    Args:
        curve: "linear" or "sine".
        period: of the intervals, in logits (the paper: 6).
        slope: by how much the loss is bent (the paper: 1 for the linear curve, 0.7 for the sine); 0 for these.
        temperature: by which logits are divided for the confidence; see `AAA.temperature_of`.
    """

    def __init__(
        self, model: Any, curve: str = "linear", period: float = 6.0, slope: float = 0.0, temperature: float = 1.0
    ) -> None:
        super().__init__(model)
        if curve not in CURVES:
            raise ValueError(f"Expected curve to be one of {', '.join(CURVES)}, but it was {curve!r}.")
        if not period > 0 or not slope >= 0 or not temperature > 0:
            raise ValueError(
                f"Expected period and temperature above 0, and slope of at least 0, but they were {period}, {temperature} and {slope}."
            )
        self.curve, self.period, self.temperature = curve, period, temperature
        self.slope = slope or (1.0 if curve == "linear" else 0.7)

    def __str__(self) -> str:
        return f"AAA {self.curve}"

    @staticmethod
    def temperature_of(logits: Tensor, labels: Tensor) -> float:
        """The temperature at which softmax(logits / temperature) fits the ``labels`` [m] best: calibration on images of one's own
        (Guo et al. 2017, arXiv:1706.04599). logits: [m, C], or logarithms of probabilities."""
        z = logits.to(torch.float64)

        def wrong(log_t: float) -> float:
            return float(torch.nn.functional.cross_entropy(z / float(np.exp(log_t)), labels))

        return float(np.exp(minimize_scalar(wrong, bounds=(-3.0, 3.0), method="bounded").x))

    def bent(self, margin: Tensor) -> Tensor:
        """The margins shown instead of these."""
        middle = ((margin / self.period).floor() + 0.5) * self.period
        if self.curve == "linear":
            shown = margin - (1 + self.slope) * (margin - middle)
        else:
            shown = margin - self.slope * self.period * (torch.pi * (1 - 2 * (margin - middle) / self.period)).sin()
        return shown.clamp_min(1e-3)

    def change(self, label: Tensor, p: Tensor, rows: np.ndarray) -> Answer:
        z = p.to(torch.float64).clamp_min(1e-30).log()
        top = z.gather(1, label[:, None])
        other = z.scatter(1, label[:, None], -torch.inf)
        second, at = other.max(1, keepdim=True)
        sure = (z / self.temperature).softmax(1).gather(1, label[:, None])
        margin = self.bent(top - second)
        rest = other.scatter(1, at, -torch.inf)
        # exp(margin) / (exp(margin) + 1 + exp(shift) * total) = sure, in units of the second class
        total = (rest - second).exp().sum(1, keepdim=True)
        needed = (margin.exp() / sure - margin.exp() - 1).clamp_min(1e-30)
        shift = (needed / total.clamp_min(1e-30)).log()
        most = torch.where(total > 0, second - rest.amax(1, keepdim=True), 0.0)
        shown = (rest + torch.minimum(shift, most)).scatter(1, at, second).scatter(1, label[:, None], second + margin)
        return Answer(label, shown.softmax(1).to(torch.float32))

"""A defence that makes the scores misleading."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.channels.channel import Scores
from blackbox.targets.answer import Answer


class ReverseSigmoid(Scores):
    """Scores that mislead: ``p - beta (sigmoid(gamma logit(p)) - 1/2)``, normalised; the label stays the target's own.

    Lee et al. 2019, "Defending against neural network model stealing attacks using deceptive perturbations"
    (IEEE S&P workshops, arXiv:1806.00054): the map falls where p is near 0 or 1, so that a confident score looks
    unsure and a difference of scores points the wrong way.

    Args:
        beta: size of the perturbation, in (0, 1]. gamma: how soon it saturates; small values mislead only near 0 and 1. The
            defaults are ours: with them the direction is reversed where p is above 0.96 or below 0.04.
    """

    def __init__(self, model: Any, beta: float = 1.0, gamma: float = 0.2) -> None:
        super().__init__(model)
        if not 0 < beta <= 1 or not gamma > 0:
            raise ValueError(f"Expected beta in (0, 1] and gamma above 0, but they were {beta} and {gamma}.")
        self.beta, self.gamma = beta, gamma

    def change(self, label: Tensor, p: Tensor, rows: np.ndarray) -> Answer:
        logit = p.to(torch.float64).clamp(1e-12, 1 - 1e-12).logit()
        shown = (p - self.beta * ((self.gamma * logit).sigmoid() - 0.5)).clamp_min(0)
        return Answer(label, (shown / shown.sum(1, keepdim=True).clamp_min(1e-12)).to(torch.float32))

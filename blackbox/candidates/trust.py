"""Trust: whether a row goes on with the prior, by what the prior's first point did to the target."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from blackbox.protocol import Task, Tell


class Trust(NamedTuple):
    """The share of the clean image's margin that the start must take away for a row to go on with the prior."""

    prior_wrong: float = 0.7  # of images that the prior itself gets wrong
    prior_right: float = 0.4  # of others
    targeted: float = 0.6  # towards a class

    def of_rows(self, t: Task, clean: Tensor) -> Tensor | float:
        """The share that holds for each row, by the prior's logits ``clean`` [n, C] at the clean images."""
        assert t.goal is not None
        if t.targeted:
            return self.targeted
        return torch.where(clean.argmax(1) == t.goal, self.prior_right, self.prior_wrong)

    def disappointed(self, t: Task, a: Tell, clean: Tensor) -> Tensor:
        """[n] where the start, which the target answered with ``a``, took away less than it must."""
        return taken(t, a) < self.of_rows(t, clean)


def taken(t: Task, a: Tell) -> Tensor:
    """[n] the share of the clean image's margin that the points just answered took away; 0 where nothing was paid."""
    return ((a.loss - t.loss0) / t.loss0.abs().clamp_min(1e-6)).clamp(0, 1).nan_to_num(nan=0.0)

"""A prior whose answers are known in closed form: good, useless or adversarially wrong, as a test needs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blackbox.prior import Pull, agree
from blackbox.rowwise import row_sum, weighted_sum
from blackbox.testing.problems import affine_problem


@dataclass(eq=False, repr=False)
class LinearPrior:
    """Members with ``logit_c(x) = weight_c . x + bias_c``, row-exact; a `blackbox.prior.Prior` without autograd.

    Args:
        weight: [M, C, \\*shape].
        bias: [M, C].
        sign: -1 makes every gradient point the wrong way (the logits stay right).
    """

    weight: Tensor
    bias: Tensor
    sign: float = 1.0
    gradients: int = 0
    passes: int = 0

    def __repr__(self) -> str:
        return f"LinearPrior({tuple(self.weight.shape)}, {self.sign:g})"

    @property
    def members(self) -> int:
        return self.weight.shape[0]

    @property
    def classes(self) -> int:
        return self.weight.shape[1]

    @classmethod
    def of_problem(
        cls,
        classes: int = 3,
        members: int = 2,
        blur: float = 0.3,
        sign: float = 1.0,
        shape: tuple[int, ...] = (3, 4, 4),
    ) -> LinearPrior:
        """Make members near the target of `affine_problem`: its weights with noise of ``blur`` times their size."""
        target = affine_problem("Linf", shape, targeted=classes == 2).target
        rng = np.random.default_rng(1)
        noise = torch.tensor(rng.standard_normal((members, *target.weight.shape)), dtype=torch.float32)
        return cls(target.weight + blur * noise, target.bias.expand(members, -1).clone(), sign)

    @classmethod
    def noise(
        cls, classes: int = 3, members: int = 2, shape: tuple[int, ...] = (3, 4, 4), seed: int = 5
    ) -> LinearPrior:
        """Make random members, unrelated to any target."""
        rng = np.random.default_rng(seed)
        weight = torch.tensor(rng.standard_normal((members, classes, *shape)), dtype=torch.float32)
        return cls(weight, torch.zeros(members, classes))

    def logits(self, x: Tensor) -> Tensor:
        self.passes += len(x) * self.members
        return self._logits(x)

    def _logits(self, x: Tensor) -> Tensor:
        w = self.weight.flatten(0, 1)
        scores = row_sum((x[:, None] * w[None]).flatten(0, 1)).view(len(x), self.members, self.classes)
        return scores + self.bias

    def gradient(self, x: Tensor, pull: Pull) -> Tensor:
        covector = pull(self._logits(x), torch.arange(len(x)))
        used = int((covector != 0).flatten(2).any(2).any(0).sum())  # a member that is not used costs nothing
        self.gradients += len(x) * used
        self.passes += len(x) * (self.members - used)
        return self.sign * weighted_sum(covector.flatten(1), self.weight.flatten(0, 1))

    def check(self, shape: tuple[int, ...], classes: int) -> None:
        agree("the prior", (tuple(self.weight.shape[2:]), self.classes), (tuple(shape), classes))

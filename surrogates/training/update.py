"""`Update`: the step on one batch, here plain gradient descent; others are `sharpness.SAM` and those of `adversarial`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from blackbox.targets.outputs import scores_of


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch, and what an update needs to train on it.

    Attributes:
        net: in training mode.
        x: [m, C, H, W], augmented.
        labels: [m].
        criterion: scores [m, C] -> mean loss of this batch.
        rng: the images' random stream, a new one each epoch.
        optimiser: has the learning rate of this update.
        autocast: a context that sets the precision of forward passes.
    """

    net: nn.Module
    x: Tensor
    labels: Tensor
    criterion: Callable[[Tensor], Tensor]
    rng: Stream
    optimiser: torch.optim.Optimizer
    autocast: Callable[[], torch.autocast]

    def loss(self, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (mean loss, scores [m, C]) at ``x``, by default at the batch's own images."""
        with self.autocast():
            answer = self.net(self.x if x is None else x)
        plain = type(answer) is tuple and len(answer) > 1  # scores, then auxiliary outputs
        scores = answer[0] if plain else scores_of(answer)
        return self.criterion(scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores), scores

    def descend(self, loss: Tensor) -> None:
        """Take one step of the optimiser down ``loss``."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()


@dataclass(frozen=True)
class Update:
    """How one batch changes the net. Subclass it (a frozen dataclass of numbers) and pass it to `Recipe`."""

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Change the net once or more; return the (loss, scores [m, C]) from before, for the report."""
        loss, scores = batch.loss()
        batch.descend(loss)
        return loss.detach(), scores.detach()

    def examine(self, net: nn.Module, x: Tensor, labels: Tensor, rng: Stream) -> Tensor:
        """The images on which held-out loss is computed, made from held-out images [m, C, H, W]; by default ``x`` itself."""
        return x


@contextmanager
def still_statistics(net: nn.Module) -> Iterator[None]:
    """Freeze batch norm's running statistics in this context; it still normalises by the batch, as in training."""
    parts = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = [m.momentum for m in parts]
    for part in parts:
        part.momentum = 0.0
    try:
        yield
    finally:
        for part, momentum in zip(parts, kept, strict=True):
            part.momentum = momentum

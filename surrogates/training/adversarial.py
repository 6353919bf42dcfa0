"""Adversarial training: trains a net on adversarial examples crafted against itself, with the loop that `craft` runs.

``Recipe(update=Adversarial(Linf(8/255)))``. As a source, a *slightly* robust net (small eps) has gradients that transfer
better (Springer et al. 2021, arXiv:2106.02105).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from blackbox.threat import Threat
from surrogates.crafting.ascent import ascend
from surrogates.crafting.ball import move, random_point
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.finish import RandomStart
from surrogates.training.update import Batch, Update

KINDS = {"pgd": (7, 0.25), "fgsm": (1, 1.25)}  # steps, step / eps
_EXAMINED = (10, 0.25)  # for held-out loss, whatever the training attack: a net may resist only the weak attack it trains on


@dataclass(frozen=True)
class Adversarial(Update):
    """Replaces each batch by adversarial examples of the current net (Madry et al. 2018, arXiv:1706.06083).

    Args:
        threat: norm, eps and box.
        attack: ``"pgd"``: random start, 7 steps of eps/4 (Madry et al., their CIFAR-10 training); ``"fgsm"``: random start,
            one step of 1.25 eps ("fast", Wong, Rice & Kolter 2020, arXiv:2001.03994).
        steps, step: replace these; step in units of the threat's norm.
        clean: share of the loss on the clean images; 0.5 with ``"fgsm"`` is Goodfellow et al. 2015 (arXiv:1412.6572,
            section 6), except for the random start. 0: adversarial examples only.

    Held-out loss is measured under ten steps of PGD: "fast" training can collapse within an epoch to nets that resist FGSM
    only (Wong et al., "catastrophic overfitting"), and robust nets overfit. So hold images out.

    *Departs from the papers*: examples are crafted in eval mode, so that an image's example does not depend on the rest of
    the batch through batch norm.

    Raises:
        ValueError: an unlimited eps, an unknown attack, or steps that are not positive.
    """

    threat: Threat
    attack: str = "pgd"
    steps: int | None = None
    step: float | None = None
    clean: float = 0.0

    def __post_init__(self) -> None:
        _check(self.threat)
        if not 0 <= self.clean < 1:
            raise ValueError(f"Expected clean to be a share in [0, 1), but it was {self.clean!r}.")
        if self.attack not in KINDS:
            raise ValueError(f"Expected attack to be one of {', '.join(KINDS)}, but it was {self.attack!r}.")
        if (self.steps is not None and self.steps < 1) or (self.step is not None and not self.step > 0):
            raise ValueError(
                f"Expected steps of at least 1 and a positive step, but they were {self.steps} and {self.step}."
            )

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        steps, share = KINDS[self.attack]
        steps, step = self.steps or steps, self.step or share * self.threat.eps
        x = adversarial_examples(batch.net, batch.x, batch.labels, self.threat, steps, step, batch.rng)
        loss, scores = batch.loss(x)
        if self.clean:
            loss = self.clean * batch.loss()[0] + (1 - self.clean) * loss
        batch.descend(loss)
        return loss.detach(), scores.detach()

    def examine(self, net: nn.Module, x: Tensor, labels: Tensor, rng: Stream) -> Tensor:
        steps, share = _EXAMINED
        return adversarial_examples(net, x, labels, self.threat, steps, share * self.threat.eps, rng)


@dataclass(frozen=True)
class Free(Update):
    """ "Free" adversarial training (Shafahi et al. 2019, arXiv:1904.12843, algorithm 1): each batch is used ``replays``
    times in a row, and one backward pass gives both the step of the weights and the step of the perturbation.

    Args:
        threat: norm, eps and box.
        replays: m. 8 (the paper's best on CIFAR-10). The paper divides the number of epochs by it; do so too.

    *Departs from the paper*: a batch starts from random points of the ball, not from the perturbations of the previous
    batch, which belong to other images; so a run resumes to the bit and each image has its own draw.
    """

    threat: Threat
    replays: int = 8

    def __post_init__(self) -> None:
        _check(self.threat)
        if self.replays < 1:
            raise ValueError(f"Expected replays of at least 1, but they were {self.replays}.")

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        first = None
        x = batch.x + random_point(self.threat, batch.rng, tuple(batch.x.shape[1:])).to(batch.x)
        x = self.threat.project(x, batch.x)
        for _ in range(self.replays):
            x = x.detach().requires_grad_()
            loss, scores = batch.loss(x)
            batch.descend(loss)
            first = first or (loss.detach(), scores.detach())
            assert x.grad is not None
            x = self.threat.project(x.detach() + move(self.threat, x.grad, x.detach(), self.threat.eps), batch.x)
        assert first is not None
        return first

    def examine(self, net: nn.Module, x: Tensor, labels: Tensor, rng: Stream) -> Tensor:
        return Adversarial(self.threat).examine(net, x, labels, rng)


def adversarial_examples(
    net: nn.Module, x: Tensor, labels: Tensor, threat: Threat, steps: int, step: float, rng: Stream
) -> Tensor:
    """Craft adversarial examples [m, \\*shape] of the net from random points of the ball."""
    source = Autograd([net], x, chunk=len(x))
    return ascend(source, x, labels, threat, Parts((RandomStart(),)), steps, step, rng)


def _check(threat: Threat) -> None:
    if threat.eps == torch.inf or threat.p not in (1, 2, torch.inf):
        raise ValueError(f"Expected a finite eps in Linf, L2 or L1 to train against, but the threat was {threat}.")

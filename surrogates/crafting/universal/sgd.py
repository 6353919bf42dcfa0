"""Universal changes by minibatch ascent: Shafahi et al. 2020, arXiv:1811.11304, algorithm 2."""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox.threat import Linf
from surrogates.crafting.universal.images import Images

_DECAY = 0.9


def sgd(images: Images, epochs: int, batch: int, step: float | None) -> Tensor:
    """Ascend the mean loss of a batch at a time, and project; return the change of the epoch that fools most images.

    step: the first step's length in units of the threat's norm, by default a fifth of eps, more in a run of few steps; it falls linearly to
    zero.
    Chosen here: the steepest unit step of the norm instead of Adam, momentum 0.9 of gradients of mean size 1, the falling step.
    """
    threat = Linf(images.threat.upper - images.threat.lower, images.threat.lower, images.threat.upper) if images.pasted else images.threat
    change = torch.zeros(images.shape) if not images.pasted else torch.full(images.shape, (threat.lower + threat.upper) / 2)
    best, most, k = change, -1.0, 0
    speed = torch.zeros_like(change)
    total = epochs * len(images.batches(0, batch))
    length = threat.eps * min(2.0, max(0.2, 4 / total)) if step is None else step  # together at least 2 eps long
    for epoch in range(epochs):
        for who in images.batches(epoch, batch):
            g = images.gradient(change, who, k).cpu()
            speed = _DECAY * speed + g / g.abs().mean().clamp_min(1e-12)
            change = images.project(change + length * (1 - k / total) * threat.steepest(speed[None])[0])
            k += 1
        share = float(images.fooled(change).mean())
        if share >= most:
            best, most = change, share
    return best

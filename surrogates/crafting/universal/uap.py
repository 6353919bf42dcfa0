"""Universal adversarial perturbations: Moosavi-Dezfooli, Fawzi, Fawzi & Frossard 2017, arXiv:1610.08401, algorithm 1."""

from __future__ import annotations

import torch
from torch import Tensor

from surrogates.crafting.minimum_norm import deepfool
from surrogates.crafting.universal.images import Images


def uap(images: Images, epochs: int, wanted: float) -> Tensor:
    """Go through the images; to the change add the smallest one that takes an image that it does not fool over the boundary, by
    DeepFool, and project; until the share ``wanted`` is fooled, or so many epochs are over.

    Returns the change of the epoch that fools most images. Departs from the paper: DeepFool is ours (`surrogates.minimum_norm`), with its
    overshoot of 0.02, 10 iterations a call, and true labels in place of the net's own.
    """
    change = torch.zeros(images.shape)
    best, most = change, -1.0
    target = images.aim.classes if images.aim.targeted else None
    for epoch in range(epochs):
        for who in images.batches(epoch, 1):
            i = int(who)
            here = images.universal(change).apply(images.x[i : i + 1])
            found = deepfool(
                images.source.nets, here, images.aim.labels[i : i + 1], target=None if target is None else target[i : i + 1],
                iterations=10, box=(images.threat.lower, images.threat.upper),
            )  # fmt: skip
            images.gradients += int(found.gradients.sum())
            more = (found.x_adv - here)[0].cpu()
            if bool(more.any()):
                change = images.project(change + more)
        share = float(images.fooled(change).mean())
        if share > most:
            best, most = change, share
        if share >= wanted:
            break
    return best

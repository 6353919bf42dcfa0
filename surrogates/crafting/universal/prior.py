"""`universal_prior`: nets you own as the prior of a search for a universal change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from blackbox.areas import Area, Patch
from blackbox.change import allowed, check_threat, paste
from blackbox.checks import as_ids, as_images, as_labels
from blackbox.prior import Prior
from blackbox.threat import Threat, as_threat
from surrogates.crafting.goal import as_target
from surrogates.crafting.gradients import as_nets
from surrogates.crafting.prior import prior
from surrogates.nets.predict import class_count


def universal_prior(
    nets: nn.Module | Sequence[nn.Module], x: Any, y: Any, threat: Threat, *, target: Any = None, mask: Any = None, seed: int = 0
) -> Prior:
    """Use surrogates as the prior of `blackbox.universal`: ``bb.universal(oracle, x, y, "hybrid", threat, prior=...)``.

    Each net is shown what the target is shown, all images with the candidate change; a call of it costs a gradient an image.

    Args:
        nets: a net or several that give logits for images in [0, 1].
        x, y, threat, target, mask, seed: as given to `blackbox.universal`; its images, or others.

    Raises:
        ValueError: images, labels or a threat that do not fit; a patch whose place is to be searched.
    """
    check_threat(threat := as_threat(threat))
    images, found = as_images(x, "x"), as_nets(nets)
    classes = class_count(found[0], images, "the net")
    labels = as_labels(y, len(images), classes, "y")
    goal = labels if target is None else as_target(target, labels, classes)
    if isinstance(threat, Area) and threat.free:
        raise ValueError(f"Expected a patch in a given or random place for nets, but it was {threat}. Give Patch(size, location=...).")
    free = allowed(threat, tuple(images.shape[1:]), mask)
    return prior([_OnAll(net, images, goal, target is not None, threat, free, seed) for net in found])


class _OnAll(nn.Module):
    """Answers candidates [m, \\*shape] as `blackbox.image_set.target.ImageSet` does, [m, 2], with graph."""

    def __init__(
        self, net: nn.Module, images: Tensor, goal: Tensor, targeted: bool, threat: Any, mask: Tensor | None, seed: int
    ) -> None:
        super().__init__()
        self.net, self.images, self.goal, self.targeted, self.threat = net, images, goal, targeted, threat
        self.mask, self.places = mask, torch.zeros(len(images), 2, dtype=torch.int64)
        if isinstance(threat, Patch):
            self.places = threat.places(tuple(images.shape[1:]), as_ids(None, len(images)), seed)

    def forward(self, candidates: Tensor) -> Tensor:
        found = [self._one(candidate) for candidate in candidates]
        return torch.stack(found)

    def _one(self, candidate: Tensor) -> Tensor:
        x = self.images.to(candidate)
        if isinstance(self.threat, Area):
            shown = paste(x, candidate, self.places)
        else:
            shown = (x + (candidate - 0.5)).clamp(self.threat.lower, self.threat.upper)
        if self.mask is not None:
            shown = torch.where(self.mask.to(x.device), shown, x)
        z, goal = self.net(shown), self.goal.to(candidate.device)
        margin = z.scatter(1, goal[:, None], -torch.inf).amax(1) - z.gather(1, goal[:, None])[:, 0]
        margin = -margin if self.targeted else margin
        return torch.stack([margin.clamp_max(0).mean(), (margin > 0).to(z).mean()])

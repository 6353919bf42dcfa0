"""The place of a patch for an attack with a prior: where it does most on the prior's nets, found without a query."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.areas import Patch
from blackbox.candidates.craft import CraftGoal, fused, slope
from blackbox.engine.spec import Samples
from blackbox.placing import find
from blackbox.threat import Threat


def placed(samples: Samples, asked: Any, threat: Threat, attack: Any, aimed: Any, targeted: bool) -> Samples:
    """The samples of a run; where a patch with a free place was ``asked`` for and the search, within ``threat``, knows no places, with a
    mask that leaves the patch in the place that does most on the nets of the attack's prior."""
    if not isinstance(asked, Patch) or not asked.free or isinstance(threat, Patch):
        return samples
    return replace(samples, mask=_place(asked, attack, aimed, samples.x, samples.goal, targeted, samples.mask))


def _place(
    patch: Patch, attack: Any, aimed: Any, x: Tensor, goal: Tensor, targeted: bool, mask: Tensor | None = None
) -> Tensor:
    """What may change of images ``x`` [N, C, height, width], [N, C, height, width] bool: a patch in a place of each image's own.

    attack: with a prior. aimed: the same aimed at a goal that is no class (`blackbox.prior.Aimed`), or None. goal: [N] the class to
    leave, or to reach where ``targeted``. mask: [N, C, height, width] bool of what may change anyhow, or None.
    """
    out = torch.zeros(x.shape, dtype=torch.bool)
    groups = np.zeros(len(x), np.int64) if aimed is None else aimed.alike
    for first in np.unique(groups):
        rows = torch.from_numpy(np.flatnonzero(groups == first))
        prior = (attack if aimed is None else aimed.of(int(first))).prior
        classes = goal[rows] if aimed is None else torch.ones(len(rows), dtype=torch.int64)  # of two: it is reached
        wanted = CraftGoal(classes, targeted if aimed is None else True)

        def gradient(at: Tensor, prior: Any = prior, wanted: CraftGoal = wanted) -> Tensor:
            return slope(prior, at, wanted)

        def loss(at: Tensor, prior: Any = prior, wanted: CraftGoal = wanted) -> Tensor:
            scores = fused(prior.logits(at), None)
            own = scores.gather(1, wanted.classes[:, None])[:, 0]
            other = scores.scatter(1, wanted.classes[:, None], -torch.inf).amax(1)
            return own - other if wanted.towards else other - own

        allowed = None if mask is None else mask[rows]
        out[rows] = patch.at(find(patch, x[rows], gradient, loss, allowed), tuple(x.shape[1:]))
    return out if mask is None else out & mask

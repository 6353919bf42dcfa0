"""Attacks on a vicinity of one net: sets of nets made by `surrogates.refine.lgv` and `refine.swag`, one net a step."""

from __future__ import annotations

from surrogates.crafting.parts.finish import Momentum
from surrogates.crafting.parts.schedule import Cycle, Random
from surrogates.crafting.presets.preset import Preset

PRESETS = (
    Preset(
        "lgv",
        "Large geometric vicinity",
        "Gubri et al. 2022",
        "2207.13129",
        "mi-fgsm through refine.lgv(net, data), at step k through the k-th net of a shuffled order",
        Momentum() | Cycle(shuffled=True),
        departures="with the momentum, T and step of mi-fgsm, so that the nets alone make the difference. Craft on the list "
        "that refine.lgv gives.",
    ),
    Preset(
        "swag",
        "More Bayesian substitute (SWAG)",
        "Li et al. 2023",
        "2302.05086",
        "mi-fgsm through refine.swag(net, data), at each step through a net drawn from them",
        Momentum() | Random(),
        departures="one net a step (G = T) instead of the mean gradient over all of them: mi-fgsm on the same list gives that. "
        "Nets are drawn from a finite list.",
    ),
)

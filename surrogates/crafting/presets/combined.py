"""Combinations that papers and benchmarks report."""

from __future__ import annotations

from surrogates.crafting.parts.blocks import BSR
from surrogates.crafting.parts.finish import TI, Momentum
from surrogates.crafting.parts.intensity import SI
from surrogates.crafting.parts.probes import LookAhead, Neighbourhood, Pair, Variance
from surrogates.crafting.parts.resize import DI
from surrogates.crafting.presets.preset import Preset

PRESETS = (
    Preset(
        "mi-di-ti-fgsm",
        "Momentum, diverse inputs, translation invariance",
        "Dong et al. 2019",
        "1904.02884",
        "g = W * grad J(T(x)), T as DI, W as TI; then as mi-fgsm",
        Momentum() | DI() | TI(),
        departures="as di-fgsm and ti-fgsm.",
    ),
    Preset(
        "mi-di-ti-si-fgsm",
        "Momentum, diverse inputs, translation and scale invariance",
        "Lin et al. 2020",
        "1908.06281",
        "g = W * mean over i = 0..4 of grad J(T_i(x / 2^i)), T_i as DI, W as TI; then as mi-fgsm",
        Momentum() | SI() | DI() | TI(),
        departures="without the look-ahead of the paper's SI-NI-TI-DIM; each scale has a view of its own.",
    ),
    Preset(
        "vni-di-ti-si-fgsm",
        "Variance tuning and look-ahead with diverse inputs, translation and scale invariance",
        "Wang & He 2021",
        "2103.15571",
        "as mi-di-ti-si-fgsm at x + a * mu * m, with the variance of vni-fgsm (the paper's VNI-CT-FGSM)",
        Momentum() | LookAhead() | Neighbourhood(20, 1.5) | Variance() | SI() | DI() | TI(),
        departures="as vni-fgsm, di-fgsm and ti-fgsm; every neighbour is seen at all scales.",
    ),
    Preset(
        "bsr-pgn",
        "Block shuffle and rotation in a flat place",
        "Wang et al. 2024 and Ge et al. 2023",
        "2308.10299",
        "pgn with each of its gradients taken through one view of BSR",
        Momentum() | Pair() | BSR(copies=1),
        departures="ours: one view for each of PGN's forty gradients instead of twenty for each, so that G is that of pgn.",
    ),
)

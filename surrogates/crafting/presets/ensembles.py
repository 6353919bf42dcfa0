"""Presets for several nets. All others take several too, and average their logits."""

from __future__ import annotations

from surrogates.crafting.parts.ensemble import CWA, SVRE, AdaEA, Cycle, Random, RowWeights
from surrogates.crafting.parts.finish import Momentum
from surrogates.crafting.presets.preset import Preset

PRESETS = (
    Preset(
        "svre",
        "Stochastic variance reduced ensemble",
        "Xiong et al. 2022",
        "2111.10752",
        "4K inner steps g = grad_i(x~) - (grad_i(x) - grad_all(x)), G <- G + hat(g), x~ <- project(x~ + a sign(G)); then as "
        "mi-fgsm with the last G",
        Momentum() | SVRE(),
        departures="grad_i(x) once a net instead of once an inner step.",
    ),
    Preset(
        "adaea",
        "Adaptive ensemble attack",
        "Chen et al. 2023",
        "2308.02897",
        "w = softmax(10 sum_j J_j(x_i) / J_j(x_j)); g = grad J(sum w_i z_i) where the nets' gradients agree (mean cosine >= "
        "-0.3), else 0; then as mi-fgsm",
        Momentum() | AdaEA() | RowWeights(),
        departures="weights are an image's own; the mean cosine is over all pairs of nets.",
    ),
    Preset(
        "cwa",
        "Common weakness attack",
        "Chen et al. 2024",
        "2303.09105",
        "x~ = x - eps / 15 sign(grad_all); for each net m <- m + g / |g|_2, x~ <- project(x~ + 7.7 eps sqrt(d) m); then as "
        "mi-fgsm with x~ - x, a = eps / 5",
        Momentum() | CWA(),
        share=1 / 5,
        departures="the long step is the authors' 250 at 299 pixels and eps = 16/255, as an RMS in units of eps.",
    ),
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

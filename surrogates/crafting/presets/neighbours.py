"""Presets that take gradients at more than one point: along lines, at neighbours, in flat regions."""

from __future__ import annotations

from surrogates.crafting.parts.finish import Damped, Momentum
from surrogates.crafting.parts.probes import Conditional, Cosine, Line, LookAhead, Neighbourhood, Pair, Variance, Worst
from surrogates.crafting.presets.preset import Preset

PRESETS = (
    Preset(
        "emi-fgsm",
        "Enhanced momentum iterative FGSM",
        "Wang et al. 2021",
        "2103.10609",
        "g = mean over 11 c in -7..7 of grad J(x + c * a * ghat, y), ghat = g / mean|g| of the step before; then as mi-fgsm",
        Momentum() | Line(),
        departures="the points are spread evenly (linear sampling, the paper's choice). The first step has no gradient before "
        "it: eleven times the point itself.",
    ),
    Preset(
        "vmi-fgsm",
        "Variance tuning MI-FGSM",
        "Wang & He 2021",
        "2103.15571",
        "g = grad J(x, y) + v; v <- mean over 20 of grad J(x + U(+-1.5 eps), y) - grad J(x, y); then as mi-fgsm on g",
        Momentum() | Neighbourhood(20, 1.5) | Variance(),
        departures="the last step's variance, which nothing would use, is not computed: G = 190 where the papers count 210. In "
        "L2 and L1 the neighbours are uniform in that norm's ball (ours).",
    ),
    Preset(
        "vni-fgsm",
        "Variance tuning NI-FGSM",
        "Wang & He 2021",
        "2103.15571",
        "as vmi-fgsm, the gradient at x + a * mu * m, the neighbours around x",
        Momentum() | LookAhead() | Neighbourhood(20, 1.5) | Variance(),
        departures="as vmi-fgsm and ni-fgsm; the neighbours' mean is held against the gradient ahead, which is there, not "
        "against another one at x.",
    ),
    Preset(
        "gra",
        "Gradient relevance attack",
        "Zhu et al. 2023, Boosting Adversarial Transferability via Gradient Relevance Attack, ICCV",
        "",
        "g = s * grad J(x) + (1 - s) * gbar, gbar the mean over 20 neighbours U(+-3.5 eps), s = cos(grad J(x), gbar); m as "
        "mi-fgsm; x <- project(x + a * M * sign(m)), M <- 0.94 M where the sign of m turns",
        Momentum() | Neighbourhood(20, 3.5) | Cosine() | Damped(),
    ),
    Preset(
        "pgn",
        "Penalising gradient norm",
        "Ge et al. 2023",
        "2306.05225",
        "g = mean over 20 of 0.5 g1 + 0.5 g2, g1 = grad J(x'), x' = x + U(+-3 eps), g2 = grad J(x' - a * g1 / mean|g1|); then "
        "as mi-fgsm",
        Momentum() | Pair(),
    ),
    Preset(
        "rap",
        "Reverse adversarial perturbation, late start",
        "Qin et al. 2022",
        "2210.05968",
        "g = grad J(x + n), n = argmin over |n| <= eps of J(x + n) by 8 steps of eps / 8 from a random start; T = 400, "
        "a = eps / 8, n = 0 in the first quarter of the steps; then as mi-fgsm",
        Momentum() | Worst(),
        steps=400,
        share=1 / 8,
        departures="the late start is a share of T, so that fewer steps keep it; momentum as in the TransferAttack collection.",
    ),
    Preset(
        "mef",
        "Maximin expected flatness",
        "Qiu et al. 2024",
        "2405.16181",
        "g = mean over 20 of g_j = grad J(x + U(+-2 eps) + 0.15 eps p_j); p_j <- g_j / mean|g_j| - 0.9 p_j; T = 20, "
        "a = eps / 10, mu = 0.5",
        Momentum(0.5) | Conditional(),
        steps=20,
        share=0.1,
    ),
)

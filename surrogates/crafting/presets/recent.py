"""Presets of 2023 to 2025 that change the image, the points or the weights: OPS, L2T, DeCowA, STM, AWT, FGSRA, MuMoDIG."""

from __future__ import annotations

from surrogates.crafting.parts.finish import Damped, Momentum
from surrogates.crafting.parts.operations import L2T, Operators
from surrogates.crafting.parts.paths import Integrated, Shells, Spectral
from surrogates.crafting.parts.probes import Cosine, Pair
from surrogates.crafting.parts.style import STM
from surrogates.crafting.parts.tuned import AWT
from surrogates.crafting.parts.warp import Warp
from surrogates.crafting.presets.preset import Preset

PRESETS = (
    Preset(
        "ops",
        "Operator-perturbation based stochastic optimisation",
        "Guo et al. 2025, Boosting Adversarial Transferability through Augmentation in Hypothesis Space, CVPR",
        "",
        "g = mean over 30 x 30 of grad J(T_i(x + r_j)), r_j uniform in balls of 0.5 to 3 eps, T_i 2 to 4 random operations; then as "
        "mi-fgsm",
        Momentum() | Shells() | Operators(),
        departures="the ten operations are ours, applied in one order; without the one gradient at the unchanged image. The dearest of "
        "all: fewer points and copies by .swap(Shells(10)) and parts of one's own.",
    ),
    Preset(
        "l2t",
        "Learning to transform",
        "Zhu et al. 2024",
        "2405.14077",
        "g = mean over 10 of grad J(T(x)), T two operations drawn by p = softmax(M); M <- M + 0.01 grad_M E J(T(x)); then as mi-fgsm",
        Momentum() | L2T(),
        departures="ten operations of ours; grad_M by the score function with a baseline, for each image by itself.",
    ),
    Preset(
        "decowa",
        "Deformation-constrained warping attack",
        "Lin et al. 2024",
        "2402.03951",
        "g = mean over 20 of grad J(W(x, n - 0.01 sign(grad_n J(W(x, n))))), W a thin-plate spline, n random moves of 3 x 3 points; "
        "then as mi-fgsm",
        Momentum() | Warp(),
        departures="the size of the moves is ours, half the distance of two points.",
    ),
    Preset(
        "stm",
        "Style transfer method",
        "Ge et al. 2023",
        "2308.10601",
        "g = mean over 20 of grad J(0.5 x + 0.5 S(x, x') + U(+-16/255)), S(x, x') x in the style of x'; then as mi-fgsm",
        Momentum() | STM(),
        departures="S has no net: bands of the image get the means and deviations of another image's. Styles come from an explicit pool.",
    ),
    Preset(
        "awt",
        "Adversarial weight tuning",
        "Chen et al. 2025",
        "2408.09469",
        "pgn through weights w that are tuned after each gradient, w <- w - 0.01 grad_w J / mean|grad_w J|",
        Momentum() | Pair() | AWT(),
        departures="w are an image's own factors of the layers' channels, and no further gradients are taken for them.",
    ),
    Preset(
        "fgsra",
        "Frequency-guided sample relevance attack",
        "Wang et al. 2024, CIKM",
        "",
        "as gra, the 20 neighbours IDCT(DCT(x + U(+-2 eps)) * U(0.5, 1.5))",
        Momentum() | Spectral() | Cosine() | Damped(),
        departures="relevance is that of gra, of the neighbours' mean; beta is ours.",
    ),
    Preset(
        "mumodig",
        "Multiple monotonic diversified integrated gradients",
        "Ren et al. 2025",
        "2412.18844",
        "g = hat(grad J(x)) + hat(mean over 6 of (T(x) - b) * grad J(b + 0.65 (T(x) - b))), T one random operation, b = T(x) rounded "
        "down to a random level; then as mi-fgsm",
        Momentum() | Integrated(),
        departures="the operations are ours; both terms weigh alike.",
    ),
)

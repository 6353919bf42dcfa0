"""Presets for targeted attacks in the setting of Zhao et al. 2021: three losses, blocks of the image, tuned features."""

from __future__ import annotations

from functools import partial

from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.everywhere import Everywhere
from surrogates.crafting.parts.finish import TI, Momentum
from surrogates.crafting.parts.ftm import FTM
from surrogates.crafting.parts.losses import Logit, LogitMargin, PoTrip
from surrogates.crafting.parts.resize import DI
from surrogates.crafting.presets.preset import Preset

SETTING: Parts = Momentum(1.0, "none") | DI(0.7) | TI(5)
targeted = partial(Preset, steps=300, share=1 / 8, targeted=True)
_SETTING = "; g = W5 * grad J(T(x)), T as DI with p = 0.7; m <- m + g; T = 300, a = eps / 8"
_SCALE = "a = eps / 8 is the paper's 2/255 at 16/255. "

PRESETS = (
    targeted(
        "logit",
        "Logit loss",
        "Zhao et al. 2021",
        "2012.11207",
        "J = z_t" + _SETTING,
        SETTING | Logit(),
        departures=_SCALE + "Momentum of raw gradients, as the authors' code has it.",
    ),
    targeted(
        "margin",
        "Logit margin",
        "Weng et al. 2023",
        "2303.03680",
        "J = log softmax(z / (z_(1) - z_(2)))_t, the divisor a constant" + _SETTING,
        SETTING | LogitMargin(),
        departures=_SCALE + "Momentum of raw gradients, as for logit.",
    ),
    targeted(
        "po-trip",
        "Poincare distance and triplet loss",
        "Li et al. 2020, Towards Transferable Targeted Attack, CVPR",
        "",
        "J = -(Poincare(z / |z|_1, onehot_t - 1e-5) + 0.01 max(0, D(z, t) - D(z, y) + 0.007)), D = 1 - |cos|"
        + _SETTING,
        SETTING | PoTrip(),
        departures=_SCALE
        + "The authors' code has D = |cos|, which leads away from the target; the setting is that of Zhao et al. "
        "2021, with momentum of raw gradients, so that the distance's growing gradient counts.",
    ),
    targeted(
        "everywhere",
        "Everywhere attack",
        "Zeng et al. 2025",
        "2501.00707",
        "g = mean of W5 * grad J at x and at 9 of its 4 x 4 blocks, each alone on black; J = z_t in the setting of logit",
        Momentum(1.0, "none") | Everywhere() | DI(0.7) | TI(5) | Logit(),
        departures="grid, number of blocks and the black surrounding are ours; blocks are drawn with replacement, all gradients weigh "
        "alike. Ten times the gradients of logit: compare at equal gradients.",
    ),
    targeted(
        "ftm",
        "Feature tuning mixup",
        "Liang et al. 2025",
        "2411.15553",
        "f <- f - 0.1 |f| hat(m), m <- 0.5 m + grad_f J / mean|grad_f J| at 3 of 10 layers a step; then mixed as by cfm; J = z_t in the "
        "setting of logit",
        SETTING | Logit() | FTM(),
        departures="the sizes are ours; m is an image's own, from the attack's own backward pass of the step before. DI for the paper's "
        "RDI; mixing as for cfm.",
    ),
)

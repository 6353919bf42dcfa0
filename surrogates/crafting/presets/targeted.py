"""Presets for targeted attacks: three losses in the setting of Zhao et al. 2021."""

from __future__ import annotations

from functools import partial

from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.finish import TI, Momentum
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
)

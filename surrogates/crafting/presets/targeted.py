"""Recipes that lead to a class: three losses in one frame (Zhao et al. 2021)."""

from __future__ import annotations

from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.filters import TI
from surrogates.crafting.parts.finish import Momentum
from surrogates.crafting.parts.losses import Logit, LogitMargin, PoTrip
from surrogates.crafting.parts.resize import DI
from surrogates.crafting.presets.preset import Preset

FRAME: Parts = Momentum(1.0, "none") | DI(0.7) | TI(5)
_FRAME = "; g = W5 * grad J(T(x)), T as DI with p = 0.7; m <- m + g; T = 300, a = eps / 8"
_SCALE = "a = eps / 8 is the paper's 2/255 at 16/255. "

PRESETS = (
    Preset(
        "logit",
        "Logit loss",
        "Zhao et al. 2021",
        "2012.11207",
        "J = z_t" + _FRAME,
        FRAME | Logit(),
        steps=300,
        share=1 / 8,
        targeted=True,
        departures=_SCALE + "Momentum of raw gradients, as the authors' code has it.",
    ),
    Preset(
        "margin",
        "Logit margin",
        "Weng et al. 2023",
        "2303.03680",
        "J = log softmax(z / (z_(1) - z_(2)))_t, the divisor a constant" + _FRAME,
        FRAME | LogitMargin(),
        steps=300,
        share=1 / 8,
        targeted=True,
        departures=_SCALE + "Momentum of raw gradients, as for logit.",
    ),
    Preset(
        "po-trip",
        "Poincare distance and triplet loss",
        "Li et al. 2020, Towards Transferable Targeted Attack, CVPR",
        "",
        "J = -(Poincare(z / |z|_1, onehot_t - 1e-5) + 0.01 max(0, D(z, t) - D(z, y) + 0.007)), D = 1 - |cos|" + _FRAME,
        FRAME | PoTrip(),
        steps=300,
        share=1 / 8,
        targeted=True,
        departures=_SCALE
        + "The authors' code has D = |cos|, which leads away from the target; the frame is that of Zhao et al. "
        "2021, with momentum of raw gradients, so that the distance's growing gradient counts.",
    ),
)

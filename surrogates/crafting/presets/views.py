"""Presets that change what the net sees, and the gradient as an image."""

from __future__ import annotations

from surrogates.crafting.parts.blocks import BSR, SIA
from surrogates.crafting.parts.finish import TI, Momentum
from surrogates.crafting.parts.intensity import SI, SSA, Admix
from surrogates.crafting.parts.resize import DEM, DI
from surrogates.crafting.presets.preset import Preset

_SMALL = "On small images the kernel is a tenth of the side, at least 3 pixels (ours)."

PRESETS = (
    Preset(
        "di-fgsm",
        "Diverse inputs (M-DI2-FGSM)",
        "Xie et al. 2019",
        "1803.06978",
        "g = grad J(T(x)), T with p = 0.5: enlarge at random to at most 1.1 times, pad with zeros; then as mi-fgsm",
        Momentum() | DI(),
        departures="the view is brought back to the image's size; a draw for each image, not one for the batch.",
    ),
    Preset(
        "dem",
        "Diversity ensemble and region fitting",
        "Zou et al. 2020",
        "2112.06011",
        "g = grad J(mean logits of T_r(x) over rates r = 1.14, 1.27, 1.40, 1.53, 1.66), T_r as DI with p = 1; then as mi-fgsm "
        "with a = eps",
        Momentum() | DEM(),
        share=1.0,
        departures="the views are brought back to the image's size. A step of eps pushes nearly every pixel to the edge of the "
        "ball: compare at equal RMS.",
    ),
    Preset(
        "ti-fgsm",
        "Translation invariant FGSM",
        "Dong et al. 2019",
        "1904.02884",
        "g = W * grad J(x), W a Gaussian of 15 x 15 pixels, sigma = 14 / 6; then as mi-fgsm",
        Momentum() | TI(),
        departures=f"with momentum (the paper's TI-MI-FGSM). {_SMALL}",
    ),
    Preset(
        "si-fgsm",
        "Scale invariant FGSM",
        "Lin et al. 2020",
        "1908.06281",
        "g = mean over i = 0..4 of grad J(x / 2^i); then as mi-fgsm",
        Momentum() | SI(),
        departures="without the look-ahead of the paper's SI-NI-FGSM: join LookAhead() for that.",
    ),
    Preset(
        "admix",
        "Admix",
        "Wang et al. 2021",
        "2102.00436",
        "g = mean over 3 partners x' of another class and i = 0..4 of grad J((x + 0.2 x') / 2^i); then as mi-fgsm",
        Momentum() | Admix() | SI(),
        departures="partners come from an explicit pool, by image; with one image alone there is none.",
    ),
    Preset(
        "ssa",
        "Spectrum simulation attack",
        "Long et al. 2022",
        "2207.05382",
        "g = mean over 20 of grad J(IDCT(DCT(x + 16/255 N(0, 1)) * U(0.5, 1.5))); then as mi-fgsm",
        Momentum() | SSA(),
        departures="the gradient goes back through the transform, as in the formula; the authors' code stops before it "
        "(SSA(straight=True)).",
    ),
    Preset(
        "sia",
        "Structure invariant attack",
        "Wang et al. 2023",
        "2309.14700",
        "g = mean over 20 of grad J(T(x)), T: 3 x 3 random blocks, each rolled, flipped, turned, scaled or with noise; then as "
        "mi-fgsm",
        Momentum() | SIA(),
        departures="seven operations of the paper's ten, those of the TransferAttack collection; cuts drawn for each image.",
    ),
    Preset(
        "bsr",
        "Block shuffle and rotation",
        "Wang et al. 2024",
        "2308.10299",
        "g = mean over 20 of grad J(T(x)), T: strips shuffled and turned by U(-24, 24) degrees, then cut and shuffled the "
        "other way; then as mi-fgsm",
        Momentum() | BSR(),
        departures="cuts, orders and angles drawn for each image. 3 blocks a side and 20 copies as in the TransferAttack collection.",
    ),
)

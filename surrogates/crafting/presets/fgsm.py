"""The FGSM family before any views: one step, many steps, momentum, look-ahead."""

from __future__ import annotations

from surrogates.crafting.parts.apgd import APGD, Best, Value
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.finish import Momentum, RandomStart
from surrogates.crafting.parts.probes import LookAhead, PreGradient
from surrogates.crafting.presets.preset import Preset

PRESETS = (
    Preset(
        "fgsm",
        "Fast gradient sign method",
        "Goodfellow, Shlens & Szegedy 2015",
        "1412.6572",
        "x' = x + eps * sign(grad J(x, y))",
        steps=1,
        departures="L2 and L1 (the paper has Linf only): the steepest step of that norm, of length eps.",
    ),
    Preset(
        "i-fgsm",
        "Iterative FGSM (basic iterative method)",
        "Kurakin, Goodfellow & Bengio 2017",
        "1607.02533",
        "x <- project(x + a * sign(grad J(x, y))), a = eps / T",
        departures="T = 10 and a = eps / T, as transfer papers since Dong et al. 2018 run it; the paper takes a = 1/255 and "
        "min(eps + 4, 1.25 eps) steps.",
    ),
    Preset(
        "pgd",
        "Projected gradient descent",
        "Madry et al. 2018",
        "1706.06083",
        "x0 uniform in the ball; x <- project(x + a * sign(grad J(x, y))), a = 2.5 eps / T",
        Parts((RandomStart(),)),
        steps=20,
        factor=2.5,
        departures="one start. T = 20 as in the paper's table 2; a = 2.5 eps / T, as the paper sets it for L2.",
    ),
    Preset(
        "mi-fgsm",
        "Momentum iterative FGSM",
        "Dong et al. 2018",
        "1710.06081",
        "m <- mu * m + g / mean|g|; x <- project(x + a * sign(m)), a = eps / T, mu = 1",
        Parts((Momentum(),)),
        departures="g is divided by its mean absolute entry instead of the sum: the same signs for all T.",
    ),
    Preset(
        "ni-fgsm",
        "Nesterov iterative FGSM",
        "Lin et al. 2020",
        "1908.06281",
        "g = grad J(x + a * mu * m, y); m <- mu * m + g / mean|g|; x <- project(x + a * sign(m)), a = eps / T, mu = 1",
        Momentum() | LookAhead(),
        departures="g is divided by its mean absolute entry, as the authors' code does; with the sum of the paper's eq. 7 "
        "the look-ahead would be d times shorter, next to nothing. In L2 and L1 (ours) m is scaled so that the look-ahead is "
        "of the order of a step of that norm.",
    ),
    Preset(
        "pi-fgsm",
        "Pre-gradient iterative FGSM",
        "Wang et al. 2021",
        "2103.10609",
        "g = grad J(x + a * ghat, y), ghat = g / mean|g| of the step before; then as mi-fgsm",
        Momentum() | PreGradient(),
        departures="the name also belongs to patch-wise FGSM (Gao et al. 2020, arXiv:2007.06765), which is another attack.",
    ),
    Preset(
        "apgd",
        "Auto-PGD",
        "Croce & Hein 2020",
        "2003.01690",
        "x0 uniform in the ball; z = project(x + a * sign(grad J)); x <- project(x + 0.75 (z - x) + 0.25 (x - x before)); "
        "a = 2 eps, halved at checkpoints where the loss has stopped rising, and then on from the best x",
        RandomStart() | Value() | APGD() | Best(),
        steps=100,
        share=2.0,
        departures="one start; the checkpoint's restart does not lose a step (see parts.APGD); returns a point that the nets get wrong "
        "if there was one, else the one with the largest loss. loss='dlr' is the paper's other loss. L1 is ours.",
    ),
)

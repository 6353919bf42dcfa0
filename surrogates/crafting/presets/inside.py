"""Presets that use the inside of the net: changed backward passes, feature losses, mixed features."""

from __future__ import annotations

from surrogates.crafting.parts.cfm import CFM
from surrogates.crafting.parts.features import BFA, FIA, ILA, NAA, Local, SelfUniversality
from surrogates.crafting.parts.finish import TI, Momentum
from surrogates.crafting.parts.losses import Logit
from surrogates.crafting.parts.pushed import P2FA, PushTap
from surrogates.crafting.parts.resize import DI
from surrogates.crafting.parts.surgery import BPA, SGM, LinBP, Tap
from surrogates.crafting.presets.preset import Preset
from surrogates.crafting.presets.targeted import SETTING, targeted

_MI = "; g as for mi-fgsm, a = eps / T, mu = 1"
_TAP = "The layer is the last block within half of the net's depth (papers choose one for each net by hand); another: "
_TAP += '.swap(Tap("layer2")).'


PRESETS = (
    Preset(
        "sgm",
        "Skip gradient method",
        "Wu et al. 2020",
        "2002.05990",
        "gradients through residual branches times 0.2" + _MI,
        Momentum() | SGM(),
        departures="with the momentum of mi-fgsm. The authors' code scales at ReLUs, leaves out the first block of each stage and "
        "divides by a standard deviation over the batch: here every branch has the factor of the paper's formula.",
    ),
    Preset(
        "linbp",
        "Linear backpropagation",
        "Guo et al. 2020",
        "2012.03528",
        "ReLU' = 1 in branches from half of the ReLUs on, each branch's gradient as long as it would have been" + _MI,
        Momentum() | LinBP(),
        departures="with the momentum of mi-fgsm, and T = 10 (the paper: I-FGSM, T = 300).",
    ),
    Preset(
        "bpa",
        "Backward propagation attack",
        "Wang et al. 2023",
        "2306.12685",
        "ReLU' = SiLU' in branches from half of the ReLUs on, max pooling' = softmax(10 z)" + _MI,
        Momentum() | BPA(),
        departures="with the momentum of mi-fgsm.",
    ),
    Preset(
        "ila",
        "Intermediate level attack (projection)",
        "Huang et al. 2019",
        "1907.10823",
        "x* by 10 steps of i-fgsm; J = <F(x) - F(x0), F(x*) - F(x0)> / |F(x*) - F(x0)|; i-fgsm on J from x0",
        ILA() | Tap(),
        departures=_TAP,
    ),
    Preset(
        "fia",
        "Feature importance-aware attack",
        "Wang et al. 2021",
        "2107.14185",
        "A = hat(sum over 30 masks M, keep 0.7, of grad_F z_y(x0 M)); J = -<A, F(x)>" + _MI,
        Momentum() | FIA() | Tap(),
        departures=_TAP,
    ),
    Preset(
        "naa",
        "Neuron attribution-based attack",
        "Zhang et al. 2022",
        "2204.00008",
        "A = hat(mean over t = 1/30 .. 1 of grad_F p_y(t x0)); J = -<A, F(x)>" + _MI,
        Momentum() | NAA() | Tap(),
        departures=_TAP + " Positive and negative attributions weigh alike, the paper's default.",
    ),
    Preset(
        "bfa",
        "Black-box feature attack",
        "Wang et al. 2024, Neurocomputing",
        "",
        "x_j = x0 + 0.072 sqrt(d) grad J(x_(j-1)) / |.|_2; A = hat(sum over 30 of grad_F z_y(x_j)); J = -<A, F(x)>"
        + _MI,
        Momentum() | BFA() | Tap(),
        departures=_TAP + " The length of a move is 28 at 224 pixels and the same RMS elsewhere.",
    ),
    Preset(
        "p2fa",
        "Pixel2Feature attack",
        "2025, Pixel2Feature Attack (P2FA): Rethinking the Perturbed Space to Enhance Adversarial Transferability, ICML",
        "",
        "F_j = F(x0) - 0.05 |F(x0)| sum over i < j of g_i / |g_i|, g_i = grad_F z_y at F_i; A = hat(sum over 30 of g_j); J = -<A, F(x)>"
        + _MI,
        Momentum() | P2FA() | PushTap(),
        departures=_TAP.replace("Tap(", "PushTap(") + " Features are perturbed once, before the first step, by steps of our size.",
    ),
    targeted(
        "cfm",
        "Clean feature mixup",
        "Byun et al. 2023",
        "2305.14846",
        "f <- (1 - a) f + a f_clean, a ~ U(0, 0.75) a channel, at each layer with probability 0.1; J = z_t in the setting of "
        "logit",
        SETTING | Logit() | CFM(),
        departures="DI for the paper's RDI. Mixing is drawn for each image instead of for the batch; partners are the first "
        "20 images of the pool.",
    ),
    targeted(
        "su",
        "Self-universality",
        "Wei et al. 2023",
        "2209.03716",
        "J = z_t(x) + z_t(local) + 0.001 cos(F(x), F(local)), local = the change on a crop of x0 blown up; setting of logit",
        Momentum(1.0, "none") | Local() | DI(0.7) | TI(5) | SelfUniversality() | Tap(0.8),
        departures="the layer is the last block within 0.8 of the depth (a ResNet-50's third stage, as in the paper).",
    ),
)

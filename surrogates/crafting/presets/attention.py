"""Presets for nets with attention (vision transformers); on others they are refused."""

from __future__ import annotations

from surrogates.crafting.parts.attention import ATT, FPR, PNA, TGR, VDC
from surrogates.crafting.parts.finish import Momentum
from surrogates.crafting.parts.patch_out import PatchOut, SelfPaced
from surrogates.crafting.parts.redundant import LL2S
from surrogates.crafting.presets.preset import Preset

_MI = "; g as for mi-fgsm, a = eps / T, mu = 1"

PRESETS = (
    Preset(
        "pna-patchout",
        "Pay no attention, and patch out",
        "Wei et al. 2022",
        "2109.04176",
        "attention maps are constants; g = M * grad (J + 0.1 |x - x0|), M a random 130 / 196 of the patches" + _MI,
        Momentum() | PNA() | PatchOut(),
        departures="the pull outwards is the gradient of the change's Euclidean length in every norm.",
    ),
    Preset(
        "tgr",
        "Token gradient regularisation",
        "Zhang et al. 2023",
        "2303.15754",
        "gradients of maps, queries, keys, values and feed-forward parts without their extreme tokens, times 0.25, 0.75, 0.5" + _MI,
        Momentum() | TGR(),
        departures="extremes are an image's own; one largest and one smallest token a channel.",
    ),
    Preset(
        "vdc",
        "Virtual dense connection",
        "Zhang et al. 2024, Improving the Adversarial Transferability of Vision Transformers with Virtual Dense Connection, AAAI",
        "",
        "the gradient of each map and feed-forward part g_i <- g_i + a_i, a_(i-1) = 0.1 (a_i + g_i), from the deepest on" + _MI,
        Momentum() | VDC(),
        departures="the factor is ours, and the same for maps and feed-forward parts.",
    ),
    Preset(
        "att",
        "Adaptive token tuning",
        "Ming et al. 2024, Boosting the Transferability of Adversarial Attack on Vision Transformer with Adaptive Token Tuning, NeurIPS",
        "",
        "gradients of tokens shortened to the mean length; of maps times 0.25, none in the last quarter; the patches with the largest "
        "gradients alone, a share falling from 1 to 130 / 196" + _MI,
        Momentum() | ATT() | SelfPaced(),
        departures="factor, depth, pace and ranking are ours.",
    ),
    Preset(
        "fpr",
        "Forward propagation refinement",
        "Ren et al. 2025",
        "2503.15404",
        "maps A <- min(1, max(0, A (1 + U(+-2)))), outputs of branches E_k <- 0.8 E_k + 0.2 E_(k-1)" + _MI,
        Momentum() | FPR(),
        departures="the weights' range, the layers (all) and the memory are ours.",
    ),
    Preset(
        "ll2s",
        "Redundancy of a transformer's computation, learned",
        "2025, The Sword of Damocles in ViTs: Computational Redundancy Amplifies Adversarial Transferability",
        "2504.10804",
        "each layer plain, with sparse maps, with permuted heads or with a sparse feed-forward part, drawn by softmax(M); M follows the "
        "loss" + _MI,
        Momentum() | LL2S(),
        departures="without the paper's clean and robust tokens; the rule by which M is learned, and the shares, are ours.",
    ),
)

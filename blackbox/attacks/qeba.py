"""QEBA (Li, Xu, Zhang, Yang & Li 2020, arXiv:2005.14137)."""

from __future__ import annotations

from dataclasses import dataclass

from blackbox.attacks.hop_skip_jump import HopSkipJump
from blackbox.proposals.bases import Basis
from blackbox.proposals.noise import Noise


@dataclass(frozen=True)
class QEBA(HopSkipJump):
    """HopSkipJump whose probes lie in a subspace of few dimensions: Algorithm 1.

    QEBA-S draws small noise and enlarges it (``resize``), QEBA-F draws low frequencies (``dct``), QEBA-I draws from
    principal components: of gradients of the attacker's own models in the paper, of any images of the attacker's here,
    ``noise=blackbox.bases.pca(images, count)``.

    It pays where boundaries bend along low frequencies, on large images above all. On small images and nets trained
    without any defence half of the frequencies may hold too little of the normal; then HopSkipJump ends nearer.

    Departs from the paper as `HopSkipJump` does; the same schedule of labels as there (the paper fixes 100 a step on
    ImageNet), so that the two differ in the subspace alone.

    Args:
        noise: ``resize``, ``dct`` or a basis. share: of each side of the image that the first two keep: 1/2, since an
            image of 32 pixels has less to spare than the paper's of 224, which are left 1/4.
        others: as in `HopSkipJump`.
    """

    noise: str | Noise | Basis = "dct"
    share: float = 0.5

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

    It pays where boundaries bend along low frequencies, on large images above all. On 32 x 32 images and a ResNet-20
    trained without any defence it does not: half of the frequencies hold too little of the normal, and HopSkipJump with
    all of them ends nearer after 1,000 queries (median 0.11 against 0.20; 20 images, seed 0).

    Departs from the paper as `HopSkipJump` does; the same schedule of labels as there (the paper fixes 100 a step on
    ImageNet), so that the two differ in the subspace alone.

    Args:
        noise: ``resize``, ``dct`` or a basis. share: of each side of the image that the first two keep: 1/2, since an
            image of 32 pixels has less to spare than the paper's of 224, which are left 1/4.
        others: as in `HopSkipJump`.
    """

    noise: str | Noise | Basis = "dct"
    share: float = 0.5

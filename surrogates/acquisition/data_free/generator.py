"""`Generator`: a small convolutional net from noise to images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from surrogates.nets.seeded import seeded


class Generator(nn.Module):
    """Makes images in [0, 1] from standard normal vectors: one linear layer, twice an enlargement and a convolution, one more.

    After Truong et al. 2021 (DFME, arXiv:2011.14779), who end in tanh and a batch norm without weights. *Departs from the paper*:
    the batch norm comes before the last function, a sigmoid, so that the images lie in [0, 1]; any height and width can be had,
    since what is made is cut; the width is smaller.

    Args:
        shape: (C, H, W) of an image. latent: entries of a vector. width: channels of the last layer but one; twice as many before.
        seed: of the weights; torch's global random state is not changed.
    """

    def __init__(self, shape: Sequence[int], latent: int = 64, width: int = 32, seed: int = 0) -> None:
        super().__init__()
        channels, height, width_px = shape
        self.latent, self.size = latent, (height, width_px)
        self.start = (2 * width, math.ceil(height / 4), math.ceil(width_px / 4))
        with seeded(seed):
            self.linear = nn.Linear(latent, math.prod(self.start))
            self.layers = nn.Sequential(
                nn.BatchNorm2d(2 * width), nn.Upsample(scale_factor=2),
                nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2),
                nn.Conv2d(2 * width, width, 3, padding=1), nn.BatchNorm2d(width), nn.LeakyReLU(0.2),
                nn.Conv2d(width, channels, 3, padding=1), nn.BatchNorm2d(channels, affine=False),
            )  # fmt: skip

    def forward(self, z: Tensor) -> Tensor:
        """Vectors [n, latent] -> images [n, C, H, W] in [0, 1]."""
        made = self.layers(self.linear(z).view(-1, *self.start))[:, :, : self.size[0], : self.size[1]]
        return F.sigmoid(made)

"""A channel that rounds images to a few levels, as files do."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from blackbox.channels.channel import Channel


class EightBit(Channel):
    """Rounds every entry of an image to a multiple of 1/255, as 8-bit files carry it.

    It belongs before every target that is fed PNG or uint8 images in use: then each query is one that such a target can get,
    and each success one that it makes. (``eight_bit=True`` of `blackbox.attack`, ``--eight-bit``, is for a target that takes
    floats: examples are rounded after the search, and those that are lost then are no successes.)

    A smaller change is not seen at all; Guo et al. 2018 (arXiv:1711.00117) and Xu et al. 2018 (arXiv:1704.01155) use
    coarser steps as a defence.

    Args:
        levels: values an entry can take (256 for 8 bits).
    """

    def __init__(self, model: Any, levels: int = 256) -> None:
        super().__init__(model)
        if levels < 2:
            raise ValueError(f"Expected levels to be at least 2, but it was {levels}.")
        self.levels, self.own_probe = levels, 1 / (levels - 1)

    def __str__(self) -> str:
        return "EightBit" if self.levels == 256 else f"EightBit {self.levels} levels"

    def before(self, x: Tensor, rows: np.ndarray) -> Tensor:
        return (x * (self.levels - 1)).round() / (self.levels - 1)

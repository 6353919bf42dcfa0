"""`PIHA`: a stateful detector that compares perceptual hashes of the hue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from torch import Tensor

from blackbox.defences.stateful import Stateful

_BITS = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)
_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


class Memory:
    """The hashes [n, bytes] of an account's queries, and their numbers [n]."""

    def __init__(self) -> None:
        self.hashes, self.numbers, self.count = np.zeros((0, 0), np.uint8), np.zeros(0, np.int64), 0

    def add(self, made: np.ndarray, number: int) -> None:
        if self.count == len(self.numbers):  # room for twice as many
            more = max(64, self.count)
            old = self.hashes if self.count else self.hashes.reshape(0, len(made))
            self.hashes = np.concatenate([old, np.zeros((more, len(made)), np.uint8)])
            self.numbers = np.concatenate([self.numbers, np.zeros(more, np.int64)])
        self.hashes[self.count], self.numbers[self.count] = made, number
        self.count += 1


class PIHA(Stateful):
    """Hashes how the hue of an image's blocks compares with that of the blocks around, and flags a query whose hash is near.

    Choi, Shin & Kim 2023, "PIHA: detection method using perceptual image hashing against query-based adversarial attacks"
    (Future Generation Computer Systems 147): the image is smoothed, its hue is added up over blocks, and of each block the
    eight neighbours are compared with it (a local binary pattern); these bits are the hash. A query whose hash differs from that
    of an earlier one in less than ``threshold`` of the bits is flagged.

    Departs from the paper, of which the description in Feng et al. 2023 (arXiv:2303.06280) was at hand: blocks at the border are
    compared with themselves where they have no neighbour, and an image without colour is hashed by its intensity. All earlier
    queries are compared, without an index. Every query is remembered, flagged ones too.

    Args:
        block: side of a block. threshold: share of the bits. smooth: standard deviation of the smoothing, in pixels.
        action, accounts, lock: see `blackbox.defences.stateful.Stateful`.

    Raises:
        ValueError: images that are not [m, 1 or 3, height, width].
    """

    def __init__(
        self, model: Any, block: int = 7, threshold: float = 0.05, smooth: float = 1.0, action: str = "answer", accounts: int = 1,
        lock: int = 0,
    ) -> None:  # fmt: skip
        if block < 1 or not 0 < threshold <= 1 or not smooth >= 0:
            raise ValueError(
                f"Expected block of at least 1, threshold in (0, 1] and smooth of at least 0, but they were {block}, {threshold} "
                f"and {smooth}."
            )
        self.block, self.threshold, self.smooth = block, threshold, smooth
        super().__init__(model, action, accounts, lock)

    def __str__(self) -> str:
        return "PIHA"

    def empty(self) -> Memory:
        return Memory()

    def features(self, x: Tensor) -> Sequence[np.ndarray]:
        return list(self.hashes(x))

    def hashes(self, x: Tensor) -> np.ndarray:
        """The hash of each image, [m, bytes] uint8."""
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise ValueError(f"Expected images [m, 1 or 3, height, width] for {self}, but they had shape {tuple(x.shape)}.")
        pixels = ndimage.gaussian_filter(x.numpy(force=True).astype(np.float64), (0, 0, self.smooth, self.smooth))
        seen = hue(pixels) if x.shape[1] == 3 else pixels[:, 0]
        pad = [(0, 0), *((0, -side % self.block) for side in seen.shape[1:])]
        whole = np.pad(seen, pad)
        high, wide = (side // self.block for side in whole.shape[1:])
        if high * wide == 1:
            raise ValueError(
                f"Expected images of several blocks for {self}, which compares them, but {list(seen.shape[1:])} pixels are one block of "
                f"{self.block}, and all hashes would be the same. Give a smaller block=."
            )
        sums = whole.reshape(len(x), high, self.block, wide, self.block).sum((2, 4))
        edged = np.pad(sums, [(0, 0), (1, 1), (1, 1)], mode="edge")
        bits = [edged[:, 1 + i : 1 + i + high, 1 + j : 1 + j + wide] >= sums for i, j in _AROUND]
        return np.packbits(np.stack(bits, -1).reshape(len(x), -1), axis=1)

    def seen(self, memory: Memory, feature: np.ndarray, number: int) -> int | None:
        near = None
        if memory.count:
            differ = _BITS[memory.hashes[: memory.count] ^ feature].sum(1, dtype=np.int64)
            best = int(differ.argmin())
            if differ[best] < self.threshold * 8 * len(feature):
                near = int(memory.numbers[best])
        memory.add(feature, number)
        return near


def hue(pixels: np.ndarray) -> np.ndarray:
    """The hue [m, height, width] in [0, 1) of colours [m, 3, height, width]; 0 for grey."""
    red, green, blue = pixels[:, 0], pixels[:, 1], pixels[:, 2]
    top, low = pixels.max(1), pixels.min(1)
    span = np.where(top > low, top - low, 1.0)
    sixth = np.where(
        top == red, ((green - blue) / span) % 6, np.where(top == green, (blue - red) / span + 2, (red - green) / span + 4)
    )
    return np.where(top > low, sixth / 6, 0.0)

"""`Stream`: random draws as functions of (seed, sample id, step, tag).

There is no generator object, hence no state: nothing to checkpoint, nothing that two samples share by accident, nothing
that depends on how a batch is split. A draw is a hash of its address, by SplitMix64 (Steele, Lea & Flood 2014, "Fast
splittable pseudorandom number generators"): each row starts its own sequence at a point that the finaliser scatters over
the 2**64 states. Shared draws come from numpy's Philox, keyed the same way.

Draws are always made on the CPU, so that a run on a GPU gets the same numbers.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["Stream"]

_GAMMA = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_30, _27, _31, _FIRST, _SECOND = (np.uint64(c) for c in (30, 27, 31, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_BLOCK, _TAGS = 16, 8  # steps drawn ahead; tags remembered
_8, _TO_UNIT = np.uint32(8), np.float32(2.0**-24)  # 24 bits fit a float32 exactly


def _mix_int(z: int) -> int:
    z &= _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def _mix(z: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser on uint64, in place."""
    z ^= z >> _30
    z *= _FIRST
    z ^= z >> _27
    z *= _SECOND
    z ^= z >> _31
    return z


@lru_cache(maxsize=4096)
def _address(seed: int, step: int, tag: str) -> int:
    z = _mix_int(seed + _GAMMA)
    z = _mix_int(z ^ ((step + 1) * _GAMMA))
    return _mix_int(z + zlib.crc32(tag.encode()) * _GAMMA)


@lru_cache(maxsize=64)
def _counters(count: int) -> np.ndarray:
    out = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GAMMA)
    out.setflags(write=False)
    return out


@dataclass(frozen=True)
class Stream:
    """Random draws for the rows of a batch.

    Args:
        seed: the run's seed, any integer.
        ids: [n] sample ids, uint64. The same id gives the same draws in any batch.
        device: of the returned tensors.
    """

    seed: int
    ids: np.ndarray
    device: torch.device | str = "cpu"

    def take(self, keep: np.ndarray) -> Stream:
        """The stream of the rows in ``keep`` (a boolean mask or indices)."""
        new = replace(self, ids=self.ids[keep])
        for held, (first, block) in self._blocks.items():
            new._blocks[held] = first, block[:, keep]
        return new

    @cached_property
    def _blocks(self) -> dict[tuple[str, int], tuple[int, np.ndarray]]:
        """Cached draws of several steps, by tag and count: the first step of a block, and the block itself."""
        return {}

    @cached_property
    def _rows(self) -> np.ndarray:
        return self.ids * np.uint64(_GAMMA)

    def _words(self, step: int, tag: str, count: int) -> np.ndarray:
        """Uniform uint32 draws [n, count] over all values."""
        return self._ahead(step, 1, tag, count)[0]

    def _ahead(self, step: int, steps: int, tag: str, count: int) -> np.ndarray:
        """The draws of ``steps`` steps from ``step`` on, computed at once, [steps, n, count]."""
        where = np.array([_address(self.seed, step + i, tag) for i in range(steps)], np.uint64)
        key = _mix(where[:, None] + self._rows)
        return _mix(key[..., None] + _counters((count + 1) // 2)).view(np.uint32)[..., :count]

    @staticmethod
    def _unit(words: np.ndarray) -> np.ndarray:
        # in numpy, uint32 times float32 would be float64
        return (words >> _8).astype(np.float32) * _TO_UNIT

    def _uniform(self, step: int, tag: str, count: int) -> np.ndarray:
        return self._unit(self._words(step, tag, count))

    def _deliver(self, a: np.ndarray) -> Tensor:
        out = torch.from_numpy(np.ascontiguousarray(a))
        return out if self.device == "cpu" else out.to(self.device)

    def uniform_array(self, step: int, tag: str, count: int) -> np.ndarray:
        """Uniform draws [n, count] float32 in [0, 1) as a read-only numpy array, for the few numbers of a step (a window, say).

        Consecutive steps are served from blocks drawn ahead, since many small numpy operations a step are slow.
        """
        first, block = self._blocks.get((tag, count), (step, None))
        if block is None or not 0 <= step - first < len(block):
            follows = block is not None and step == first + len(block)
            if len(self._blocks) >= _TAGS:
                self._blocks.clear()
            first, block = step, self._unit(self._ahead(step, _BLOCK if follows else 1, tag, count))
            block.setflags(write=False)
            self._blocks[tag, count] = first, block
        return block[step - first]

    def uniform(self, step: int, tag: str, shape: tuple[int, ...] | int) -> Tensor:
        """Uniform draws [n, \\*shape] float32 in [0, 1), different for every row."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        out = self._uniform(step, tag, int(np.prod(shape)))
        return self._deliver(out.reshape(len(self.ids), *shape))

    def signs(self, step: int, tag: str, shape: tuple[int, ...] | int) -> Tensor:
        """Random signs -1 and +1 [n, \\*shape], different for every row."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        bits = self._words(step, tag, int(np.prod(shape))) >> np.uint32(31)
        out = bits.astype(np.float32) * np.float32(2) - np.float32(1)
        return self._deliver(out.reshape(len(self.ids), *shape))

    def normal(self, step: int, tag: str, shape: tuple[int, ...] | int) -> Tensor:
        """Standard normal draws [n, \\*shape] (Box & Muller 1958), different for every row."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        count = int(np.prod(shape))
        half = (count + 1) // 2
        u = self._uniform(step, tag, 2 * half)
        radius = np.sqrt(np.float32(-2) * np.log(u[:, :half] + np.float32(2.0**-25)))
        angle = u[:, half:] * np.float32(2 * np.pi)
        out = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)[:, :count]
        return self._deliver(out.reshape(len(self.ids), *shape))

    def permutation(self, step: int, tag: str, count: int) -> Tensor:
        """A random permutation of 0..count-1 for every row, [n, count] int64."""
        return self._deliver(np.argsort(self._words(step, tag, count), axis=1, kind="stable"))

    def shared_normal(self, step: int, tag: str, shape: tuple[int, ...]) -> Tensor:
        """Standard normal draws [\\*shape], the same for all samples: a function of (seed, step, tag) only."""
        return self._deliver(self._generator(step, tag).standard_normal(shape, dtype=np.float32))

    def shared_signs(self, step: int, tag: str, shape: tuple[int, ...]) -> Tensor:
        """Random signs -1 and +1 [\\*shape], the same for all samples."""
        bits = self._generator(step, tag).integers(0, 2, shape, dtype=np.int8)
        return self._deliver(bits.astype(np.float32) * np.float32(2) - np.float32(1))

    def shared_permutation(self, step: int, tag: str, count: int) -> Tensor:
        """A random permutation [count] int64, the same for all samples."""
        return self._deliver(self._generator(step, tag).permutation(count))

    def _generator(self, step: int, tag: str) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=_address(self.seed, step, tag)))

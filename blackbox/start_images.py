"""Start images for targeted attacks with label access, from the attacker's own images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_images
from blackbox.rng import Stream


def starts(images: Any, labels: Any, target: Any, *, ids: Any = None, seed: int = 0) -> Tensor:
    """Choose for each sample an image of the class to reach, ``attack(..., target=target, start=starts(...))``.

    The choice depends on (seed, id) and the pool alone, so every attack gets the same one. The attack spends one query to
    check that the target agrees on its class; if the target's own labels are known, pass them as ``labels``, and no start
    is wasted.

    Args:
        images: [M, \\*shape] the attacker's own, in [0, 1].
        labels: [M] their classes.
        target: [N] classes to reach.
        ids: [N] the samples' ids as given to ``attack``, by default 0..N-1.
        seed: of the choice.

    Returns:
        [N, \\*shape] float32.

    Raises:
        ValueError: the lengths differ, or the pool has no image of a class to reach; says which.
    """
    pool = as_images(images, "images").cpu()
    known, wanted = _whole_numbers(labels, "labels"), _whole_numbers(target, "target")
    if len(known) != len(pool):
        raise ValueError(f"Expected one label for each of the {len(pool)} images, but there were {len(known)}.")
    numbers = np.arange(len(wanted)) if ids is None else _whole_numbers(ids, "ids")
    if len(numbers) != len(wanted):
        raise ValueError(
            f"Expected one id for each of the {len(wanted)} classes to reach, but there were {len(numbers)}."
        )
    draw = Stream(int(seed), numbers.astype(np.uint64)).uniform_array(0, "start image", 1)[:, 0]
    chosen = np.zeros(len(wanted), np.int64)
    for one in np.unique(wanted):
        have, rows = np.flatnonzero(known == one), np.flatnonzero(wanted == one)
        if not len(have):
            raise ValueError(
                f"Expected images of class {one}, which sample {int(numbers[rows[0]])} has to reach, but the pool has none."
            )
        chosen[rows] = have[(draw[rows] * np.float32(len(have))).astype(np.int64).clip(max=len(have) - 1)]
    return pool[torch.from_numpy(chosen)]


def _whole_numbers(values: Any, name: str) -> np.ndarray:
    array = values.numpy(force=True) if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"Expected {name} to be a row of whole numbers, but it had shape {array.shape} and dtype {array.dtype}."
        )
    return array

"""``--targeted``: the classes to reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from blackbox.specs.data import ImageSet

if TYPE_CHECKING:
    import torch


def goals(targeted: str | None, images: ImageSet, classes: int, seed: int) -> torch.Tensor | int | None:
    """Read the target class: a name, an index, or ``random``, another class for each image, by (seed, id).

    Raises:
        ValueError: it is none of these.
    """
    if targeted is None:
        return None
    if targeted != "random":
        names = images.data.classes
        if targeted in names and not targeted.isdigit():
            return names.index(targeted)
        try:
            return int(targeted)
        except ValueError:
            raise ValueError(
                f"Expected --targeted to be random, a class index or a class name, but it was {targeted!r}."
            ) from None
    import torch

    from blackbox.rng import Stream

    draw = Stream(seed, images.index.astype(np.uint64), "cpu").uniform_array(0, "goal", 1)[:, 0]
    shift = np.minimum((draw * (classes - 1)).astype(np.int64), classes - 2) + 1
    return torch.from_numpy((images.data.labels.numpy() + shift) % classes)

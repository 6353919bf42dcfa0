"""``--start`` and ``--pool``: images from which attacks walk towards the original."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.specs import data

if TYPE_CHECKING:
    import torch


def takes(attack: Any) -> bool:
    """Whether an attack starts from an adversarial image; the others start from the original."""
    return attack.minimises


def read(
    start: str | None,
    pool: str | None,
    images: data.ImageSet,
    goal: torch.Tensor | int | None,
    attacks: Iterable[Any],
    seed: int,
) -> torch.Tensor | None:
    """Load start images [N, \\*shape], one for each of ``images``; None if neither option is given.

    Args:
        start: ``npz:PATH`` or another data spec with an image for each of the data set or for each one attacked; or the
            folder of a saved run, whose examples are matched by their ids.
        pool: a data spec, from which an image of the class to reach is drawn for each sample.

    Raises:
        ValueError: both options, a pool without a class to reach, images that do not fit, or no attack that uses them.
    """
    if start is None and pool is None:
        return None
    if start is not None and pool is not None:
        raise ValueError("Expected either --start or --pool, but both were given.")
    option = "--start" if start is not None else "--pool"
    if not any(takes(a) for a in attacks):
        raise ValueError(
            f"Expected an attack that walks from an adversarial image with {option}, such as hop-skip-jump or nes-partial, "
            "but those named begin at the original."
        )
    if start is not None:
        found = _run(Path(start), images) if Path(start).is_dir() else _data(start, images)
    else:
        assert pool is not None
        found = _drawn(pool, images, goal, seed)
    if found.shape != images.data.images.shape:
        raise ValueError(
            f"Expected images of shape {tuple(images.data.shape)} from {option}, but they had {tuple(found.shape[1:])}."
        )
    return found


def _run(path: Path, images: data.ImageSet) -> torch.Tensor:
    """Load the examples of a saved run."""
    import torch

    import blackbox as bb

    before = bb.AttackResult.load(path)
    at = {int(number): i for i, number in enumerate(before.ids)}
    lacking = [int(number) for number in images.index if int(number) not in at]
    if lacking:
        raise ValueError(
            f"Expected the run in {path} to hold an example for each image, but it lacks {len(lacking)}, "
            f"the first of them number {lacking[0]}. Choose the same images: --data, --n, --pick."
        )
    return before.x_adv[torch.tensor([at[int(number)] for number in images.index])]


def _data(spec: str, images: data.ImageSet) -> torch.Tensor:
    """Load images of a data spec: one for each image attacked, or for each of the data set they were picked from."""
    import torch

    import surrogates as sg

    found = sg.load(spec).images
    if len(found) == len(images.data):
        return found
    if len(found) == images.total:
        return found[torch.from_numpy(images.index)]
    raise ValueError(
        f"Expected {spec} to hold one image for each of the {len(images.data)} attacked, or of the {images.total} they were "
        f"picked from, but it holds {len(found)}."
    )


def _drawn(spec: str, images: data.ImageSet, goal: torch.Tensor | int | None, seed: int) -> torch.Tensor:
    """Draw for each image one of the class to reach, by (seed, id)."""
    import blackbox as bb

    if goal is None:
        raise ValueError("Expected --targeted with --pool, which draws a start from the class to reach.")
    own = data.own(spec)
    wanted = np.full(len(images.data), goal) if isinstance(goal, int) else goal
    return bb.starts(own.images, own.labels, wanted, ids=images.index, seed=seed)

"""``--targeted``: the classes to reach; and whether a ``--goal`` can stand beside what else is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from blackbox.plugins import is_file
from blackbox.specs.channels import level_of
from blackbox.specs.data import ImageSet
from blackbox.specs.goal_text import READERS, among, any_form, usage

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
        return _class(targeted, images)
    import torch

    from blackbox.rng import Stream

    draw = Stream(seed, images.index.astype(np.uint64), "cpu").uniform_array(0, "goal", 1)[:, 0]
    shift = np.minimum((draw * (classes - 1)).astype(np.int64), classes - 2) + 1
    return torch.from_numpy((images.data.labels.numpy() + shift) % classes)


def others(targeted: str | None, images: ImageSet) -> ImageSet:
    """The images that can be brought to the target class: with one class for all, those of that class are left out, and
    counted in ``left_out``.

    Raises:
        ValueError: there is no other image.
    """
    if targeted in (None, "random"):
        return images
    assert targeted is not None
    keep = images.data.labels.numpy() != _class(targeted, images)
    if keep.all():
        return images
    if not keep.any():
        raise ValueError(
            f"Expected images of other classes than {targeted}, the class to reach, but all {len(keep)} are of it. Give others, or "
            "--targeted random, another class for each image."
        )
    return replace(images, data=images.data.take(keep), index=images.index[keep], left_out=int((~keep).sum()))


def said(targeted: str | None, images: ImageSet) -> list[str]:
    """The line that says how many images were left out; none where all are there."""
    total = len(images.data) + images.left_out
    some = [f"left out         {images.left_out} of {total} images, which are of class {targeted}, the class to reach"]
    return some if images.left_out else []


def fits(text: str | None, targeted: str | None, shown: str) -> None:
    """Check what can be told of a goal as written before its files are there, and without running any: is there such a goal, alone, and
    does it read what is ``shown`` of an answer, a level of access?

    Raises:
        ValueError: in a sentence.
    """
    level, listed = level_of(shown)
    if text is None:
        if level == "answers":
            names = ", ".join(name for name in READERS if any_form(name))
            raise ValueError(f"Expected a goal with feedback of answers, which nothing else reads: {names}, or file.py:my_goal.")
        return
    if targeted is not None:
        raise ValueError(f"Expected targeted, a class to reach, or a goal, but both were given. any-of:{targeted} is the goal to reach it.")
    if is_file(text.strip()):
        return
    name, _, rest = text.strip().partition(":")
    other = any_form(name)
    if not rest.strip():
        raise ValueError(f"Expected a goal {usage(name)}, but it was {text!r}.")
    if other != (level == "answers"):
        kinds = "answers" if other else "labels, topk:K, scores or logits"
        raise ValueError(f"Expected feedback of {kinds} for the goal {name}, but it was {shown}.")
    k = 1 if other else among(rest)[1]
    if k > 1 and (level == "labels" or (listed is not None and listed < k)):
        raise ValueError(f"Expected feedback of topk:{k} at least, scores or logits for a goal about the first {k}, but it was {shown}.")


def _class(targeted: str, images: ImageSet) -> int:
    names = images.data.classes
    if targeted in names and not targeted.isdigit():
        return names.index(targeted)
    try:
        return int(targeted)
    except ValueError:
        raise ValueError(
            f"Expected --targeted to be random, a class index or a class name, but it was {targeted!r}."
        ) from None

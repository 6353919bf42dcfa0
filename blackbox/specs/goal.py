"""``--targeted``: the classes to reach; and whether a ``--goal`` can stand beside what else is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from blackbox.plugins import is_file
from blackbox.specs.channels import level_of
from blackbox.specs.data import ImageSet
from blackbox.specs.goal_files import each
from blackbox.specs.goal_text import READERS, among, any_form, usage

if TYPE_CHECKING:
    import torch


def goals(targeted: str | None, images: ImageSet, classes: int, seed: int) -> torch.Tensor | int | None:
    """Read the target class: a name, an index, ``random``, another class for each image, by (seed, id), or a ``.npy`` file, with a class
    for each image of the data set, or for each one attacked.

    Raises:
        ValueError: it is none of these.
    """
    if targeted is None:
        return None
    if targeted != "random" and not in_file(targeted):
        return _class(targeted, images)
    import torch

    if targeted != "random":
        return torch.from_numpy(_listed(targeted, images, classes))

    from blackbox.rng import Stream

    draw = Stream(seed, images.index.astype(np.uint64), "cpu").uniform_array(0, "goal", 1)[:, 0]
    shift = np.minimum((draw * (classes - 1)).astype(np.int64), classes - 2) + 1
    return torch.from_numpy((images.data.labels.numpy() + shift) % classes)


def others(targeted: str | None, images: ImageSet) -> ImageSet:
    """The images that can be brought to their target class: with one class for all, or one for each in a file, those of that class are
    left out, and counted in ``left_out``.

    Raises:
        ValueError: there is no other image.
    """
    if targeted in (None, "random"):
        return images
    assert targeted is not None
    keep = images.data.labels.numpy() != (_listed(targeted, images) if in_file(targeted) else _class(targeted, images))
    if keep.all():
        return images
    if not keep.any():
        raise ValueError(
            f"Expected images of other classes than {targeted}, the class to reach, but all {len(keep)} are of it. Give others, or "
            "--targeted random, another class for each image."
        )
    return replace(images, data=images.data.take(keep), index=images.index[keep], left_out=int((~keep).sum()))


def in_file(targeted: str) -> bool:
    """Are the classes to reach in a file?"""
    return targeted.endswith(".npy")


def in_words(targeted: str | None) -> str | None:
    """The same, where no file can be kept: by a study. Raises: ValueError, it is one."""
    if targeted is not None and in_file(targeted):
        raise ValueError(f"Expected targeted as a class or random in a study, which keeps no file of classes, but it was {targeted}.")
    return targeted


def _listed(path: str, images: ImageSet, classes: int | None = None) -> np.ndarray:
    """The classes of a file, [N] int64. Raises: FileNotFoundError; ValueError: it has no class for each image, of so many classes."""
    found = each(path, "the classes to reach", images, "--targeted")
    if found.dtype.kind not in "iu" or found.shape != (len(images.index),):
        raise ValueError(
            f"Expected the classes to reach in {path} as whole numbers, one for each of the {images.total} images of the data, but they "
            f"were {found.dtype} of shape {found.shape}."
        )
    if classes is not None and ((wrong := (found < 0) | (found >= classes)).any()):
        raise ValueError(f"Expected classes from 0 to {classes - 1} in {path}, but that of image {wrong.argmax()} was {found[wrong][0]}.")
    return found.astype(np.int64)


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
    check_reads(name, other, shown)
    k = 1 if other else among(rest)[1]
    if k > 1 and (level == "labels" or (listed is not None and listed < k)):
        raise ValueError(f"Expected feedback of topk:{k} at least, scores or logits for a goal about the first {k}, but it was {shown}.")


def check_reads(name: str | None, other: bool, shown: str) -> None:
    """Refuse a goal that does not read what is ``shown``. other: it needs answers of another form than classes. Raises: ValueError."""
    if other != (level_of(shown)[0] == "answers"):
        kinds = "answers" if other else "labels, topk:K, scores or logits"
        raise ValueError(f"Expected feedback of {kinds} for the goal {name}, but it was {shown}.")


def _class(targeted: str, images: ImageSet) -> int:
    names = images.data.classes
    if targeted in names and not targeted.isdigit():
        return names.index(targeted)
    try:
        return int(targeted)
    except ValueError:
        raise ValueError(
            f"Expected --targeted to be random, a class index, a class name or a .npy file of classes, but it was {targeted!r}."
        ) from None

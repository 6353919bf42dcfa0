"""Folders of image files, one a class, and single photographs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from surrogates.data.dataset import Dataset, class_names
from surrogates.data.pictures import as_pixels, picture, pixels

PHOTO = ("flip", "crop")  # He et al. 2016, arXiv:1512.03385, section 4.2: mirrored, and shifted by up to 4 pixels
_WNID = re.compile(r"n\d{8}")


def folder(
    path: str | Path,
    size: int | None = None,
    resize: int | None = None,
    classes: Sequence[str] | str | Path | None = None,
    per_class: int | None = None,
) -> Dataset:
    """Load one folder of images a class, as torchvision's ImageFolder does, with the classes in the order of their names.

    Names that are all whole numbers are in the order of these numbers (torchvision puts ``10`` before ``2``); a folder whose
    name begins with a point is none. Images are read as `surrogates.data.pictures` says: 16 bits and floats by their own
    range, held upright, transparent parts on white.

    Args:
        path: the folder that holds the class folders.
        size: crop every image to size x size: the shorter side is resized to ``resize`` (by default 8/7 of size, so 256 for
            224, as torchvision evaluates), then the centre is taken. Images of this size stay as they are.
        classes: names in index order (or a file with one a line) when labels are not in the order of the folders. A folder
            ``n02099712_Labrador_retriever`` is matched by its WordNet id if the names have ids, else by its name.
        per_class: load at most this many images of each class, the first ones.

    Returns:
        [N, 1, H, W] if all images are grey, else [N, 3, H, W].

    Raises:
        FileNotFoundError: no such folder. ValueError: no class folders, an empty one, an unreadable image, images of
            different sizes without ``size``, or a folder that is not in ``classes``; says which.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(
            f"Expected a folder with one subfolder of images for each class at {path}, but there is none."
        )
    try:
        listing = _listing(path)
    except FileNotFoundError as error:
        empty = [d.name for d in sorted(path.iterdir()) if d.is_dir() and not any(p.is_file() for p in d.rglob("*"))]
        what = f"{path / empty[0]} is empty" if empty else str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"Expected {path} to hold one subfolder of images for each class, but {what}.") from None
    index = folder_index(listing.classes, classes)
    names = class_names(classes) if classes is not None else tuple(listing.classes)
    arrays: list[np.ndarray] = []
    labels: list[int] = []
    grey, taken = True, [0] * len(listing.classes)
    changed: dict[str, list[Path]] = {}
    for file, label in listing.samples:
        if per_class is not None and taken[label] >= per_class:
            continue
        taken[label] += 1
        array, plain, done = _read(Path(file), size, resize)
        grey &= plain
        for what in done:
            changed.setdefault(what, []).append(Path(file))
        if arrays and array.shape != arrays[0].shape:
            (h, w), (h0, w0) = array.shape[:2], arrays[0].shape[:2]
            raise ValueError(
                f"Expected all images to have one size, {w0}x{h0} pixels like the first, but {file} has {w}x{h}. "
                "Give size= (on the command line --size) to resize and cut them."
            )
        arrays.append(array)
        labels.append(index[label])
    for what, files in changed.items():
        others = f" and {len(files) - 1} more" if len(files) > 1 else ""
        warnings.warn(f"{files[0]}{others}: {what}.", stacklevel=2)
    return Dataset(as_pixels(stack(arrays, grey), str(path)), torch.tensor(labels), names, path.name, () if grey else PHOTO)


def photograph(path: str | Path, size: int | None = None, resize: int | None = None) -> torch.Tensor:
    """Load one image file as [1, 3, H, W], or [1, 1, H, W] if it is grey; ``size`` and ``resize`` as in `folder`.

    Raises:
        FileNotFoundError: no such file. ValueError: it is not an image.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected an image file at {path}, but there is none.")
    array, grey, _ = _read(path, size, resize)
    return as_pixels(array[None, ..., :1] if grey else array[None], str(path))


def _listing(path: Path) -> Any:
    """torchvision's listing of the folders, with classes that are numbers in the order of the numbers."""
    from torchvision.datasets import ImageFolder

    class Listing(ImageFolder):
        def find_classes(self, directory: Any) -> tuple[list[str], dict[str, int]]:
            found = [d.name for d in Path(directory).iterdir() if d.is_dir() and not d.name.startswith((".", "__MACOSX"))]
            if not found:
                raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
            numbers = all(name.isascii() and name.isdigit() for name in found)
            names = sorted(found, key=(lambda name: (int(name), name)) if numbers else None)
            return names, {name: i for i, name in enumerate(names)}

    return Listing(str(path))


def _read(file: Path, size: int | None, resize: int | None) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """[H, W, 3] uint8 (float32 of more than 8 bits), whether the file is grey, and what was done to it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as opened:
            image, grey, done = picture(opened)
            return pixels(cut(image, size, resize)), grey, done
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        reason = "it is no image that Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error).rstrip(".")
        raise ValueError(f"Expected {file} to be a readable image, but {reason}. Remove or replace it.") from None


def stack(arrays: Sequence[np.ndarray], grey: bool) -> np.ndarray:
    """Images [H, W, 3] of uint8 or floats in one array [N, H, W, 3], of grey ones [N, H, W, 1]; floats if one has floats."""
    if any(a.dtype != np.uint8 for a in arrays):
        arrays = [a if a.dtype != np.uint8 else a.astype(np.float32) / np.float32(255) for a in arrays]
    return np.stack(arrays)[..., :1] if grey else np.stack(arrays)


def cut(image: Any, size: int | None, resize: int | None) -> Any:
    """The image with its shorter side resized, and the centre of size x size taken; see `folder`."""
    if size is None or image.size == (size, size):
        return image
    short = resize or round(size * 8 / 7)
    w, h = image.size
    scale = short / min(w, h)
    if scale != 1:
        w, h = max(round(w * scale), short), max(round(h * scale), short)
        image = image.resize((w, h), resample=2)  # bilinear, as torchvision evaluates
    left, top = round((w - size) / 2), round((h - size) / 2)
    return image.crop((left, top, left + size, top + size))


def folder_index(folders: Sequence[str], classes: Sequence[str] | str | Path | None) -> list[int]:
    """The class index of every folder."""
    if classes is None:
        return list(range(len(folders)))
    names = class_names(classes)
    keys: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        for key in {k for k in _keys(name) if k}:
            keys.setdefault(key, []).append(i)
    out = []
    for name in folders:
        hits = next((keys[key] for key in _keys(name) if key in keys), [])
        if len(hits) != 1:
            why = (
                "is none of them" if not hits else f"fits {len(hits)} of them ({', '.join(names[i] for i in hits[:2])})"
            )
            raise ValueError(f"Expected every folder to be one of the {len(names)} classes given, but {name!r} {why}.")
        out.append(hits[0])
    return out


def _keys(name: str) -> list[str]:
    """The keys by which a name is matched, best first: its WordNet id, itself, its words."""
    wnid = _WNID.match(name)
    words = _WNID.sub("", name, count=1).replace("_", " ").strip().lower()
    return [wnid.group() if wnid else "", name, words]

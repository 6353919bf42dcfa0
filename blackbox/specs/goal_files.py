"""The files of ``--goal`` and ``--mask``: arrays, lists and pictures, those of the images attacked."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from blackbox.specs.data import ImageSet


def files_print(text: str) -> str:
    """A hash of the files that a goal, as written, names; empty where it names none."""
    named = [Path(word) for word in re.split(r"[;,:=\s]+", text) if word and Path(word).is_file()]
    return hashlib.sha256(b"".join(path.read_bytes() for path in named)).hexdigest()[:16] if named else ""


def read_mask(path: str | None, images: ImageSet) -> np.ndarray | None:
    """A mask from a ``.npy`` file, or from a picture, white where the image may change. None for None.

    Raises:
        ValueError: it is neither, or of another size than the images. FileNotFoundError: there is no such file.
    """
    if path is None:
        return None
    where = Path(path)
    if not where.is_file():
        raise FileNotFoundError(f"Expected a mask at {path}, a .npy file or a picture, but there is no such file.")
    if where.suffix == ".npy":
        mask = array(path, "--mask")
        if mask.dtype.kind in "iu":
            mask = mask != 0
    else:
        from PIL import Image

        try:
            with Image.open(where) as picture:
                mask = np.asarray(picture.convert("L")) > 127
        except OSError as error:
            raise ValueError(f"Expected --mask to be a .npy file or a picture, but {path} cannot be read: {error}.") from None
    shape = images.data.shape
    if mask.ndim == 4 and _of_all(len(mask), images):
        mask = mask[images.index]
    if mask.shape[-2:] != shape[-2:]:
        size = " by ".join(map(str, mask.shape[-2:]))
        raise ValueError(f"Expected a mask of {shape[-2]} by {shape[-1]} pixels, as the images have, but {path} has {size}.")
    return mask


def existing(path: str, what: str) -> Path:
    """The path of a file that is there. Raises: FileNotFoundError."""
    where = Path(path.strip())
    if not where.is_file():
        raise FileNotFoundError(f"Expected a file of {what} at {path.strip()}, but there is none.")
    return where


def array(path: str, what: str) -> np.ndarray:
    """The one array of a ``.npy`` file. Raises: FileNotFoundError; ValueError: it is no such file."""
    found = _loaded(path, what, ".npy")
    if not isinstance(found, np.ndarray):
        raise ValueError(f"Expected {what} as a .npy file, one array, but {path.strip()} holds several.")
    return found


def arrays(path: str, what: str) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz`` file by their names. Raises: FileNotFoundError; ValueError: it is no such file."""
    found = _loaded(path, what, ".npz")
    if isinstance(found, np.ndarray):
        raise ValueError(f"Expected {what} as a .npz file, arrays with names, but {path.strip()} holds one without.")
    return found


def _loaded(path: str, what: str, form: str) -> np.ndarray | dict[str, np.ndarray]:
    where = existing(path, what)
    try:
        found = np.load(where, allow_pickle=False)
        return found if isinstance(found, np.ndarray) else dict(found)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"Expected {what} as a {form} file of plain numbers, but {where} cannot be read: {error}.") from None


def each(path: str, what: str, images: ImageSet, option: str = "--goal") -> np.ndarray:
    """An array with an entry for each image attacked; of one for each of the data set these are taken."""
    found = array(path, f"{what} of {option}")
    return found[images.index] if found.ndim and _of_all(len(found), images) else found


def listed(path: str, what: str, images: ImageSet) -> Any:
    """What a JSON file holds; of a list, the entries of the images attacked, as in `each`."""
    where = existing(path, f"{what} of --goal")
    try:
        found = json.loads(where.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"Expected {what} of --goal as JSON, but {where} cannot be read: {error}.") from None
    return [found[i] for i in images.index.tolist()] if isinstance(found, list) and _of_all(len(found), images) else found


def _of_all(count: int, images: ImageSet) -> bool:
    """Are these entries of the whole data set, of which only some images are attacked?"""
    return count == images.total != len(images.index)

"""Loaders of data sets: scikit-learn's digits, folders, numpy files, torchvision's sets on disk. Nothing is downloaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from surrogates.data.dataset import Dataset, class_names

TORCHVISION = {
    "mnist": "MNIST",
    "fashionmnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "svhn": "SVHN",
    "stl10": "STL10",
}
_PHOTO = ("flip", "crop")  # He et al. 2016, arXiv:1512.03385, section 4.2: mirrored, and shifted by up to 4 pixels
_MIRROR_FREE = {"mnist", "kmnist", "svhn"}  # characters: mirroring makes another one
_WNID = re.compile(r"n\d{8}")


def load(spec: str, **options: Any) -> Dataset:
    """Load a data set named by one string.

    - ``digits``: 1,797 handwritten digits of 8x8 pixels, embedded in scikit-learn.
    - ``folder:PATH``: one folder of images a class (see `folder`: ``size=``, ``classes=`` ...).
    - ``npz:PATH``: arrays ``images`` and ``labels``.
    - ``mnist:ROOT``, ``fashionmnist:ROOT``, ``kmnist:ROOT``, ``cifar10:ROOT``, ``cifar100:ROOT``, ``svhn:ROOT``,
      ``stl10:ROOT``: torchvision's copies, already on disk under ROOT (``train=True`` for the training part).

    Args:
        spec: as above.
        options: passed to the loader.

    Raises:
        ValueError: unknown spec, or data that cannot be read (says which file). FileNotFoundError: nothing there.
    """
    kind, _, path = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    kind = kind.lower().replace("-", "")
    if kind == "digits" and not path:
        return digits(**options)
    if not path:
        raise ValueError(
            f"Expected data as digits, folder:PATH, npz:PATH or {', '.join(TORCHVISION)} with :ROOT, but it was {spec!r}."
        )
    if kind == "folder":
        return folder(path, **options)
    if kind == "npz":
        return npz(path, **options)
    return torchvision_set(kind, path, **options)


def digits() -> Dataset:
    """The 1,797 handwritten digits of scikit-learn, [N, 1, 8, 8], grey levels 0..16 mapped to [0, 1]."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.from_numpy(np.asarray(raw.images, dtype=np.float32) / np.float32(16))[:, None]
    return Dataset(images, torch.from_numpy(raw.target.astype(np.int64)), tuple("0123456789"), "digits")


def npz(path: str | Path, name: str | None = None, classes: Sequence[str] | str | Path | None = None) -> Dataset:
    """Load the arrays ``images`` and ``labels`` of a .npz file.

    Args:
        path: the file. Images are uint8 (divided by 255) or floats in [0, 1], [N, H, W], [N, C, H, W] or [N, H, W, C]
            with C of 1 or 3; labels are whole numbers [N].
        name: for reports.
        classes: names in index order, or a file of them; by default 0 .. the largest label.

    Raises:
        FileNotFoundError: no such file. ValueError: not such a file (says what is wrong).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a .npz file at {path}, but there is none.")
    try:
        with np.load(path, allow_pickle=False) as file:
            found = list(getattr(file, "files", []))
            lacking = [key for key in ("images", "labels") if key not in found]
            if lacking:
                raise ValueError(
                    f"Expected {path} to hold the arrays images and labels, but it lacks {' and '.join(lacking)} "
                    f"(it has {', '.join(found) or 'none'})."
                )
            images, labels = file["images"], file["labels"]
    except ValueError as error:
        if str(error).startswith("Expected"):
            raise
        raise ValueError(
            f"Expected {path} to be a .npz file of plain arrays, but it could not be read without unpickling, which can "
            f"run any code, or is damaged: {error}."
        ) from None
    except Exception as error:  # a damaged zip raises many kinds
        raise ValueError(f"Expected {path} to be a .npz file, but it could not be read: {error}.") from None
    if labels.dtype.kind not in "iu":
        raise ValueError(f"Expected the labels in {path} to be whole numbers, but their dtype was {labels.dtype}.")
    if classes is not None:
        known = class_names(classes)
    else:
        known = tuple(str(c) for c in range(max(int(labels.max(initial=0)) + 1, 2)))
    return Dataset(_images(images, str(path)), torch.from_numpy(labels.astype(np.int64)), known, name or path.stem)


def _images(raw: np.ndarray, where: str) -> torch.Tensor:
    """Convert uint8 or float arrays in one of the usual layouts to float32 [N, C, H, W]."""
    if raw.dtype == np.uint8:
        raw = raw.astype(np.float32) / np.float32(255)
    elif raw.dtype.kind != "f":
        raise ValueError(
            f"Expected the images in {where} to be uint8 or floats in [0, 1], but their dtype was {raw.dtype}."
        )
    if raw.ndim == 3:
        raw = raw[:, None]
    if raw.ndim == 4 and raw.shape[1] not in (1, 3) and raw.shape[3] in (1, 3):
        raw = raw.transpose(0, 3, 1, 2)
    if raw.ndim != 4:
        raise ValueError(
            f"Expected the images in {where} to have shape [N, H, W] or [N, C, H, W], but it was {raw.shape}."
        )
    return torch.from_numpy(np.ascontiguousarray(raw, dtype=np.float32))


def folder(
    path: str | Path,
    size: int | None = None,
    resize: int | None = None,
    classes: Sequence[str] | str | Path | None = None,
    per_class: int | None = None,
) -> Dataset:
    """Load one folder of images a class, as torchvision's ImageFolder does; classes in alphabetical order.

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
    from torchvision.datasets import ImageFolder

    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(
            f"Expected a folder with one subfolder of images for each class at {path}, but there is none."
        )
    try:
        listing = ImageFolder(str(path))
    except FileNotFoundError as error:
        empty = [d.name for d in sorted(path.iterdir()) if d.is_dir() and not any(p.is_file() for p in d.rglob("*"))]
        what = f"{path / empty[0]} is empty" if empty else str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"Expected {path} to hold one subfolder of images for each class, but {what}.") from None
    index = _folder_index(listing.classes, classes)
    names = class_names(classes) if classes is not None else tuple(listing.classes)
    arrays: list[np.ndarray] = []
    labels: list[int] = []
    grey, taken = True, [0] * len(listing.classes)
    for file, label in listing.samples:
        if per_class is not None and taken[label] >= per_class:
            continue
        taken[label] += 1
        array, plain = _read(Path(file), size, resize)
        grey &= plain
        if arrays and array.shape != arrays[0].shape:
            (h, w), (h0, w0) = array.shape[:2], arrays[0].shape[:2]
            raise ValueError(
                f"Expected all images to have one size, {w0}x{h0} pixels like the first, but {file} has {w}x{h}. "
                "Give size= (on the command line --size) to resize and cut them."
            )
        arrays.append(array)
        labels.append(index[label])
    stack = np.stack(arrays)[..., :1] if grey else np.stack(arrays)
    return Dataset(_images(stack, str(path)), torch.tensor(labels), names, path.name, () if grey else _PHOTO)


def photograph(path: str | Path, size: int | None = None, resize: int | None = None) -> torch.Tensor:
    """Load one image file as [1, 3, H, W], or [1, 1, H, W] if it is grey; ``size`` and ``resize`` as in `folder`.

    Raises:
        FileNotFoundError: no such file. ValueError: it is not an image.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected an image file at {path}, but there is none.")
    array, grey = _read(path, size, resize)
    return _images(array[None, ..., :1] if grey else array[None], str(path))


def _read(file: Path, size: int | None, resize: int | None) -> tuple[np.ndarray, bool]:
    """[H, W, 3] uint8, and whether the file is grey."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            return np.asarray(_cut(image.convert("RGB"), size, resize)), image.mode in ("1", "L")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        reason = "it is no image that Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error)
        raise ValueError(f"Expected {file} to be a readable image, but {reason}. Remove or replace it.") from None


def _cut(image: Any, size: int | None, resize: int | None) -> Any:
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


def _folder_index(folders: Sequence[str], classes: Sequence[str] | str | Path | None) -> list[int]:
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


def torchvision_set(kind: str, root: str | Path, train: bool = False) -> Dataset:
    """Load one of torchvision's data sets from disk; nothing is downloaded.

    Args:
        kind: mnist, fashionmnist, kmnist, cifar10, cifar100, svhn or stl10.
        root: torchvision's root.
        train: the training part instead of the test part.

    Raises:
        ValueError: unknown kind. FileNotFoundError: the files are not there, or damaged.
    """
    if kind not in TORCHVISION:
        raise ValueError(
            f"Expected data as digits, folder:, npz: or one of {', '.join(TORCHVISION)}, but it was {kind!r}."
        )
    from torchvision import datasets

    maker = getattr(datasets, TORCHVISION[kind])
    part: dict[str, Any] = {"split": "train" if train else "test"} if kind in ("svhn", "stl10") else {"train": train}
    try:
        raw = maker(str(root), download=False, **part)
    except (RuntimeError, OSError) as error:
        raise FileNotFoundError(
            f"Expected torchvision's {TORCHVISION[kind]} under {root}, but it was not found there or is damaged "
            f"({str(error).splitlines()[0].split('. You can')[0]}). Nothing is downloaded: put the files there yourself."
        ) from None
    labels = np.asarray(raw.labels if kind in ("svhn", "stl10") else raw.targets).astype(np.int64)
    names = getattr(raw, "classes", None) or [str(c) for c in range(int(labels.max()) + 1)]
    augment: tuple[str, ...] = ("crop",) if kind in _MIRROR_FREE else _PHOTO
    return Dataset(_images(np.asarray(raw.data), kind), torch.from_numpy(labels), tuple(names), kind, augment)

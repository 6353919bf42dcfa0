"""Loaders of data sets: scikit-learn's digits, folders, numpy files, torchvision's sets on disk. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from surrogates.data.arrays import read_npz
from surrogates.data.dataset import Dataset, class_names
from surrogates.data.folders import PHOTO, folder, photograph
from surrogates.data.hugging_face import hugging_face
from surrogates.data.pictures import as_pixels

__all__ = ["digits", "folder", "hugging_face", "load", "npz", "photograph", "torchvision_set"]

TORCHVISION = {
    "mnist": "MNIST",
    "fashionmnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "svhn": "SVHN",
    "stl10": "STL10",
}
_MIRROR_FREE = {"mnist", "kmnist", "svhn"}  # characters: mirroring makes another one


def load(spec: str, **options: Any) -> Dataset:
    """Load a data set named by one string.

    - ``digits``: 1,797 handwritten digits of 8x8 pixels, embedded in scikit-learn.
    - ``folder:PATH``: one folder of images a class (see `folder`: ``size=``, ``classes=`` ...).
    - ``npz:PATH``: arrays ``images`` and ``labels``.
    - ``datasets:PATH``: a data set of Hugging Face's library on disk (see `hugging_face`), with settings after ``#``:
      ``datasets:PATH#split=test,image=picture,label=kind``.
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
            f"Expected data as digits, folder:PATH, npz:PATH, datasets:PATH or {', '.join(TORCHVISION)} with :ROOT, but it was {spec!r}."
        )
    if kind == "folder":
        return folder(path, **options)
    if kind == "npz":
        return npz(path, **options)
    if kind == "datasets":
        path, _, settings = path.partition("#")
        pairs = [word.partition("=") for word in settings.split(",") if word]
        if odd := [name for name, _, value in pairs if name not in ("image", "label", "split") or not value]:
            raise ValueError(f"Expected image=COLUMN, label=COLUMN or split=PART after # in {spec!r}, but it had {', '.join(odd)}.")
        named = {name: value for name, _, value in pairs}
        return hugging_face(path, **{**named, **options})
    return torchvision_set(kind, path, **options)


def digits() -> Dataset:
    """The 1,797 handwritten digits of scikit-learn, [N, 1, 8, 8], grey levels 0..16 mapped to [0, 1]."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.from_numpy(np.asarray(raw.images, dtype=np.float32) / np.float32(16))[:, None]
    return Dataset(images, torch.from_numpy(raw.target.astype(np.int64)), tuple("0123456789"), "digits")


UNLABELLED = ("none", "none")  # the classes of data without labels


def npz(
    path: str | Path, name: str | None = None, classes: Sequence[str] | str | Path | None = None, labelled: bool = True
) -> Dataset:
    """Load the arrays ``images`` and ``labels`` of a .npz file.

    Args:
        path: the file. Images are uint8 (divided by 255) or floats in [0, 1], [N, H, W], [N, C, H, W] or [N, H, W, C]
            with C of 1 or 3; labels are whole numbers [N].
        name: for reports.
        classes: names in index order, or a file of them; by default 0 .. the largest label.
        labelled: whether labels are needed; where not, and there are none, all are 0, of the classes `UNLABELLED`.

    Raises:
        FileNotFoundError: no such file. ValueError: not such a file (says what is wrong).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a .npz file at {path}, but there is none.")
    found, held = read_npz(path, "images", "labels")
    if lacking := [key for key in ("images", "labels")[: 1 + labelled] if key not in found]:
        raise ValueError(f"Expected {path} to hold the arrays images and labels, but it lacks {' and '.join(lacking)} (it has {held}).")
    images = found["images"]
    labels = found["labels"] if "labels" in found else np.zeros(len(images), np.int64)
    if labels.dtype.kind not in "iu":
        raise ValueError(f"Expected the labels in {path} to be whole numbers, but their dtype was {labels.dtype}.")
    if classes is not None:
        known = class_names(classes)
    elif "labels" not in found:
        known = UNLABELLED
    else:
        known = tuple(str(c) for c in range(max(int(labels.max(initial=0)) + 1, 2)))
    return Dataset(as_pixels(images, str(path)), torch.from_numpy(labels.astype(np.int64)), known, name or path.stem)


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
            f"Expected data as digits, folder:, npz:, datasets: or one of {', '.join(TORCHVISION)}, but it was {kind!r}."
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
    augment: tuple[str, ...] = ("crop",) if kind in _MIRROR_FREE else PHOTO
    return Dataset(as_pixels(np.asarray(raw.data), kind), torch.from_numpy(labels), tuple(names), kind, augment)

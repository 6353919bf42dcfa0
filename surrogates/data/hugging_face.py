"""Data sets of Hugging Face's library, from disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blackbox.targets.packages import need
from surrogates.data.dataset import Dataset, class_names
from surrogates.data.folders import PHOTO, cut, stack
from surrogates.data.pictures import as_pixels, picture, pixels


def hugging_face(
    path: str | Path,
    split: str | None = None,
    image: str | None = None,
    label: str | None = None,
    size: int | None = None,
    classes: Sequence[str] | str | Path | None = None,
) -> Dataset:
    """Load a data set that ``datasets.Dataset.save_to_disk`` wrote, or a folder of Parquet files. Nothing is downloaded.

    Args:
        path: the folder.
        split: which part, where there are several.
        image: the column of images; by default the only one, or the one called image or img.
        label: the column of labels, whole numbers or class labels; by default the only column of class labels, or the one called
            label or labels.
        size: as in `surrogates.data.folders.folder`.
        classes: names in index order, or a file of them; by default those of the column of class labels.

    Raises:
        FileNotFoundError: no such folder. ValueError: no such split or column, images of different sizes without ``size``, or
            rows without image or label; says which. ModuleNotFoundError: the package datasets is not installed.
    """
    table = _part(Path(path), split)
    image = image or _column(table, "image", _images(table), ("image", "img"))
    label = label or _column(table, "label", _labels(table), ("label", "labels"))
    for name in (image, label):
        if name not in table.column_names:
            raise ValueError(f"Expected a column {name!r} in {path}, but there are {', '.join(table.column_names)}.")
    arrays, grey = [], True
    for row, one in enumerate(table[image]):
        if one is None or not hasattr(one, "mode"):
            raise ValueError(f"Expected an image in row {row} of the column {image!r} of {path}, but it was {one!r:.40}.")
        try:
            upright, plain, _ = picture(one)
        except ValueError as error:
            raise ValueError(f"Expected row {row} of {path} to hold a readable image, but {error}.") from None
        arrays.append(pixels(cut(upright, size, None)))
        grey &= plain
        if arrays[row].shape != arrays[0].shape:
            (h, w), (h0, w0) = arrays[row].shape[:2], arrays[0].shape[:2]
            raise ValueError(
                f"Expected all images of {path} to have one size, {w0}x{h0} pixels like the first, but row {row} has {w}x{h}. "
                "Give size= (on the command line --size) to resize and cut them."
            )
    if not arrays:
        raise ValueError(f"Expected images in {path}, but this part has no row.")
    labels = list(table[label])
    if any(type(value) is not int for value in labels):
        row = next(i for i, value in enumerate(labels) if type(value) is not int)
        raise ValueError(f"Expected whole numbers in the column {label!r} of {path}, but row {row} holds {labels[row]!r:.40}.")
    names = class_names(classes) if classes is not None else getattr(table.features[label], "names", None)
    known = tuple(names or (str(c) for c in range(max(max(labels) + 1, 2))))
    found = as_pixels(stack(arrays, grey), str(path))
    return Dataset(found, torch.from_numpy(np.asarray(labels, np.int64)), known, Path(path).name, () if grey else PHOTO)


def _part(path: Path, split: str | None) -> Any:
    datasets = need("datasets", "data", f"datasets:{path}")
    if not path.is_dir():
        raise FileNotFoundError(f"Expected a folder with a Hugging Face data set at {path}, but there is none.")
    files = sorted(str(p) for p in path.rglob("*.parquet"))
    try:
        if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
            found = datasets.load_from_disk(str(path))
        elif files:
            found = datasets.Dataset.from_parquet(files, keep_in_memory=True)
        else:
            raise ValueError("it holds neither what save_to_disk writes (state.json, dataset_dict.json) nor Parquet files")
    except Exception as error:  # the library raises many kinds
        raise ValueError(f"Expected a Hugging Face data set in {path}, but {str(error).splitlines()[0].rstrip('.')}.") from None
    if isinstance(found, datasets.DatasetDict):
        if split not in found:
            asked = "none was named" if split is None else f"it was {split!r}"
            raise ValueError(f"Expected split= (--split) to be one of {', '.join(found)} for {path}, but {asked}.")
        return found[split]
    if split is not None:
        raise ValueError(f"Expected no split of {path}, which has no parts, but it was {split!r}.")
    return found


def _images(table: Any) -> list[str]:
    return [name for name, kind in table.features.items() if type(kind).__name__ == "Image"]


def _labels(table: Any) -> list[str]:
    return [name for name, kind in table.features.items() if type(kind).__name__ == "ClassLabel"]


def _column(table: Any, what: str, fit: list[str], usual: Sequence[str]) -> str:
    """The only column that fits, or the one with a usual name."""
    if len(fit) == 1:
        return fit[0]
    for name in usual:
        if name in (fit or table.column_names):
            return name
    raise ValueError(
        f"Expected one column of {what}s, but {', '.join(fit or table.column_names)} could be meant. Name it: {what}=…, on the "
        f"command line datasets:PATH#{what}=…"
    )

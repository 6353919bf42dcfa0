"""Data sets in memory, and splits by purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_images, as_labels, as_seed


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images.

    Args:
        images: [N, C, H, W] floats in [0, 1].
        labels: [N] whole numbers, indices into ``classes``.
        classes: the names of the classes.
        name: for reports.
        augment: augmentations that keep the label: ``"flip"`` (left to right), ``"crop"`` (a shift by up to 4 pixels).
            Digits have none: a mirrored digit is not a digit.

    Raises:
        ValueError: images that are not floats in [0, 1] of shape [N, C, H, W]; labels out of range or of another length.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str = "data"
    augment: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        images = as_images(self.images, "images")
        if images.ndim != 4:
            raise ValueError(
                f"Expected images of shape [N, channels, height, width], but their shape was {tuple(images.shape)}."
            )
        object.__setattr__(self, "images", images)
        labels = as_labels(_as_int64(self.labels), len(images), len(self.classes), "labels")
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "classes", tuple(str(c) for c in self.classes))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image."""
        return tuple(self.images.shape[1:])

    def take(self, index: Any, name: str | None = None) -> Dataset:
        """The samples at ``index``: integers, a boolean mask or a slice."""
        if not isinstance(index, (slice, Tensor)):
            index = torch.as_tensor(np.asarray(index))
        return replace(self, images=self.images[index], labels=self.labels[index], name=name or self.name)

    def __repr__(self) -> str:
        return f"Dataset({self.name}: {len(self)} images {self.shape}, {len(self.classes)} classes)"


def _as_int64(labels: Any) -> Any:
    """Integer arrays as int64: torch has no uint16, uint32 or uint64 labels."""
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iu":
        return labels.astype(np.int64)
    return labels


def images_of(data: Any, name: str) -> Tensor:
    """The images [N, \\*shape] of a Dataset, or ``data`` itself, checked and called ``name`` where they are none. Raises: ValueError."""
    return data.images if isinstance(data, Dataset) else as_images(data, name)


def as_dataset(data: Dataset | tuple[Any, Any], classes: int | None = None) -> Dataset:
    """Convert a pair (images, labels) to a Dataset; labels of None (where only a teacher's answers count) become 0."""
    if isinstance(data, Dataset):
        return data
    if not (isinstance(data, (tuple, list)) and len(data) == 2):
        raise ValueError(f"Expected a Dataset or a pair (images, labels), but it was {type(data).__name__}.")
    images, labels = as_images(data[0], "images"), _as_int64(data[1])
    if labels is None:
        labels = torch.zeros(len(images), dtype=torch.int64)
    count = classes or max(int(torch.as_tensor(labels).max()) + 1, 1)
    return Dataset(images, labels, tuple(str(c) for c in range(count)))


def split(dataset: Dataset, sizes: Mapping[str, int | float], seed: int = 0) -> dict[str, Dataset]:
    """Split a data set into disjoint parts by purpose, each with the classes in the proportion of the whole.

    Args:
        dataset: what to split.
        sizes: purpose -> number of images (int) or share of the data set (float below 1), for example
            ``{"target_train": 0.5, "surrogate_train": 0.3, "attack": 200}``; the rest is not used.
        seed: the parts are a function of (data set, sizes in their order, seed).

    Returns:
        purpose -> Dataset, in random order within each part.

    Raises:
        ValueError: a size that is not positive, or more images asked for than there are.
    """
    total = len(dataset)
    counts: dict[str, int] = {}
    for purpose, size in sizes.items():
        count = int(size) if isinstance(size, (int, np.integer)) else int(size * total + 1e-9)  # 0.3 * 10 is 2.999…
        if count < 1 or (isinstance(size, float) and not 0 < size <= 1):
            raise ValueError(
                f"Expected the size of {purpose!r} to be a number of images or a share between 0 and 1 that gives at "
                f"least one of {total}, but it was {size!r}."
            )
        counts[purpose] = count
    if sum(counts.values()) > total:
        raise ValueError(
            f"Expected parts of at most {total} images together, but {' + '.join(map(str, counts.values()))} "
            f"= {sum(counts.values())} were asked for."
        )
    order = _stratified(dataset.labels.numpy(), np.random.Generator(np.random.Philox(as_seed(seed))))
    parts, start = {}, 0
    for purpose, count in counts.items():
        parts[purpose] = dataset.take(order[start : start + count], f"{dataset.name}/{purpose}")
        start += count
    return parts


def _stratified(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An order in which every section has the classes in nearly the proportion of the whole.

    The i-th of the n members of a class (in random order) is placed near (i + u) / n of the way, u uniform.
    """
    place = np.empty(len(labels))
    for c in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == c))
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
    ties = rng.random(len(labels))
    return np.lexsort((ties, place))


def class_names(classes: Sequence[str] | str | Path) -> tuple[str, ...]:
    """Names in index order, given as a sequence or as a text file with one a line."""
    if isinstance(classes, (str, Path)):
        path = Path(classes)
        if not path.is_file():
            raise FileNotFoundError(f"Expected a file with one class name a line at {path}, but there is none.")
        classes = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return tuple(classes)

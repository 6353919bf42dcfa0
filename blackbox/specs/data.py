"""Data specs: load the images of ``digits``, ``folder:PATH``, ``npz:PATH``, ``cifar10:ROOT`` and others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.specs import parse
from blackbox.specs.options import Images

if TYPE_CHECKING:
    from blackbox.tabular import Tabular
    from surrogates import Dataset

PICKS = ("spread", "first", "random")


@dataclass(frozen=True)
class ImageSet:
    """Chosen images; ``index`` [N]: the index of each among the ``total`` of the data set, which is its sample id.
    ``left_out``: chosen, but of the class to reach (`blackbox.specs.goal.others`). ``table``: what they may be, where they are rows."""

    data: Dataset
    index: np.ndarray
    spec: str
    total: int
    left_out: int = 0
    table: Tabular | None = None

    @property
    def kind(self) -> str:
        """What one of them is called."""
        return "image" if self.table is None else "row"


def images(
    chosen: Images, seed: int = 0, default_split: str = "attack", labelled: bool = True, table: str | None = None
) -> ImageSet:
    """Load data and choose ``n`` images, or rows of a table.

    Args:
        chosen: ``split`` is ``target``, ``surrogate`` or ``attack`` of the digits, ``test`` or ``train`` of torchvision's
            sets. ``pick``: ``first`` n in file order, ``spread`` evenly over the file order (a folder is sorted by class),
            or ``random``. ``size``, ``class_names``: as in `surrogates.data.folders.folder`.
        default_split: the digits' part where no split is given.
        labelled: whether labels are needed; an npz file may lack them else.
        table: of rows, the file that says what they may be (`blackbox.specs.table`).
    """
    if table is not None or chosen.data.partition(":")[0].lower() == "csv":
        return _rows(chosen, seed, table, labelled)
    spec, split, size, classes = chosen.data, chosen.split, chosen.size, chosen.class_names
    import surrogates as sg

    kind = spec.partition(":")[0].lower()
    more: dict[str, Any] = {"labelled": False} if kind == "npz" and not labelled else {}
    if size is not None:
        more["size"] = size
    if classes is not None:
        more["classes"] = _class_names(classes)
    if more and kind not in ("folder", "npz", "datasets"):
        raise ValueError(f"Expected --size and --class-names with folder:, npz: or datasets: data, but the data are {spec!r}.")
    if size is not None and kind == "npz":
        raise ValueError(
            "Expected --size with folder: data, but the data are an npz file, whose images have a size already."
        )
    if kind == "digits" and spec.lower() == "digits":
        from blackbox.specs import digits

        data = digits.parts().get(split or default_split)
        if data is None:
            raise ValueError(
                f"Expected --split to be one of {', '.join(digits.PARTS)} for the digits, but it was {split!r}."
            )
    else:
        if kind in ("folder", "npz"):
            if split is not None:
                raise ValueError(
                    f"Expected no --split with {kind}: data, which has no parts; name another path instead."
                )
        elif kind == "datasets":
            more |= {"split": split} if split is not None else {}
        elif split not in (None, "train", "test"):
            raise ValueError(f"Expected --split to be train or test for {kind}, but it was {split!r}.")
        elif split == "train":
            more["train"] = True
        data = sg.load(spec, **more)
    index = _pick(len(data), chosen.n, chosen.pick, seed)
    return ImageSet(data.take(index), index, spec, len(data))


def _rows(chosen: Images, seed: int, table: str | None, labelled: bool) -> ImageSet:
    from blackbox.specs.table import read_table

    if chosen.split is not None or chosen.size is not None:
        raise ValueError("Expected no --split and no --size with rows of a table, which have neither parts nor a side, but there was one.")
    names = None if chosen.class_names is None else _class_names(chosen.class_names)
    found, rules = read_table(chosen.data, table, names, labelled)
    index = _pick(len(found), chosen.n, chosen.pick, seed)
    return ImageSet(found.take(index), index, chosen.data, len(found), table=rules)


def _class_names(text: str) -> str | tuple[str, ...]:
    """A file of class names, the names themselves with commas, or the words of a model that names its classes: ``hf:DIR``."""
    from surrogates.nets.libraries import PREFIXES

    if Path(text).is_file():
        return text
    if text.partition(":")[0] not in (*PREFIXES, "torchvision"):
        return tuple(parse.words(text)) if "," in text else text
    from blackbox.specs import libraries

    return libraries.words(text)


def own(spec: str) -> Dataset:
    """Load the attacker's part of a data spec: the digits' part for surrogates, the training part of torchvision's sets."""
    split = None if spec.partition(":")[0] in ("digits", "folder", "npz", "datasets") else "train"
    return images(Images(spec, split=split), default_split="surrogate").data


def _pick(total: int, n: int | None, pick: str, seed: int) -> np.ndarray:
    if pick not in PICKS:
        raise ValueError(f"Expected --pick to be one of {', '.join(PICKS)}, but it was {pick!r}.")
    if n is None or n >= total:
        return np.arange(total)
    if n < 1:
        raise ValueError(f"Expected --n to be at least 1, but it was {n}.")
    if pick == "first":
        return np.arange(n)
    if pick == "spread":
        return np.arange(n) * total // n
    from blackbox.checks import as_seed

    return np.sort(np.random.Generator(np.random.Philox(as_seed(seed))).permutation(total)[:n])

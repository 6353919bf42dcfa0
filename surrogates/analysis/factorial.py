"""Factorial training: a reference net, and nets that do or do not share its data, architecture and initial weights (after
Szegedy et al. 2013, arXiv:1312.6199, tables 2 to 4)."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from surrogates.data.dataset import Dataset, as_dataset, split
from surrogates.nets.predict import accuracy
from surrogates.nets.registry import build
from surrogates.training.recipe import Recipe
from surrogates.training.train import train

Builder = str | Callable[[int], nn.Module]


@dataclass(frozen=True)
class Cell:
    """The factors of a net: data ``"same"`` (as the reference) or ``"disjoint"``, architecture ``"same"`` or ``"other"``,
    initialisation ``"same"`` or ``"new"``; replicate, from 1."""

    data: str
    architecture: str
    initialisation: str
    replicate: int = 1

    def __str__(self) -> str:
        name = f"{self.data} data, {self.architecture} architecture, {self.initialisation} initialisation"
        return name if self.replicate == 1 else f"{name} #{self.replicate}"


@dataclass(frozen=True, eq=False)
class Factorial:
    """The nets of `factorial`.

    reference: the net that the others are compared with. nets: name -> net, ready for `surrogates.transfer_matrix`.
    cells: name -> `Cell`, the factors. own, other: the halves of the data; the reference learned from ``own``.
    """

    reference: nn.Module
    nets: dict[str, nn.Module]
    cells: dict[str, Cell]
    own: Dataset
    other: Dataset

    def table(self, test: Dataset) -> str:
        """Accuracy of each net on images that none of them learned from."""
        rows = {"reference": self.reference, **self.nets}
        width = max(map(len, rows))
        return "\n".join(f"{name:{width}}  {accuracy(net, test)}" for name, net in rows.items())


def factorial(
    train_set: Dataset | tuple[Any, Any],
    archs: Sequence[Builder],
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    replicates: int = 1,
    cache: str | Path | None = None,
    jobs: int = 1,
) -> Factorial:
    """Train a reference net on one half of the data and, for each combination of {same or disjoint data} x {same or other
    architecture} x {same or new initialisation}, another net.

    Args:
        train_set: cut into two halves with the classes in proportion (`surrogates.split`).
        archs: two names for `surrogates.build`, or functions from a seed to a net: the reference's and the other one.
        recipe: of all nets. seed: decides the halves, the initial weights and the orders of the images; every net has an
            order of its own.
        replicates: nets a cell. cache: as in `surrogates.train`. jobs: nets trained at once, in processes of their own.

    With another architecture "same initialisation" means weights drawn with the reference's seed: the two cells are replicates
    of one another.

    Raises:
        ValueError: not two architectures, fewer than one replicate, or as `surrogates.train`.
    """
    if len(archs) != 2:
        raise ValueError(f"Expected two architectures, the reference's and another, but there were {len(archs)}.")
    if replicates < 1:
        raise ValueError(f"Expected replicates to be at least 1, but it was {replicates!r}.")
    data = as_dataset(train_set)
    halves = split(data, {"own": len(data) // 2, "other": len(data) // 2}, seed=seed)
    cells = [
        Cell(*factors, replicate)
        for replicate in range(1, replicates + 1)
        for factors in itertools.product(("same", "disjoint"), ("same", "other"), ("same", "new"))
    ]

    def job(cell: Cell | None) -> tuple[Any, ...]:
        half = halves["other" if cell and cell.data == "disjoint" else "own"]
        arch = archs[1 if cell and cell.architecture == "other" else 0]
        first = seed if cell is None or cell.initialisation == "same" else _own(seed, f"{cell} weights")
        return half, arch, first, recipe, _own(seed, f"{cell} order"), cache

    from joblib import Parallel, delayed

    made = Parallel(n_jobs=jobs)(delayed(_net)(*job(cell)) for cell in (None, *cells))
    names = [str(cell) for cell in cells]
    return Factorial(
        made[0],
        dict(zip(names, made[1:], strict=True)),
        dict(zip(names, cells, strict=True)),
        halves["own"],
        halves["other"],
    )


def _net(half: Dataset, arch: Builder, first: int, recipe: Recipe | None, order: int, cache: Any) -> nn.Module:
    net = build(arch, len(half.classes), half.shape, first) if isinstance(arch, str) else arch(first)
    return train(net, half, recipe, seed=order, cache=cache)


def _own(seed: int, what: str) -> int:
    """A seed for one purpose."""
    return zlib.crc32(f"{seed} {what}".encode())

"""Factorial training: how much of the variance of transfer is due to data, architecture and initialisation.

A reference net, and nets that do or do not share its data, architecture and initial weights (after Szegedy et al. 2013,
arXiv:1312.6199, tables 2 to 4); then a balanced analysis of variance of their transfer rates.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from blackbox.statistics import Estimate
from blackbox.statistics.bootstrap import drawn
from blackbox.threat import Threat
from surrogates.data.dataset import Dataset, as_dataset, split
from surrogates.nets.predict import accuracy
from surrogates.nets.registry import build
from surrogates.training.recipe import Recipe
from surrogates.training.train import train
from surrogates.transfer.conditions import check_same

if TYPE_CHECKING:
    from surrogates.transfer.matrix import TransferMatrix


Builder = str | Callable[[int], nn.Module]


@dataclass(frozen=True)
class Cell:
    """The factors of a net: data ``"same"`` (as the reference's) or ``"disjoint"``, architecture ``"same"`` or ``"other"``,
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
    cells: name -> `Cell`, the factors. own, other: the halves of the data; the reference was trained on ``own``.
    """

    reference: nn.Module
    nets: dict[str, nn.Module]
    cells: dict[str, Cell]
    own: Dataset
    other: Dataset

    def table(self, test: Dataset) -> str:
        """Format the accuracy of each net on images that none of them was trained on."""
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
    """Train a reference net on one half of the data, and a net for each combination of the factors.

    The factors are {same or disjoint data} x {same or other architecture} x {same or new initialisation}. With another
    architecture, "same initialisation" means weights drawn with the reference's seed: the two cells are replicates.

    Args:
        train_set: cut into two halves with the classes in proportion (`surrogates.split`).
        archs: two names for `surrogates.build`, or functions from a seed to a net: the reference's and the other one.
        recipe: of all nets.
        seed: for the halves, the initial weights and the orders of the images; every net has an order of its own.
        replicates: nets a cell.
        cache: as in `surrogates.train`.
        jobs: how many nets to train at once, each in its own process.

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


FACTORS = ("data", "architecture", "initialisation")


@dataclass(frozen=True)
class Term:
    """A term of the decomposition.

    name: a factor, an interaction (``"data:architecture"``), or ``"replicates"``. squares: sum of squares. share: of the
    total, with a bootstrap interval. effect: mean rate at each level (of a factor), else empty."""

    name: str
    squares: float
    share: Estimate
    effect: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Decomposition:
    """The result of `decompose`: terms that add up to the total, the sum of squares of the rates about their mean."""

    terms: tuple[Term, ...]
    total: float
    given: str = "target-correct"

    def __getitem__(self, name: str) -> Term:
        return next(term for term in self.terms if term.name == name)

    def table(self) -> str:
        """Format the terms as text, one a line, largest first."""
        lines = [
            f"Share of the sum of squares of transfer rates (given {self.given}); balanced factorial, 95 % bootstrap."
        ]
        for t in sorted(self.terms, key=lambda t: -t.squares):
            means = ", ".join(f"{level} {100 * rate:.0f} %" for level, rate in t.effect)
            share = f"{100 * t.share.value:5.1f} % [{100 * t.share.low:.1f}, {100 * t.share.high:.1f}]"
            lines.append(f"{t.name:36} {share:24} {means}".rstrip())
        return "\n".join(lines)


def sums_of_squares(values: np.ndarray, factors: Sequence[str]) -> dict[str, np.ndarray]:
    """Balanced analysis of variance (Fisher 1925) of values [levels of factor 1, ..., of factor F, replicates, *rest].

    Returns the sum of squares [*rest] of every factor, every interaction (``"a:b"``), and ``"replicates"`` (within cells)."""
    f = len(factors)
    cells = values.mean(f, keepdims=True)
    size = np.prod(values.shape[: f + 1])
    effects: dict[tuple[int, ...], np.ndarray] = {}
    out = {}
    for r in range(f + 1):
        for term in itertools.combinations(range(f), r):
            averaged = tuple(i for i in range(f) if i not in term)
            effect = cells.mean(averaged, keepdims=True) if averaged else cells
            effect = effect - sum((e for t, e in effects.items() if set(t) < set(term)), np.zeros(()))
            effects[term] = effect
            if term:
                weight = size / np.prod([values.shape[i] for i in term])
                out[":".join(factors[i] for i in term)] = weight * (effect**2).sum(tuple(range(f + 1)))
    out["replicates"] = ((values - cells) ** 2).sum(tuple(range(f + 1)))
    return out


def decompose(
    matrix: TransferMatrix, cells: Mapping[str, Cell], target: str, attack: str, threat: Threat | str, *,
    given: str = "target-correct", level: float = 0.95, seed: int = 0, count: int = 1999,
) -> Decomposition:  # fmt: skip
    """Decompose the variance of the transfer rates to ``target`` of the nets of `factorial`.

    Args:
        cells: source -> its factors (``Factorial.cells``), every combination of levels as often as any other.
        given: the same images for every net: ``"target-correct"`` or ``"all"``.

    A fixed-effects decomposition: shares describe these nets. With one replicate a cell, retraining is confounded with the
    interactions; use two or more. The interval resamples images, and replicates within cells; sampling noise adds to every
    term, so shares near 0 are biased upwards.

    Raises:
        ValueError: unbalanced cells, a net that the matrix lacks, or a condition that depends on the net.
    """
    if given == "both-correct":
        raise ValueError(
            "Expected given to be target-correct or all, the same images for every net, but it was 'both-correct'."
        )
    check_same(given)
    levels = [list(dict.fromkeys(getattr(cell, factor) for cell in cells.values())) for factor in FACTORS]
    names = {
        key: [n for n, c in cells.items() if tuple(getattr(c, f) for f in FACTORS) == key]
        for key in itertools.product(*levels)
    }
    counts = {len(found) for found in names.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(
            f"Expected every combination of {', '.join(FACTORS)} equally often, but they come {min(counts)} to {max(counts)} times."
        )
    raw = [matrix.outcomes(n, target, attack, threat, given) for found in names.values() for n in found]
    among = np.logical_and.reduce([kept[0] for _, kept, _ in raw])
    if not among.any():
        raise ValueError(f"Expected images in the denominator (given {given}), but there was none.")
    shape = (*(len(known) for known in levels), counts.pop())
    hits = np.stack([hit[0] for hit, _, _ in raw])[:, among].astype(np.float64).reshape(*shape, -1)
    rates = hits.mean(-1)
    squares = {k: float(v) for k, v in sums_of_squares(rates, FACTORS).items()}
    resampled = _resampled(hits, seed, count)
    all_drawn, total = sum(resampled.values(), np.zeros(())), sum(squares.values())
    terms = []
    for name, value in squares.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            low, high = (
                np.nanquantile(resampled[name] / all_drawn, [(1 - level) / 2, (1 + level) / 2])
                if total
                else (np.nan,) * 2
            )
        share = Estimate(value / total if total else float("nan"), float(low), float(high), int(among.sum()), level)
        terms.append(Term(name, value, share, _effect(name, rates, levels)))
    return Decomposition(tuple(terms), total, given)


def _effect(name: str, rates: np.ndarray, levels: list[list[str]]) -> tuple[tuple[str, float], ...]:
    if name not in FACTORS:
        return ()
    i = FACTORS.index(name)
    means = rates.mean(tuple(j for j in range(rates.ndim) if j != i))
    return tuple(zip(levels[i], map(float, means), strict=True))


def _resampled(hits: np.ndarray, seed: int, count: int) -> dict[str, np.ndarray]:
    """Sums of squares [count] over resamples of images, and of replicates within each cell."""
    rng, images = np.random.default_rng(seed), hits.shape[-1]
    out: dict[str, list[np.ndarray]] = {}
    block = max(1, 4_000_000 // max(images, hits[..., 0].size))
    for start in range(0, count, block):
        b = min(block, count - start)
        rates = hits @ (drawn(rng, images, b).T / images)  # [..., replicates, b]
        rates = np.take_along_axis(rates, rng.integers(0, hits.shape[-2], rates.shape), -2)
        for name, value in sums_of_squares(rates, FACTORS).items():
            out.setdefault(name, []).append(value)
    return {name: np.concatenate(values) for name, values in out.items()}

"""Runs: repetitions of a source, retrained or crafted with another seed. Their variation is part of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from blackbox.checks import check_int
from surrogates.crafting.gradients import as_nets

Source = nn.Module | Sequence[nn.Module]


@dataclass(frozen=True, eq=False)
class Retrained:
    """Several trainings of one source, each a net (or an ensemble): ``{"resnet20": Retrained([a, b, c])}``.

    A plain list of nets means something else: one source, an ensemble that is attacked as a whole.

    Raises:
        ValueError: no net.
    """

    nets: Sequence[Source]

    def __post_init__(self) -> None:
        if isinstance(self.nets, nn.Module) or not len(self.nets):
            raise ValueError(
                "Expected a list of one or more trainings of a source, but there was none. Retrained([net])."
            )


class Run(NamedTuple):
    """A source row of the matrix. source: its name. retraining: which training, from 0. seed: of the draws."""

    source: str
    retraining: int
    seed: int


def expand(sources: Mapping[str, Any], seeds: Sequence[int]) -> list[tuple[str, Run, tuple[nn.Module, ...]]]:
    """List (label, run, nets) for every training and seed.

    The label is the source's name if it has one run, else ``"name #2"``, ``"name seed 1"`` or ``"name #2 seed 1"``.

    Raises:
        ValueError: something that is not a net; a label that is another source's name.
    """
    out = []
    for name, source in sources.items():
        trainings = list(source.nets) if isinstance(source, Retrained) else [source]
        for i, members in enumerate(trainings):
            for seed in seeds:
                label = (
                    name + (f" #{i + 1}" if len(trainings) > 1 else "") + (f" seed {seed}" if len(seeds) > 1 else "")
                )
                out.append((label, Run(name, i, seed), as_nets(members)))
    labels = [label for label, _, _ in out]
    for label, run, _ in out:
        if labels.count(label) > 1 or (label != run.source and label in sources):
            raise ValueError(
                f"Expected sources whose runs can be told apart, but two are called {label!r}. Rename one."
            )
    return out


def seeds_of(seed: int | Sequence[int]) -> tuple[int, ...]:
    """One or several seeds as a tuple. Raises: ValueError, no seeds, a repeated one, or one that is not a whole number."""
    if np.ndim(seed) == 0:
        return (check_int(seed, "seed"),)
    out = tuple(check_int(s, "each seed") for s in seed)  # type: ignore[union-attr]
    if not out or len(set(out)) < len(out):
        raise ValueError(f"Expected one or more different seeds, but they were {out}.")
    return out


def clusters(runs: Sequence[Run]) -> np.ndarray:
    """The training of each run [R], by which runs are pooled: the seeds of one training are repeats, and tell nothing of others."""
    return np.array([run.retraining for run in runs], dtype=np.int64)

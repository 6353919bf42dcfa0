"""How a transfer matrix reads what sources and targets say of an image: as a class, or as a goal that is reached or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.checks import as_labels
from blackbox.goals import Goal
from blackbox.goals import base as goals
from blackbox.oracle.oracle import Oracle, Reply
from surrogates.crafting.twins import goals_of, twins_of
from surrogates.nets.predict import class_count, predict_together
from surrogates.transfer.runs import Run


class Labels:
    """The classes that sources and targets predict.

    Raises:
        ValueError: they have different classes.
    """

    goal = None

    def __init__(self, nets: Mapping[str, Sequence[nn.Module]], targets: Mapping[str, Oracle], images: Tensor) -> None:
        self.images, counts = images, {}
        for name, members in nets.items():
            counts[f"source {name!r}"] = class_count(members[0], images, f"source {name!r}")
        counts |= {f"target {name!r}": oracle.classes for name, oracle in targets.items()}
        (first, self.classes), *others = counts.items()
        for name, count in others:
            if count != self.classes:
                raise ValueError(
                    f"Expected sources and targets to have the same number of classes, but {first} has {self.classes} and {name} has "
                    f"{count}."
                )

    def labels(self, y: Any) -> Tensor:
        """[N] the classes that are right."""
        return as_labels(y, len(self.images), self.classes, "y")

    def of_source(self, label: str) -> None:
        """The goal to craft for on a source: a class."""

    def on_source(self, label: str, nets: Sequence[nn.Module], x: Tensor) -> np.ndarray:
        """[N] what a source says of images, by the mean of its nets' scores."""
        return predict_together(nets, x).numpy()

    def of_target(self, name: str, reply: Reply, part: slice) -> np.ndarray:
        """[m] what a target's reply says of a part of the images."""
        return reply.label.cpu().numpy()


class Judges:
    """Whether images reach a goal, 1, or do not, 0, on sources and targets; -1 where a target rejected them.

    Raises:
        ValueError: a source or a target without a goal, or whose goal does not fit it. AccessError: a target shows too little.
    """

    classes = 2

    def __init__(
        self, given: Any, rows: Sequence[tuple[str, Run, tuple[nn.Module, ...]]], targets: Mapping[str, Oracle], images: Tensor, target: Any
    ) -> None:  # fmt: skip
        self.images = images
        self.sources = {label: goals_of(_named(given, run.source), len(nets)) for label, run, nets in rows}
        self.targets = {name: goals.bound(_named(given, name), oracle, len(images), target) for name, oracle in targets.items()}
        self.twins = {label: twins_of(self.sources[label], target, nets, images) for label, _, nets in rows}
        self.goal = "; ".join(dict.fromkeys(map(str, self.targets.values())))

    def labels(self, y: Any) -> Tensor:
        """[N] zeros: not reached."""
        return torch.zeros(len(self.images), dtype=torch.int64)

    def of_source(self, label: str) -> list[Goal]:
        """The goals to craft for on a source, one for each net."""
        return self.sources[label]

    def on_source(self, label: str, nets: Sequence[nn.Module], x: Tensor) -> np.ndarray:
        """[N] what a source says of images, by the mean of its nets' losses."""
        return self.twins[label].reached(nets, x).astype(np.int64)

    def of_target(self, name: str, reply: Reply, part: slice) -> np.ndarray:
        """[m] what a target's reply says of a part of the images."""
        found = self.targets[name].verdict(reply, np.arange(part.start, part.stop))[1].astype(np.int64)
        found[reply.refused] = -1
        return found


def _named(given: Any, name: str) -> Any:
    """The goal of a source or a target. Raises: ValueError, there is none for it."""
    if not isinstance(given, Mapping):
        return given
    if name not in given:
        raise ValueError(f"Expected a goal for all, or one for each source and target by name, but there was none for {name!r}.")
    return given[name]

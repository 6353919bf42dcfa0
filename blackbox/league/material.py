"""`Material`: the inputs of a scenario as they are played, with labels, classes to reach, and what may change: images of 8 bits an entry
(uint8), or rows of a table in its own units (float64), each query of which is a valid row."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from blackbox import specs
from blackbox.league.scenario import Scenario, read
from blackbox.protocol import Access
from blackbox.specs import goal
from blackbox.specs.goal_files import read_mask
from blackbox.sweep.study import Images

if TYPE_CHECKING:
    from blackbox.goals.base import Goal
    from blackbox.tabular import Tabular
    from blackbox.threat import Threat

__all__ = [
    "LEVELS", "Material", "as_floats", "as_levels", "beneath", "distances", "goal_of", "images_of", "load", "overlap", "print_of",
]  # fmt: skip

LEVELS = 255


@dataclass(frozen=True)
class Material:
    """levels: [N, \\*shape] uint8, the clean images, or [N, d] float64, rows of a ``table``, what they may be. labels: [N]. ids: [N], their
    places in the data. goals: [N] classes to reach, or None. goal: what to reach instead of a class, or None. mask: [\\*shape] bool, or
    None where all may change. hash: of the scenario's file."""

    scenario: Scenario
    hash: str
    levels: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    goals: np.ndarray | None
    mask: np.ndarray | None
    classes: int
    data: Any = None
    goal: Goal | None = None
    table: Tabular | None = None

    @cached_property
    def rows(self) -> dict[int, int]:
        """The row of each image, by its id."""
        return {int(image): row for row, image in enumerate(self.ids)}

    @cached_property
    def prints(self) -> list[str]:
        """The hash of each image."""
        return [*map(print_of, self.levels)]

    @cached_property
    def threat(self) -> Threat:
        return specs.read_threat(self.scenario.threat)

    def nets(self) -> specs.Nets:
        """How its models are loaded."""
        s = self.scenario
        return specs.Nets(self.classes, s.mean, s.std, returns=s.returns, batch=s.batch)

    def inside(self, levels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Which images [m, \\*shape] uint8 are inside the threat around their clean ones, and changed only where they may be, [m] bool."""
        clean = self.levels[rows]
        far = distances(self.threat, as_floats(levels), as_floats(clean), self.table).numpy()
        near: np.ndarray = far <= self.threat.eps + self.threat.tolerance
        return near & self.unmasked(levels, rows)

    def unmasked(self, levels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Which images are changed only where the mask lets them; which rows are what a row may be; [m] bool."""
        if self.table is not None:
            return self.table.valid(levels, self.levels[rows])
        if self.mask is None:
            return np.ones(len(levels), bool)
        return ~((levels != self.levels[rows]) & ~self.mask).reshape(len(levels), -1).any(1)


def as_floats(levels: np.ndarray) -> Tensor:
    """What a target is asked: 8-bit images as floats in [0, 1], rows of a table as they are."""
    if levels.dtype == np.float64:
        return torch.from_numpy(np.array(levels))
    return torch.from_numpy(np.array(levels)).to(torch.float32) / LEVELS


def as_levels(x: Tensor) -> np.ndarray:
    """The inverse: floats in [0, 1] as 8-bit images, each entry rounded to the nearest; float64 are rows of a table."""
    if x.dtype == torch.float64:
        return x.numpy(force=True)
    return (x.double() * LEVELS).round().to(torch.uint8).numpy(force=True)


def distances(threat: Threat, x: Tensor, clean: Tensor, table: Tabular | None) -> Tensor:
    """How far inputs are from clean ones, both [m, \\*shape], in the threat's norm; rows over scaled columns; [m]."""
    return threat.distance(x, clean) if table is None else table.distance(x, clean, threat)


def print_of(levels: np.ndarray) -> str:
    """The hash of one 8-bit image, or row of a table, its shape included."""
    return hashlib.sha256(f"{levels.shape}".encode() + np.ascontiguousarray(levels).tobytes()).hexdigest()


def load(path: str | os.PathLike[str], data: str | os.PathLike[str] | None = None) -> Material:
    """Read a scenario and its images; relative paths in it are relative to the folder ``data``.

    Raises:
        ValueError, FileNotFoundError: no scenario, or data that are not there.
    """
    scenario, digest = read(path)
    with beneath(data):
        found = goal.others(scenario.targeted, images_of(scenario.images, labelled=not scenario.any_form))
        classes = scenario.classes or len(found.data.classes)
        reached = specs.goals(scenario.targeted, found, classes, 0)
        aim = _goal(scenario, found)
        mask = read_mask(scenario.mask, found)
    count = len(found.data)
    goals = None if reached is None else np.broadcast_to(np.asarray(reached, np.int64), (count,)).copy()
    shape = tuple(found.data.shape)
    allowed = None if mask is None else np.broadcast_to(mask.astype(bool), shape if mask.ndim <= len(shape) else mask.shape).copy()
    if allowed is not None and allowed.shape != shape:
        raise ValueError(f"Expected one mask for all images of {scenario.name}, shape {shape}, but it had shape {allowed.shape}.")
    levels = _levels(found)
    if found.table is not None:
        found.table.rows(levels)  # a clean row that is not valid is named here
    labels = found.data.labels.numpy()
    return Material(scenario, digest, levels, labels, found.index, goals, allowed, classes, found.data, aim, found.table)


def images_of(chosen: Images, labelled: bool = True) -> specs.ImageSet:
    """The images that a scenario names. labelled: whether they need labels."""
    return specs.images(specs.Images(**chosen.model_dump(exclude={"table"})), labelled=labelled, table=chosen.table)


def goal_of(scenario: Scenario, data: str | os.PathLike[str] | None = None) -> Goal | None:
    """What a scenario wants instead of a class, for its images; None where it wants a class. Raises: as `load`."""
    if scenario.goal is None:
        return None
    with beneath(data):
        return _goal(scenario, images_of(scenario.images, labelled=not scenario.any_form))


def _goal(scenario: Scenario, images: specs.ImageSet) -> Goal | None:
    found = specs.read_goal(scenario.goal, images)
    if found is not None:  # a file of one's own is run here first
        goal.check_reads(scenario.goal, found.needs is Access.ANSWERS, scenario.attacker.feedback)
    return found


@contextlib.contextmanager
def beneath(data: str | os.PathLike[str] | None) -> Iterator[None]:
    """In this context relative paths start at the folder ``data``.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if data is None:
        yield
        return
    if not Path(data).is_dir():
        raise FileNotFoundError(f"Expected a folder of data at {data}, but there is none.")
    with contextlib.chdir(data):
        yield


def overlap(material: Material, data: str | os.PathLike[str] | None = None) -> list[tuple[str, str, float | None, float | None]]:
    """How much of the surrogates' training data is the target's, pixel by pixel.

    Returns:
        For each surrogate and target: their names, the share of the surrogate's training images that are training images of the target,
        and the share of the attacked images that the surrogate was trained on; None where a side is not known.
    """
    attacked = {*material.prints}
    out = []
    with beneath(data):
        owned = {target.name: _trained_on(target.trained_on) for target in material.scenario.targets}
        for surrogate in material.scenario.surrogates:
            own = _trained_on(surrogate.trained_on)
            seen = None if own is None else len(attacked & own) / len(attacked)
            for name, theirs in owned.items():
                out.append((surrogate.name, name, None if own is None or theirs is None else len(own & theirs) / len(own), seen))
    return out


def _trained_on(chosen: Images | None) -> set[str] | None:
    if chosen is None:
        return None
    return {*map(print_of, _levels(images_of(chosen, labelled=False)))}


def _levels(images: specs.ImageSet) -> np.ndarray:
    """The inputs of a data set as they are played."""
    return as_levels(images.data.images if images.table is None else images.data.images.double())

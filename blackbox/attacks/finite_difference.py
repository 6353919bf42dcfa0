"""What the attacks by estimated gradients share: which estimator, and what a run will cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from blackbox.ascent import Gradient
from blackbox.estimators import Coordinates, Estimator, Groups, Progressive, Subspace
from blackbox.proposals import bases
from blackbox.protocol import Access, Attack, Task

METHODS = ("full", "groups", "blocks", "pca", "dct", "tiles")


@dataclass(frozen=True)
class Plan:
    """What a run will cost a sample that no step fools, known before it starts.

    gradient: queries of each step's gradient. total: queries in all, the clean check included. cut: the last
    gradient has fewer queries than it would like. ended: the attack's own loop ends within the budget.
    """

    gradient: tuple[int, ...]
    total: int
    cut: bool
    ended: bool

    @property
    def steps(self) -> int:
        """Steps that the budget affords."""
        return len(self.gradient)

    def __str__(self) -> str:
        if not self.gradient:
            return "The budget affords no step."
        low, high = min(self.gradient), max(self.gradient)
        each = f"{high}" if low == high else f"{low} to {high}"
        plural = "" if self.steps == 1 else "s"
        cut = "; the last gradient is cut short by the budget" if self.cut else ""
        return (
            f"1 query for the clean check, {self.steps} step{plural} of {each} for the gradient and 1 for the point: "
            f"{self.total} at most{cut}."
        )


def plan_steps(estimator: Estimator, shape: tuple[int, ...], budget: int, steps: int | None) -> Plan:
    """The plan of a loop: clean check; then a gradient and a candidate each step, the centre's loss carried along."""
    spent, cut = 1, False
    gradient: list[int] = []
    while (steps is None or len(gradient) < steps) and budget - spent >= 2 and not cut:
        full = estimator.plan(shape, False, len(gradient))
        cut = full > budget - spent - 1
        paid = estimator.plan(shape, False, len(gradient), budget - spent - 1)
        if not paid:
            break
        gradient.append(paid)
        spent += paid + 1
    return Plan(tuple(gradient), spent, cut, steps is not None and len(gradient) == steps and not cut)


def plan_rounds(estimator: Progressive, shape: tuple[int, ...], budget: int) -> Plan:
    """The plan of one gradient in rounds, with a candidate after each."""
    spent, cut = 1, False
    gradient: list[int] = []
    each = 2 if estimator.two_sided else 1
    for k, bill in enumerate(estimator.rounds(shape)):
        if budget - spent < 2 or cut:
            return Plan(tuple(gradient), spent, cut, False)
        cut = bill > budget - spent - 1
        paid = bill
        if cut:
            left = budget - spent - 1
            paid = estimator.plan(shape, False, 0, left) if k == 0 else left // each * each
        if not paid:
            break
        gradient.append(paid)
        spent += paid + 1
    return Plan(tuple(gradient), spent, cut, not cut)


class EstimatedSteps(Attack):
    """An attack whose every step costs one estimate and one query for the new point, as long as the budget lasts.

    ``estimator``: to be defined; the same at every step.
    """

    estimator: Any

    def plan(self, shape: tuple[int, ...], budget: int) -> Plan:
        """What a run will cost a sample of this shape that no step fools."""
        return plan_steps(self.estimator, shape, budget, None)

    def gradient(self, t: Task, loss: Tensor | None) -> Gradient:
        """The estimate at a step, for `blackbox.ascent`, cut to what the budget leaves; ``loss`` [n] where it is known there."""

        def estimate(x: Tensor, k: int) -> Any:
            step = self.estimator.plan(t.shape, False) + 1
            return self.estimator.estimate(t, x, k, loss, max(0, t.budget - 2 - k * step))

        return estimate


@dataclass(frozen=True)
class FiniteDifferences(Attack):
    """The settings that `FDFGSM` and `FDIFGSM` have in common, see there."""

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2", "L1")

    method: str = "full"
    h: float = 0.01
    size: int = 8
    count: int = 100
    two_sided: bool = True
    images: Tensor | str | None = field(default=None, repr=False, compare=False)

    def chosen(self, gradually: bool = False) -> Estimator:
        """The estimator that ``method`` and the other settings stand for."""
        return choose(self.method, self.h, self.size, self.count, self.two_sided, self.images, gradually)


def choose(
    method: str,
    h: float,
    size: int,
    count: int,
    two_sided: bool,
    images: Tensor | str | None,
    gradually: bool = False,
) -> Estimator:
    """The estimator behind a word, for settings that come from a command line.

    Raises:
        ValueError: no such method, or ``pca`` without images.
    """
    first = -(-count // 16) if gradually else None
    if method == "full":
        return Coordinates(h, two_sided)
    if method in ("groups", "blocks"):
        return Groups(h, size, 1 if gradually else None, method == "blocks", two_sided)
    if method == "dct":
        return Subspace(bases.DCT(most=count), h, two_sided, first)
    if method == "tiles":
        return Subspace(bases.Tiles(size), h, two_sided, first)
    if method == "pca":
        if images is None:
            raise ValueError(
                "Expected images of the attacker's own for method='pca' (a tensor [N, *shape], or an .npz file that "
                "holds `images`), but there were none."
            )
        return Subspace(bases.pca(_load(images) if isinstance(images, str) else images, count), h, two_sided, first)
    raise ValueError(f"Expected method to be one of {', '.join(METHODS)}, but it was {method!r}.")


def _load(path: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as file:
        if "images" not in file:
            raise ValueError(f"Expected {path} to hold an array named images, but it holds {', '.join(file) or 'nothing'}.")
        images = file["images"]
    images = images[:, None] if images.ndim == 3 else images
    return images.astype(np.float32) / 255 if images.dtype == np.uint8 else images.astype(np.float32)

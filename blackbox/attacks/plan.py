"""What a run of an attack by estimated gradients will cost, known before it starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from blackbox.ascent import Gradient
from blackbox.estimators import Estimator, Progressive
from blackbox.protocol import Attack, Task


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
        left = self.total - 1 - self.steps - sum(self.gradient)
        more = f", {left} for points along the gradients before" if left else ""
        cut = "; the last gradient is cut short by the budget" if self.cut else ""
        return (
            f"1 query for the clean check, {self.steps} step{plural} of {each} for the gradient and 1 for the point{more}: "
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
        """What a run will cost a sample of this shape that no step fools: all, the last queries for points alone."""
        made = plan_steps(self.estimator, shape, budget, None)
        return replace(made, total=max(made.total, budget))

    def gradient(self, t: Task, loss: Tensor | None) -> Gradient:
        """The estimate at a step, for `blackbox.ascent`, cut to what the budget leaves; ``loss`` [n] where it is known there."""

        def estimate(x: Tensor, k: int) -> Any:
            step = self.estimator.plan(t.shape, False) + 1
            return self.estimator.estimate(t, x, k, loss, max(0, t.budget - 2 - k * step))

        return estimate

"""FGSM on a gradient by finite differences (Bhagoji et al. 2018, arXiv:1712.09491)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.attacks.finite_difference import Plan, choose, plan_steps
from blackbox.estimators import Estimator
from blackbox.protocol import Access, Ask, Steps, Task


@dataclass(frozen=True)
class FDFGSM:
    """One step of size eps along the estimated gradient's steepest direction; FD-logit where the loss is the margin.

    Costs the clean check, one estimate, one query for the result. It ends after that one step. When the budget is
    smaller, the estimate is cut to what it pays for and the result is still tried: ``full`` takes some pixels at
    random, ``groups`` larger groups, a basis its first directions.

    Departs from the paper: a probe that happens to fool the target inside the threat ends the search at once.

    Args:
        method: ``full`` coordinate differences; ``groups`` of ``size`` random pixels; ``refine``: blocks, split
            where it pays, ``count`` differences in all; ``pca``: ``count`` principal components of ``images``;
            ``dct``: the ``count`` lowest frequencies; ``tiles`` of ``size`` x ``size``.
        h: the largest change of a pixel in a probe, in units of the image range (the paper: 0.01).
        size: 8, as in the paper's grouping on MNIST and CIFAR-10. count: directions, 100 unless given (the paper
            shows 100 components to be near the full difference on MNIST).
        two_sided: 2 queries a difference as in the paper; else 1.
        images: the attacker's own images [N, \\*shape] in [0, 1], or an .npz file that holds them, for ``pca``.
        estimator: any estimator, instead of all of the above.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2", "L1")

    method: str = "full"
    h: float = 0.01
    size: int = 8
    count: int | None = None
    two_sided: bool = True
    images: Tensor | str | None = field(default=None, repr=False, compare=False)
    estimator: Estimator | None = None

    def __post_init__(self) -> None:
        if self.estimator is None:
            chosen = choose(self.method, self.h, self.size, self.count, self.two_sided, self.images)
            object.__setattr__(self, "estimator", chosen)

    @dataclass
    class State:
        x: Tensor

    def plan(self, shape: tuple[int, ...], budget: int) -> Plan:
        """What a run will cost a sample of this shape."""
        assert self.estimator is not None
        return plan_steps(self.estimator, shape, budget, 1)

    def init(self, t: Task) -> State:
        return self.State(t.x0)

    def step(self, t: Task, s: State, k: int) -> Steps[State | None]:
        assert self.estimator is not None
        most = t.budget - 2  # the clean check is paid, the result is to be tried
        if k > 0 or most < 1:
            return None
        g = yield from self.estimator.estimate(t, t.x0, 0, t.loss0, most)
        if not bool(torch.any(g)):
            return None  # a flat loss, or a budget below one difference: there is nothing to try
        step = t.eps if t.eps < torch.inf else t.threat.upper - t.threat.lower
        yield Ask(t.x0 + step * t.threat.steepest(g))
        return s

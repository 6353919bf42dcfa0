"""FGSM on a gradient by finite differences (Bhagoji et al. 2018, arXiv:1712.09491)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.attacks.finite_difference import FiniteDifferences
from blackbox.attacks.plan import Plan, plan_rounds, plan_steps
from blackbox.estimators import Estimator, Progressive
from blackbox.protocol import Ask, Steps, Task


@dataclass(frozen=True)
class FDFGSM(FiniteDifferences):
    """One step of size eps along the estimated gradient's steepest direction; FD-logit where the loss is the margin.

    Costs the clean check, one estimate, one query for the result. It ends after that one step. When the budget is
    smaller, the estimate is cut to what it pays for and the result is still tried: ``full`` takes some pixels at
    random, ``groups`` larger groups, a basis its first directions.

    With ``gradually`` the gradient is made in rounds, from coarse to fine, and the step from the clean image is tried
    after each, for one query: a sample that a coarse gradient fools never pays for the fine one. Groups are halved
    from ``size`` to single pixels; a basis begins with a sixteenth of its directions and doubles them.

    Departs from the paper: that option; and a probe that happens to fool the target inside the threat ends the search.

    Args:
        method: ``full``: coordinate differences; ``groups`` of ``size`` random pixels; ``blocks`` of ``size``
            neighbouring pixels; ``pca``: ``count`` principal components of ``images``; ``dct``: the ``count`` lowest
            frequencies; ``tiles`` of ``size`` x ``size``.
        h: the largest change of a pixel in a probe, in units of the image range (the paper: 0.01).
        size: 8, as in the paper's grouping on MNIST and CIFAR-10. count: 100 (the paper's PCA-100 on MNIST).
        two_sided: 2 queries a difference as in the paper; else 1.
        images: the attacker's own images [N, \\*shape] in [0, 1], or an .npz file that holds them, for ``pca``.
        gradually: see above. estimator: any estimator, instead of all of the above.
    """

    gradually: bool = False
    estimator: Estimator | None = None

    def __post_init__(self) -> None:
        if self.estimator is None:
            object.__setattr__(self, "estimator", self.chosen(self.gradually))

    @dataclass
    class State:
        g: Tensor

    def plan(self, shape: tuple[int, ...], budget: int) -> Plan:
        """What a run will cost a sample of this shape that no step fools."""
        if self.gradually and isinstance(self.estimator, Progressive):
            return plan_rounds(self.estimator, shape, budget)
        assert self.estimator is not None
        return plan_steps(self.estimator, shape, budget, 1)

    def init(self, t: Task) -> State:
        return self.State(torch.zeros_like(t.x0))

    def step(self, t: Task, s: State, k: int) -> Steps[State | None]:
        bill = self.plan(t.shape, t.budget).gradient
        if k >= len(bill):
            return None
        if self.gradually and isinstance(self.estimator, Progressive):
            g = yield from self.estimator.refine(t, t.x0, k, s.g, t.loss0, bill[k])
        else:
            assert self.estimator is not None
            g = yield from self.estimator.estimate(t, t.x0, 0, t.loss0, bill[k])
        yield Ask(t.x0 + t.radius * t.threat.steepest(g), mask=g.flatten(1).any(1))  # a flat loss gives nothing to try
        return self.State(g)

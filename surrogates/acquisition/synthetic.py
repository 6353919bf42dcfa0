"""Strategies that synthesise images: along the surrogate's Jacobian from a handful of seeds, or with noise.

Papernot et al. 2017, "Practical black-box attacks against machine learning" (arXiv:1602.02697), with the periodic step and
the reservoir of Papernot, McDaniel & Goodfellow 2016, "Transferability in machine learning" (arXiv:1605.07277).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from surrogates.acquisition.base import Choice, Situation, Strategy
from surrogates.crafting.goal import Goal
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts.losses import Answer, Loss, own


@dataclass(frozen=True)
class Jacobian(Strategy):
    """Jacobian-based augmentation: moves queried images along the surrogate's gradient to make new ones.

    S <- S + {clip(x + step_r * sign(dp_c / dx)) : x in S}, with c the class that the *target* gave x and p the surrogate's
    probability; step_r = step * (-1)^floor(r / flip) in round r = 1, 2, ...

    Args:
        seeds: how many images of the pool are queried first, chosen at random. 150 (arXiv:1602.02697, MNIST).
        rounds: rho, the largest number of augmentations. 6 (arXiv:1602.02697).
        step: lambda, 0.1 (ibid.).
        flip: tau, rounds until the step changes its sign; 3 (arXiv:1605.07277); 0: never.
        doubling: sigma, rounds that double the set; None: all.
        reservoir: kappa, how many images are augmented in each later round, drawn uniformly; 400.

    Queries: seeds * 2^sigma + kappa * (rho - sigma) (seeds * 2^rho without a reservoir). Where the budget ends within a
    round, as many of its images as it allows are drawn uniformly, as from a reservoir.

    *Departs from the papers*: the draw is a random subset, which has the distribution of their reservoir and needs no
    pass over the rest; the direction is that of log(p_c / (1 - p_c)), which has the sign of dp_c / dx and does not vanish
    where p_c rounds to 1. Seeds, which the papers take with their true labels, are queried like the rest.
    """

    seeds: int = 150
    rounds: int = 6
    step: float = 0.1
    flip: int = 3
    doubling: int | None = None
    reservoir: int = 400

    def __post_init__(self) -> None:
        for name, least in (("seeds", 2), ("rounds", 0), ("flip", 0), ("doubling", 0), ("reservoir", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"Expected {name} to be at least {least}, but it was {value!r}.")
        if not 0 < self.step <= 1:
            raise ValueError(f"Expected step in (0, 1], in units of the image range, but it was {self.step!r}.")

    def plan(self, queries: int, pool: int) -> tuple[int, ...]:
        seeds = min(self.seeds, pool)
        if queries < seeds:
            raise ValueError(
                f"Expected a budget of at least the seed set, {seeds} queries, but {queries} are there to learn from. Give more, or "
                f"fewer seeds: Jacobian(seeds={max(queries, 2)})."
            )
        plan = [seeds]
        for r in range(1, self.rounds + 1):
            held = sum(plan)
            wanted = held if self.doubling is None or r <= self.doubling else min(self.reservoir, held)
            if (count := min(wanted, queries - held)) < 1:
                break
            plan.append(count)
        return tuple(plan)

    def select(self, now: Situation, count: int) -> Choice:
        if now.asked is None:
            return now.take(now.random(count))
        order = now.rng.shared_permutation(now.round, "reservoir", len(now.asked)).numpy()
        seeds = now.asked.take(np.sort(order[:count]))
        backwards = self.flip and (now.round // self.flip) % 2
        step = -self.step if backwards else self.step
        x = seeds.images + step * uphill(now.net, seeds.images, seeds.labels).sign()
        return Choice(x.clamp(0, 1), np.full(len(x), -1))


@dataclass(frozen=True)
class _Odds(Loss):
    """The log odds of a class: log(p_c / (1 - p_c)) = z_c - log sum over the others of exp(z)."""

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        others = answer.scores.scatter(1, goal.classes[:, None], -torch.inf)
        return own(answer.scores, goal) - others.logsumexp(1)


def uphill(net: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """A gradient [n, \\*shape] with the signs of dp_c / dx, for images [n, \\*shape] and classes c [n]; in batches."""
    source = Autograd([net], x, loss=_Odds())
    rng = Stream(0, np.arange(len(x), dtype=np.uint64))  # nothing is drawn
    return source(x, labels.to(source.device), rng, 0).cpu()


@dataclass(frozen=True)
class Noised(Strategy):
    """Queries random images of the pool, and noisy copies of the same images. For targets that show labels only.

    Every pixel of a copy is moved by +-``size`` at random (ours; Papernot et al. 2017, arXiv:1602.02697, move it along the
    surrogate's Jacobian instead). Random moves keep the label more often, and so show the net where the boundary is not.

    Args:
        size: in units of the image range; 0.4, chosen by `experiments.studies.practical_blackbox`. Use somewhat more than
            the eps of the attack.
        copies: noisy copies of each image; 1, chosen by the same.
    """

    size: float = 0.4
    copies: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.size <= 1 or not (isinstance(self.copies, int) and self.copies >= 1):
            raise ValueError(
                f"Expected size in (0, 1], in units of the image range, and at least 1 copy, but they were {self.size!r} and "
                f"{self.copies!r}."
            )

    def plan(self, queries: int, pool: int) -> tuple[int, ...]:
        seeds = min(pool, -(-queries // (1 + self.copies)))
        rounds = [seeds]
        for _ in range(self.copies):
            if (count := min(seeds, queries - sum(rounds))) < 1:
                break
            rounds.append(count)
        return tuple(rounds)

    def select(self, now: Situation, count: int) -> Choice:
        if now.asked is None:
            return now.take(now.random(count))
        seeds = now.asked.images[now.asked.index >= 0][:count]  # those of the first round, but for what was rejected
        moved = seeds + self.size * now.rng.shared_signs(now.round, "noised", tuple(seeds.shape))
        return Choice(moved.clamp(0, 1), np.full(len(moved), -1))

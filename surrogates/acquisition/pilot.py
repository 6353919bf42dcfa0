"""`Pilot`: small equal shares of several pools first; where the target tells most classes apart the rest is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from blackbox.checks import check_int
from surrogates.acquisition.base import Choice, Situation, Strategy
from surrogates.data.answers import Answers


@dataclass(frozen=True)
class Pilot(Strategy):
    """Chooses between pools by the target's answers: it asks about the first images of each, then about more of the best one.

    The best is the pool on which the target tells most classes apart (`told_apart`): no image of the target's kind is needed to see
    that, and a pool whose images all get the same answer teaches nothing. It is told of groups of images, by turns, and the median
    counts: of ``"mixed"`` procedural pictures each kind is then one group, so that a kind whose answers are easy to have does not
    decide for the others. Where the best pool is used up, the next one follows; where all first images get one class, all pools are asked
    about by turns. Ours; chosen by `experiments.studies.pilot`.

    Args:
        parts: how many images of each pool there are; the pool given holds them one after the other, each in random order.
        each: how many of each pool are asked about first.
        groups: of these. 3, as many as there are kinds of procedural pictures.

    Raises:
        ValueError: fewer than two parts, an empty one, no image of each, or no group.
    """

    blind: ClassVar[bool] = True
    parts: tuple[int, ...]
    each: int
    groups: int = 3

    def __post_init__(self) -> None:
        if len(self.parts) < 2 or min(self.parts) < 1:
            raise ValueError(f"Expected at least two pools with images, but the pools' sizes were {self.parts!r}.")
        check_int(self.each, "each", 1), check_int(self.groups, "groups", 1)

    def plan(self, queries: int, pool: int) -> tuple[int, ...]:
        if pool != sum(self.parts):
            raise ValueError(f"Expected a pool of {sum(self.parts)} images, those of all parts and none held out, but there were {pool}.")
        first = sum(len(some) for some in self.first)
        if queries < first:
            raise ValueError(f"Expected at least {first} queries, {self.each} of each pool, but it was {queries}. Ask about fewer of each.")
        return (first, *([rest] if (rest := min(queries, pool) - first) else []))

    def select(self, now: Situation, count: int) -> Choice:
        if now.asked is None:
            return now.take(np.concatenate(self.first))
        left = [now.left[np.isin(now.left, part)] for part in self._places]
        if self.undecided(now.asked):
            turns = np.concatenate([np.arange(len(part)) for part in left])
            return now.take(np.concatenate(left)[np.argsort(turns, kind="stable")][:count])
        return now.take(np.concatenate([left[i] for i in self.order(now.asked)])[:count])

    def undecided(self, answers: Answers) -> bool:
        """Did the first images of all pools get one class?"""
        told = answers.take(np.isin(answers.index, np.concatenate(self.first))).labels
        return len(told.unique()) < 2 and min(self.found(answers)) > 0

    def why(self, answers: Answers, names: Sequence[str]) -> str:
        """What was found on two pools of these names, and what followed, as a sentence."""
        first, best = [len(some) for some in self.first], self.order(answers)[0]
        (one, here), (other, there) = zip(self.found(answers), (f"{n} {name}" for n, name in zip(first, names, strict=True)), strict=True)
        seen = f"the target tells {one:.2f} classes apart on {here} and {other:.2f} on {there}"
        if self.undecided(answers):
            return f"{seen}, all of one class, so that it was asked about more of both"
        left = self.parts[best] - first[best]
        if not left:
            return f"{seen}, but it had been asked about all {names[best]}, so that it was asked about more {names[1 - best]}"
        all_left = "the one that was left" if left == 1 else f"all {left} that were left"
        more = "" if answers.paid - sum(first) <= left else f", {all_left}, and then about the others"
        return f"{seen}, so that it was asked about more {names[best]}{more}"

    @property
    def first(self) -> list[np.ndarray]:
        """The indices of each pool that are asked about first."""
        return [part[: self.each] for part in self._places]

    @property
    def _places(self) -> list[np.ndarray]:
        return np.split(np.arange(sum(self.parts)), np.cumsum(self.parts)[:-1])

    def found(self, answers: Answers) -> list[float]:
        """How many classes the target tells apart on the first images of each pool, the median of the groups; 0 of images without an
        answer."""
        values = [[told_apart(answers.take(np.isin(answers.index, group))) for group in self._groups(some)] for some in self.first]
        return [float(np.median(each)) for each in values]

    def _groups(self, some: np.ndarray) -> list[np.ndarray]:
        return [some[turn :: self.groups] for turn in range(min(self.groups, len(some)))]

    def order(self, answers: Answers) -> list[int]:
        """The pools, the best first; of equal ones, the first."""
        return np.argsort(-np.array(self.found(answers)), kind="stable").tolist()


def told_apart(answers: Answers) -> float:
    """How many classes a target tells apart on these images; 0 without images.

    From 1, where all get one answer, to all classes, where each answer is sure and each class as frequent. The exponential of the mutual
    information of image and class (the inception score of Salimans et al. 2016, arXiv:1606.03498, with the target in place of their
    net). A label without scores counts as sure.
    """
    if not len(answers):
        return 0.0
    p = answers.probabilities
    p = (F.one_hot(answers.labels, answers.classes) if p is None else p).double()
    entropy = torch.special.entr(p.mean(0)).sum() - torch.special.entr(p).sum(1).mean()
    return float(entropy.exp())

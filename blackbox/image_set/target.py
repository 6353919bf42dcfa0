"""`ImageSet`: a set of images behind an oracle as a target whose one input is a candidate change of them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.change import Universal
from blackbox.goals.base import Goal, Setting, numbers
from blackbox.image_set.judge import Judge
from blackbox.oracle.oracle import Oracle
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access
from blackbox.targets.info import TargetInfo

Made = Callable[[Tensor], tuple[Universal, bool]]  # a point of the search -> the change, and whether it is inside the threat
_NUMBERS = 1 << 23  # of images made at once, to bound memory


class ImageSet:
    """Asked about candidates [m, \\*shape], it makes of each a change, asks the oracle about all images with it, and answers with the
    loss of the set and the share that is fooled, [m, 2].

    The first candidate is no change: images that reach the goal unchanged, or that the target refuses, are left out from then on. The
    loss is the mean over the others of min(0, loss of the image): an image that is fooled already adds nothing.

    Args:
        oracle: what the images are shown to. images: [N, \\*shape]. judge: of its replies.
        made: the change that a candidate stands for, and whether it may be kept. ids, seed: of places that are drawn for each image.

    Attributes:
        purpose: under which the oracle charges.
        right, fooled: [N] bool, the images that count, and those that the best change fools.
        best: the change that fooled most (of equals the one with the larger loss) inside the threat; None before there is one.
        tried: candidates charged, the clean one among them.
    """

    returns = None

    def __init__(
        self, oracle: Oracle, images: Tensor, judge: Judge, made: Made, ids: np.ndarray, seed: int
    ) -> None:
        self.oracle, self.images, self.judge, self.made, self.ids, self.seed = oracle, images, judge, made, ids, seed
        self.name, self.device, self.purpose = f"{oracle.name} on {len(images)} images", oracle.device, "attack"
        self.info = TargetInfo(self.name, probe=oracle.probe, noise=oracle.noise, randomised=oracle.randomised)
        self.right = np.ones(len(images), bool)
        self.fooled = np.zeros(len(images), bool)
        self.clean = np.zeros(len(images), np.float32)
        self.best: Universal | None = None
        self._reached, self.tried = (-1.0, -np.inf), 0

    def predict(self, x: Tensor) -> np.ndarray:
        out: list[tuple[float, float]] = []
        rows = x.cpu()
        if self.tried == 0:
            out.append(self._clean())
            rows = rows[1:]
        step = max(1, _NUMBERS // self.images.numel())
        for start in range(0, len(rows), step):
            out += self._asked(rows[start : start + step])
        return np.array(out)

    def _clean(self) -> tuple[float, float]:
        reply = self.oracle(self.images, self.purpose)
        loss, reached = self.judge(reply, np.arange(len(self.images)))
        self.right, self.clean, self.tried = ~reached & ~reply.refused, loss, 1
        return (self._loss(loss[self.right]), 0.0) if self.right.any() else (1.0, 1.0)

    def _asked(self, candidates: Tensor) -> list[tuple[float, float]]:
        who = np.flatnonzero(self.right)
        index = torch.from_numpy(who)
        if not len(who):
            return [(1.0, 1.0)] * len(candidates)
        changes = [self.made(candidate) for candidate in candidates]
        images = [change.apply(self.images[index], seed=self.seed, ids=self.ids[who]) for change, _ in changes]
        reply = self.oracle(torch.cat(images), self.purpose)
        loss, reached = self.judge(reply, np.tile(who, len(changes)))
        loss = np.where(reply.refused, np.tile(self.clean[who], len(changes)), loss)  # nothing is known: as near as before
        out = []
        for (change, inside), own, fooled in zip(changes, loss.reshape(-1, len(who)), reached.reshape(-1, len(who)), strict=True):
            found = self._loss(own), float(fooled.mean())
            out.append(found)
            if self.purpose == "attack":
                self.tried += 1
                if inside and (found[1], found[0]) > self._reached:
                    self.best, self._reached = change, (found[1], found[0])
                    self.fooled = np.zeros(len(self.images), bool)
                    self.fooled[who[fooled]] = True
        return out

    @staticmethod
    def _loss(losses: np.ndarray) -> float:
        return float(np.minimum(losses.astype(np.float64), 0).mean())


class SetOracle(Oracle):
    """The oracle of an `ImageSet`, which charges the images' own oracle for the same purpose."""

    def __init__(self, images: ImageSet) -> None:
        super().__init__(images, Access.ANSWERS, 2, noise=images.oracle.noise / len(images.images) ** 0.5)
        self.images = images

    def submit(self, x: Tensor, purpose: str) -> Reply:
        self.images.purpose = purpose
        return super().submit(x, purpose)


class FoolMany(Goal):
    """Reached where at least the share ``wanted`` of a set's images is fooled."""

    needs = Access.ANSWERS

    def __init__(self, wanted: float, each: str, images: int) -> None:
        self.wanted, self.each, self.images = wanted, each, images

    def bind(self, setting: Setting) -> None:
        """Nothing: a set is one sample."""

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss, share = numbers(reply, self, 1).T
        reached = share >= self.wanted
        return np.where(reached, np.maximum(share - self.wanted, 1e-6), np.minimum(loss, -1e-12)), reached

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        """The loss of the set, of a net that answers as `ImageSet` does."""
        if not isinstance(out, Tensor) or out.ndim != 2 or out.shape[1] != 2:
            raise ValueError(
                "Expected a prior made for a set of images, but it was another. Take surrogates.universal_prior(nets, x, y, threat)."
            )
        return out[:, 0]

    def describe(self) -> str:
        return f"one change for {self.images} images that takes at least {self.wanted:.0%} of them to {self.each}"

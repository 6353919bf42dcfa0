"""Every goal against a target whose optimum is known: reached at 1.25 times the least change, as classes are, and never below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.goals import Detection, Goal, Ranking, Segmentation, ZeroShot

DRAWS = np.random.default_rng(11)
X = torch.tensor(DRAWS.uniform(0.4, 0.6, (4, 16)), dtype=torch.float32)
W = torch.tensor(DRAWS.normal(size=(16, 5)), dtype=torch.float32)
FAR = (np.arange(4) + 4.0) / 50  # how far each sample is from its goal
PLACE = [2.0, 2.0, 12.0, 12.0]
Case = tuple[Callable[[Tensor], Any], Goal, np.ndarray]


def rows(x: Tensor, w: Tensor) -> Tensor:
    """x @ w, row by row the same in every batch."""
    return (x[:, :, None] * w).sum(1)


def short(x: Tensor) -> Tensor:
    """By how much the number [m] is short of nought, for the sample that x is nearest to; it rises by W[:, 0]."""
    who = torch.cdist(x, X).argmin(1)
    return rows(x - X[who], W[:, :1])[:, 0] - torch.tensor(FAR, dtype=torch.float32)[who]


LEAST = FAR / float(W[:, 0].abs().sum())  # the dual norm


def boxes(x: Tensor, *signs: int) -> list[dict[str, Any]]:
    """A box for each sign, labelled by its place, whose score crosses a half where the number crosses nought."""
    scores = [torch.sigmoid(sign * short(x)) for sign in signs]
    return [
        {"boxes": [PLACE] * len(signs), "scores": [float(s[i]) for s in scores], "labels": list(range(len(signs)))} for i in range(len(x))
    ]


def vanish() -> Case:
    return lambda x: boxes(x, -1), Detection({"boxes": [PLACE]}), LEAST


def appear() -> Case:
    return lambda x: boxes(x, 1), Detection({"boxes": [PLACE]}, "appear"), LEAST


def mislabel() -> Case:
    return lambda x: boxes(x, -1, 1), Detection([{"boxes": [PLACE], "labels": [0]}] * 4, "mislabel"), LEAST


def texts(count: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Directions of texts, the nearest of each sample, and how far it is at least to each other, [N, count]."""
    made = torch.nn.functional.normalize(torch.tensor(DRAWS.normal(size=(count, 5)), dtype=torch.float64), dim=1)
    dots = rows(X, W).double() @ made.T
    near = dots.argmax(1)
    gap = dots.gather(1, near[:, None]) - dots
    slope = (W.double() @ (made[near][:, None] - made).transpose(1, 2)).abs().sum(1)
    return made, near, (gap / slope.clamp_min(1e-30)).scatter(1, near[:, None], torch.inf).numpy()


def leave_text() -> Case:
    made, near, far = texts(4)
    return lambda x: rows(x, W), ZeroShot(made, leave=near), far.min(1)


def reach_text() -> Case:
    made, near, far = texts(2)
    return lambda x: {"image_embeds": rows(x, W)}, ZeroShot(made, reach=1 - near), far.min(1)


def maps(x: Tensor) -> Tensor:
    """Scores of two labels for each of four pixels, of which the third nearest to another label changes where the number crosses nought."""
    one = short(x)[:, None] + torch.tensor([1.0, -1.0, 0.0, 2.0])
    return torch.stack([torch.zeros_like(one), one], 1).reshape(len(x), 2, 2, 2)


def leave_map() -> Case:
    return maps, Segmentation(np.zeros((2, 2), int), share=0.75), LEAST


def reach_map() -> Case:
    return maps, Segmentation(np.ones((2, 2), int), share=0.7, mode="reach"), LEAST


def ranked(x: Tensor, *signs: int) -> Tensor:
    """Scores of five items, of which the first comes to be the third, or the last but two, where the number crosses nought."""
    others = torch.tensor([2.0, 3.0, 0.0, -1.0]).expand(len(x), 4)
    return torch.cat([signs[0] * short(x)[:, None], others], 1)


def displace() -> Case:
    return lambda x: ranked(x, -1), Ranking(displace=0, k=3), LEAST


def push() -> Case:
    return lambda x: ranked(x, 1), Ranking(push=[0] * 4, k=3), LEAST


@pytest.mark.parametrize("case", [vanish, appear, mislabel, leave_text, reach_text, leave_map, reach_map, displace, push])
def test_the_optimum_is_reached_and_not_passed(case: Callable[[], Case]) -> None:
    target, goal, least = case()
    assert (least < 0.3).all() and (least > 0).all()  # inside the box
    for eps, budget, found in ((1.25 * least.max(), 1500, True), (0.999 * least.min(), 100, False)):
        oracle = bb.Oracle(target, "answers")
        result = bb.attack(oracle, X, None, "square", bb.Linf(float(eps)), budget, goal=goal)
        assert result.success.tolist() == [found] * len(X) and oracle.rows == result.queries.sum()

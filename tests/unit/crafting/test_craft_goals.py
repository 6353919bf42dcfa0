"""Crafting for goals other than a class: to the known optimum with every kind of preset, and what is by nature of classes refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.goals import NoneOf, Regression, Verification

DRAWS = np.random.default_rng(6)
X = torch.tensor(DRAWS.uniform(0.4, 0.6, (3, 1, 5, 5)), dtype=torch.float32)
NET = nn.Sequential(nn.Flatten(), nn.Linear(25, 4))
with torch.no_grad():
    for p in NET.parameters():
        p.copy_(torch.tensor(DRAWS.normal(size=p.shape)))
    START = NET(X)
EPS = bb.Linf(0.1)


class Number(nn.Module):
    """One of the net's outputs, a number an image, times a scale."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.net, self.scale = NET, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.net(x)[:, 0]


@pytest.mark.parametrize(
    "name", ["fgsm", "mi-fgsm", "pgd", "apgd", "vmi-fgsm", "di-fgsm", "admix", "svre", "adaea", "cwa"]
)
def test_presets_reach_the_farthest_point_of_a_linear_number(name: str) -> None:
    """Of the number the loss is 500 away at first, where a cross-entropy has no gradient left."""
    nets = [Number(), Number(3.0)]
    goal = Regression(START[:, 0], by=500.0, way="down")
    x = sg.craft(nets, X, None, name, threat=EPS, goal=goal)
    most = 0.1 * NET[1].weight[0].abs().sum()
    share = (START[:, 0] - NET(x).detach()[:, 0]) / most
    assert bool((share >= (0.5 if name == "di-fgsm" else 0.995)).all())


def test_each_image_has_its_own_goal_whatever_its_neighbours_have() -> None:
    faces = torch.tensor(DRAWS.uniform(0.3, 0.7, X.shape), dtype=torch.float32)
    goal = Verification(np.zeros((3, 2)), 0.5, images=faces)
    made = sg.craft(NET, X, None, "mi-fgsm", threat=EPS, goal=goal)
    before, after = (((NET(v) - NET(faces)).norm(dim=1)) for v in (X, made))
    assert bool((after < 0.8 * before).all())
    for i in range(3):
        alone = Verification(np.zeros((1, 2)), 0.5, images=faces[i : i + 1])
        assert torch.equal(sg.craft(NET, X[i : i + 1], None, "mi-fgsm", threat=EPS, goal=alone, ids=[i]), made[i : i + 1])


def test_nets_with_other_embeddings_have_goals_of_their_own() -> None:
    small = nn.Sequential(NET, nn.Linear(4, 2))
    with torch.no_grad():
        small[1].weight.copy_(torch.tensor([[0.5, -0.2, 0.1, 0.3], [0.1, 0.4, -0.5, 0.2]]))
    goals = [Verification(NET(X[:1])[0].detach(), 0.5), Verification(small(X[:1])[0].detach(), 0.5)]
    made = sg.craft([NET, small], X[1:], None, "pgd", threat=EPS, steps=40, step=0.005, goal=goals)
    before, after = (sum((net(v) - net(X[:1])).norm(dim=1) for net in (NET, small)) for v in (X[1:], made))
    assert bool((after < 0.7 * before).all())
    with pytest.raises(ValueError, match=r"embeddings of 4 numbers.*net returns 2.*net 1 of the ensemble"):
        sg.craft([NET, small], X, None, threat=EPS, goal=goals[0])


def test_an_image_that_is_its_own_reference_is_left_too() -> None:
    for name in ("fgsm", "mi-fgsm"):
        made = sg.craft(NET, X, None, name, threat=EPS, goal=Verification(START.detach(), 0.1, "dodge", images=X))
        assert bool(((NET(made) - START).norm(dim=1) > 0.1).all())


def test_a_goal_of_one_class_is_the_margin_itself() -> None:
    labels = START.argmax(1)
    for name in ("fgsm", "i-fgsm", "pgd"):
        as_goal = sg.craft(NET, X, None, name, threat=EPS, goal=NoneOf(labels[:, None].numpy()))
        assert torch.equal(as_goal, sg.craft(NET, X, labels, name, threat=EPS, loss="margin"))


def test_what_cannot_be_crafted_for_a_goal_is_said() -> None:
    goal, embeddings = NoneOf([0]), Verification(np.zeros(3), 1.0)
    for asked, said in (
        ({"attack": "logit", "goal": goal}, "a preset without a loss of its own .* logit is Logit"),
        ({"attack": "fia", "goal": goal}, "a preset without a loss of its own"),
        ({"loss": "dlr", "goal": goal}, "that of mi-fgsm is dlr"),
        ({"target": 1, "goal": goal}, "a target class or a goal, but both"),
        ({"goal": 3}, "a blackbox.goals.Goal, but it was 3"),
        ({"goal": [goal, goal]}, "one goal for all 1 nets"),
        ({"goal": bb.goal(len)}, "a goal with a twin"),
        ({"goal": NoneOf([9])}, "classes from 0 to 3, but one was 9.* So it was with the net"),
        ({"goal": embeddings}, "embeddings of 3 numbers"),
        ({"goal": bb.goal(len, twin=lambda out: out)}, r"a loss for each of 1 rows, but it was shape \(1, 4\)"),
        ({"goal": bb.goal(len, twin=lambda out: out[:, 0] / 0)}, "a finite loss"),
        ({"goal": bb.goal(len, twin=lambda out: out[:, 0].detach())}, "none passes through"),
        ({}, "y to be numbers"),
    ):
        given: dict[str, Any] = dict(asked)
        with pytest.raises(ValueError, match=said):
            sg.craft(NET, X, None, given.pop("attack", "mi-fgsm"), threat=EPS, **given)

"""Every attack with goals other than a class: counts, ball, mask and batch, with each goal in turn.

All of the product would take minutes: an attack runs with one goal, the next attack with the next, so that every goal meets attacks of
each kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.goals import (
    AnyOf,
    Detection,
    Goal,
    MultiLabel,
    NoneOf,
    Ranking,
    Regression,
    Segmentation,
    Verification,
    ZeroShot,
)
from blackbox.goals.base import bound
from blackbox.testing import Recording

SHAPE, SAMPLES, BUDGET = (3, 4, 4), 3, 24
DRAWS = np.random.default_rng(8)
X = torch.tensor(DRAWS.uniform(0.3, 0.7, (SAMPLES, *SHAPE)), dtype=torch.float32)
MASK = torch.tensor(DRAWS.uniform(size=(SAMPLES, *SHAPE)) < 0.7)
W = torch.tensor(DRAWS.normal(size=(48, 8)), dtype=torch.float32)
PLACE = [0.0, 0.0, 4.0, 4.0]


def outputs(x: Tensor) -> Tensor:
    """[m, 8], row by row the same in every batch."""
    return (x.flatten(1)[:, :, None] * W).sum(1)


FIRST = outputs(X)
Y = FIRST.argmax(1)
WORDS = list("abcdefgh")


def boxes(x: Tensor) -> list[dict[str, Any]]:
    score = torch.sigmoid(0.5 - (outputs(x) - FIRST.amax(1).min())[:, 0].abs())
    return [{"boxes": [PLACE] if s > 0.2 else [], "scores": [float(s)] if s > 0.2 else [], "labels": [1] if s > 0.2 else []} for s in score]


GOALS: dict[str, tuple[str, Callable[[Tensor], Any], Callable[[slice], Goal]]] = {
    "NoneOf": ("logits", outputs, lambda rows: NoneOf(Y[rows, None], k=2)),
    "AnyOf of words": ("labels", outputs, lambda rows: AnyOf([WORDS[int(FIRST[0].argsort()[-2])], "a"])),
    "MultiLabel": ("answers", lambda x: torch.sigmoid(outputs(x)), lambda rows: MultiLabel(hide=[0, 1], show=[2])),
    "Regression": ("answers", lambda x: outputs(x)[:, 0], lambda rows: Regression(FIRST[rows, 0], by=1.0)),
    "Verification": ("answers", outputs, lambda rows: Verification(FIRST[rows], 0.9, "dodge", "cosine")),
    "Detection": ("answers", boxes, lambda rows: Detection({"boxes": [PLACE]}, "appear", score=0.9)),
    "Segmentation": ("answers", lambda x: outputs(x).view(-1, 2, 2, 2), lambda rows: Segmentation(FIRST.view(-1, 2, 2, 2).argmax(1)[rows])),
    "Ranking": ("answers", lambda x: outputs(x).argsort(1, descending=True)[:, :6], lambda rows: Ranking(push=7, k=2)),
    "ZeroShot": ("answers", outputs, lambda rows: ZeroShot(torch.eye(8), leave=Y[rows])),
    "one's own": ("answers", outputs, lambda rows: bb.goal(lambda a: float(a[1] - a[0]) - 3)),
}
FREE = [name for name in bb.attacks.names() if not bb.attacks.get(name).needs_prior]


def pairs() -> list[tuple[str, str]]:
    """Each attack with a goal that shows it enough, taken in turn."""
    made = []
    for at, name in enumerate(FREE):
        kinds = [kind for kind, (access, *_) in GOALS.items() if access != "labels" or bb.attacks.get(name).access is bb.Access.LABELS]
        made.append((name, kinds[at % len(kinds)]))
    return made


@pytest.mark.parametrize(("name", "kind"), pairs())
def test_an_attack_with_a_goal(name: str, kind: str) -> None:
    access, model, make = GOALS[kind]
    cls = bb.attacks.get(name)
    threat = {"Linf": bb.Linf(0.2), "L2": bb.L2(1.0), "L0": bb.L0(10)}[cls.norms[0]]

    def run(rows: slice) -> tuple[bb.AttackResult, bb.Oracle, Tensor]:
        seen = Recording(model)
        oracle = bb.Oracle(seen, access, WORDS)
        result = bb.attack(
            oracle, X[rows], None, name, threat, BUDGET, goal=make(rows), mask=MASK[rows], ids=np.arange(SAMPLES)[rows]
        )
        return result, oracle, seen.shown

    result, oracle, asked = run(slice(None))
    assert oracle.rows == int(result.queries.sum()) and int(result.queries.max()) <= BUDGET and result.attacked.any()
    same = torch.stack([((asked == X[i]) | MASK[i]).flatten(1).all(1) for i in range(SAMPLES)])
    assert same.any(0).all()  # nothing outside the mask changed in any query
    reach = threat.distance(result.x_adv, X)[result.success]
    assert bool((reach <= threat.eps + threat.tolerance).all())
    again = bb.Oracle(model, access, WORDS)
    loss, reached = bound(make(slice(None)), again, SAMPLES).verdict(again(result.x_adv), np.arange(SAMPLES))
    assert np.isfinite(loss).all() and bool(reached[result.success.numpy()].all())
    one = run(slice(1, 2))[0]
    assert torch.equal(one.x_adv[0], result.x_adv[1]) and one.queries[0] == result.queries[1]


def test_every_goal_is_in_it() -> None:
    assert {kind for _, kind in pairs()} == set(GOALS)
    built_in = {name for name in bb.goals.__all__ if isinstance(got := getattr(bb.goals, name), type) and issubclass(got, Goal)}
    assert built_in - {"Goal"} <= {kind.split()[0] for kind in GOALS}

"""The twins of goals: the same number as `judge` gives, with the gradient that finite differences give; and which samples are alike."""

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
from blackbox.goals.base import Setting
from blackbox.goals.twins import as_classes

M = 4
WHO = np.array([2, 0, 3, 1])
DRAWS = np.random.default_rng(8)
TABLE = torch.tensor(DRAWS.normal(size=(M, 6)))
MAPS = torch.tensor(DRAWS.normal(size=(M, 3, 4, 4)))
LABELS = DRAWS.integers(0, 3, (M, 4, 4))
LABELS[:, 0] = 255
TEXTS = DRAWS.normal(size=(3, 6))
CORNERS = [[0, 0, 10, 10], [8, 8, 20, 20], [1, 1, 9, 12]]
BOXES = torch.tensor([[[*box, s] for box, s in zip(CORNERS, DRAWS.uniform(0.2, 0.9, 3), strict=True)] for _ in range(M)])
BOXES[..., :4] += torch.tensor(DRAWS.uniform(0, 0.5, (M, 3, 4)))
PLACES = [{"boxes": [[0, 0, 9, 10], [7, 9, 20, 20]][: 1 + i % 2], "labels": [1, 2][: 1 + i % 2]} for i in range(M)]


def columns(t: Tensor) -> dict[str, Tensor]:
    return dict(zip("abcdef", t.unbind(1), strict=True))


def boxes(t: Tensor) -> list[dict[str, Tensor]]:
    return [{"boxes": row[:, :4], "scores": row[:, 4], "labels": torch.tensor([1, 2, 3])} for row in t]


Case = tuple[Goal, Tensor, Callable[[Tensor], Any]]


def same(t: Tensor) -> Tensor:
    return t


CASES: dict[str, Case] = {
    "none of": (NoneOf([1, 4], k=2), TABLE, same),
    "any of": (AnyOf(np.array([[1, 2], [3, 4], [0, 5], [2, 2]])), TABLE, same),
    "labels": (MultiLabel(hide=[0, 2], show=[5]), TABLE, same),
    "labels by name": (MultiLabel(hide=["a"], show=["c", "d"], threshold=0.1), TABLE, columns),
    "either": (Regression(np.arange(M) / 9, by=0.3), TABLE[:, :1], same),
    "down": (Regression(0.2, by=0.3, way="down"), TABLE[:, 0], same),
    "near": (Verification(DRAWS.normal(size=(M, 6)), 2.0), TABLE, same),
    "cosine": (Verification(DRAWS.normal(size=6), 0.4, "dodge", "cosine"), TABLE, same),
    "leave a text": (ZeroShot(TEXTS, leave=np.array([0, 1, 2, 0])), TABLE, same),
    "reach a text": (ZeroShot({"x": TEXTS[0], "y": TEXTS[1]}, reach="y"), TABLE, lambda t: {"image_embeds": t}),
    "displace": (Ranking(displace=np.array([0, 1, 2, 3]), k=2), TABLE, same),
    "push": (Ranking(push="c", k=3), TABLE, columns),
    "pixels": (Segmentation(LABELS, share=0.6), MAPS, lambda t: {"out": t}),
    "a map": (Segmentation(LABELS[0], 0.9, "reach"), MAPS, same),
    "vanish": (Detection(PLACES), BOXES, boxes),
    "appear": (Detection(PLACES, "appear", score=0.6, label=2), BOXES, boxes),
    "mislabel": (Detection(PLACES, "mislabel"), BOXES, boxes),
    "anywhere": (Detection(mode="appear"), BOXES, same),
    "own": (bb.goal(lambda a: float(a[0]) - 1, twin=lambda out: out[:, 0] - 1), TABLE, same),
    "own of a sample": (bb.goal(lambda a, i: float(a[i]), twin=lambda out, who: out[torch.arange(M), who]), TABLE, same),
}


@pytest.mark.parametrize("name", CASES)
def test_a_twin_is_the_loss_that_is_judged_with_its_gradient(name: str) -> None:
    goal, values, form = CASES[name]
    access = "answers" if goal.needs is bb.Access.ANSWERS else "logits"
    reply = bb.Oracle(lambda x: form(values), access, 6).submit(torch.zeros(M, 1), "user")
    goal = goal.bound(Setting(M, reply.access, reply.total, listed=6))
    loss, reached = goal.verdict(reply, WHO)
    given = values.clone().requires_grad_()
    twin = goal.twin(form(given), WHO)
    assert goal.differentiable and twin.detach().numpy() == pytest.approx(loss, abs=1e-6) and (reached == (loss > 0)).all()
    assert torch.autograd.gradcheck(lambda v: goal.twin(form(v), WHO), given, eps=1e-7, atol=1e-5)


def test_at_the_reference_itself_there_is_a_gradient_that_leads_away() -> None:
    for goal in (Verification(TABLE[0].numpy(), 1.0, "dodge"), Regression(float(TABLE[0, 0]), by=1)):
        given = (TABLE[:1] if isinstance(goal, Verification) else TABLE[:1, :1]).clone().requires_grad_()
        made = goal.bound(Setting(1, bb.Access.ANSWERS, 2))
        loss = made.twin(given, np.zeros(1, int))
        (g,) = torch.autograd.grad(loss, given)
        after = made.twin(given.detach() + 0.1 * g, np.zeros(1, int))
        assert loss.detach() == -1 and after.item() == pytest.approx(-1 + 0.1 * g.norm().item())


def test_another_net_sees_references_of_its_own() -> None:
    goal = Verification(np.zeros(3), 1.0, images=np.ones(2))
    seen = goal.seen_by(lambda images: np.concatenate([images, images]))
    assert isinstance(seen, Verification) and seen.references.tolist() == [1, 1, 1, 1] and seen.images is None
    assert goal.references.tolist() == [0, 0, 0]
    assert NoneOf([1]).seen_by(lambda images: images) is not None


def test_samples_are_alike_where_all_that_a_goal_holds_is() -> None:
    def alike(goal: Goal) -> list[int]:
        access = goal.needs if goal.needs is bb.Access.ANSWERS else bb.Access.LOGITS
        return goal.bound(Setting(M, access, 6, listed=6)).alike(M).tolist()

    assert alike(NoneOf([[1], [2], [1], [2]])) == [0, 1, 0, 1] and alike(NoneOf([1, 2])) == [0, 0, 0, 0]
    assert alike(Regression([1, 1, 1, 2], by=[1, 1, 2, 2])) == [0, 0, 2, 3]
    assert alike(Detection([PLACES[0], PLACES[1], PLACES[0], PLACES[1]])) == [0, 1, 0, 1]
    assert alike(bb.goal(len, twin=len)) == [0, 0, 0, 0] and alike(bb.goal(len, twin=lambda out, who: out)) == [0, 1, 2, 3]
    assert alike(bb.goal(len)) == [0, 1, 2, 3]

    class Hidden(Regression):
        def __init__(self) -> None:
            super().__init__(0.0, 1.0)
            self.model = torch.nn.Linear(1, 1)  # which may know the samples, for all one can tell

    assert alike(Hidden()) == [0, 1, 2, 3]


def test_two_classes_stand_for_a_goal() -> None:
    loss, reached = np.array([-3, 1, np.nan], np.float32), np.array([False, True, False])
    nan = np.nan
    assert np.array_equal(as_classes(loss, reached, bb.Access.SCORES), np.array([[1.5, -1.5], [-0.5, 0.5], [nan, nan]]), equal_nan=True)
    assert np.array_equal(as_classes(loss, reached, bb.Access.LABELS), np.array([[0, nan], [nan, 0], [nan, nan]]), equal_nan=True)


def test_what_a_net_returns_else_is_said() -> None:
    def twin(goal: Goal, out: Any) -> None:
        access = goal.needs if goal.needs is bb.Access.ANSWERS else bb.Access.LOGITS
        goal.bound(Setting(M, access, 6, listed=6)).twin(out, WHO)

    for goal, out, said in (
        (NoneOf([1]), TABLE[:, :5], r"6 numbers for each input, .* returned shape \(4, 5\)"),
        (Regression(0, 1), TABLE, "a number for each input"),
        (MultiLabel(hide=["z"]), columns(TABLE), "returns 'z' for the goal"),
        (MultiLabel(hide=[7]), TABLE, "labels by number, from 0 to 5"),
        (Verification(np.ones(5), 1.0), TABLE, r"embeddings of 5 numbers.*images=\.\.\."),
        (ZeroShot(np.eye(5), leave=0), TABLE, r"as the texts have.*goal=\[\.\.\.\]"),
        (Ranking(displace=9), TABLE, "scores item 9"),
        (Ranking(displace=1, k=6), TABLE, "more than k=6 items"),
        (Segmentation(LABELS[:, :2]), MAPS, "2 x 4 pixels, as the references have, but it returned 4 x 4"),
        (Segmentation(LABELS % 255 + 3), MAPS, "scores 6 labels"),
        (Detection(PLACES), TABLE, "list of dicts with boxes"),
        (Detection(PLACES), {"boxes": TABLE}, "boxes and scores as tensors"),
    ):
        with pytest.raises(ValueError, match=said):
            twin(goal, out)

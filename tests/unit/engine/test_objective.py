"""Objective: loss and success at every access level, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from blackbox.goals.objective import Objective
from blackbox.oracle.oracle import Oracle, Reply
from blackbox.protocol import Access

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0], [0.0, 3.0, 1.0, -2.0]])


def reply(access: str, logits: Tensor = LOGITS, **settings: Any) -> Reply:
    oracle = Oracle(lambda x: logits[: len(x)], access, logits.shape[1], returns="logits", rows_per_call=len(logits), **settings)
    return oracle(torch.zeros(len(logits), 2))


@pytest.mark.parametrize("access", ["logits", "scores"])
def test_margin_is_the_same_from_logits_and_probabilities(access: str) -> None:
    loss, adv = Objective("margin")(reply(access), torch.tensor([0, 2]))
    assert loss.tolist() == pytest.approx([1.0 - 2.0, 3.0 - 1.0], abs=1e-5)
    assert adv.tolist() == [False, True]


@pytest.mark.parametrize("access", ["logits", "scores"])
def test_targeted_margin(access: str) -> None:
    loss, adv = Objective("margin", targeted=True)(reply(access), torch.tensor([1, 1]))
    assert loss.tolist() == pytest.approx([1.0 - 2.0, 3.0 - 1.0], abs=1e-5)
    assert adv.tolist() == [False, True]


@pytest.mark.parametrize("access", ["logits", "scores"])
@pytest.mark.parametrize("targeted", [False, True])
def test_cross_entropy(access: str, targeted: bool) -> None:
    goal = torch.tensor([0, 2])
    loss, _ = Objective("cross-entropy", targeted)(reply(access), goal)
    expected = torch.nn.functional.cross_entropy(LOGITS, goal, reduction="none") * (-1 if targeted else 1)
    assert torch.allclose(loss, expected, atol=1e-5)


def test_labels_only() -> None:
    loss, adv = Objective()(reply("labels"), torch.tensor([0, 2]))
    assert loss.tolist() == [-1, 1] and adv.tolist() == [False, True] and loss.dtype == torch.float32


class TestTopK:
    def test_listed_classes_are_as_in_the_scores(self) -> None:
        goal = torch.tensor([0, 1])
        top, full = Objective()(reply("topk", k=2), goal), Objective()(reply("scores"), goal)
        assert torch.allclose(top[0], full[0], atol=1e-5) and torch.equal(top[1], full[1])

    def test_an_unlisted_goal_gets_an_equal_share_of_what_is_left(self) -> None:
        p = LOGITS.softmax(1)
        loss, adv = Objective("cross-entropy", targeted=True)(reply("topk", k=2), torch.tensor([3, 3]))
        left = (1 - p[:, :].sort(descending=True).values[:, :2].sum(1)) / 2
        assert torch.allclose(loss, left.log(), atol=1e-5) and not adv.any()

    def test_a_share_never_exceeds_what_is_listed_last(self) -> None:
        flat = torch.tensor([[0.1, 0.05, 0.05, 0.05]]).log()  # after rounding the list may leave over too much
        loss, _ = Objective("margin", targeted=True)(
            Reply(Access.TOPK, torch.tensor([0]), flat.exp()[:, :2], torch.tensor([[0, 1]]), 4), torch.tensor([3])
        )
        assert float(loss) == pytest.approx(math.log(0.05) - math.log(0.1), abs=1e-5)

    def test_all_classes_listed(self) -> None:
        goal = torch.tensor([3, 0])
        assert torch.allclose(Objective()(reply("topk", k=4), goal)[0], Objective()(reply("scores"), goal)[0], atol=1e-5)

    def test_a_rising_probability_of_the_target_raises_the_loss(self) -> None:
        rows = torch.stack([torch.tensor([3.0, 2.0, t, 0.0]) for t in (-3.0, -1.0, 1.0, 2.5)])
        loss, _ = Objective(targeted=True)(reply("topk", rows, k=2), torch.full((4,), 2))
        assert bool((loss[1:] > loss[:-1]).all()), loss


def test_rounded_scores_have_a_finite_loss() -> None:
    logits = torch.tensor([[20.0, 0.0, -5.0]])
    for kind in ("margin", "cross-entropy"):
        for targeted in (False, True):
            r = reply("scores", logits, decimals=2)
            loss, _ = Objective(kind, targeted, resolution=0.01)(r, torch.tensor([1 if targeted else 0]))
            assert torch.isfinite(loss).all()
    floor = Objective("cross-entropy", True, resolution=0.01)(reply("scores", logits, decimals=2), torch.tensor([1]))[0]
    assert float(floor) == pytest.approx(math.log(0.005))


def test_saturated_probabilities_have_a_finite_loss() -> None:
    logits = torch.tensor([[500.0, 0.0, -500.0]])
    for kind in ("margin", "cross-entropy"):
        loss, _ = Objective(kind)(reply("scores", logits), torch.tensor([0]))
        assert torch.isfinite(loss).all()


@pytest.mark.parametrize("access", ["labels", "topk", "scores", "logits"])
def test_at_an_exact_tie_the_targets_own_choice_decides(access: str) -> None:
    tied = torch.zeros(1, 3)
    r = reply(access, tied, k=2)
    label = int(r.label)
    loss, adv = Objective()(r, torch.tensor([label]))
    assert not bool(adv)
    loss, adv = Objective()(r, torch.tensor([(label + 1) % 3]))
    assert bool(adv)
    if access != "labels":
        assert abs(float(loss)) < 1e-6


def test_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match="margin, cross-entropy, but it was 'hinge'"):
        Objective("hinge")


@pytest.mark.parametrize("access", ["topk", "scores", "logits"])
@pytest.mark.parametrize("kind", ["margin", "cross-entropy"])
def test_a_row_counts_as_it_does_alone(access: str, kind: str) -> None:
    logits = torch.randn(50, 10, generator=torch.Generator().manual_seed(0)) * 3
    goal = torch.arange(50) % 10
    together = Objective(kind)(reply(access, logits), goal)[0]
    for i in range(50):
        assert torch.equal(Objective(kind)(reply(access, logits[i : i + 1]), goal[i : i + 1])[0], together[i : i + 1])


def test_answers_in_another_memory_layout_count_the_same() -> None:
    turned = LOGITS.softmax(1).T.contiguous().T
    assert not turned.is_contiguous()
    shown = Reply(Access.SCORES, LOGITS.argmax(1), turned, None, 4)
    loss, _ = Objective("margin")(shown, torch.tensor([0, 2]))
    assert loss.tolist() == pytest.approx([1.0 - 2.0, 3.0 - 1.0], abs=1e-5)


@pytest.mark.parametrize("kind", ["margin", "cross-entropy"])
@pytest.mark.parametrize("targeted", [False, True])
def test_masked_classes_have_finite_losses(kind: str, targeted: bool) -> None:
    masked = torch.tensor([[2.0, -math.inf, -math.inf], [2.0, -math.inf, 1.0]])
    loss, _ = Objective(kind, targeted)(reply("logits", masked), torch.tensor([1, 1]))
    assert loss.tolist() == pytest.approx([-1e12, -1e12] if targeted else [1e12, 1e12])
    plain, _ = Objective(kind, targeted)(reply("logits"), torch.tensor([1, 1]))
    assert abs(plain).max() < 10

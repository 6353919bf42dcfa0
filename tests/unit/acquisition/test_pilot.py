"""A pilot: a few answers on each pool, and the rest from the pool on which the target tells more classes apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import surrogates as sg
from blackbox.oracle.oracle import Oracle
from surrogates import acquisition as acquire
from surrogates.acquisition.pilot import told_apart
from surrogates.data.answers import Answers
from tests.surrogate_doubles import Rejecting

SHAPE = (1, 4, 4)
QUICK = sg.Recipe(epochs=1)


def answers(labels: list[int], probabilities: Tensor | None = None, classes: int = 4) -> Answers:
    n = len(labels)
    return Answers(torch.rand(n, *SHAPE), torch.tensor(labels, dtype=torch.int64), probabilities, np.arange(n), classes)


def test_classes_told_apart() -> None:
    assert told_apart(answers([0, 1, 2, 3])) == pytest.approx(4) and told_apart(answers([2, 2, 2])) == pytest.approx(1)
    assert told_apart(answers([])) == 0
    assert told_apart(answers([0, 0, 0, 1])) == pytest.approx(4 / 3**0.75)  # the exponential of the entropy of (3/4, 1/4)
    vague = torch.full((4, 4), 0.25)
    assert told_apart(answers([0, 1, 2, 3], vague)) == pytest.approx(1)  # named, but never told apart
    half = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    assert told_apart(answers([0, 2], half)) == pytest.approx(2)


def quarters(x: Tensor) -> Tensor:
    """A target that reads the class off the first pixel, but names class 0 for all that is dark elsewhere."""
    label = torch.where(x[:, 0, 3, 3] < 0.5, 0, (x[:, 0, 0, 0] * 4).long().clamp(0, 3))
    return torch.nn.functional.one_hot(label, 4).float()


def pools(dull: int, lively: int, first: str) -> tuple[Tensor, tuple[int, int]]:
    dark, bright = torch.rand(dull, *SHAPE), torch.rand(lively, *SHAPE)
    dark[..., 3, 3], bright[..., 3, 3] = 0.0, 1.0
    dark[0, 0, 3, 3] = 1.0  # not all of one class
    both = [dark, bright] if first == "dull" else [bright, dark]
    return torch.cat(both), (len(both[0]), len(both[1]))


@pytest.mark.parametrize("access", ["scores", "labels"])
@pytest.mark.parametrize("first", ["dull", "lively"])
def test_the_rest_is_asked_of_the_pool_that_is_told_apart(first: str, access: str) -> None:
    torch.manual_seed(1)
    pool, parts = pools(60, 100, first)
    pilot = acquire.Pilot(parts, each=12)
    oracle = Oracle(quarters, access, 4)
    got = sg.learn(sg.build("mlp", 4, SHAPE), oracle, pool, pilot, queries=90, held_out=0, recipe=QUICK)
    assert got.bill.rounds == (24, 66) and oracle.rows == 90 and len(set(got.answers.index.tolist())) == 90
    start = 60 if first == "dull" else 0
    lively = (got.answers.index >= start) & (got.answers.index < start + 100)
    assert lively.sum() == 12 + 66
    best = 1 if first == "dull" else 0
    assert pilot.order(got.answers) == [best, 1 - best] and pilot.found(got.answers)[best] > 1.5 > pilot.found(got.answers)[1 - best]


def test_a_kind_that_is_easy_does_not_decide_for_the_others() -> None:
    """Every third image of the first pool gets all classes, the others one; of the second pool each image is one of two classes."""
    labels = [(i // 3) % 4 if i % 3 == 0 else 0 for i in range(12)] + [i // 3 % 2 for i in range(12)]
    told = answers(labels)
    assert acquire.Pilot((12, 12), 12).found(told) == pytest.approx([1, 2]) and acquire.Pilot((12, 12), 12).order(told) == [1, 0]
    assert acquire.Pilot((12, 12), 12, groups=1).order(told) == [0, 1]
    assert acquire.Pilot((12, 12), 1).found(told) == [1, 1]  # one group of one image


def test_a_pool_that_is_used_up_is_followed_by_the_next() -> None:
    torch.manual_seed(1)
    pool, parts = pools(60, 20, "dull")
    net = sg.build("mlp", 4, SHAPE)
    got = sg.learn(net, Oracle(quarters, "scores", 4), pool, acquire.Pilot(parts, 12), queries=70, held_out=0, recipe=QUICK)
    assert (got.answers.index >= 60).sum() == 20 and len(got.answers) == 70


def test_a_pool_that_is_rejected_is_not_asked_again() -> None:
    torch.manual_seed(1)
    pool, parts = pools(60, 60, "lively")
    pool[60:64, 0, 0, 0], pool[60:64, 0, 3, 3] = torch.tensor([0.1, 0.3, 0.6, 0.9]), 0.4
    hidden = Rejecting(lambda x: quarters(x + 0.2), lambda x: x[:, 0, 3, 3] > 0.5, "scores")
    net = sg.build("mlp", 4, SHAPE)
    got = sg.learn(net, Oracle(hidden, "scores", 4), pool, acquire.Pilot(parts, 10), queries=40, held_out=0, recipe=QUICK)
    assert (got.answers.index >= 60).all() and got.answers.rejected >= 10


def test_what_a_pilot_needs_is_said() -> None:
    for parts, each, message in (((5,), 2, "at least two pools"), ((5, 0), 2, "at least two pools"), ((5, 5), 0, "each to be a whole")):
        with pytest.raises(ValueError, match=message):
            acquire.Pilot(parts, each)
    oracle = Oracle(quarters, "scores", 4)
    pool, net = torch.rand(20, *SHAPE), sg.build("mlp", 4, SHAPE)
    for queries, held, message in ((7, 0.0, "at least 8 queries, 4 of each pool"), (20, 0.2, "none held out, but there were 16")):
        with pytest.raises(ValueError, match=message):
            sg.learn(net, oracle, pool, acquire.Pilot((10, 10), 4), queries=queries, held_out=held)
    assert oracle.rows == 0


def test_extract_says_what_its_pilot_found() -> None:
    torch.manual_seed(1)
    dull = torch.rand(300, *SHAPE)
    dull[..., 3, 3] = 0.0
    got = sg.extract(Oracle(quarters, "scores", 4), 200, other=dull, shape=SHAPE, arch="mlp", recipe=QUICK)
    assert "no images of the target's kind are there: the target tells 1.00 classes apart on 26 other images and " in got.why
    assert got.why.endswith("so that it was asked about more procedural pictures") and got.bill.rounds == (52, 118)
    few = sg.extract(Oracle(quarters, "scores", 4), 200, other=pools(1, 60, "dull")[0], shape=SHAPE, arch="mlp", recipe=QUICK)
    assert few.why.endswith("more other images, all 15 that were left, and then about the others"), few.why


def test_a_pilot_whose_first_images_are_of_one_class_goes_on_with_both_pools() -> None:
    torch.manual_seed(1)
    pool = torch.rand(100, *SHAPE)
    pool[..., 3, 3] = 0.0
    pool[[30, 80], 0, 3, 3], pool[[30, 80], 0, 0, 0] = 1.0, 0.9
    oracle, pilot = Oracle(quarters, "scores", 4), acquire.Pilot((50, 50), 10)
    got = sg.learn(sg.build("mlp", 4, SHAPE), oracle, pool, pilot, queries=90, held_out=0, recipe=QUICK)
    assert oracle.rows == 90 and (got.answers.index < 50).sum() == 45 and got.answers.labels.unique().tolist() == [0, 3]
    names = ("drawn", "found")
    said = "the target tells 1.00 classes apart on 10 drawn and 1.00 on 10 found"
    assert pilot.why(got.answers, names) == f"{said}, all of one class, so that it was asked about more of both"
    pool[..., 3, 3] = 0.0
    with pytest.raises(ValueError, match="at least two classes, but the target answered 0 for all of the 90 images"):
        sg.learn(sg.build("mlp", 4, SHAPE), Oracle(quarters, "scores", 4), pool, pilot, queries=90, held_out=0, recipe=QUICK)


@pytest.mark.parametrize(("left", "said"), [(0, "about all drawn, so that it was asked about more found"), (1, "the one that was left")])
def test_what_was_left_is_said(left: int, said: str) -> None:
    told = answers([0, 1, 2, 3, 0, 0, 0, 0, 0, 0])
    told = Answers(told.images, told.labels, None, np.array([0, 1, 2, 3, 4 + left, 5 + left, 6 + left, 7 + left, 8 + left, 9 + left]), 4)
    assert said in acquire.Pilot((4 + left, 20), 4, 1).why(told, ("drawn", "found"))


def test_fewer_other_images_than_a_share_are_not_judged_by() -> None:
    torch.manual_seed(1)
    few = sg.extract(Oracle(quarters, "scores", 4), 200, other=torch.rand(2, *SHAPE), shape=SHAPE, arch="mlp", recipe=QUICK)
    assert few.strategy == "distil" and "which of both teaches more is not known" in few.why

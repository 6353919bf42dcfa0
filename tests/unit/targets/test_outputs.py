"""Scores inside output objects: found where it is clear which they are, asked about where it is not."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

import blackbox as bb
import surrogates as sg
from blackbox.targets import ModuleTarget, SklearnTarget
from blackbox.targets.answer import Answer
from blackbox.targets.outputs import scores_of

SCORES, FEATURES = torch.arange(6.0).view(2, 3), torch.zeros(2, 5)
Pair = namedtuple("Pair", "logits aux")


@dataclass
class Output:
    logits: Any = None
    hidden: Any = None


@pytest.mark.parametrize(
    "out",
    [
        SCORES, Output(SCORES, FEATURES), {"logits": SCORES, "hidden": FEATURES}, (SCORES,), [SCORES], {"scores": SCORES},
        OrderedDict(loss=None, logits=SCORES), Pair(SCORES, FEATURES), Output(hidden=SCORES),
    ],
    ids=lambda out: type(out).__name__,
)  # fmt: skip
def test_found(out: Any) -> None:
    assert scores_of(out) is SCORES


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ((SCORES, FEATURES), r"a tuple of \[0\] \(2, 3\), \[1\] \(2, 5\).*such as out\[0\]"),
        ({"a": SCORES, "b": FEATURES}, r"a dict of a \(2, 3\), b \(2, 5\).*such as out\['a'\]"),
        (namedtuple("Two", "x y")(FEATURES, SCORES), r"a Two of x \(2, 5\), y.*such as out\.x"),
    ],
)
def test_several_are_named(out: Any, told: str) -> None:
    with pytest.raises(ValueError, match=r"Expected the net to return its scores alone.*" + told):
        scores_of(out, "the net")


@pytest.mark.parametrize(
    "out",
    [
        np.ones((2, 3)), [[0.1, 0.9]], [0, 1], {"cat": 0.1, "dog": 0.9}, Answer(torch.tensor([0]), SCORES[:1]),
        [SCORES[0], SCORES[1]], None, 3,
    ],
    ids=repr,
)  # fmt: skip
def test_other_answers_are_left_as_they_are(out: Any) -> None:
    assert scores_of(out) is out


class Wrapped(torch.nn.Module):
    """A net whose scores are in an output object, as transformers' are."""

    def __init__(self, form: str = "logits") -> None:
        super().__init__()
        self.inner, self.form = torch.nn.Linear(4, 3), form

    def forward(self, x: torch.Tensor) -> Any:
        scores = self.inner(x.flatten(1))
        return {"logits": Output(scores), "word": {"logits": scores}, "one": (scores,), "two": (scores, scores)}[self.form]


@pytest.mark.parametrize("form", ["logits", "word", "one"])
def test_as_target_surrogate_prior_and_white_box(form: str) -> None:
    net, x = Wrapped(form), torch.rand(3, 1, 2, 2)
    with torch.no_grad():
        want = net.inner(x.flatten(1))
    torch.testing.assert_close(ModuleTarget(net).predict(x), want)
    torch.testing.assert_close(bb.Oracle(lambda x: net(x), "logits", 3)(x).values, want)
    y = want.argmax(1)
    x_adv = sg.craft(net, x, y, "fgsm", threat=bb.Linf(0.1), seed=0)
    plain = torch.nn.Sequential(torch.nn.Flatten(), net.inner)
    torch.testing.assert_close(x_adv, sg.craft(plain, x, y, "fgsm", threat=bb.Linf(0.1), seed=0))
    torch.testing.assert_close(sg.prior([net]).logits(x)[:, 0], want)
    found = bb.evaluate(lambda access: bb.Oracle(net, access, 3), x, y, bb.Linf(0.1), white_box=net, budgets=[3], levels=["scores"])
    assert found.rows[-1].sees == "everything"


def test_a_net_of_two_outputs_is_told(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match=r"Expected the net to return its scores alone.*such as out\[0\]"):
        sg.craft(Wrapped("two"), torch.rand(1, 1, 2, 2), [0], "fgsm", threat=bb.Linf(0.1))
    with pytest.raises(bb.TargetError, match="its scores alone"):
        bb.Oracle(Wrapped("two"), "logits", 3)(torch.rand(1, 1, 2, 2))


def test_a_classifier_of_words_and_of_columns() -> None:
    import pandas as pd

    x, words = np.random.default_rng(0).random((30, 4)).astype(np.float32), np.array(["owl", "cat", "dog"] * 10)
    images = torch.from_numpy(x).view(-1, 1, 2, 2)
    forest = RandomForestClassifier(5, random_state=0).fit(x, words)
    target = SklearnTarget(forest)
    assert target.words == ("cat", "dog", "owl") and target.classes == 3
    np.testing.assert_array_equal(target.predict(images), forest.predict_proba(x))
    labels = SklearnTarget(type("Labels", (), {"classes_": forest.classes_, "predict": staticmethod(forest.predict)})())
    np.testing.assert_array_equal(labels.predict(images), [{"cat": 0, "dog": 1, "owl": 2}[word] for word in forest.predict(x)])
    table = pd.DataFrame(x, columns=list("abcd"))
    named = RandomForestClassifier(5, random_state=0).fit(table, words)
    np.testing.assert_array_equal(SklearnTarget(named).predict(images), forest.predict_proba(x))

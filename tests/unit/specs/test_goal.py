"""``--targeted``: with one class for all, images of that class are left out and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import blackbox as bb
import surrogates as sg
from blackbox import specs
from blackbox.specs import goal
from blackbox.sweep import loading
from blackbox.sweep.study import Study

LABELS = torch.tensor([0, 2, 1, 2, 0])


def images() -> specs.ImageSet:
    data = sg.Dataset(torch.rand(5, 1, 2, 2), LABELS, ("cat", "dog", "owl"))
    return specs.ImageSet(data, np.array([3, 5, 8, 9, 11]), "toy", 20)


@pytest.mark.parametrize("word", ["2", "owl"])
def test_images_of_the_class_to_reach_are_left_out(word: str) -> None:
    rest = goal.others(word, images())
    assert rest.data.labels.tolist() == [0, 1, 0] and rest.index.tolist() == [3, 8, 11] and rest.left_out == 2
    assert specs.goals(word, rest, 3, 0) == 2
    assert goal.said(word, rest) == [f"left out         2 of 5 images, which are of class {word}, the class to reach"]


def test_nothing_is_left_out_otherwise() -> None:
    one = goal.others("1", images())
    assert one.left_out == 1
    for word in (None, "random", "7"):
        rest = goal.others(word, images())
        assert len(rest.data) == 5 and not goal.said(word, rest)
    with pytest.raises(ValueError, match=r"other classes than 0, the class to reach, but all 2 are of it.*--targeted random"):
        goal.others("0", specs.ImageSet(images().data.take([0, 4]), np.arange(2), "toy", 20))


def test_classes_to_reach_in_a_file(tmp_path: Path) -> None:
    """One for each image of the data, of which those attacked are taken; or one for each of these."""
    whole = np.zeros(20, np.int16)
    whole[[3, 5, 8, 9, 11]] = [1, 2, 0, 1, 0]
    np.save(tmp_path / "whole.npy", whole)
    rest = goal.others(f"{tmp_path}/whole.npy", images())
    assert rest.index.tolist() == [3, 8, 9] and rest.left_out == 2  # the others have that class
    found = specs.goals(f"{tmp_path}/whole.npy", rest, 3, 0)
    assert isinstance(found, torch.Tensor) and found.tolist() == [1, 0, 1] and found.dtype == torch.int64
    with pytest.raises(ValueError, match=r"classes from 0 to 1 in .*whole.npy, but that of image 0 was 2"):
        specs.goals(f"{tmp_path}/whole.npy", images().__class__(images().data.take([1]), np.array([5]), "toy", 20), 2, 0)
    for wrong, said in ((np.zeros(7, int), r"int64 of shape \(7,\)"), (np.zeros(20), r"float64 of shape \(5,\)")):
        np.save(tmp_path / "wrong.npy", wrong)
        with pytest.raises(ValueError, match=f"one for each of the 20 images of the data, but they were {said}"):
            goal.others(f"{tmp_path}/wrong.npy", images())
    with pytest.raises(FileNotFoundError, match="a file of the classes to reach of --targeted at lost.npy"):
        goal.others("lost.npy", images())
    with pytest.raises(ValueError, match="as a class or random in a study"):
        Study(attack={"targets": ["digits:mlp"], "attacks": ["square"], "threats": ["linf:0.1"], "budgets": [5], "targeted": "a.npy"})  # type: ignore[arg-type]


def test_in_python_the_error_says_how_to_leave_them_out() -> None:
    data = images().data
    oracle = bb.Oracle(lambda x: x.flatten(1)[:, :3] + 1.5, "logits", 3)
    with pytest.raises(ValueError, match=r"sample 1 has target class 2 and label 2 \(2 such\)\. Leave them out, keep = y != target"):
        bb.attack(oracle, data.images, data.labels, "square", bb.Linf(0.1), 5, target=2)
    keep = data.labels != 2
    assert len(bb.attack(oracle, data.images[keep], data.labels[keep], "square", bb.Linf(0.1), 5, target=2)) == 3
    each = (data.labels + 1) % 3
    assert len(bb.attack(oracle, data.images, data.labels, "square", bb.Linf(0.1), 5, target=each)) == 5


def test_a_study_that_leads_to_one_class_leaves_them_out() -> None:
    grid = {"targets": ["digits:knn"], "attacks": ["square"], "threats": ["linf:0.3"], "budgets": [5]}
    of = {"images": {"data": "digits", "n": 20}}
    whole = loading.images(Study(**of, attack=grid)).data.labels  # type: ignore[arg-type]
    some = loading.images(Study(**of, attack={**grid, "targeted": "3"}))  # type: ignore[arg-type]
    assert some.data.labels.tolist() == whole[whole != 3].tolist() and some.left_out == int((whole == 3).sum()) > 0

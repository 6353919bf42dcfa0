"""Detection: which boxes count, in every form that detectors answer in, and what is wrong said of its sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.goals import Detection, Goal, GoalError
from blackbox.goals.base import Setting

PLACE = [0.0, 0.0, 10.0, 10.0]
CAT = {"boxes": [PLACE], "labels": [1]}


def found(*boxes: tuple[list[float], float, Any]) -> dict[str, Any]:
    """As torchvision's detectors answer."""
    places, scores, labels = ([each[i] for each in boxes] for i in range(3))
    words = any(isinstance(label, str) for label in labels)
    return {"boxes": np.array(places).reshape(-1, 4), "scores": np.array(scores), "labels": labels if words else np.array(labels, int)}


def judged(goal: Goal, *answers: Any, names: Any = None) -> tuple[list[float], list[bool]]:
    m = len(answers)
    reply = bb.Oracle(lambda x: list(answers), "answers").submit(torch.zeros(m, 1), "user")
    loss, reached = goal.bound(Setting(m, reply.access, 10, names)).verdict(reply, np.arange(m))
    return pytest.approx(loss.tolist(), abs=1e-6), reached.tolist()


def test_a_box_is_found_from_both_thresholds_on() -> None:
    half = [0.0, 0.0, 10.0, 5.0]
    answers = [found((PLACE, 0.9, 1)), found((PLACE, 0.3, 1)), found((half, 0.9, 1)), found(([20, 20, 30, 30], 0.9, 1)), found()]
    assert judged(Detection(CAT), *answers) == ([-0.4, 0.2, 0.0, 0.5, 0.5], [False, True, False, True, True])
    assert judged(Detection(CAT, iou=0.6), answers[2]) == ([0.5 - 0.5 * 0.5 / 0.6], [True])
    assert judged(Detection(CAT, "appear"), *answers) == ([0.4, -0.2, 0.0, -0.5, -0.5], [True, False, True, False, False])


def test_the_loss_is_continuous_where_a_box_moves_and_where_it_goes_out() -> None:
    moved = [found(([0, 0, 10, y], 0.9, 1)) for y in np.linspace(0, 10, 401)]
    loss = np.array(judged(Detection(CAT), *moved)[0].expected)  # type: ignore[attr-defined]
    assert np.abs(np.diff(loss)).max() < 0.005 and loss[0] == 0.5 and (np.diff(loss) <= 0).all()
    assert judged(Detection(CAT), found((PLACE, 1e-9, 1)), found())[0] == [0.5, 0.5]


def test_a_label_counts_where_it_is_given() -> None:
    cat, dog = (PLACE, 0.9, 1), (PLACE, 0.8, 2)
    assert judged(Detection(CAT), found(dog)) == ([-0.3], [False])  # vanished is what is not found as anything
    assert judged(Detection(CAT, label=1), found(dog), found(cat, dog)) == ([0.5, -0.4], [True, False])  # or not as this
    assert judged(Detection(CAT, "appear"), found(dog)) == ([-0.5], [False])
    wrong = Detection(CAT, "mislabel")
    assert judged(wrong, found(cat), found(dog), found(cat, dog), found()) == ([-0.9, 0.3, -0.4, -0.5], [False, True, False, False])
    assert judged(Detection(CAT, "mislabel", label=3), found(dog)) == ([-0.5], [False])
    assert judged(Detection(mode="appear", label=2), found(cat), found(cat, dog)) == ([-0.5, 0.3], [False, True])


def test_what_several_places_are_short_of_is_added() -> None:
    two = {"boxes": [PLACE, [20, 20, 30, 30]]}
    answer = found((PLACE, 0.9, 1), ([20, 20, 30, 30], 0.6, 1))
    assert judged(Detection(two), answer, found((PLACE, 0.2, 1))) == ([-0.5, 0.3], [False, True])
    assert judged(Detection(two, "appear"), answer, found((PLACE, 0.9, 1))) == ([0.1, -0.5], [True, False])


@pytest.mark.parametrize(
    "answer",
    [
        np.array([[*PLACE, 0.9, 1.0]]),
        [{"score": 0.9, "label": "cat", "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), PLACE, strict=True))}],
        {"boxes": [PLACE], "scores": [0.9], "labels": ["cat"]},
        {"boxes": torch.tensor([PLACE]), "scores": torch.tensor([0.9]), "labels": torch.tensor([1])},
    ],
    ids=["rows", "a dict a box", "lists and words", "tensors"],
)
def test_forms_of_answers_with_labels_in_words_or_numbers(answer: Any) -> None:
    for label in ("cat", 1):
        goal = Detection([{"boxes": [PLACE], "labels": ["dog"]}], "mislabel", label=label)
        assert judged(goal, answer, names=["none", "cat", "dog"]) == ([0.4], [True])


def test_what_a_detector_says_of_the_clean_inputs_is_a_reference() -> None:
    clean = [found((PLACE, 0.9, 1), ([20, 20, 30, 30], 0.2, 1)), found()]
    loss, reached = judged(Detection(clean), found((PLACE, 0.6, 1), ([20, 20, 30, 30], 0.9, 1)), found((PLACE, 0.9, 1)))
    assert loss == [-0.1, 0.5] and reached == [False, True]  # nothing was there: nothing is to vanish


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        (lambda: Detection(CAT, "hide"), "mode to be one of vanish, appear, mislabel"),
        (lambda: Detection(CAT, score=50), "score between 0 and 1, but it was 50"),
        (lambda: Detection(CAT, iou=0), "iou between 0 and 1"),
        (lambda: Detection(), "references, the boxes that were found"),
        (lambda: Detection([CAT] * 3), "for all 2 samples or one for each, but there were 3"),
        (lambda: Detection([CAT, {"boxes": [[0, 0, 1]]}]), "shape \\[n, 4\\].*sample 1"),
        (lambda: Detection([CAT, {"boxes": [[5, 0, 1, 1]]}]), "x1 <= x2.*sample 1"),
        (lambda: Detection([CAT, {"boxes": [PLACE]}], "mislabel"), "labels with the reference of sample 1"),
        (lambda: Detection([CAT, CAT], "mislabel", label=1), "sample 0 has one"),
        (lambda: Detection([CAT, found()], "appear"), "a box where something is to appear for sample 1"),
        (lambda: Detection(np.zeros((2, 4))), "a list with an entry for each sample"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_query(goal: Any, said: str) -> None:
    oracle = bb.Oracle(lambda x: [found()] * len(x), "answers")
    with pytest.raises(ValueError, match=said):
        bb.attack(oracle, torch.zeros(2, 4), None, "square", bb.Linf(0.1), 5, goal=goal())
    assert oracle.rows == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (found((PLACE, np.nan, 1)), "finite scores"),
        ({"boxes": [PLACE], "scores": [0.9, 0.8], "labels": [1]}, "as many scores as boxes, 1, but there were 2"),
        ({"boxes": [PLACE], "scores": [0.9]}, "a label with every box"),
        ({"boxes": [PLACE], "labels": [1]}, "a score with every box"),
        ({"found": 3}, "a dict with boxes"),
        ({"boxes": [PLACE], "scores": [0.9], "labels": ["cat"]}, "'cat' is a word and others are numbers"),
    ],
)
def test_answers_that_are_none_name_the_sample_and_what_was_paid_is_kept(answer: Any, said: str) -> None:
    def detector(x: Tensor) -> list[Any]:
        return [answer for _ in x]

    oracle = bb.Oracle(detector, "answers")
    with pytest.raises(GoalError, match=f"{said}.*sample 7") as error:
        bb.attack(oracle, torch.zeros(1, 4), None, "square", bb.Linf(0.1), 5, goal=Detection(CAT, "mislabel"), ids=[7])
    assert error.value.result.queries.tolist() == [1] and oracle.rows == 1  # type: ignore[attr-defined]


def test_a_refusal_says_how_to_mend_it() -> None:
    with pytest.raises(ValueError, match=r"Detection\(oracle\(x\)\.answers\); on the command line references=FILE\.json"):
        Detection(mode="vanish")
    with pytest.raises(ValueError, match=r"but it was \{'detections': \[\]\}\. Turn it into one of these in a function"):
        judged(Detection(CAT), {"detections": []})
    with pytest.raises(ValueError, match=r"^[^…]*…\. Turn it"):
        judged(Detection(CAT), {"detections": ["a long answer"] * 20})


def test_a_line_tells_the_number_of_a_class_from_the_score() -> None:
    oracle = bb.Oracle(lambda x: [found((PLACE, 0.97, 1)), found((PLACE, 0.97, "cat"))], "answers")
    reply = oracle.submit(torch.zeros(2, 1), "user")
    goal = Detection(CAT).bound(Setting(2, reply.access, 10, None))
    assert [goal.excerpt(reply, row, row)["says"] for row in range(2)] == ["1: 97 %", "cat 97 %"]

"""The margins of `Detection`: of the boxes in an answer, and with their graph of those that a net returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from blackbox.goals.base import GoalError
from blackbox.goals.boxes import Boxes, Label, label_of, words
from blackbox.goals.twins import constant

if TYPE_CHECKING:
    from blackbox.goals.detection import Detection


class Found(NamedTuple):
    """What was found in one input. corners: [n, 4]. scores: [n]. labels: n numbers or words, or None."""

    corners: Tensor
    scores: Tensor
    labels: list[Label] | None


def of_answer(boxes: Boxes) -> Found:
    """The boxes of an answer, with their scores, which they have."""
    assert boxes.scores is not None
    corners, scores = (torch.from_numpy(np.array(v, order="C")) for v in (boxes.corners, boxes.scores))
    return Found(corners, scores, boxes.labels)


def rows_of(out: Any) -> list[Found]:
    """What a net found in each input: of a list of dicts, as torchvision's detectors return, of a dict of columns [m, n, ...], or of
    rows [m, n, 5 or 6] of x1, y1, x2, y2, score, label.

    Raises:
        ValueError: it is in none of these forms.
    """
    if isinstance(out, Tensor) and out.ndim == 3 and out.shape[2] in (5, 6):
        return [_found(row[:, :4], row[:, 4], row[:, 5] if out.shape[2] == 6 else None) for row in out]
    if isinstance(out, Mapping):
        boxes, scores, labels = _columns(out)
        return [_found(boxes[i], scores[i], None if labels is None else labels[i]) for i in range(len(boxes))]
    if isinstance(out, Sequence) and all(isinstance(each, Mapping) for each in out):
        return [_found(*_columns(each)) for each in out]
    raise ValueError(
        "Expected a net that returns a list of dicts with boxes, scores and labels, a dict of these for all inputs, or rows of x1, y1, x2, "
        f"y2, score, label, but it returned {type(out).__name__}."
    )


def margins(goal: Detection, found: Found, places: Boxes | None, row: int = 0) -> tuple[Tensor, Tensor]:
    """At each place how far above the goal's score a box to be found is, [j], and how far below it one that is not to be, [k].

    places: None, anywhere. row: of the call, for errors.

    Raises:
        GoalError: labels are missing, or cannot be compared.
    """
    none, scores = found.scores.new_zeros(0), found.scores[:, None]
    given = None if goal.label is None else [goal.label] * (1 if places is None else len(places))
    if places is None:
        return _best(goal, found, scores, given, row) - goal.score, none
    reach = _reach(goal, found, places)
    if goal.mode == "vanish":
        return none, goal.score - _best(goal, found, reach, given, row)
    wanted = _best(goal, found, reach, given or places.labels, row, others=goal.mode == "mislabel" and given is None)
    if goal.mode == "appear":
        return wanted - goal.score, none
    return wanted - goal.score, goal.score - _best(goal, found, reach, places.labels, row)


def lacking(values: Tensor, nothing: float, graph: Tensor) -> Tensor:
    """`goals.base.lacking` with its graph, which is ``graph``'s where there are no conditions."""
    if not len(values):
        return nothing + 0 * graph.sum()
    short = values.clamp_max(0).sum()
    return torch.where(short < 0, short, values.amin())


def _reach(goal: Detection, found: Found, places: Boxes) -> Tensor:
    """What of its score each box has at each place, [n, places]: at least the goal's if and only if it is found there."""
    from torchvision.ops import box_iou

    scores = found.scores[:, None]
    overlap = box_iou(found.corners, constant(places.corners, found.corners)).nan_to_num(nan=0.0)  # a box without area overlaps nothing
    beyond = goal.score + (scores - goal.score) * (overlap - goal.iou).clamp_min(0) / (1 - goal.iou)
    below = torch.minimum(scores, goal.score * overlap / goal.iou)
    return torch.where((overlap >= goal.iou) & (scores >= goal.score), beyond, below)


def _best(goal: Detection, found: Found, reach: Tensor, labels: list[Label] | None, row: int, others: bool = False) -> Tensor:
    """The most that a box has at each place, [places], 0 where there is none; of those of its label, or of ``others``."""
    if labels is not None:
        alike = torch.from_numpy(_alike(goal, found, labels, row) ^ others).to(reach.device)
        reach = torch.where(alike, reach, 0.0)
    return torch.cat([reach, reach.new_zeros(1, reach.shape[1])]).amax(0)


def _alike(goal: Detection, found: Found, labels: list[Label], row: int) -> np.ndarray:
    """Whether each box has the label of each place, [n, places]."""
    if found.labels is None:
        if not len(found.scores):
            return np.zeros((0, len(labels)), bool)
        raise GoalError(f"Expected a label with every box for the goal ({goal}), but there were none.", row)
    made, wanted = goal.known(found.labels), goal.known(labels)
    for one, other in ((made, wanted), (wanted, made)):
        words = [each for each in one if isinstance(each, str)]
        if words and other and not any(isinstance(each, str) for each in other):
            raise GoalError(
                f"Expected labels that can be compared, but {words[0]!r} is a word and others are numbers. Name the classes: "
                "Oracle(..., classes=['cat', 'dog', ...]), or --class-names; or give the label as the detector writes it.",
                row,
            )
    return np.array([[each == other for other in wanted] for each in made], bool).reshape(len(made), len(wanted))


def _columns(out: Mapping[Any, Any]) -> tuple[Any, Any, Any]:
    boxes, scores, labels = (next((out[word] for word in words(what) if word in out), None) for what in ("boxes", "scores", "labels"))
    if not isinstance(boxes, Tensor) or not isinstance(scores, Tensor):
        raise ValueError(f"Expected boxes and scores as tensors from a net, but it returned {', '.join(map(str, out))}.")
    return boxes, scores, labels


def _found(corners: Tensor, scores: Tensor, labels: Any) -> Found:
    corners, scores = (v if v.dtype == torch.float64 else v.float() for v in (corners.reshape(-1, 4), scores.reshape(-1)))
    plain = labels.tolist() if isinstance(labels, Tensor | np.ndarray) else labels
    return Found(corners, scores, None if plain is None else [label_of(each) for each in plain])

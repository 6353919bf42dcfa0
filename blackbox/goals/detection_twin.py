"""The loss of `Detection` with its graph: what `detection` computes of boxes in numpy, of those that a net returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from blackbox.goals.boxes import Boxes, label_of, words
from blackbox.goals.twins import constant

if TYPE_CHECKING:
    from blackbox.goals.detection import Detection


class Found(NamedTuple):
    """What a net found in one input. corners: [n, 4]. scores: [n]. boxes: the same without the graph, with their labels."""

    corners: Tensor
    scores: Tensor
    boxes: Boxes


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


def margins(goal: Detection, found: Found, places: Boxes | None, wanted: Any) -> Tensor:
    """How far each condition of the goal is met, [j]. wanted: the label given, for each place; None: the places' own."""
    if places is None:
        return _best(goal, found, found.scores[:, None], wanted) - goal.score
    reach = _reach(goal, found, places)
    if goal.mode == "vanish":
        return goal.score - _best(goal, found, reach, wanted)
    if goal.mode == "appear":
        return _best(goal, found, reach, wanted or places.labels) - goal.score
    other = _best(goal, found, reach, wanted or places.labels, others=wanted is None)
    return torch.cat([other - goal.score, goal.score - _best(goal, found, reach, places.labels)])


def lacking(values: Tensor, nothing: float, graph: Tensor) -> Tensor:
    """`goals.base.lacking` with its graph, which is ``graph``'s where there are no conditions."""
    if not len(values):
        return nothing + 0 * graph.sum()
    short = values.clamp_max(0).sum()
    return torch.where(short < 0, short, values.amin())


def _reach(goal: Detection, found: Found, places: Boxes) -> Tensor:
    from torchvision.ops import box_iou

    scores = found.scores[:, None]
    overlap = box_iou(found.corners, constant(places.corners, found.corners)).nan_to_num(nan=0.0)
    beyond = goal.score + (scores - goal.score) * (overlap - goal.iou).clamp_min(0) / (1 - goal.iou)
    below = torch.minimum(scores, goal.score * overlap / goal.iou)
    return torch.where((overlap >= goal.iou) & (scores >= goal.score), beyond, below)


def _best(goal: Detection, found: Found, reach: Tensor, labels: Any, others: bool = False) -> Tensor:
    if labels is not None:
        alike = torch.from_numpy(goal.alike_boxes(found.boxes, labels, 0) ^ others).to(reach.device)
        reach = torch.where(alike, reach, 0.0)
    return torch.cat([reach, reach.new_zeros(1, reach.shape[1])]).amax(0)


def _columns(out: Mapping[Any, Any]) -> tuple[Any, Any, Any]:
    boxes, scores, labels = (next((out[word] for word in words(what) if word in out), None) for what in ("boxes", "scores", "labels"))
    if not isinstance(boxes, Tensor) or not isinstance(scores, Tensor):
        raise ValueError(f"Expected boxes and scores as tensors from a net, but it returned {', '.join(map(str, out))}.")
    return boxes, scores, labels


def _found(corners: Tensor, scores: Tensor, labels: Any) -> Found:
    corners, scores = (v if v.dtype == torch.float64 else v.float() for v in (corners.reshape(-1, 4), scores.reshape(-1)))
    plain = labels.tolist() if isinstance(labels, Tensor | np.ndarray) else labels
    named = None if plain is None else [label_of(each) for each in plain]
    return Found(corners, scores, Boxes(corners.double().numpy(force=True), scores.double().numpy(force=True), named))

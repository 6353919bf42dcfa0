"""What a detector found, whatever form it says it in: boxes, scores and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Label = int | str

_WORDS = {"boxes": ("boxes", "box", "bboxes"), "scores": ("scores", "score", "confidence"), "labels": ("labels", "label", "classes")}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
FORMS = (
    "a dict with boxes [n, 4] (corners x1, y1, x2, y2), scores [n] and labels [n]; a list of one dict for each box; or rows of "
    "x1, y1, x2, y2, score, label"
)


class Boxes(NamedTuple):
    """n boxes. corners: [n, 4] float64, x1, y1, x2, y2. scores: [n], None where there are none. labels: n numbers or words, or None."""

    corners: np.ndarray
    scores: np.ndarray | None
    labels: list[Label] | None

    def __len__(self) -> int:
        return len(self.corners)

    def take(self, rows: np.ndarray) -> Boxes:
        """Some of them, ``rows`` [n] bool."""
        labels = None if self.labels is None else [label for label, kept in zip(self.labels, rows.tolist(), strict=True) if kept]
        return Boxes(self.corners[rows], None if self.scores is None else self.scores[rows], labels)


def boxes_of(said: Any) -> Boxes:
    """Read boxes from what a detector answers, in any of `FORMS`.

    Raises:
        ValueError: it is in none of them, of as many scores or labels as boxes, or not finite.
    """
    columns = _columns(said)
    try:
        corners = np.asarray(columns["boxes"], dtype=np.float64)
        scores = None if columns["scores"] is None else np.asarray(columns["scores"], dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise _unread(said) from None
    if corners.size == 0:
        corners = corners.reshape(0, 4)
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise ValueError(f"Expected boxes of shape [n, 4], but theirs was {list(corners.shape)}. A box is x1, y1, x2, y2.")
    labels = None if columns["labels"] is None else [label_of(each) for each in columns["labels"]]
    for what, each in (("scores", scores), ("labels", labels)):
        if each is not None and len(each) != len(corners):
            raise ValueError(f"Expected as many {what} as boxes, {len(corners)}, but there were {len(each)}.")
    for what, array in (("boxes", corners), ("scores", np.zeros(0) if scores is None else scores)):
        if not np.isfinite(array).all():
            raise ValueError(f"Expected finite {what}, but they held NaN or infinity: {array.tolist()!r:.80}.")
    if (corners[:, :2] > corners[:, 2:]).any():
        wrong = corners[(corners[:, :2] > corners[:, 2:]).any(1)][0].tolist()
        raise ValueError(f"Expected boxes as x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, but one was {wrong}. Convert them to corners.")
    return Boxes(corners, scores, labels)


def words(what: str) -> tuple[str, ...]:
    """How detectors call their boxes, scores or labels."""
    return _WORDS[what]


def label_of(each: Any) -> Label:
    """A label as a whole number or a word. Raises: ValueError, if it is neither."""
    if isinstance(each, str):
        return str(each)
    try:
        number = int(each)
        if number == each:
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"Expected a label to be a whole number or a word, but one was {each!r:.40}.")


def _columns(said: Any) -> dict[str, Any]:
    """Boxes, scores and labels, None for what is not there."""
    if isinstance(said, Mapping):
        return _by_key(said, said)
    if isinstance(said, Sequence) and not isinstance(said, str) and len(said) and all(isinstance(each, Mapping) for each in said):
        rows = [_by_key(each, said) for each in said]  # as pipelines answer: a dict for each box
        made: dict[str, Any] = {"boxes": [_corners(row["boxes"]) for row in rows]}
        for what in ("scores", "labels"):
            every = [row[what] for row in rows]
            made[what] = None if all(each is None for each in every) else every
        return made
    try:
        table = np.asarray(said, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.zeros(1)
    if table.size == 0:
        return {"boxes": np.zeros((0, 4)), "scores": np.zeros(0), "labels": []}
    if table.ndim != 2 or table.shape[1] not in (4, 5, 6):
        raise _unread(said)
    width = table.shape[1]
    return {
        "boxes": table[:, :4], "scores": table[:, 4] if width > 4 else None, "labels": table[:, 5].tolist() if width > 5 else None
    }  # fmt: skip


def _by_key(said: Mapping[Any, Any], whole: Any) -> dict[str, Any]:
    found = {what: next((said[word] for word in words if word in said), None) for what, words in _WORDS.items()}
    if found["boxes"] is None:
        raise _unread(whole)
    return found


def _unread(said: Any) -> ValueError:
    shown = text if len(text := repr(said)) <= 80 else f"{text[:79]}…"
    return ValueError(f"Expected {FORMS}, but it was {shown}. Turn it into one of these in a function around the target.")


def _corners(box: Any) -> Any:
    return [box[word] for word in _CORNERS] if isinstance(box, Mapping) and all(word in box for word in _CORNERS) else box

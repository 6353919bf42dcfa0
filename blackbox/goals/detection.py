"""`Detection`: let an object vanish from what a detector finds, let one appear, or let it be taken for something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.goals import detection_margins, excerpt
from blackbox.goals.base import Goal, GoalError, Setting, lacking
from blackbox.goals.boxes import FORMS, Boxes, Label, boxes_of, label_of
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access

MODES = ("vanish", "appear", "mislabel")


class Detection(Goal):
    """What a detector finds at given places is gone, is there, or has another label.

    A box *is found* at a place if its score is at least ``score`` and its intersection over union with the place at least ``iou``.
    ``"vanish"``: at no place a box is found, of whatever label, or of ``label``. ``"appear"``: at every place one is found, of its label
    if it has one. ``"mislabel"``: at every place a box of another label, or of ``label``, is found, and none of the reference's.

    An answer is a dict of boxes, scores and labels, as torchvision's detectors give it; a list of one dict for each box; or rows of
    x1, y1, x2, y2, score, label. An empty list is an answer: nothing found.

    Args:
        references: the places, in the same forms: a list with one for each sample (what the detector says of the clean inputs will do:
            of boxes with scores those below ``score`` are left out), or a dict for all. None, with ``"appear"`` alone: anywhere.
        mode: ``"vanish"``, ``"appear"`` or ``"mislabel"``.
        score: from which score on a box counts, between 0 and 1.
        iou: from which overlap on a box is at a place, between 0 and 1.
        label: a number or a word, of the boxes that are to vanish or to appear, or that others are to be taken for.

    The loss is the score of the box that decides, less ``score``, summed over the places that are short of the goal. That of a box which
    overlaps less than ``iou`` counts no more than its part, ``score * overlap / iou``; above it the more, the more it overlaps; so that the
    loss is continuous where boxes move.

    Raises:
        ValueError: no such mode, a threshold out of range, or no references where there have to be some.
    """

    needs = Access.ANSWERS

    def __init__(
        self, references: Any = None, mode: str = "vanish", score: float = 0.5, iou: float = 0.5, label: Label | None = None
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"Expected mode to be one of {', '.join(MODES)}, but it was {mode!r}.")
        for what, each in (("score", score), ("iou", iou)):
            if not isinstance(each, int | float | np.number) or not 0 < each < 1:
                raise ValueError(f"Expected {what} between 0 and 1, but it was {each!r}.")
        if references is None and mode != "appear":
            raise ValueError(
                f"Expected references, the boxes that were found, with mode {mode!r}, but there were none. Give what the detector "
                "says of the clean inputs: Detection(oracle(x).answers); on the command line references=FILE.json, a list with an "
                "entry for each image."
            )
        self.references, self.mode, self.score, self.iou = references, mode, float(score), float(iou)
        self.label = None if label is None else label_of(label)
        self._places: list[Boxes] = []
        self._names: dict[str, int] = {}

    def bind(self, setting: Setting) -> None:
        self._names = {name: i for i, name in enumerate(setting.names or ())}
        if self.references is None:
            return
        one = isinstance(self.references, Mapping)
        if not one and not isinstance(self.references, list | tuple):
            raise ValueError(
                f"Expected references as a list with an entry for each sample, or a dict for all, but they were "
                f"{type(self.references).__name__}. An entry is {FORMS}."
            )
        if not one and len(self.references) != setting.samples:
            raise ValueError(
                f"Expected references for all {setting.samples} samples or one for each, but there were {len(self.references)}. Give them "
                "in the order of x."
            )
        places = [self._place(each, i) for i, each in enumerate([self.references] if one else self.references)]
        self._places = places * setting.samples if one else places

    def _place(self, said: Any, sample: int) -> Boxes:
        try:
            boxes = boxes_of(said)
        except ValueError as error:
            raise ValueError(f"{error} So it was with the reference of sample {sample}.") from None
        if boxes.scores is not None:
            boxes = boxes.take(boxes.scores >= self.score)
        if self.mode == "mislabel" and len(boxes):
            if boxes.labels is None:
                raise ValueError(f"Expected labels with the reference of sample {sample}, for boxes to lose them, but there were none.")
            if self.label is not None and self.known([self.label])[0] in self.known(boxes.labels):
                raise ValueError(
                    f"Expected boxes of another label than {self.label!r} to be taken for it, but sample {sample} has one of this label."
                )
        if self.mode == "appear" and not len(boxes):
            raise ValueError(
                f"Expected a box where something is to appear for sample {sample}, but there was none. For anywhere leave the references "
                "out."
            )
        return boxes

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        margins = [self._margins(answer, int(i), row) for row, (answer, i) in enumerate(zip(reply.answers or (), who, strict=True))]
        reached = [bool((there >= 0).all() and (gone > 0).all()) for there, gone in margins]
        return np.array([lacking(np.concatenate(each), self.score) for each in margins]), np.array(reached, bool)

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        """The same of what a detector returns, boxes with their graph; see `Goal.twin` and `detection_margins.rows_of`."""
        losses = []
        for found, sample in zip(detection_margins.rows_of(out), who, strict=True):
            margins = torch.cat(detection_margins.margins(self, found, self._at(sample)))
            losses.append(detection_margins.lacking(margins, self.score, found.scores))
        return torch.stack(losses)

    def _margins(self, answer: Any, sample: int, row: int) -> tuple[np.ndarray, np.ndarray]:
        """See `detection_margins.margins`."""
        try:
            found = boxes_of(answer)
        except ValueError as error:
            raise GoalError(f"{error} So it was with an answer for the goal ({self}).", row) from None
        if found.scores is None:
            raise GoalError(f"Expected a score with every box for the goal ({self}), but there were none: {answer!r:.80}.", row)
        there, gone = detection_margins.margins(self, detection_margins.of_answer(found), self._at(sample), row)
        return there.numpy(), gone.numpy()

    def _at(self, sample: int) -> Boxes | None:
        """The places of a sample; None, anywhere."""
        return None if self.references is None else self._places[sample]

    def known(self, labels: list[Any]) -> list[Any]:
        """Labels, of which words that name a class of the oracle's are its number."""
        return [self._names.get(each, each) if isinstance(each, str) else each for each in labels]

    def excerpt(self, reply: Reply, row: int, sample: int) -> dict[str, Any]:
        answers: Any = reply.answers
        return excerpt.boxes(boxes_of(answers[row]), tuple(self._names), self.score)

    def unreached(self) -> str:
        return {
            "vanish": "an object is found at its place", "appear": "nothing such is found there", "mislabel": "an object has its label"
        }[self.mode]  # fmt: skip

    def describe(self) -> str:
        where = "anywhere" if self.references is None else "at the places given for each image"
        told = {
            "vanish": f"{'nothing' if self.label is None else f'no {self.label}'} is found where the objects were",
            "appear": f"{'an object' if self.label is None else self.label} is found {where}",
            "mislabel": f"the objects are taken for {'something else' if self.label is None else self.label}",
        }[self.mode]
        return f"{told} (score {self.score:g}, overlap {self.iou:g})"

"""`Segmentation`: a share of the pixels gets a wrong label, or that of a given map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.goals import excerpt
from blackbox.goals.base import Goal, GoalError, Setting
from blackbox.goals.twins import output
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access
from blackbox.targets.rows import plain

MODES = ("leave", "reach")
_KEYS = ("out", "logits")  # how torchvision and transformers call them
_FAR = 1e6  # a margin's size at most: the score of a masked class is -inf


class Segmentation(Goal):
    """At least a share of the pixels no longer has its label in the reference map, or has it now.

    An answer is a row of scores for each pixel, [C, H, W], or a map of labels, [H, W]; or a dict that has one of these as ``out`` or
    ``logits``, as the nets of torchvision and transformers give it.

    Args:
        references: [H, W] whole numbers for all samples, or [N, H, W]: the true labels, or the map to show.
        share: of the pixels, above 0, at most 1.
        mode: ``"leave"``: they are wrong; ``"reach"``: they are as the map says.
        ignore: the label of pixels that do not count.

    With scores the loss is what the pixels nearest to the goal, as many as have to be there, lack on average (the best other score
    less the label's own, or the reverse); once none lacks anything, what the last of them has to spare. With labels it is the share.

    Raises:
        ValueError: no such mode, or a share out of range.
    """

    needs = Access.ANSWERS

    def __init__(self, references: Any, share: float = 0.5, mode: str = "leave", ignore: int = 255) -> None:
        if mode not in MODES:
            raise ValueError(f"Expected mode to be one of {', '.join(MODES)}, but it was {mode!r}.")
        if not isinstance(share, int | float | np.number) or not 0 < share <= 1:
            raise ValueError(f"Expected share above 0 and at most 1, of the pixels, but it was {share!r}.")
        self.references, self.share, self.mode, self.ignore = references, float(share), mode, ignore
        self._names: tuple[str, ...] = ()

    def bind(self, setting: Setting) -> None:
        self._names = tuple(setting.names or ())
        try:
            made = np.asarray(plain(self.references))
        except ValueError:
            made = np.zeros(0)
        if made.ndim not in (2, 3) or made.dtype.kind not in "iub":
            raise ValueError(
                f"Expected references as maps of whole numbers of one size, [H, W] or [N, H, W], but they were {made.dtype} of shape "
                f"{made.shape}."
            )
        if made.ndim == 3 and len(made) not in (1, setting.samples):
            raise ValueError(f"Expected references for all {setting.samples} samples or one for each, but there were {len(made)}.")
        every = made[None] if made.ndim == 2 else made
        for i, each in enumerate(every):
            if (each == self.ignore).all():
                raise ValueError(f"Expected pixels that count, but all in the reference of sample {i} have the label {self.ignore}.")
            if (each[each != self.ignore] < 0).any():
                raise ValueError(
                    f"Expected labels of at least 0, but the reference of sample {i} has {each.min()}. If such pixels do not count, give "
                    f"ignore={each.min()}."
                )
        self.references = np.broadcast_to(every, (setting.samples, *every.shape[1:]))

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        judged = [self._one(answer, self.references[i], row) for row, (answer, i) in enumerate(zip(reply.answers or (), who, strict=True))]
        return np.array([loss for loss, _ in judged]), np.array([reached for _, reached in judged], bool)

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        """The same of scores [m, C, H, W], or of a dict that has them; see `Goal.twin`."""
        if isinstance(out, Mapping):
            out = next((out[key] for key in _KEYS if key in out), out)
        scores, size = output(out, self, axes=3), self.references.shape[1:]
        if tuple(scores.shape[2:]) != size:
            raise ValueError(
                f"Expected a net that returns maps of {' x '.join(map(str, size))} pixels, as the references have, but it returned "
                f"{' x '.join(map(str, scores.shape[2:]))}. Scale them, in the net."
            )
        return torch.stack([self._one_of_net(values, self.references[i]) for values, i in zip(scores, who, strict=True)])

    def _one_of_net(self, scores: Tensor, reference: np.ndarray) -> Tensor:
        """The loss of one row of scores [C, H, W]."""
        counts, wanted, least = self._counted(reference)
        if wanted.max() >= len(scores):
            raise ValueError(f"Expected a net that scores {wanted.max() + 1} labels, as the reference has, but it scores {len(scores)}.")
        labels, values = torch.from_numpy(wanted).to(scores.device), scores[:, torch.from_numpy(counts).to(scores.device)]
        others = values.scatter(0, labels[None], -torch.inf).amax(0)
        margins = (others - values.gather(0, labels[None])[0]).clamp(-_FAR, _FAR)
        nearest = (margins if self.mode == "leave" else -margins).topk(least).values
        short = nearest.clamp_max(0).sum() / least
        return torch.where(short < 0, short, nearest.amin())

    def _one(self, answer: Any, reference: np.ndarray, row: int) -> tuple[float, bool]:
        shown = self._shown(answer, reference.shape, row)
        counts, labels, least = self._counted(reference)
        values = shown[..., counts]  # [C, n] or [n]
        found = values if values.ndim == 1 else values.argmax(0)
        there = int(((found != labels) if self.mode == "leave" else (found == labels)).sum())
        if values.ndim == 1:
            return (there - least) / len(labels), there >= least
        if labels.max() >= len(values):
            raise GoalError(
                f"Expected labels from 0 to {len(values) - 1}, which the target scores, but the reference has {labels.max()}.", row
            )
        at = np.arange(len(labels))
        own = values[labels, at]
        values[labels, at] = -np.inf
        margins = np.clip(values.max(0) - own if self.mode == "leave" else own - values.max(0), -_FAR, _FAR)
        nearest = -np.partition(-margins, least - 1)[:least]
        short = float(np.minimum(nearest, 0).sum(dtype=np.float64)) / least
        return short if short < 0 else float(nearest.min()), there >= least

    def _counted(self, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Which pixels of a map count, [H, W] bool, their labels, [n], and how many of them at least have to be as the goal says."""
        counts = reference != self.ignore
        labels = reference[counts].astype(np.int64)
        return counts, labels, math.ceil(self.share * len(labels) - 1e-9)

    def _shown(self, answer: Any, size: tuple[int, ...], row: int) -> np.ndarray:
        """The scores [C, H, W] or labels [H, W] of an answer, a copy."""
        if isinstance(answer, Mapping):
            answer = next((answer[key] for key in _KEYS if key in answer), None)
        try:
            made = np.array(answer)
        except ValueError:
            made = np.zeros(0)
        if made.dtype.kind not in "iubf" or made.ndim not in (2, 3) or (made.ndim == 3 and len(made) < 2):
            raise GoalError(
                f"Expected scores [C, H, W] of two or more classes, or labels [H, W], for the goal ({self}), but the answer was "
                f"{made.dtype} of shape {made.shape}.",
                row,
            )
        if made.shape[-2:] != size:
            raise GoalError(
                f"Expected maps of {' x '.join(map(str, size))} pixels, as the references have, but the answer has "
                f"{' x '.join(map(str, made.shape[-2:]))}. Scale one of them, in the target.",
                row,
            )
        if np.isnan(made).any():
            raise GoalError(f"Expected numbers as an answer for the goal ({self}), but it held NaN.", row)
        if made.ndim == 2 and made.dtype.kind == "f" and (made != np.round(made)).any():
            raise GoalError(f"Expected whole numbers as labels [H, W] for the goal ({self}), but it held fractions.", row)
        return made

    def excerpt(self, reply: Reply, row: int, sample: int) -> dict[str, Any]:
        answers: Any = reply.answers
        shown = self._shown(answers[row], self.references[sample].shape, row)
        return excerpt.label_map(shown if shown.ndim == 2 else shown.argmax(0), self._names)

    def unreached(self) -> str:
        return "fewer pixels are wrong" if self.mode == "leave" else "fewer pixels are as the map says"

    def describe(self) -> str:
        what = "have a wrong label" if self.mode == "leave" else "have the label of the given map"
        return f"{100 * self.share:g} % of the pixels {what}"

"""`ZeroShot`: of several texts another one comes nearest to an image, by their embeddings (CLIP and its kind)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.goals import excerpt
from blackbox.goals.base import Goal, GoalError, Setting, labelled, numbers, per_sample
from blackbox.goals.twins import constant, norm, output
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access
from blackbox.targets.rows import plain

_IMAGE = "image_embeds"  # how transformers calls it


class ZeroShot(Goal):
    """The text nearest to an image, by the cosine of their embeddings, is no longer the right one, or is a given one.

    An answer is the embedding [d] of an image, or a dict that has it as ``image_embeds``. The texts are embedded once, before: the
    target that is attacked, and paid for, is the image encoder.

    Args:
        texts: [T, d] embeddings of the texts, or a dict {text: embedding}.
        leave: the text that is right, by its number or by itself; for all samples or [N].
        reach: the text to come nearest instead. One of the two is given.

    The loss is the difference of two cosines, that of the best other text less the right one's, or of the text to reach less the best
    other's. A tie reaches nothing.

    Raises:
        ValueError: both or none of leave and reach, or fewer than two texts.
    """

    needs = Access.ANSWERS

    def __init__(self, texts: Any, *, leave: Any = None, reach: Any = None) -> None:
        if (leave is None) == (reach is None):
            raise ValueError("Expected either the text to leave or the one to reach, but there were both or none. Give leave=y, say.")
        self.names = list(map(str, texts)) if isinstance(texts, Mapping) else None
        listed = plain(list(texts.values()) if isinstance(texts, Mapping) else texts)
        self.texts = per_sample(listed, "the embeddings of the texts", len(listed), axes=1)
        if len(self.texts) < 2:
            raise ValueError(f"Expected two texts or more, but there were {len(self.texts)}.")
        length = np.linalg.norm(self.texts, axis=1, keepdims=True)
        if not length.all():
            raise ValueError(f"Expected embeddings of some length, but that of text {int(length.argmin())} is zero: it has no direction.")
        self.texts = self.texts / length
        self.leave, self.reach = leave, reach
        self._of = np.zeros(0, np.int64)

    @property
    def _chosen(self) -> Any:
        return self.reach if self.leave is None else self.leave

    def bind(self, setting: Setting) -> None:
        what = "the text to leave" if self.reach is None else "the text to reach"
        names = self.names if self.names is not None else setting.names
        of = labelled(self._chosen, what, setting.samples, names)
        for i, each in enumerate(of):
            if isinstance(each, str):
                known = "a number, since the texts have no names" if names is None else f"one of {', '.join(list(names)[:8])}"
                raise ValueError(f"Expected {what} to be {known}, but for sample {i} it was {each!r}. Give texts={{text: embedding}}.")
            if not 0 <= each < len(self.texts):
                raise ValueError(f"Expected {what} from 0 to {len(self.texts) - 1}, but for sample {i} it was {each}.")
        self._of = np.array(of, np.int64)

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = self._embeddings(reply)
        if found.shape[1] != self.texts.shape[1]:
            raise GoalError(
                f"Expected embeddings of {self.texts.shape[1]} numbers, as the texts have, but the target returns {found.shape[1]}.", 0
            )
        cosines = (found[:, None, :] * self.texts).sum(2)  # a sum for each row: no product of matrices, which depends on the batch
        cosines /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-30)
        of, at = self._of[who], np.arange(len(who))
        own = cosines[at, of]
        cosines[at, of] = -np.inf
        loss = cosines.max(1) - own if self.reach is None else own - cosines.max(1)
        return loss, loss > 0

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        """The same of embeddings [m, d], or of a dict that has them; see `Goal.twin`."""
        found = output(out[_IMAGE] if isinstance(out, Mapping) and _IMAGE in out else out, self, axes=1)
        if found.shape[1] != self.texts.shape[1]:
            raise ValueError(
                f"Expected embeddings of {self.texts.shape[1]} numbers, as the texts have, but the net returns {found.shape[1]}. Give each "
                "net a goal of its own, with the embeddings that its text encoder makes: surrogates.prior(nets, goal=[...])."
            )
        cosines = (found[:, None, :] * constant(self.texts, found)).sum(2) / norm(found).clamp_min(1e-30)[:, None]
        own = constant(np.eye(len(self.texts), dtype=bool)[self._of[who]], cosines).bool()
        loss = cosines.masked_fill(own, -torch.inf).amax(1) - cosines.masked_fill(~own, -torch.inf).amax(1)
        return loss if self.reach is None else -loss

    def _embeddings(self, reply: Reply) -> np.ndarray:
        answers = reply.answers or []
        if answers and isinstance(answers[0], Mapping):
            if _IMAGE not in answers[0]:
                raise GoalError(f"Expected an embedding for the goal ({self}), or a dict with {_IMAGE}, but the answer had "
                                f"{', '.join(list(answers[0])[:8])}.", 0)  # fmt: skip
            reply = replace(reply, answers=[each[_IMAGE] for each in answers])
        return numbers(reply, self, axes=1)

    def excerpt(self, reply: Reply, row: int, sample: int) -> dict[str, Any]:
        found = self._embeddings(reply.one(row))[0]
        cosines = self.texts @ (found / max(float(np.linalg.norm(found)), 1e-30))
        first = int(cosines.argmax())
        return excerpt.text(f"{self.names[first] if self.names is not None else f'text {first}'}, cosine {cosines[first]:.3f}")

    def unreached(self) -> str:
        return "the right text is nearest" if self.reach is None else "another text is nearest"

    def describe(self) -> str:
        each = self._chosen
        if self.names is not None and isinstance(each, int) and 0 <= each < len(self.names):
            each = self.names[each]
        one = isinstance(each, int | str)
        if self.reach is None:
            return f"another text than {repr(each) if one else 'the right one'} is nearest, of {len(self.texts)}"
        return f"the text {repr(each) if one else 'given for each image'} is nearest, of {len(self.texts)}"

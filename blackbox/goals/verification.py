"""`Verification`: be taken for somebody else, or no longer for oneself, by an embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from blackbox.goals.base import Goal, GoalError, Setting, numbers, per_sample
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access

MODES, METRICS = ("impersonate", "dodge"), ("cosine", "euclidean")


class Verification(Goal):
    """The embedding that the target returns comes near a reference, or leaves it.

    Args:
        references: [d] one embedding for all samples, or [N, d].
        threshold: from which similarity on (``"cosine"``), or up to which distance (``"euclidean"``), two are one person.
        mode: ``"impersonate"``: be taken for the reference; ``"dodge"``: not to be.
        metric: ``"cosine"`` or ``"euclidean"``.
        pictures: the images of the references, for reports: [channels, height, width] in [0, 1], or one for each sample.

    Raises:
        ValueError: no such mode or metric, or a threshold that decides nothing.
    """

    needs = Access.ANSWERS

    def __init__(
        self, references: Any, threshold: float, mode: str = "impersonate", metric: str = "euclidean", pictures: Any = None
    ) -> None:
        if mode not in MODES or metric not in METRICS:
            raise ValueError(
                f"Expected mode of {' or '.join(MODES)} and metric of {' or '.join(METRICS)}, but they were {mode!r} and {metric!r}."
            )
        number = isinstance(threshold, int | float | np.number)
        within = number and (-1 < threshold < 1 if metric == "cosine" else 0 < threshold < np.inf)
        if not within:
            least = "between -1 and 1, a cosine," if metric == "cosine" else "above 0, a distance,"
            raise ValueError(f"Expected a threshold {least} but it was {threshold!r}.")
        self.references, self.threshold, self.mode, self.metric = references, float(threshold), mode, metric
        self.pictures = None if pictures is None else np.asarray(pictures, dtype=np.float32)

    def bind(self, setting: Setting) -> None:
        self.references = per_sample(self.references, "the reference embeddings", setting.samples, axes=1)
        shaped = self.pictures is None or (self.pictures.ndim in (3, 4) and self.pictures.shape[:-3] in ((), (1,), (setting.samples,)))
        if self.pictures is not None and not shaped:
            raise ValueError(
                f"Expected pictures of the references as [channels, height, width] or one for each of {setting.samples} samples, but their "
                f"shape was {list(self.pictures.shape)}."
            )
        if self.metric == "cosine" and not (norms := np.linalg.norm(self.references, axis=1)).all():
            raise ValueError(f"Expected references of some length, but that of sample {int(norms.argmin())} is zero: it has no direction.")

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found, reference = numbers(reply, self, axes=1), self.references[who]
        if found.shape[1] != reference.shape[1]:
            raise GoalError(
                f"Expected embeddings of {reference.shape[1]} numbers, as the references have, but the target returns {found.shape[1]}.", 0
            )
        if self.metric == "euclidean":
            near = self.threshold - np.linalg.norm(found - reference, axis=1)
        else:
            length = np.linalg.norm(found, axis=1) * np.linalg.norm(reference, axis=1)
            near = (found * reference).sum(1) / np.maximum(length, 1e-30) - self.threshold
        return (near, near >= 0) if self.mode == "impersonate" else (-near, near < 0)

    def excerpt(self, reply: Reply, row: int, sample: int) -> dict[str, Any]:
        answers: Any = reply.answers
        loss, _ = self.judge(Reply(reply.access, reply.label[row : row + 1], None, None, reply.total, answers=[answers[row]]),
                             np.array([sample]))  # fmt: skip
        near = float(loss[0]) if self.mode == "impersonate" else -float(loss[0])
        value = self.threshold - near if self.metric == "euclidean" else self.threshold + near
        what = "distance" if self.metric == "euclidean" else "similarity"
        return {"form": "number", "value": value, "says": f"{what} {value:.3g}: {'the same' if near >= 0 else 'another'}"}

    def picture(self, sample: int) -> np.ndarray | None:
        if self.pictures is None:
            return None
        shown = np.asarray(self.pictures)
        return shown if shown.ndim == 3 else shown[sample if len(shown) > 1 else 0]

    def unreached(self) -> str:
        return "not taken for the reference" if self.mode == "impersonate" else "taken for the reference"

    def describe(self) -> str:
        what = "taken for the reference" if self.mode == "impersonate" else "no longer taken for the reference"
        return f"{what} ({self.metric} {'similarity' if self.metric == 'cosine' else 'distance'}, threshold {self.threshold:g})"

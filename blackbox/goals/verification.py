"""`Verification`: be taken for somebody else, or no longer for oneself, by an embedding."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from blackbox.goals.base import Goal, GoalError, Setting, numbers, per_sample
from blackbox.goals.twins import constant, norm, output
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access
from blackbox.targets.rows import plain

MODES, METRICS = ("impersonate", "dodge"), ("cosine", "euclidean")


class Verification(Goal):
    """The embedding that the target returns comes near a reference, or leaves it.

    Args:
        references: [d] one embedding for all samples, or [N, d].
        threshold: from which similarity on (``"cosine"``), or up to which distance (``"euclidean"``), two are one person.
        mode: ``"impersonate"``: be taken for the reference; ``"dodge"``: not to be.
        metric: ``"cosine"`` or ``"euclidean"``.
        images: the reference images, [\\*shape] or [N, \\*shape] in [0, 1]. Reports show them; and since another net puts a face
            elsewhere, each surrogate's references are what it makes of these. Without them surrogates are taken to share the target's
            embedding.

    Raises:
        ValueError: no such mode or metric, or a threshold that decides nothing.
    """

    needs = Access.ANSWERS

    def __init__(
        self, references: Any, threshold: float, mode: str = "impersonate", metric: str = "euclidean", images: Any = None
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
        self.images = None if images is None else np.asarray(plain(images), np.float32)

    def seen_by(self, net: Callable[[Any], np.ndarray]) -> Goal:
        made = copy.copy(self)
        if self.images is not None:
            made.references, made.images = net(self.images), None
        return made

    def bind(self, setting: Setting) -> None:
        self.references = per_sample(self.references, "the reference embeddings", setting.samples, axes=1)
        if self.images is not None and self.images.ndim > 3 and len(self.images) not in (1, setting.samples):
            raise ValueError(
                f"Expected one reference image for all {setting.samples} samples or one for each, but there were {len(self.images)}."
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

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        """The same of embeddings [m, d]; see `Goal.twin`. At a distance of zero the gradient leads away (`twins.norm`)."""
        found = output(out, self, axes=1)
        if found.shape[1] != self.references.shape[1]:
            raise ValueError(
                f"Expected embeddings of {self.references.shape[1]} numbers, as the references have, but the net returns {found.shape[1]}. "
                "Give the reference images too, Verification(..., images=...), of which each surrogate makes references of its own."
            )
        reference = constant(self.references[who], found)
        if self.metric == "euclidean":
            near = self.threshold - norm(found - reference)
        else:
            length = norm(found) * norm(reference)
            near = (found * reference).sum(1) / length.clamp_min(1e-30) - self.threshold
        return near if self.mode == "impersonate" else -near

    def excerpt(self, reply: Reply, row: int, sample: int) -> dict[str, Any]:
        loss, _ = self.judge(reply.one(row), np.array([sample]))
        near = float(loss[0]) if self.mode == "impersonate" else -float(loss[0])
        value = self.threshold - near if self.metric == "euclidean" else self.threshold + near
        what = "distance" if self.metric == "euclidean" else "similarity"
        return {"form": "number", "value": value, "says": f"{what} {value:.3g}: {'the reference' if near >= 0 else 'not the reference'}"}

    def picture(self, sample: int) -> np.ndarray | None:
        if self.images is None:
            return None
        shown = self.images if self.images.ndim < 4 else self.images[sample if len(self.images) > 1 else 0]
        return shown if shown.ndim == 3 else None  # other inputs are no pictures

    def unreached(self) -> str:
        return "not taken for the reference" if self.mode == "impersonate" else "taken for the reference"

    def describe(self) -> str:
        what = "taken for the reference" if self.mode == "impersonate" else "no longer taken for the reference"
        return f"{what} ({self.metric} {'similarity' if self.metric == 'cosine' else 'distance'}, threshold {self.threshold:g})"

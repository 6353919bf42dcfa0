"""`Channel`: what stands between a target and its client. Each is a target around a target, so they stack.

A channel's draws are a function of its own seed and of the number of the query since it was made, never of a global
generator; so a run on a new channel repeats exactly.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.targets.answer import Answer, numbers
from blackbox.targets.info import TargetInfo, info_of
from blackbox.targets.reading import Reader, Reading
from blackbox.targets.rejections import split, spread
from blackbox.targets.target import Target, Wrapper


class Channel(Wrapper):
    """Base class of channels. Subclasses change the image (`before`), the answer (`after`), or both.

    A channel describes its effect with ``own_probe``, ``own_resolution``, ``own_noise`` and ``own_randomised``; its `info`
    adds them to that of the target behind it (`blackbox.targets.TargetInfo`).

    Attributes:
        of_classes: it changes or hides scores of classes, and so cannot stand before answers of any form.
        any_form: the answers that pass are of any form; an oracle that shows these says so.
    """

    of_classes: ClassVar[bool] = False
    any_form = False

    own_probe: float = 0.0
    own_resolution: float = 0.0
    own_noise: float = 0.0
    own_randomised: bool = False

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._shown = 0
        self._lock = threading.Lock()

    @property
    def info(self) -> TargetInfo:  # type: ignore[override]
        behind = info_of(self.inner)
        return replace(
            behind,
            name=f"{self} of {behind.name}",
            probe=max(self.own_probe, behind.probe),
            resolution=max(self.own_resolution, behind.resolution),
            noise=math.hypot(self.own_noise, behind.noise),
            randomised=self.own_randomised or behind.randomised,
            keyed=False,
        )

    @property
    def reading(self) -> Reading | None:
        """How the answers of the target behind all channels are read, where one of them reads them; None before the first one."""
        found: Reading | None = getattr(self.inner, "reading", None)
        return found

    def __str__(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self}({self.inner!r})"

    def before(self, x: Tensor, rows: np.ndarray) -> Tensor:
        """Change images ``x`` [m, \\*shape] before the target sees them; ``rows`` [m] uint64 are their numbers."""
        return x

    def after(self, out: Any, rows: np.ndarray) -> Any:
        """Change the answer ``out`` before the client sees it."""
        return out

    def predict(self, x: Tensor) -> Any:
        with self._lock:
            rows = np.arange(self._shown, self._shown + len(x), dtype=np.uint64)
            self._shown += len(x)
        out = self.inner.predict(self.before(x, rows))
        if isinstance(out, Tensor) or self.any_form:
            return self.after(out, rows)
        answered, rejected = split(out)
        if rejected is None:
            return self.after(out, rows)
        if answered is not None:  # a channel knows nothing of rejections: it changes the answers to the other rows
            answered = self.after(answered, rows[(~rejected).numpy(force=True)])
        return spread(answered, rejected)

    @contextlib.contextmanager
    def innermost_as(self, wrap: Callable[[Target], Target]) -> Iterator[None]:
        """In this context ``wrap(target)`` replaces the innermost target, behind this and all other channels."""
        with contextlib.ExitStack() as stack:
            inner = self.inner
            if isinstance(inner, Channel):
                stack.enter_context(inner.innermost_as(wrap))
            else:
                self.inner = wrap(inner)
                stack.callback(setattr, self, "inner", inner)
            yield


class Scores(Channel):
    """A channel that changes scores. It shows probabilities [m, C], and the label apart from them.

    Logits are turned into probabilities, as a service would, and the target's label is kept apart from what is done to
    its scores.

    Raises:
        ValueError: the target behind shows labels only.
    """

    of_classes = True

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        behind = info_of(self.inner)
        said = behind.returns and Reading.said(behind.returns, f"announced by {behind.name}")
        self._reader = Reader(behind.name, said or None)

    @property
    def reading(self) -> Reading | None:
        return super().reading or self._reader.reading

    @property
    def info(self) -> TargetInfo:  # type: ignore[override]
        return replace(super().info, returns="probabilities")

    def after(self, out: Any, rows: np.ndarray) -> Any:
        label, scores = (out.label, out.scores) if isinstance(out, Answer) else (None, numbers(out, self._reader.name))
        scores = torch.zeros(0) if scores is None else scores
        reading = self._reader.decide(scores)
        if reading.returns == "labels" or scores.ndim != 2:
            raise ValueError(f"Expected scores [m, C] from {self._reader.name}, but it shows labels. {self} has nothing to change.")
        label = scores.argmax(1) if label is None else label
        scores = reading.unscaled(scores)
        if reading.watched:  # recognised, not announced
            self._reader.check(scores.numpy(force=True), len(rows))
        return self.change(label, scores if reading.probable else scores.softmax(1), rows)

    def change(self, label: Tensor, p: Tensor, rows: np.ndarray) -> Answer:
        """What is shown instead of ``label`` [m] and probabilities ``p`` [m, C]."""
        raise NotImplementedError

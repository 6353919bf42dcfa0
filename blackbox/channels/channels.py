"""Channels: what stands between a target and its client. Each is a target around a target, so they stack.

A channel that shows scores shows probabilities: logits are turned into them, as a service would, and the target's
label is kept apart from what is done to its scores. What a channel draws is a function of its own seed and of the
number of the row, counted from the channel's making, never of a global generator; so a run repeats exactly on a
channel made afresh.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import Access
from blackbox.rng import Stream
from blackbox.targets import Answer, as_target, recognise


class Channel:
    """A target seen through something. Subclasses change the image (`before`), the answer (`after`), or both.

    Args:
        model: anything an `Oracle` takes, another channel among them.

    Attributes:
        probe, resolution, noise, randomised, flags: what this channel and those behind it do to a client; see
            `blackbox.targets.Target`.
    """

    own_probe: float = 0.0
    own_resolution: float = 0.0
    own_noise: float = 0.0
    own_randomised: bool = False

    def __init__(self, model: Any) -> None:
        self._behind = as_target(model)
        self._returns = self._behind.returns
        self._shown = 0
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return f"{self} of {self._behind.name}"

    @property
    def device(self) -> torch.device:
        return self._behind.device

    @property
    def returns(self) -> str | None:
        return self._behind.returns

    @property
    def probe(self) -> float:
        return max(self.own_probe, self._inherited("probe", 0.0))

    @property
    def resolution(self) -> float:
        return max(self.own_resolution, self._inherited("resolution", 0.0))

    @property
    def noise(self) -> float:
        return math.hypot(self.own_noise, self._inherited("noise", 0.0))

    @property
    def randomised(self) -> bool:
        return self.own_randomised or self._inherited("randomised", False)

    @property
    def flags(self) -> np.ndarray | None:
        return self._inherited("flags", None)

    @property
    def classes(self) -> int | None:
        return self._inherited("classes", None)

    @property
    def max_rows(self) -> int | None:
        return self._inherited("max_rows", None)

    @property
    def shows(self) -> Access | None:
        return self._inherited("shows", None)

    @property
    def retried(self) -> int:
        return self._inherited("retried", 0)

    def _inherited(self, name: str, otherwise: Any) -> Any:
        return getattr(self._behind, name, otherwise)

    def __str__(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self}({self._behind!r})"

    def before(self, x: Tensor, rows: np.ndarray) -> Tensor:
        """What the target behind gets to see of images ``x`` [m, \\*shape]; ``rows`` [m] uint64 are their numbers."""
        return x

    def after(self, out: Any, rows: np.ndarray) -> Any:
        """What the client gets to see of the answer ``out``."""
        return out

    def predict(self, x: Tensor) -> Any:
        with self._lock:
            rows = np.arange(self._shown, self._shown + len(x), dtype=np.uint64)
            self._shown += len(x)
        return self.after(self._behind.predict(self.before(x, rows)), rows)

    def _label(self, out: Any) -> Tensor:
        """[m] the label of an answer of any form."""
        if isinstance(out, Answer):
            return out.label
        out = torch.as_tensor(out)
        return out.to(torch.int64) if out.ndim == 1 else out.argmax(1)


class Scores(Channel):
    """A channel that changes scores: shows probabilities [m, C], and the label apart from them.

    Raises:
        ValueError: the target behind shows labels only.
    """

    @property
    def returns(self) -> str | None:
        return "probabilities"

    def after(self, out: Any, rows: np.ndarray) -> Any:
        label, scores = out if isinstance(out, Answer) else (None, torch.as_tensor(out))
        if self._returns is None:
            self._returns = recognise(scores)
        if self._returns == "labels" or scores.ndim != 2:
            raise ValueError(f"Expected scores [m, C] from {self._behind.name}, but it shows labels. {self} has nothing to change.")
        label = scores.argmax(1) if label is None else label
        scores = scores.to(torch.float32)
        return self.change(label, scores.softmax(1) if self._returns == "logits" else scores, rows)

    def change(self, label: Tensor, p: Tensor, rows: np.ndarray) -> Answer:
        """What is shown in place of ``label`` [m] and probabilities ``p`` [m, C]."""
        raise NotImplementedError


class LabelsOnly(Channel):
    """Shows the label and nothing else, whatever the access level of the oracle in front.

    Rounding and noise of the scores behind it are no longer seen as such, but a label may still change by chance.
    """

    @property
    def returns(self) -> str | None:
        return "labels"

    @property
    def resolution(self) -> float:
        return 0.0

    @property
    def noise(self) -> float:
        return 0.0

    def after(self, out: Any, rows: np.ndarray) -> Tensor:
        return self._label(out)


class TopK(Scores):
    """Shows the k largest probabilities; the other classes share what is left equally, which tells nothing of them.

    The partial-information setting of Ilyas et al. 2018 (arXiv:1804.08598, section 2.1). An oracle with
    ``access="topk"`` in front of it lists exactly these k; one with ``access="scores"`` shows the filled-up row.

    Args:
        k: classes listed.
    """

    def __init__(self, model: Any, k: int) -> None:
        super().__init__(model)
        if k < 1:
            raise ValueError(f"Expected k to be at least 1, but it was {k}; use LabelsOnly to hide scores.")
        self.k = k

    def __str__(self) -> str:
        return f"TopK {self.k}"

    def change(self, label: Tensor, p: Tensor, rows: np.ndarray) -> Answer:
        hidden = p.shape[1] - self.k
        if hidden <= 0:
            return Answer(label, p)
        top, classes = p.topk(self.k, dim=1)
        # never more than the smallest listed, whatever rounding and noise behind this did to the sum
        rest = torch.minimum((1 - top.sum(1, keepdim=True)).clamp_min(0) / hidden, top[:, -1:])
        return Answer(label, rest.expand_as(p).scatter(1, classes, top))


class Rounded(Scores):
    """Shows probabilities rounded to some decimals (Tramèr et al. 2016, arXiv:1609.02943, section 7).

    Args:
        decimals: at least 1.
    """

    def __init__(self, model: Any, decimals: int = 2) -> None:
        super().__init__(model)
        if decimals < 1:
            raise ValueError(f"Expected decimals to be at least 1, but it was {decimals}; use LabelsOnly to hide scores.")
        self.decimals, self.own_resolution = decimals, 10.0**-decimals

    def __str__(self) -> str:
        return f"Rounded {self.decimals}"

    def change(self, label: Tensor, p: Tensor, rows: np.ndarray) -> Answer:
        return Answer(label, p.round(decimals=self.decimals))


class Noisy(Scores):
    """Adds Gaussian noise to every probability, cuts it to [0, 1], and names the class that then is largest.

    The simplest randomised target: each answer is drawn anew, so one lucky answer proves nothing.

    Args:
        scale: standard deviation, in units of a probability. seed: of the noise.
    """

    own_randomised = True

    def __init__(self, model: Any, scale: float, seed: int = 0) -> None:
        super().__init__(model)
        if not scale > 0:
            raise ValueError(f"Expected scale to be a positive standard deviation, but it was {scale}.")
        self.scale, self.seed, self.own_noise = float(scale), seed, float(scale)

    def __str__(self) -> str:
        return f"Noisy {self.scale:g}"

    def change(self, label: Tensor, p: Tensor, rows: np.ndarray) -> Answer:
        noise = Stream(self.seed, rows).normal(0, "score noise", p.shape[1]).to(p)
        shown = p + self.scale * noise
        return Answer(shown.argmax(1), shown.clamp(0, 1))


class EightBit(Channel):
    """Sees images as 8-bit files carry them: every entry rounded to a multiple of 1/255.

    A smaller change is not seen at all; Guo et al. 2018 (arXiv:1711.00117) and Xu et al. 2018 (arXiv:1704.01155) use
    coarser steps as a defence.

    Args:
        levels: values an entry can take (256 for 8 bits).
    """

    def __init__(self, model: Any, levels: int = 256) -> None:
        super().__init__(model)
        if levels < 2:
            raise ValueError(f"Expected levels to be at least 2, but it was {levels}.")
        self.levels, self.own_probe = levels, 1 / (levels - 1)

    def __str__(self) -> str:
        return "EightBit" if self.levels == 256 else f"EightBit {self.levels} levels"

    def before(self, x: Tensor, rows: np.ndarray) -> Tensor:
        return (x * (self.levels - 1)).round() / (self.levels - 1)

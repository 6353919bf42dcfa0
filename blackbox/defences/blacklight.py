"""`Blacklight`: a stateful detector that remembers queries and flags those that resemble an earlier one."""

from __future__ import annotations

from array import array
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.channels.channel import Channel
from blackbox.statistics import Detection
from blackbox.targets.answer import Answer, label_of
from blackbox.targets.rejections import rejecting

ACTIONS = ("answer", "replay", "reject")


class Blacklight(Channel):
    """Fingerprints every query and flags one that shares many hashes with an earlier one.

    Li et al. 2022, "Blacklight: scalable defense for neural networks against query-based black-box attacks" (USENIX
    Security, arXiv:2006.14042): a secret offset is added to every pixel modulo 256, pixels are rounded to steps of
    ``step``, every window of ``window`` consecutive ones is hashed, and the ``kept`` largest hashes are the
    fingerprint. A query that shares more than ``threshold`` of them with any one earlier query is flagged.

    Departs from the paper: a keyed 64-bit hash replaces salted SHA-256, since nobody here tries to invert it; memory is
    cleared by `reset`, not each day. Every query is remembered, flagged ones too.

    Args:
        window, step, kept, threshold: the paper's settings for 32 x 32 images; it uses ``window=50`` on large ones.
        action: "answer" only flags; "replay" repeats for a flagged query the answer of the most similar earlier one, so that
            the attacker learns nothing new; "reject" gives a flagged query no answer (`blackbox.targets.rejections`). Either
            way the query counts, and an oracle charges it.
        seed: of the secret offsets and hashes.
    """

    def __init__(
        self,
        model: Any,
        window: int = 20,
        step: int = 50,
        kept: int = 50,
        threshold: int = 25,
        action: str = "answer",
        seed: int = 0,
    ) -> None:
        super().__init__(model)
        if window < 1 or not 1 <= step <= 255 or not 0 <= threshold < kept:
            raise ValueError(
                "Expected window of at least 1, step from 1 to 255 and threshold below kept, but they were "
                f"window={window}, step={step}, threshold={threshold}, kept={kept}."
            )
        if action not in ACTIONS:
            raise ValueError(f"Expected action to be one of {', '.join(ACTIONS)}, but it was {action!r}.")
        self.window, self.step, self.kept, self.threshold, self.action, self.seed = window, step, kept, threshold, action, seed
        self.reset()

    def reset(self) -> None:
        """Forget every query, and restart the report."""
        self._where: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))  # hash -> numbers of the queries
        self._flags = bytearray()
        self._answers: list[tuple[int, Tensor | None]] = []

    @property
    def flags(self) -> np.ndarray:
        """Which of the queries answered since `reset` were flagged, [m] bool."""
        return np.frombuffer(bytes(self._flags), dtype=np.bool_)

    def report(self) -> Detection:
        """How detectable the queries since `reset` were."""
        return Detection.of(self.flags)

    def predict(self, x: Tensor) -> Any:
        out = self.inner.predict(x)  # first: a call that fails leaves no trace
        if self.action == "reject":
            return rejecting(out, torch.tensor(self._seen(x), device=x.device))
        prints = self.fingerprints(x)
        labels = label_of(out).tolist()
        shown = out.scores if isinstance(out, Answer) else torch.as_tensor(out)
        scores = None if shown is None or shown.ndim == 1 else shown
        changed = False
        for i, hashes in enumerate(prints):
            number, nearest = len(self._flags), self._nearest(hashes)
            self._flags.append(nearest is not None)
            for h in hashes.tolist():
                self._where[h].append(number)
            if self.action != "replay":
                continue
            if nearest is not None:
                labels[i], row = self._answers[nearest]
                if scores is not None and row is not None:
                    scores = scores if changed else scores.clone()
                    scores[i] = row
                changed = True
            self._answers.append((labels[i], None if scores is None else scores[i].clone()))
        if not changed:
            return out
        label = torch.tensor(labels, device=x.device)
        return label if scores is None else Answer(label, scores)

    def _seen(self, x: Tensor) -> list[bool]:
        """Remember images ``x`` [m, \\*shape]: which of them resemble an earlier one."""
        for hashes in self.fingerprints(x):
            number = len(self._flags)
            self._flags.append(self._nearest(hashes) is not None)
            for h in hashes.tolist():
                self._where[h].append(number)
        return [bool(flag) for flag in self._flags[-len(x) :]]

    def fingerprints(self, x: Tensor) -> list[np.ndarray]:
        """The largest hashes of each image of ``x`` [m, \\*shape]: uint64, at most ``kept``, all different."""
        pixels = x.flatten(1).numpy(force=True)
        d = pixels.shape[1]
        window = min(self.window, d)
        secret = np.random.default_rng((self.seed, d))
        offset = secret.integers(0, 256, d).astype(np.float64)
        level = np.rint(((pixels * 255.0 + offset) % 256.0) / self.step).astype(np.int64)
        # tabulation hashing (Zobrist 1970): the sum of a random number for each (place in the window, level)
        table = secret.integers(0, 2**64, (window, 256 // self.step + 2), dtype=np.uint64)
        spread = d - window + 1
        total = np.zeros((len(pixels), spread), np.uint64)
        for j in range(window):
            total += table[j][level[:, j : j + spread]]
        total ^= total >> np.uint64(32)
        total *= np.uint64(0x9E3779B97F4A7C15)
        total ^= total >> np.uint64(29)
        return [np.unique(row)[-self.kept :] for row in total]

    def _nearest(self, hashes: np.ndarray) -> int | None:
        """The earlier query that shares the most hashes, if they exceed the threshold."""
        found = [np.frombuffer(posts, np.int64) for h in hashes.tolist() if (posts := self._where.get(h))]
        if len(found) <= self.threshold:
            return None
        shared = np.bincount(np.concatenate(found))
        best = int(shared.argmax())
        return best if shared[best] > self.threshold else None

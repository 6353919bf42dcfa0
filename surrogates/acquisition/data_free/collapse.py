"""Whether a generator has collapsed: all its images are alike, or the target names one class for all of them."""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from torch import Tensor

LEAST_SPREAD = 0.02  # of an entry over a batch, standard deviation; noise has 0.29 (ours)
LEAST_CLASSES = 1.05  # effective number, over the last batches (ours)
WINDOW = 8  # batches (ours)


def spread(x: Tensor) -> float:
    """The standard deviation of an entry over images [n, \\*shape], averaged over the entries."""
    return float(x.detach().flatten(1).std(0, correction=0).mean())


def effective_classes(labels: Tensor) -> float:
    """The exponential of the entropy of labels [n]: how many classes, were they equally frequent."""
    share = np.unique(labels.numpy(force=True), return_counts=True)[1] / max(len(labels), 1)
    return float(np.exp(-(share * np.log(share)).sum()))


class Watch:
    """Looks at each batch that was generated and answered.

    soon: after so many images, one class for all of them is a collapse, also before a window is full.
    """

    def __init__(self, soon: int) -> None:
        self.labels: deque[Tensor] = deque(maxlen=WINDOW)
        self.soon, self.count, self.classes = soon, 0, set[int]()

    def see(self, x: Tensor, labels: Tensor) -> str:
        """What is wrong with the generator after images [n, \\*shape] and the target's labels of them, or ""."""
        self.labels.append(labels)
        self.count += len(labels)
        self.classes.update(labels.tolist())
        if len(x) > 1 and (found := spread(x)) < LEAST_SPREAD:
            return f"its images are alike (an entry varies by {found:.3f})"
        if len(self.classes) == 1 and self.count >= self.soon:
            return f"the target gave all {self.count} images class {min(self.classes)}"
        everything = torch.cat(tuple(self.labels))
        if len(self.labels) == WINDOW and len(everything) and effective_classes(everything) < LEAST_CLASSES:
            return f"the target gave the last {len(everything)} images class {int(everything.mode().values)}"
        return ""

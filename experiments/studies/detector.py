"""A detector before a classifier: a net that tells adversarial images from clean ones, and the two as one model.

Metzen et al. 2017, "On detecting adversarial perturbations" (arXiv:1702.04267); Carlini & Wagner 2017, "Adversarial examples are
not easily detected" (arXiv:1705.07263), whose combined model is what an attacker who knows of the detector attacks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blackbox.checks import as_images
from surrogates.data.dataset import Dataset
from surrogates.nets.predict import logits
from surrogates.training.recipe import Recipe
from surrogates.training.train import train

CLASSES = ("clean", "adversarial")


def train_detector(
    net: nn.Module, clean: Any, adversarial: Any, recipe: Recipe | None = None, *, seed: int = 0
) -> nn.Module:
    """Train ``net``, of two classes, to tell images from changed ones; returned in eval mode.

    Args:
        net: gives logits [m, 2] (clean, adversarial), from `surrogates.build(..., classes=2)`, say.
        clean: [N, C, H, W]. adversarial: [M, C, H, W]; as many as clean, or the threshold has to make up for it.

    Raises:
        ValueError: as `train`.
    """
    a, b = as_images(clean, "clean"), as_images(adversarial, "adversarial")
    labels = torch.cat([torch.zeros(len(a), dtype=torch.int64), torch.ones(len(b), dtype=torch.int64)])
    return train(net, Dataset(torch.cat([a, b]), labels, CLASSES, "clean and adversarial"), recipe, seed=seed)


def suspicion(detector: nn.Module, x: Any) -> Tensor:
    """[N] float32: how adversarial images look: the detector's logit of adversarial minus that of clean."""
    scores = logits(detector, x)
    return scores[:, 1] - scores[:, 0]


def threshold(detector: nn.Module, clean: Any, false_alarms: float = 0.05) -> float:
    """The least suspicion at which at most a share of ``clean`` [N, \\*shape], images it was not trained on, raises an alarm.

    Raises:
        ValueError: a share outside [0, 1).
    """
    if not 0 <= false_alarms < 1:
        raise ValueError(f"Expected false_alarms to be a share in [0, 1), but it was {false_alarms!r}.")
    scores = suspicion(detector, clean).sort(descending=True).values
    return float(scores[int(false_alarms * len(scores))])


class Guarded(nn.Module):
    """Classifier and detector as one model with C + 1 classes, the last of which is "rejected".

    Logit C is max_i Z_i + (suspicion - threshold), so that it leads exactly where the detector's alarm is raised, and
    the two losses are of one scale (Carlini & Wagner 2017, section 3.2, have max_i Z_i * (1 + suspicion), whose sign
    turns with that of the logits).

    Args:
        classifier: gives logits [m, C]. detector: gives logits [m, 2]. threshold: of suspicion; alarm above it.
    """

    def __init__(self, classifier: nn.Module, detector: nn.Module, threshold: float = 0.0) -> None:
        super().__init__()
        self.classifier, self.detector, self.threshold = classifier, detector, float(threshold)

    def forward(self, x: Tensor) -> Tensor:
        z, d = self.classifier(x), self.detector(x)
        alarm = d[:, 1] - d[:, 0] - self.threshold
        return torch.cat([z, (z.amax(1) + alarm)[:, None]], 1)

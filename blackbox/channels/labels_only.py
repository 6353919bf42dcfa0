"""A channel that shows the label and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from blackbox.channels.channel import Channel
from blackbox.targets.answer import label_of
from blackbox.targets.info import TargetInfo


class LabelsOnly(Channel):
    """Shows the label and nothing else, whatever the access level of the oracle in front.

    Rounding and noise of the scores behind it are no longer visible as such, but a label may still change by chance.
    """

    of_classes = True

    @property
    def info(self) -> TargetInfo:  # type: ignore[override]
        return replace(super().info, returns="labels", resolution=0.0, noise=0.0)

    def after(self, out: Any, rows: np.ndarray) -> Tensor:
        return label_of(out)

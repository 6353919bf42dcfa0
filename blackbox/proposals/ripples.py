"""Ripples: waves as short as pixels allow, in a window."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from blackbox.proposals.windows import intervals
from blackbox.protocol import Task
from blackbox.rowwise import deliver


def waves(t: Task, k: int, least: float) -> Tensor:
    """[n, 1, h, w]: +1 and -1 in a row's window, 0 around it; lines along the rows, along the columns, or a chequerboard.

    least: the smallest side of a window as a share of the image's; sides are drawn log-uniformly from there up to 1.
    """
    _, h, w = t.grid
    draw = t.rng.uniform_array(k, "waves", 5)
    kind, share = (3 * draw[:, 0]).astype(np.int64), least ** draw[:, 1]
    lines = []
    for axis, (length, at) in enumerate(((h, draw[:, 2]), (w, draw[:, 3]))):
        side = np.maximum(np.rint(share * length).astype(np.int64), 1)
        flat = (kind == axis)[:, None]  # constant along this axis: the lines run along it
        lines.append(intervals(length, at, side) * np.where(flat, 1.0, 1.0 - 2.0 * (np.arange(length) % 2)))
    sign = np.where(draw[:, 4] < 0.5, 1.0, -1.0)
    both = sign[:, None, None] * lines[0][:, :, None] * lines[1][:, None]
    return deliver(both[:, None].astype(np.float32), t.x0.device)

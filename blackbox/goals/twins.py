"""What goals share that surrogates can be attacked for: reading a net's output with its graph, lengths that have a gradient everywhere,
a goal as two classes, and which samples have the same one."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import Access
from blackbox.targets.outputs import scores_of
from blackbox.targets.rows import plain


def output(out: Any, goal: Any, axes: int, length: int | None = None) -> Tensor:
    """A net's output as a tensor of floats [m, ...], each row with ``axes`` axes (a number has none; [m, 1] will do).

    length: of the last axis.

    Raises:
        ValueError: it is of another form.
    """
    found = out if isinstance(out, Tensor) else scores_of(out)
    if isinstance(found, Tensor) and axes == 0 and found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if not isinstance(found, Tensor) or found.ndim != axes + 1 or (length is not None and found.shape[-1] != length):
        came = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        row = "a number" if axes == 0 else f"{'some' if length is None else length} numbers"
        raise ValueError(f"Expected a net that returns {row} for each input, for the goal ({goal}), but it returned {came}.")
    return found if found.dtype == torch.float64 else found.float()


def column(out: Mapping[Any, Any], name: str, goal: Any) -> Tensor:
    """One entry of a dict of columns that a net returns, [m]. Raises: ValueError, it has none of that name."""
    named = {str(key): value for key, value in out.items()}
    if name not in named:
        raise ValueError(
            f"Expected a net that returns {name!r} for the goal ({goal}), but it returned {', '.join(list(named)[:12])}."
        )
    return output(named[name], goal, axes=0)


def constant(values: np.ndarray, like: Tensor) -> Tensor:
    """An array of a goal as a tensor of the type and on the device of another."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(like)


def norm(v: Tensor) -> Tensor:
    """The Euclidean lengths of rows [m, d]. Of the many gradients that a length has at zero, where torch takes 0, the mean direction:
    a search that begins there gets away."""
    length = torch.linalg.vector_norm(v, dim=1)
    return torch.where(length > 0, length, v.sum(1) / v.shape[1] ** 0.5)


def as_classes(loss: np.ndarray, reached: np.ndarray, level: Access) -> np.ndarray:
    """What a goal's loss and success [m] show, as logits [m, 2] of two classes: 0, not reached, and 1, reached.

    Their difference is the loss. At the level of labels 0 for the class, NaN for the other. NaN for what was rejected."""
    if level is Access.LABELS:
        out = np.where(np.stack([~reached, reached], 1), np.float32(0), np.float32(np.nan))
    else:
        out = np.stack([-loss / 2, loss / 2], 1).astype(np.float32)
    out[np.isnan(loss)] = np.nan
    return out


def alike(held: Iterable[Any], samples: int) -> np.ndarray:
    """[samples] for each sample the first of which all values that a goal holds are the same; see `Goal.alike`."""
    values = list(map(plain, held))
    if not all(map(_is_plain, values)):
        return np.arange(samples)
    own = [value for value in values if _has_entries(value, samples)]
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(pickle.dumps([value[i] for value in own]), i) for i in range(samples)], np.int64)


def _has_entries(value: Any, samples: int) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0 and len(value) == samples
    return isinstance(value, list | tuple) and len(value) == samples


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, int | float | str | np.ndarray | np.generic)

"""Splits and pads calls to the numbers of rows that a model accepts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from blackbox.checks import as_tensor, check_int
from blackbox.targets.words import as_numbers, in_words

_counted = threading.local()


def filled_up() -> int:
    """How many rows this thread has added to calls that were too short for a model, in all."""
    return getattr(_counted, "rows", 0)


def in_batches(call: Callable[[Tensor], Any], x: Tensor, least: int = 1, most: int | None = None) -> Tensor:
    """Get the answers to images ``x`` [m, \\*shape] of a model that accepts from ``least`` to ``most`` rows a call.

    A short call is padded with copies of its last row, whose answers are dropped and not charged.

    Raises:
        ValueError: the model returned more or fewer rows than it was given.
    """
    parts = []
    for rows in x.split(most) if most is not None else (x,):
        short = least - len(rows)
        given = rows if short <= 0 else torch.cat([rows, rows[-1:].expand(short, *rows.shape[1:])])
        _counted.rows = filled_up() + len(given) - len(rows)
        out = as_tensor(call(given), "the answer")
        if len(given) == 1 and (out.ndim == 0 or (out.ndim == 1 and len(out) > 1)):
            out = out[None]  # the model has dropped the row axis
        if out.ndim == 0 or len(out) != len(given):
            raise ValueError(
                f"Expected one answer for each of the {len(given)} images of a call, but the model returned shape "
                f"{tuple(out.shape)}. It must not drop or merge rows."
            )
        parts.append(out[: len(rows)])
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def check_batch(batch: int | None) -> int | None:
    """Check the fixed number of rows of a model."""
    return None if batch is None else check_int(batch, "batch", 1, "a whole number of rows")


def answers(call: Callable[[Tensor], Any], x: Tensor, name: str, batch: int | None, words: Sequence[str] | None) -> Any:
    """The answer of ``call`` to ``x``, asked in calls of exactly ``batch`` rows, and in numbers if it is in ``words``."""

    def once(rows: Tensor) -> Any:
        out = call(rows)
        return as_numbers(out, len(rows), words, name) if words is not None and in_words(out) else out

    return once(x) if batch is None else in_batches(once, x, batch, batch)


def check_shape(x: Tensor, shape: Sequence[int | None] | None, name: str) -> None:
    """Check that images have the shape that a model accepts (None: any size).

    Raises:
        ValueError: they are not.
    """
    if shape is None or fits(tuple(x.shape[1:]), shape):
        return
    wanted = "×".join("any" if n is None else str(n) for n in shape)
    raise ValueError(
        f"Expected images of {wanted}, which is what {name} takes, but they were {'×'.join(map(str, x.shape[1:]))}."
    )


def fits(have: Sequence[int], shape: Sequence[int | None]) -> bool:
    """Whether images of shape ``have`` suit a model's ``shape``."""
    return len(have) == len(shape) and all(n is None or n == m for n, m in zip(shape, have, strict=True))

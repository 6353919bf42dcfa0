"""Answers of any form: one entry a row, in plain Python and numpy; and how a journal keeps them, without pickle."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def rows_of(out: Any, m: int, name: str) -> list[Any]:
    """The answer of a target to ``m`` rows as a list with an entry for each.

    Taken are a tensor or array [m, ...], a list of m answers, and a dict of columns, each with m entries, which becomes one dict a
    row. Tensors become numpy arrays throughout.

    Raises:
        ValueError: of another number of rows, or of another form.
    """
    if isinstance(out, Mapping):
        columns = {str(key): rows_of(value, m, f"{name}, under {str(key)!r},") for key, value in out.items()}
        if not columns:
            raise ValueError(f"Expected an answer for each of {m} inputs from the target {name}, but it returned an empty dict.")
        return [{key: column[row] for key, column in columns.items()} for row in range(m)]
    if isinstance(out, Tensor):
        out = _array(out)
    if isinstance(out, np.ndarray):
        if out.ndim == 0 or out.dtype.hasobject:
            raise ValueError(
                f"Expected an answer for each of {m} inputs from the target {name}, but it returned an array of {out.dtype} with shape "
                f"{out.shape}. Return a list with an entry for each input."
            )
        out = [row.item() if row.ndim == 0 else row for row in out]
    if not isinstance(out, list | tuple):
        raise ValueError(
            f"Expected an answer for each of {m} inputs from the target {name}, as a list, an array, a tensor or a dict of these, but it "
            f"returned {type(out).__name__}."
        )
    if len(out) != m:
        raise ValueError(
            f"Expected one answer for each of the {m} inputs of a call, but the target {name} returned {len(out)}. It must not drop or "
            "merge rows; an input for which nothing is found gets an empty answer."
        )
    return [plain(row) for row in out]


def plain(value: Any) -> Any:
    """A value with its tensors as numpy arrays, and numbers of numpy and torch as Python's."""
    if isinstance(value, Tensor):
        value = _array(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.item() if value.ndim == 0 else value
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return [plain(each) for each in value] if isinstance(value, list) else value


def copied(value: Any) -> Any:
    """An answer of its own: what is done to it in place is done to nothing else."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    return type(value)(map(copied, value)) if type(value) in (list, tuple) else value


def _array(value: Tensor) -> np.ndarray:
    """A tensor in its own type, float64 too, since a number may be large; numpy has no bfloat16, and half is widened with it."""
    return (value.float() if value.dtype in (torch.bfloat16, torch.half) else value).numpy(force=True)


# ---- as text ------------------------------------------------------------------------------------------------------------------

_ARRAY, _TUPLE = "__array__", "__tuple__"


def encoded(rows: list[Any]) -> np.ndarray:
    """Answers as an array of bytes [m]: JSON, with arrays in numpy's own format.

    Raises:
        TypeError: an answer holds something else than numbers, text, None, arrays, lists, tuples and dicts.
    """
    return np.array([json.dumps(written(row)).encode() for row in rows], dtype=np.bytes_)


def decoded(text: bytes) -> Any:
    """The inverse of `encoded`, of one answer."""
    return read(json.loads(text))


def written(value: Any) -> Any:
    """One answer as JSON holds it, arrays in numpy's own format. Raises: TypeError, as `encoded`."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        return {_ARRAY: base64.b64encode(file.getvalue()).decode()}
    if isinstance(value, dict):
        return {key: written(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [written(each) for each in value]}
    if isinstance(value, list):
        return [written(each) for each in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(
        f"Expected answers of numbers, text, None, arrays, lists and dicts, which a journal can keep, but one held {type(value).__name__}."
    )


def read(value: Any) -> Any:
    """The inverse of `written`."""
    if isinstance(value, list):
        return [read(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_ARRAY}:
        return np.load(io.BytesIO(base64.b64decode(value[_ARRAY])), allow_pickle=False)
    if value.keys() == {_TUPLE}:
        return tuple(read(each) for each in value[_TUPLE])
    return {key: read(each) for key, each in value.items()}

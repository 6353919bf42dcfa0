"""The outcomes of cells as bytes: columns over the images of a cell, as safetensors; and many cells read as one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np


def of_result(tariff: bool) -> list[str]:
    """The columns of a result that a cell keeps: with a tariff also what it charges beside queries."""
    names = "success queries first_success_query distance loss clean_loss clean_label verified y goal ids success_float"
    return [*names.split(), *(("flagged", "bad") if tariff else ())]


def pack(columns: Mapping[str, Any]) -> bytes:
    """Columns, each a tensor or an array over the same images, as they go to a store."""
    import torch
    from safetensors.torch import save

    # copies: two columns may share their memory, which the format refuses
    return save({name: torch.as_tensor(column).clone().contiguous() for name, column in columns.items()})


def joined(cells: Iterable[bytes]) -> dict[str, np.ndarray]:
    """The columns of several cells, one after the other; empty for none.

    Cells of one point have the same columns, and all but the last as many images, so that a header is parsed once for all of
    them: with safetensors' own reader a large store takes too long.
    """
    runs = [_run(head, [cell[len(head) :] for cell in some]) for head, some in groupby(cells, key=_head)]
    if len(runs) < 2:
        return runs[0] if runs else {}
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


def _head(cell: bytes) -> bytes:
    """The header of a cell, with the eight bytes before it that hold its length."""
    return cell[: 8 + int.from_bytes(cell[:8], "little")]


def _run(head: bytes, bodies: list[bytes]) -> dict[str, np.ndarray]:
    """The columns of cells with the same header."""
    table, n = np.frombuffer(bytearray().join(bodies), np.uint8).reshape(len(bodies), -1), len(bodies)
    return {
        name: np.ascontiguousarray(table[:, begin:end]).view(kind).reshape(n * count, *rest)
        for name, kind, (count, *rest), (begin, end) in _said(head)
    }


@lru_cache(maxsize=64)
def _said(head: bytes) -> list[tuple[str, np.dtype[Any], list[int], list[int]]]:
    """Name, type, shape, and first and last byte of each column."""
    found = json.loads(head[8:])
    found.pop("__metadata__", None)
    return [(name, _kind(c["dtype"]), c["shape"], c["data_offsets"]) for name, c in found.items()]


def _kind(word: str) -> np.dtype[Any]:
    """``"F32"`` -> ``<f4``; BOOL."""
    return np.dtype(np.bool_ if word == "BOOL" else f"<{word[0].lower()}{int(word[1:]) // 8}")

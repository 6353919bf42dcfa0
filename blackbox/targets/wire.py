"""The protocol between `blackbox.targets.HttpTarget` and your own server, ``blackbox/1``; specified in docs/how-to/http.md.

``GET /v1/info`` describes as JSON what is served. ``POST /v1/predict`` takes images and returns answers, as JSON or as numpy
arrays in the .npy format, one after the other in the body; the answer has the form of the request. The type of an array
tells what it is: floats [m, \\*shape] are images and floats [m, C] scores, whole numbers [m] labels, bytes [m] keys, truths [m]
which images were rejected: what stands in their rows is never read.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

VERSION = "blackbox/1"
NPY, JSON = "application/x-npy", "application/json"
INFO, PREDICT, COUNTS = "/v1/info", "/v1/predict", "/v1/counts"
KEY = 64
"""The most bytes of a key."""

_NAMES = {"images": "f", "scores": "f", "labels": "iu", "keys": "SU", "rejected": "b"}


def pack(arrays: dict[str, Any], kind: str) -> bytes:
    """Encode arrays by name as the body of a message; None is left out."""
    there = {name: np.asarray(value) for name, value in arrays.items() if value is not None}
    if kind == JSON:
        return json.dumps({name: value.tolist() for name, value in there.items()}).encode()
    out = io.BytesIO()
    for name, value in there.items():
        np.save(out, value.astype(f"S{KEY}") if name == "keys" else value, allow_pickle=False)
    return out.getvalue()


def unpack(body: bytes, kind: str, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The inverse of `pack`, for messages that may hold ``names``.

    Raises:
        ValueError: the body is something else; the message says what.
    """
    arrays = _json(body, names) if kind == JSON else _npy(body, names)
    for name, value in arrays.items():
        if value.dtype.kind not in _NAMES[name]:
            raise ValueError(f"Expected {name} as an array of numbers, but their type was {value.dtype}.")
    return arrays


def _json(body: bytes, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(f"Expected JSON, but it was {start(body)}.") from None
    if not isinstance(said, dict) or not set(said) <= set(names):
        have = ", ".join(map(str, said))[:80] if isinstance(said, dict) else type(said).__name__
        raise ValueError(f"Expected a JSON object with {' and '.join(names)}, but it had {have}.")
    out = {}
    for name, value in said.items():
        try:
            out[name] = np.array(value, dtype={"f": np.float32, "iu": None, "SU": None, "b": None}[_NAMES[name]])
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"Expected {name} as a list of rows of one shape, but they were ragged or no numbers.") from None
    return out


def _npy(body: bytes, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    out: dict[str, np.ndarray] = {}
    stream = io.BytesIO(body)
    while stream.tell() < len(body) or not out:
        try:
            array = np.load(stream, allow_pickle=False)
        except (ValueError, EOFError, OSError, MemoryError, SyntaxError, OverflowError):
            raise ValueError(f"Expected arrays in the .npy format, but it was {start(body)}.") from None
        name = next((n for n in names if isinstance(array, np.ndarray) and array.dtype.kind in _NAMES[n] and n not in out), None)
        if name is None:
            raise ValueError(f"Expected {' and '.join(names)}, each once, but there was another array.")
        out[name] = array
    return out


def start(body: bytes) -> str:
    """The start of a message, for error messages."""
    return f"{len(body):,} bytes, {body[:40]!r} …" if len(body) > 40 else f"{len(body)} bytes, {body!r}"

"""Arrays of a .npz file, read without running anything in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def read_npz(path: Path, *wanted: str) -> tuple[dict[str, np.ndarray], str]:
    """Those of the ``wanted`` arrays that a .npz file holds, and the names of all that it holds, in words.

    Raises:
        ValueError: no such file, or a damaged one.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            held = list(file.files)
            return {name: file[name] for name in wanted if name in held}, ", ".join(held) or "none"
    except ValueError as error:
        raise ValueError(
            f"Expected {path} to be a .npz file of plain arrays, but it could not be read without unpickling, which can run any code, or "
            f"is damaged: {error}."
        ) from None
    except Exception as error:  # a damaged zip raises many kinds
        raise ValueError(f"Expected {path} to be a .npz file, but it could not be read: {error}.") from None

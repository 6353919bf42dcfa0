"""The league's server in a process of its own, for a program that hosts a league and plays it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["served"]


@contextmanager
def served(*options: object, folder: str | os.PathLike[str] | None = None) -> Iterator[str]:
    """Run ``blackbox league serve`` with these options, on a free port, until the context ends; its address.

    folder: where it runs; by default here.

    Raises:
        RuntimeError: it ended before it served; its message is on the standard error.
    """
    command = [sys.executable, "-m", "blackbox", "league", "serve", *map(str, options), "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("serving"):
                raise RuntimeError("Expected the league's server to start, but it ended. Its message is above.")
            yield line.split()[-1]
        finally:
            process.terminate()

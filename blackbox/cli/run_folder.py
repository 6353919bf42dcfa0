"""Run folders: the effective configuration, the exact command, versions, seed."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from blackbox.environment import environment


def command() -> str:
    """The command line as typed."""
    words = list(sys.argv)
    words[0] = "python -m blackbox" if words[0].endswith("__main__.py") else Path(words[0]).name
    return " ".join([words[0], *map(shlex.quote, words[1:])])


def create(out: str | None, verb: str, *names: str) -> Path:
    """The run's folder, made now, so that a path that cannot be written is known before the first query.

    Raises:
        ValueError: the path is a file.
    """
    words = "-".join(n.replace("/", "_").replace(":", "-") for n in (verb, *names))
    path = Path(out) if out else Path("runs") / f"{words}-{time.strftime('%Y%m%d-%H%M%S')}"
    if path.exists() and not path.is_dir():
        raise ValueError(f"Expected --out to be a folder, but {path} is a file.")
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_config(path: Path, settings: dict[str, Any]) -> Path:
    """``run.json``: the command, when it began, its settings with all defaults filled in, and versions."""
    where = path / "run.json"
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    content = {"command": command(), "began": began, "settings": settings, **environment()}
    where.write_text(json.dumps(content, indent=2, default=str) + "\n")
    return where

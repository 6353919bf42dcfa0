"""Where the experiments leave their numbers."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

RESULTS = Path("experiments/results")


def load(name: str) -> dict[str, Any] | None:
    """One experiment's JSON, or None where it has not been run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def store(path: Path, settings: Any, found: dict[str, Any], seconds: float) -> Path:
    """What was found, beside the command, the settings (a dataclass, with the seed), versions and wall time."""
    from blackbox.environment import versions

    words = [shlex.quote(word) for word in sys.argv[1:]]
    content = {
        "command": " ".join(["python -m", f"experiments.{Path(sys.argv[0]).stem}", *words]),
        "settings": asdict(settings),
        "versions": versions(),
        "seconds": round(seconds, 1),
        **found,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path

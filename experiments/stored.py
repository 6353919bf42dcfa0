"""Where the experiments leave their numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path("experiments/results")


def load(name: str) -> dict[str, Any] | None:
    """One experiment's JSON, or None where it has not been run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None

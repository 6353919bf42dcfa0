"""What ended a run early: as it is saved, and in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from blackbox.oracle.oracle import TargetError

MOST = 300  # characters of an error's own words


def why(error: BaseException) -> dict[str, str]:
    """The kind of error and what it said, to be saved: without the parameters of addresses, which may hold keys."""
    said = re.sub(r"\?[^\s'\"]*=[^\s'\"]*", "?…", " ".join(str(error).split()))
    by = "user" if isinstance(error, KeyboardInterrupt) else "target" if isinstance(error, TargetError) else "error"
    return {"by": by, "error": type(error).__name__, "message": said if len(said) <= MOST else f"{said[: MOST - 1]}…"}


def told(found: Mapping[str, Any] | None, queries: int) -> str:
    """``the target failed after 634 queries``; ``found``: as `why` gave it, None in a file that does not say."""
    by = (found or {}).get("by")
    if by == "cells":
        return "their cells of the sweep failed, or are not done"
    after = f"after {queries:,} {'query' if queries == 1 else 'queries'}"
    if by == "target":
        return f"the target failed {after}"
    if by == "user":
        return f"the run was stopped {after}"
    if by == "error":
        return f"{(found or {}).get('error')} ended the run {after}"
    return f"the target failed, or the run was stopped, {after}"

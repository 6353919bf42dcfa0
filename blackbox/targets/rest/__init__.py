"""Anybody's JSON service as a target: how images are sent and answers are read is said in settings, not in code."""

from __future__ import annotations

from blackbox.targets.rest.settings import Settings
from blackbox.targets.rest.target import Rest

__all__ = ["Rest", "Settings"]

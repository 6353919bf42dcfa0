"""A set of images as one sample: universal changes by queries, and what a universal change does to a target."""

from __future__ import annotations

from blackbox.image_set.measure import Measured, universal_rate
from blackbox.image_set.search import UniversalResult, universal

__all__ = ["Measured", "UniversalResult", "universal", "universal_rate"]

"""What the files beside this one read from specs, under one name."""

from __future__ import annotations

from blackbox.specs.data import ImageSet as Images
from blackbox.specs.data import images, own
from blackbox.specs.model import SURROGATE_FILE, Model, free, models, one_model, several, sources
from blackbox.specs.target import oracle, retrying

__all__ = [
    "SURROGATE_FILE", "Images", "Model", "free", "images", "models", "one_model", "oracle", "own", "retrying", "several", "sources",
]  # fmt: skip

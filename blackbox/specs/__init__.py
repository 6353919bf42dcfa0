"""Specs: turn a text (``net.onnx``, ``npz:images.npz``, ``linf:8/255``) into the target, data, threat or attack it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox.lazy import lazy

_WHERE = {
    "build": "blackbox.specs.attack",
    "settings": "blackbox.specs.attack",
    "ImageSet": "blackbox.specs.data",
    "images": "blackbox.specs.data",
    "own": "blackbox.specs.data",
    "goals": "blackbox.specs.goal",
    "read_goal": "blackbox.specs.goal_text",
    "read_mask": "blackbox.specs.goal_files",
    "Model": "blackbox.specs.model",
    "SURROGATE_FILE": "blackbox.specs.model",
    "free": "blackbox.specs.model",
    "models": "blackbox.specs.model",
    "one_model": "blackbox.specs.model",
    "several": "blackbox.specs.model",
    "sources": "blackbox.specs.model",
    "Images": "blackbox.specs.options",
    "Nets": "blackbox.specs.options",
    "Within": "blackbox.specs.options",
    "read_tariff": "blackbox.specs.tariff",
    "tariff_of": "blackbox.specs.tariff",
    "oracle": "blackbox.specs.target",
    "retrying": "blackbox.specs.target",
    "area": "blackbox.specs.threat",
    "one_threat": "blackbox.specs.threat",
    "read_threat": "blackbox.specs.threat",
    "threats": "blackbox.specs.threat",
}

__all__ = list(_WHERE)

if TYPE_CHECKING:
    from blackbox.specs.attack import build, settings
    from blackbox.specs.data import ImageSet, images, own
    from blackbox.specs.goal import goals
    from blackbox.specs.goal_files import read_mask
    from blackbox.specs.goal_text import read_goal
    from blackbox.specs.model import SURROGATE_FILE, Model, free, models, one_model, several, sources
    from blackbox.specs.options import Images, Nets, Within
    from blackbox.specs.target import oracle, retrying
    from blackbox.specs.tariff import read_tariff, tariff_of
    from blackbox.specs.threat import area, one_threat, read_threat, threats

__getattr__, __dir__ = lazy(__name__, _WHERE)

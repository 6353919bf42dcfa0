"""Describes where results were computed: package versions and the machine."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from importlib import metadata
from typing import Any

__all__ = ["environment", "versions"]

_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn")


def environment() -> dict[str, Any]:
    """``versions`` and ``machine``, plain values for a JSON file."""
    import torch

    machine = {"platform": platform.platform(), "cpus": os.cpu_count(), "torch_threads": torch.get_num_threads()}
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    return {"versions": dict(versions()), "machine": machine}


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions by package; "not installed" where one is not."""
    import blackbox

    out = {"blackbox": blackbox.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            out[name] = "not installed"
    return out

"""Classifiers of other libraries as nets: ``hf:DIR``, ``timm:NAME:weights``, ``torchvision:NAME:WEIGHTS``, ``robustbench:NAME``
and ``clip:DIR``. Each takes images in [0, 1] and does its library's own preprocessing inside; nothing is ever downloaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surrogates.nets.libraries.net import LibraryNet

PREFIXES = {
    "hf": "surrogates.nets.libraries.huggingface:hf",
    "timm": "surrogates.nets.libraries.timm:timm",
    "robustbench": "surrogates.nets.libraries.robustbench:robustbench",
    "clip": "surrogates.nets.libraries.clip:clip",
}


def loader(prefix: str) -> Callable[..., LibraryNet] | None:
    """The function that loads what a prefix names; None for other prefixes."""
    where = PREFIXES.get(prefix)
    if where is None:
        return None
    module, _, name = where.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found

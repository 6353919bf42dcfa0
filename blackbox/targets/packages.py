"""Imports of packages that an extra brings."""

from __future__ import annotations

import importlib
from typing import Any


def need(package: str, extra: str, what: str) -> Any:
    """Import a package that an extra brings.

    Raises:
        ModuleNotFoundError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package.partition(".")[0]:
            raise
        raise ModuleNotFoundError(
            f"Expected {package.partition('.')[0]} to be installed, which {what} needs, but it is not. Install it: "
            f"pip install 'blackbox-transfer[{extra}]'",
            name=package,
        ) from None

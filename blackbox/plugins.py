"""Plug-ins: what installed packages add by entry points of the groups ``blackbox.attacks``, ``blackbox.targets`` and
``surrogates.presets``, in their ``pyproject.toml``::

    [project.entry-points."blackbox.attacks"]
    mine = "package.module:Mine"
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any


def plugins(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group, by name. Read anew at each call: a package may have been installed since."""
    return {entry.name: entry for entry in entry_points(group=group)}


def load(entry: EntryPoint) -> Any:
    """What an entry point names.

    Raises:
        ValueError: its package cannot be imported, or does not have it.
    """
    try:
        return entry.load()
    except (Exception, SystemExit) as error:
        package = entry.dist.name if entry.dist else entry.module
        raise ValueError(
            f"Expected {entry.name} of the package {package} to load from {entry.value}, but it raised "
            f"{type(error).__name__}: {' '.join(str(error).split())}"
        ) from error

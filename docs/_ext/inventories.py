"""Inventories for intersphinx from short lists of names, so that links to other libraries need no network to be built."""

from __future__ import annotations

import zlib
from pathlib import Path

# project: (address, {role: {name: page}}); $ stands for the name, as in an inventory itself
LINKED: dict[str, tuple[str, dict[str, dict[str, str]]]] = {
    "python": (
        "https://docs.python.org/3",
        {"py:class": {"pathlib.Path": "library/pathlib.html#$", "enum.IntEnum": "library/enum.html#$"},
         "py:exception": {"ValueError": "library/exceptions.html#$", "RuntimeError": "library/exceptions.html#$"}},
    ),
    "numpy": (
        "https://numpy.org/doc/stable",
        {"py:class": {"numpy.ndarray": "reference/generated/numpy.ndarray.html#$"}},
    ),
    "torch": (
        "https://docs.pytorch.org/docs/stable",
        {"py:class": {"torch.Tensor": "tensors.html#$", "torch.nn.Module": "generated/torch.nn.Module.html#$"}},
    ),
    "sklearn": (
        "https://scikit-learn.org/stable",
        {"py:class": {"sklearn.ensemble.RandomForestClassifier":
                      "modules/generated/sklearn.ensemble.RandomForestClassifier.html#$"}},
    ),
}  # fmt: skip


def write(folder: Path) -> dict[str, tuple[str, str]]:
    """The inventories as files, and the mapping that intersphinx wants."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for project, (address, roles) in LINKED.items():
        entries = [f"{name} {role} 1 {page} -" for role, names in roles.items() for name, page in names.items()]
        head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n# The remainder is compressed using zlib.\n"
        path = folder / f"{project}.inv"
        path.write_bytes(head.encode() + zlib.compress("\n".join(entries).encode()))
        mapping[project] = (address, str(path))
    return mapping

"""Experiments and benchmarks are users: they import public names alone, and nothing of the library imports them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType

ROOT = Path(__file__).resolve().parents[3]
FACES = {"bb": "blackbox", "sg": "surrogates"}


def namespaces() -> set[str]:
    """Modules that are themselves public names: bb.attacks, sg.parts, ..."""
    found = set()
    for face in map(import_module, FACES.values()):
        found |= {value.__name__ for name in face.__all__ if isinstance(value := getattr(face, name), ModuleType)}
    return found


def listed(module: str) -> bool:
    """Is there such a module, and does it say what it offers?"""
    try:
        return find_spec(module) is not None and hasattr(import_module(module), "__all__")
    except ModuleNotFoundError:
        return False


def public(module: str, name: str) -> bool:
    """Is ``name`` offered by ``module``: listed in its ``__all__``, a name of a public namespace, or a module with a list?"""
    if listed(f"{module}.{name}"):
        return True
    if listed(module):
        return name in import_module(module).__all__
    return module in namespaces() and isinstance(getattr(import_module(module), name, None), type | FunctionType)


def offenders(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        where = f"line {getattr(node, 'lineno', 0)}:"
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] in FACES.values() and FACES.get(name.asname or "") != name.name:
                    yield f"{where} import {name.name}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FACES.values():
            for name in node.names:
                if not public(str(node.module), name.name):
                    yield f"{where} from {node.module} import {name.name}"
        elif isinstance(node, ast.Attribute):
            inner = node.value
            if isinstance(inner, ast.Name) and inner.id in FACES:
                if not node.attr.startswith("__") and node.attr not in import_module(FACES[inner.id]).__all__:
                    yield f"{where} {inner.id}.{node.attr}"
            elif isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id in FACES:
                held = getattr(import_module(FACES[inner.value.id]), inner.attr, None)
                if isinstance(held, ModuleType) and not public(held.__name__, node.attr):
                    yield f"{where} {inner.value.id}.{inner.attr}.{node.attr}"


def test_experiments_and_benchmarks_use_public_names_only() -> None:
    files = [path for room in ("experiments", "benchmarks") for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(files) > 30
    assert [f"{path.relative_to(ROOT)} {line}" for path in files for line in offenders(path.read_text())] == []


def test_nothing_of_the_library_imports_them() -> None:
    found = []
    for room in ("blackbox", "surrogates"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [n.name for n in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                found += [f"{path.relative_to(ROOT)}: {n}" for n in names if n.split(".")[0] in ("experiments", "benchmarks")]
    assert found == []


def test_an_offence_is_noticed() -> None:
    wrong = (
        "from blackbox.engine.ledger import Ledger", "import blackbox.rowwise", "import surrogates as sg\nsg.parts.draws",
        "import blackbox as bb\nbb.Ledger", "import surrogates as sg\nsg.training", "from blackbox.rowwise import rows",
    )  # fmt: skip
    right = ("from blackbox.report import style", "import surrogates as sg\nsg.parts.Momentum", "from blackbox.sweep import Store")
    for texts, count in ((wrong, 1), (right, 0)):
        for text in texts:
            assert len(list(offenders(text))) == count, text

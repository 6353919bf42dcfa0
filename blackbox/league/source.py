"""The source of an attack: its module, and the modules of the search that it imports. What is frozen before a target is opened."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import shutil
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from blackbox import attacks, plugins
from blackbox.league.entry import EntryError
from blackbox.league.floors import FLOORS

__all__ = ["code", "digest", "misnamed", "ours", "read", "texts", "write"]

_PARSING = threading.Lock()  # Python 3.11 counts the depth of a parse for all threads together, and raises SystemError
_NAMES = "modules.json"
ROOMS = ("attacks", "candidates", "proposals", "estimators", "search", "ascent", "direction", "rng", "threat", "turns", "per_image")
_LISTS = ("blackbox", "blackbox.attacks", "blackbox.estimators")  # they only name what is there


def texts(attack: str) -> dict[str, str]:
    """The modules by their names, with their text. Of ``file.py:Mine`` also the file and those beside it that it imports.

    Raises:
        ValueError, FileNotFoundError: there is no such attack.
    """
    attacks.get(attack)
    if plugins.is_file(attack):
        path = Path(attack.partition(":")[0])
        return _walk({path.name: path})
    found = _file(_module_of(attack))
    return {} if found is None else _walk({_module_of(attack): found})


def write(found: dict[str, str], folder: Path) -> None:
    """Write modules into a folder of their own, which is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, (name, text) in enumerate(sorted(found.items())):
        (folder / f"{number:02d}-{name.removesuffix('.py')}.py").write_text(text, encoding="utf-8")
    (folder / _NAMES).write_text(json.dumps(sorted(found)) + "\n", encoding="utf-8")


def read(folder: Path) -> dict[str, str]:
    """The inverse of `write`. Raises: EntryError, the folder lacks a module."""
    try:
        names = json.loads((folder / _NAMES).read_text(encoding="utf-8"))
        files = [f"{number:02d}-{Path(name).name.removesuffix('.py')}.py" for number, name in enumerate(names)]
        return {name: (folder / file).read_text(encoding="utf-8") for name, file in zip(names, files, strict=True)}
    except (OSError, ValueError, TypeError, AttributeError):
        raise EntryError(f"Expected the attack's source in {folder}, with {_NAMES}, but it cannot be read.") from None


def digest(found: dict[str, str]) -> str:
    """One hash of all modules, to the byte."""
    whole = hashlib.sha256()
    for name in sorted(found):
        whole.update(f"{name} {len(found[name].encode())}\n{found[name]}".encode())
    return whole.hexdigest()


def ours(attack: str) -> str:
    """The attack of this package, or the floor, that an entry's attack is called, as `blackbox.attacks` takes it; "" if none is."""
    name = FLOORS.get(attack, attack.partition(" ")[0])
    return name if name in attacks.REGISTRY or attack in FLOORS else ""


def misnamed(attack: str, found: str, parameters: str) -> list[str]:
    """Why an attack may not be entered under this name: it is one of this package's, and the source, of hash ``found``, is not; or it is
    a floor's, and its settings are not."""
    name = ours(attack)
    if name and digest(texts(name)) != found:
        return [f"Expected the source of {attack} as this package has it, but it is another. Give it a name of its own."]
    if attack in FLOORS and repr(attacks.build(name)) != parameters:
        return [f"Expected the floor {attack} with the settings that it has by default, but they are others. Give it a name of its own."]
    return []


@lru_cache(maxsize=64)
def code(attack: str) -> str:
    """A short hash of an attack's modules without comments and docstrings: it changes only where what the attack does may have
    changed. (It holds for one version of Python.)"""
    trees = []
    for _, text in sorted(texts(attack).items()):
        tree = ast.parse(text)
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                body[0].value.value = None  # type: ignore[assignment]
        trees.append(ast.dump(tree))
    return hashlib.sha256("\n".join(trees).encode()).hexdigest()[:10]


def _module_of(attack: str) -> str:
    kind = attacks.get(attack)
    return str((kind if inspect.isclass(kind) else type(kind)).__module__)


def _walk(start: dict[str, Path]) -> dict[str, str]:
    """The text of these files, and of what they import that belongs to an attack's source."""
    out: dict[str, str] = {}
    todo = dict(start)
    while todo:
        name, path = todo.popitem()
        if name in out:
            continue
        out[name] = path.read_text(encoding="utf-8")
        own = None if name.startswith("blackbox.") else path.parent
        with _PARSING:
            wanted_here = list(_imports(ast.parse(out[name])))
        for wanted in wanted_here:
            beside = own / f"{wanted.partition('.')[0]}.py" if own is not None else None
            if beside is not None and beside.is_file():
                todo[beside.name] = beside
            elif _counts(wanted) and (found := _file(wanted)) is not None:
                todo[wanted] = found
    return out


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _counts(name: str) -> bool:
    """Is this a module of the search?"""
    first, *rest = name.split(".")
    return first == "blackbox" and name not in _LISTS and {*rest[:1]} <= {*ROOMS}


def _file(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # its parent is no package: a name in a module
        return None
    return None if spec is None or spec.origin is None or not spec.origin.endswith(".py") else Path(spec.origin)

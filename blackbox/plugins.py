"""Plug-ins: what the user's own files and installed packages add wherever a name is taken.

A file: ``file.py:Name``. A package: entry points of the groups ``blackbox.attacks``, ``blackbox.targets`` and
``surrogates.presets`` in its ``pyproject.toml``::

    [project.entry-points."blackbox.attacks"]
    mine = "package.module:Mine"
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from blackbox.plain_text import did_you_mean, exit_said

_FILES: dict[Path, tuple[str, ModuleType]] = {}  # what has been loaded, with the hash of the file then


def plugins(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group, by name."""
    return _plugins(group, tuple(sys.path))


@lru_cache(maxsize=16)  # reading them takes as long as a small run
def _plugins(group: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def load(entry: EntryPoint) -> Any:
    """What an entry point names.

    Raises:
        ValueError: its package cannot be imported, or does not have it.
    """
    try:
        return entry.load()
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"Expected {entry.name} of the package {package_of(entry)} to load from {entry.value}, but it raised "
            f"{type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def package_of(entry: EntryPoint) -> str:
    """The package that an entry point is of."""
    return entry.dist.name if entry.dist else entry.module


def version_of(entry: EntryPoint) -> str:
    """The package and its version."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module


def is_file(name: str) -> bool:
    """Whether a name is ``file.py:Name``."""
    return name.partition(":")[0].endswith(".py")


def short(name: str) -> str:
    """``Name`` of ``file.py:Name``; other names are short as they are."""
    return name.partition(":")[2] or Path(name).stem if is_file(name) else name


def file_print(name: str) -> str:
    """A hash of the file of ``file.py:Name``.

    Raises:
        FileNotFoundError: no such file.
    """
    return hashlib.sha256(_existing(name.partition(":")[0]).read_bytes()).hexdigest()[:16]


def print_of(name: str, group: str) -> str:
    """A hash of the file of ``file.py:Name``, the package and version of a package's, "" for other names."""
    if is_file(name):
        return file_print(name)
    entry = plugins(group).get(name)
    return "" if entry is None else version_of(entry)


def from_file(name: str, what: str) -> Any:
    """What ``file.py:Name`` names. The file is run when it is first asked for, and again when it has changed.

    Args:
        what: what is expected there, for errors: "an attack".

    Raises:
        FileNotFoundError: no such file. ValueError: it does not run, or does not define the name.
    """
    path, wanted = _existing(name.partition(":")[0]), name.partition(":")[2]
    module = _module(path)
    if not hasattr(module, wanted):
        have = [k for k, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__ and not k.startswith("_")]
        hint = did_you_mean(wanted, have) or f" It has {', '.join(have) or 'nothing of its own'}."
        raise ValueError(f"Expected {what} called {wanted!r} in {path}, but there is none.{hint}")
    return getattr(module, wanted)


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a Python file at {path}, but there is none.")
    return path


def _module(path: Path) -> ModuleType:
    where, digest = path.resolve(), file_print(str(path))
    if where not in _FILES or _FILES[where][0] != digest:
        with running(path):
            module = run_file(path, f"blackbox_own_{path.stem}_{digest}")
        _send_by_value(module)
        _FILES[where] = digest, module
    return _FILES[where][1]


def run_file(path: Path, name: str) -> ModuleType:
    """Run a Python file as the module ``name``, within `running`."""
    found = importlib.util.spec_from_file_location(name, path.resolve())
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module


@contextlib.contextmanager
def running(path: Path) -> Iterator[None]:
    """Run code of a file: it can import its neighbours, and finds no words on the command line, which is ours.

    Raises:
        ValueError: it fails, or ends the process. Errors that say what was expected are left as they are.
    """
    sys.path.insert(0, str(path.resolve().parent))
    given, sys.argv = sys.argv, [str(path)]
    try:
        yield
    except SystemExit as end:
        raise ValueError(
            f"Expected {path} to load, but it {exit_said(end)}. Put what is not for loading behind if __name__ == '__main__'."
        ) from end
    except Exception as error:
        if isinstance(error, (ValueError, FileNotFoundError)) and str(error).startswith("Expected"):
            raise
        said = " ".join(str(error).split())
        raise ValueError(f"Expected {path} to load, but it raised {type(error).__name__}: {said}") from error
    finally:
        sys.path.pop(0)
        sys.argv = given


def _send_by_value(module: ModuleType) -> None:
    """Have other processes be sent the module's classes themselves: they cannot import it by its name."""
    for pickler in ("cloudpickle", "joblib.externals.cloudpickle"):  # Dask's and, in older releases, joblib's own
        with contextlib.suppress(ImportError):
            importlib.import_module(pickler).register_pickle_by_value(module)

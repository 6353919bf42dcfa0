"""Models from the user's own Python file: ``file.py:function``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from blackbox import plugins
from blackbox.plain_text import did_you_mean


def load(path: Path, name: str) -> tuple[Any, Any]:
    """Load ``file.py:name``: a model, a callable on images, or a function without arguments that returns one of them.

    Returns:
        The model, and the same again if it is differentiable, else None.

    Raises:
        FileNotFoundError, ValueError: no such file or function, or it fails.
    """
    import torch

    if not path.is_file():
        raise FileNotFoundError(f"Expected a Python file at {path}, but there is none.")
    if not name:
        raise ValueError(f"Expected the name of a function after the file, {path}:function, but there was none.")
    with plugins.running(path):
        made = _named(plugins.run_file(path, f"blackbox_target_{path.stem}"), name, path)
    return made, made if isinstance(made, torch.nn.Module) else None


def _named(module: Any, name: str, path: Path) -> Any:
    import torch

    if not hasattr(module, name):
        have = [k for k, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
        hint = did_you_mean(name, have) or f" It has {', '.join(have) or 'no functions'}."
        raise ValueError(f"Expected {path} to define {name!r}, but it does not.{hint}")
    found = getattr(module, name)
    if isinstance(found, torch.nn.Module) or not callable(found):
        return found
    required = [
        p
        for p in inspect.signature(found).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    return found if required else found()

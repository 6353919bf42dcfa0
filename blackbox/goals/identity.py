"""Tells goals apart by what they hold: settings, per-sample content, and the code of functions."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
from torch import Tensor, nn

_DEEPEST = 20  # things held in things held ...


class Print:
    """A fingerprint of values that are held one in another.

    Told apart are numbers, words, arrays, tensors, lists, dicts, sets and dataclasses of these, torch modules by their weights, and
    functions by their code, their defaults, what they close over and the globals that they name; functions of other modules by their
    names. Of anything else only the class.

    Attributes:
        unknown: the classes of things of which no more than that can be told, in order.
    """

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self._held = hashlib.sha256()
        self._open: list[int] = []  # things that are being added, which may hold themselves
        self._functions: dict[int, int] = {}  # functions that have been added, with their places

    def add(self, value: Any) -> Print:
        """Add a value."""
        if id(value) in self._open or len(self._open) > _DEEPEST:
            return self._word("again")
        self._open.append(id(value))
        try:
            self._add(value)
        finally:
            self._open.pop()
        return self

    def text(self) -> str:
        """The fingerprint, ten hex digits."""
        return self._held.hexdigest()[:10]

    def _word(self, *words: Any) -> Print:
        self._held.update("\0".join(map(str, words)).encode() + b"\1")
        return self

    def _add(self, value: Any) -> None:
        if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
            self._word(type(value).__name__, repr(value))
        elif isinstance(value, Enum):
            self._word(type(value).__qualname__, value.name)
        elif isinstance(value, Tensor):
            self._word("tensor", value.dtype).add(value.float().numpy(force=True) if value.is_floating_point() else value.numpy(force=True))
        elif isinstance(value, np.ndarray):
            self._word("array", value.dtype, value.shape)
            if value.dtype.hasobject:
                self.add(value.tolist())
            else:
                self._held.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, Mapping):
            self._word("dict", len(value))
            for key, each in value.items():
                self.add(key).add(each)
        elif isinstance(value, list | tuple):
            self._word("list", len(value))
            for each in value:
                self.add(each)
        elif isinstance(value, set | frozenset):
            self._word("set", *sorted(map(repr, value)))
        else:
            self._add_object(value)

    def _add_object(self, value: Any) -> None:
        if isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self.add(value.__func__).add(value.__self__)
        elif isinstance(value, functools.partial):
            self.add(value.func).add(value.args).add(value.keywords)
        elif isinstance(value, types.CodeType):
            self._code(value)
        elif isinstance(value, types.ModuleType | types.BuiltinFunctionType | type | np.ufunc):
            self._word(getattr(value, "__module__", ""), getattr(value, "__qualname__", value.__name__))
        elif isinstance(value, nn.Module):
            self._word(type(value).__qualname__).add(value.state_dict())
        elif dataclasses.is_dataclass(value):
            self._word(type(value).__qualname__).add({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
        else:
            self._word(type(value).__module__, type(value).__qualname__)
            if type(value).__name__ not in self.unknown:
                self.unknown.append(type(value).__name__)

    def _code(self, code: types.CodeType) -> None:
        self._held.update(code.co_code)
        self.add(code.co_consts).add(code.co_names).add(code.co_varnames)

    def _function(self, function: types.FunctionType) -> None:
        if id(function) in self._functions:
            self._word("again", self._functions[id(function)])
            return
        self._functions[id(function)] = len(self._functions)
        self._code(function.__code__)
        self.add(function.__defaults__).add(function.__kwdefaults__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._word(name)
            try:
                self.add(cell.cell_contents)
            except ValueError:  # not filled yet
                self._word("empty")
        for name in sorted(_names(function.__code__) & function.__globals__.keys()):
            value = function.__globals__[name]
            elsewhere = isinstance(value, types.FunctionType) and value.__globals__ is not function.__globals__
            self._word(name, value.__module__, value.__qualname__) if elsewhere else self._word(name).add(value)


def _names(code: types.CodeType) -> set[str]:
    """The globals that code names, that of functions inside it too."""
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def own_code(kind: type, base: type) -> list[Any]:
    """The functions that a class outside this package has of its own, above ``base``: its code is part of what it does."""
    package = __name__.partition(".")[0] + "."
    above = [each for each in kind.__mro__ if issubclass(each, base) and not (each.__module__ + ".").startswith(package)]
    return [value for each in above for _, value in sorted(vars(each).items()) if isinstance(value, types.FunctionType)]

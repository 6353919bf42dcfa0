"""What every experiment is run by: settings that are options, rows kept by key, environment, JSON, and the figure.

An experiment is a dataclass of settings, a ``measure`` and, where it draws, a ``draw``. ``run`` makes a command of them; a
`Book` holds the rows of a long one, so that a run that was broken off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import time
import types
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import blackbox as bb
from blackbox.environment import environment

RESULTS, DOCS = Path("experiments/results"), Path("docs")
HEAD = ("command", "settings", "versions", "machine", "seconds")  # of a results file, before what was found
ROOT = "where the data folder lies; see its README"

_LIST = re.compile(r"\[((?:\n\s*(?:-?\d[\d.e+-]*|true|false|null|NaN|-?Infinity),?)+\n\s*)\]")  # of numbers, a line each

Kind = TypeVar("Kind")
Found = tuple[dict[str, Any], Any]  # what goes to the JSON, what only the figure shows


def says(default: Any, text: str, among: Iterable[str] = ()) -> Any:
    """A field of settings that is an option: the words of its help, and the words it may be, where these are few."""
    return field(default=default, metadata={"help": text, "among": tuple(among)})


@dataclass(frozen=True)
class Real:
    """Settings of experiments on other people's nets and real images."""

    data: str = says("../shared/data", ROOT)

    @property
    def root(self) -> Path:
        return Path(self.data)


def read(kind: type[Kind], about: str = "", argv: list[str] | None = None) -> Kind:
    """Settings from the command line: each field that ``says`` something is an option; lists are joined by commas.

    Raises:
        ValueError: a value that is none of the field's type, or none of those it may be.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options = {f.name: f for f in fields(kind) if "help" in f.metadata}  # type: ignore[arg-type]
    for name, f in options.items():
        shown = ",".join(map(str, f.default)) if isinstance(f.default, tuple) else f.default
        text = f.metadata["help"] + (f" [{shown}]" if shown not in (None, "", False) else "")
        more: dict[str, Any] = {"action": "store_true"} if f.default is False else {"metavar": "…"}
        parser.add_argument(
            "--" + name.replace("_", "-"), default=argparse.SUPPRESS, help=text.replace("%", "%%"), **more
        )
    hints, out = get_type_hints(kind), {}
    for name, text in vars(parser.parse_args(argv)).items():
        option = "--" + name.replace("_", "-")
        out[name] = value = text if text is True else _value(text, hints[name], option)
        among = options[name].metadata["among"]
        for word in value if isinstance(value, tuple) else (value,):
            if among and word not in among:
                raise ValueError(f"Expected {option} to be one of {', '.join(among)}, but it was {word!r}.")
    return kind(**out)


def _value(text: str, hint: Any, name: str) -> Any:
    if get_origin(hint) is tuple:
        return tuple(_value(word.strip(), get_args(hint)[0], name) for word in text.split(",") if word.strip())
    kinds = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    try:
        if int in kinds:
            return int(text)
        return float(Fraction(text) if "/" in text else text) if float in kinds else text
    except (ValueError, ZeroDivisionError):
        what = "a whole number" if int in kinds else "a number such as 0.03 or 8/255"
        raise ValueError(f"Expected {name} to be {what}, but it was {text!r}.") from None


def load(name: str) -> dict[str, Any] | None:
    """One experiment's JSON, or None where it has not been run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def store(name: str, settings: Any, found: dict[str, Any], seconds: float) -> Path:
    """Write what was found, beside the command, the settings (a dataclass, with the seed), versions, machine and time."""
    module = sys.modules[type(settings).__module__]
    name_of_module = module.__spec__.name if module.__spec__ else module.__name__  # run as a command it is __main__
    content = {
        "command": " ".join(["python -m", name_of_module, *map(shlex.quote, sys.argv[1:])]),
        "settings": asdict(settings),
        **environment(),
        "seconds": round(seconds, 1),
        **found,
    }
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    text = _LIST.sub(lambda found: f"[{' '.join(found[1].split())}]", json.dumps(content, indent=1))  # on one line
    new.write_text(text + "\n", encoding="utf-8")
    new.replace(path)
    return path


class Book:
    """The rows of an experiment, kept by key and written as they come.

    Args:
        name: of the results file. settings: of this run. same: the settings on which rows rest that their keys do not name:
            where the file's are others, its rows are measured anew.
    """

    def __init__(self, name: str, settings: Any, same: Iterable[str] = ()) -> None:
        before = load(name) or {}
        was, now = before.get("settings", {}), plain(asdict(settings))
        other = [f"{k} was {was[k]}" for k in same if k in was and was[k] != now[k]]
        if other:
            print(f"{name}: {', '.join(other)}; all is measured anew", flush=True)
            before = {}
        self.name, self.settings = name, settings
        self.found = {k: v for k, v in before.items() if k not in HEAD}
        self._before, self._begun = before.get("seconds", 0.0), time.perf_counter()

    def row(self, make: Callable[[], dict[str, Any]], among: str = "rows", **key: Any) -> dict[str, Any]:
        """The row with this key: the one that is kept, or else the one that ``make`` gives, kept from now on."""
        key = plain(key)
        rows = self.found.setdefault(among, [])
        for row in rows:
            if all(row.get(k) == v for k, v in key.items()):
                return row  # type: ignore[no-any-return]
        rows.append({**key, **make()})
        tell(rows[-1])
        self.write()
        return rows[-1]  # type: ignore[no-any-return]

    def put(self, **found: Any) -> None:
        """Keep what is no row."""
        self.found |= found
        self.write()

    def write(self) -> Path:
        return store(self.name, self.settings, self.found, self._before + time.perf_counter() - self._begun)


def count(hit: Any, among: Any = None) -> list[int]:
    """[k, n] of truths, an array or a tensor: of all, or of those ``among``."""
    return [int(hit.sum()), len(hit)] if among is None else [int((hit & among).sum()), int(among.sum())]


def each(hit: Any, among: Any = None) -> str:
    """The outcomes of all images, a character an image: 1 or 0, and - for what is not ``among`` those that count."""
    keep = [True] * len(hit) if among is None else among
    return "".join("-" if not counts else str(int(bool(yes))) for yes, counts in zip(hit, keep, strict=True))


def counted(outcomes: str) -> list[int]:
    """[k, n] of what `each` made."""
    return [outcomes.count("1"), len(outcomes) - outcomes.count("-")]


def plain(value: Any) -> Any:
    """As JSON gives it back: lists for tuples."""
    return json.loads(json.dumps(value))


def tell(row: dict[str, Any]) -> None:
    """A row in a line: what is short of it."""
    words = []
    for name, value in row.items():
        if isinstance(value, list) and len(value) == 2 and all(isinstance(v, int) for v in value) and value[1]:
            value = bb.Rate(*value) if value[0] <= value[1] else value
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        words += [f"{name} {text}"] if len(text) <= 60 else []
    print("  ".join(words), flush=True)


def run(
    kind: type[Any],
    measure: Callable[[Any], Found | None],
    draw: Callable[[dict[str, Any], Any, Path], Path] | None = None,
    argv: list[str] | None = None,
) -> None:
    """The whole of an experiment's command; an error is one sentence and ends with status 2.

    Where ``measure`` gives something, it goes to ``results/NAME.json`` and, drawn, to ``docs/NAME.png``; NAME is the
    experiment's ``RESULT``, or else its file's name, and that of the data where the settings have one (``called``). Otherwise
    it has kept a `Book`.
    """
    module = sys.modules[kind.__module__]
    try:
        settings = read(kind, str(module.__doc__), argv)
        begun = time.perf_counter()
        made = measure(settings)
        if made is None:
            return
        stem = getattr(module, "RESULT", Path(str(module.__file__)).stem)
        name = "_".join(filter(None, [stem, getattr(settings, "called", "")]))
        print("wrote", store(name, settings, made[0], time.perf_counter() - begun), flush=True)
        if draw is not None:
            print("wrote", draw(*made, DOCS / f"{name}.png"), flush=True)
    except (ValueError, OSError, bb.TargetError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(2) from error

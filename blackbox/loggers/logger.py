"""`Logger`: the four methods of a logger. `Log`: several of them as one, of which one that fails is dropped."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

METHODS = ("start", "scalars", "images", "end")


class Logger(Protocol):
    """What a logger can do; an object of yours with these methods is one.

    A sweep calls ``start`` … ``end`` once for each of its points, one after the other.
    """

    def start(self, settings: Mapping[str, Any]) -> None:
        """A run begins. ``settings["run"]`` is its name, a path of words joined by ``/``; the others are its settings."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name, ``group/name``; the numbers of one group share the meaning of ``step``."""

    def images(self, step: int, pictures: Mapping[str, Tensor]) -> None:
        """Pictures by name, each [C, H, W] floats in [0, 1], C 1 or 3."""

    def end(self, status: str) -> None:
        """The run is over: ``done``, ``incomplete`` (the target failed), ``stopped`` (by hand) or ``failed``."""


class Log:
    """Several loggers as one. A logger that fails is dropped with one warning: a run neither ends nor loses anything by it.

    Args:
        loggers: objects with the methods of `Logger`.

    Raises:
        TypeError: an object lacks a method.
    """

    def __init__(self, loggers: Iterable[Any]) -> None:
        self.loggers: list[Any] = list(loggers)
        for logger in self.loggers:
            if lacking := [name for name in METHODS if not callable(getattr(logger, name, None))]:
                raise TypeError(
                    f"Expected a logger with the methods {', '.join(METHODS)}, but {logger!r:.80} lacks {', '.join(lacking)}."
                )

    def __bool__(self) -> bool:
        return bool(self.loggers)

    def start(self, settings: Mapping[str, Any]) -> None:
        self._all("start", settings)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        if values:
            self._all("scalars", int(step), values)

    def images(self, step: int, pictures: Mapping[str, Tensor]) -> None:
        if pictures:
            self._all("images", int(step), pictures)

    def end(self, status: str) -> None:
        self._all("end", status)

    def _all(self, method: str, *args: Any) -> None:
        for logger in list(self.loggers):
            try:
                getattr(logger, method)(*args)
            except (Exception, SystemExit) as error:
                self.loggers.remove(logger)
                warnings.warn(
                    f"The logger {type(logger).__name__} failed in {method} and is dropped; the run goes on. It was: {error!r:.300}",
                    RuntimeWarning,
                    stacklevel=4,
                )


@contextmanager
def running(log: Log | None, settings: Mapping[str, Any]) -> Iterator[None]:
    """Start a run, and end it: as done, or by the error that ends it."""
    if log is None:
        yield
        return
    log.start(settings)
    try:
        yield
    except BaseException as error:
        log.end(outcome(error))
        raise
    log.end("done")


def outcome(error: BaseException) -> str:
    """How a run that this ended is said to have ended."""
    from blackbox.oracle.oracle import TargetError

    return "stopped" if isinstance(error, KeyboardInterrupt) else "incomplete" if isinstance(error, TargetError) else "failed"


def need(module: str, extra: str) -> None:
    """Raise ValueError where a package is not installed; before the run, while nothing is spent."""
    if find_spec(module) is None:
        raise ValueError(
            f"Expected the package {module} for this logger, but it is not installed. pip install 'blackbox-transfer[{extra}]'"
        )


def free_folder(root: Path, run: str) -> Path:
    """Make the folder of a run: ``root/run``, with -2, -3 … where one of that name is there already."""
    number = 1
    while True:
        path = root / (run if number == 1 else f"{run}-{number}")
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1


def plain(settings: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Settings as most backends want them: numbers, truth values and text."""
    return {k: v if isinstance(v, (bool, int, float, str)) else str(v) for k, v in settings.items()}


def pixels(picture: Tensor) -> Any:
    """A picture [C, H, W] in [0, 1] as an array [H, W, C] uint8."""
    return (picture.detach().float().cpu().clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy()

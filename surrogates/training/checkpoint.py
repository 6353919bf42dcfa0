"""Training runs on disk: interrupted ones go on from their last epoch, finished ones are read instead of repeated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from blackbox.checkpoint import fingerprint, read, write
from surrogates.acquisition.answers import Answers
from surrogates.data.dataset import Dataset
from surrogates.nets.predict import place
from surrogates.training.examples import Lesson, as_lesson
from surrogates.training.recipe import Recipe


@dataclass(frozen=True)
class Keep:
    """One file that belongs to one run, known by all that decides its outcome.

    Raises (by `load`): CheckpointError when the file is damaged or belongs to another run; says what differs.
    """

    path: Path
    settings: dict[str, Any]

    def load(self) -> dict[str, Any] | None:
        """What was stored last, or None where nothing was."""
        return read(self.path, self.settings) if self.path.exists() else None

    def store(self, body: dict[str, Any]) -> None:
        """Replace what is stored, in one piece."""
        write(self.path, self.settings, body)


def known_by(net: nn.Module, recipe: Recipe, seed: int, **data: Any) -> dict[str, Any]:
    """The settings of a run: recipe, seed, the net with its initial weights, and what else is given."""
    values = [*net.state_dict().values(), *net.buffers()]  # buffers: some are in no state dict
    device, dtype = place(net)
    return {
        **{f"recipe.{k}": v for k, v in recipe.settings().items()},
        "seed": seed,
        "net": f"{type(net).__qualname__} {getattr(net, 'arch', '')}".strip(),
        "layers": fingerprint_text(str(net)),
        "initial weights": fingerprint(*values),
        "arithmetic": f"{device.type} {dtype}",
        **data,
    }


def lesson_print(found: Lesson | Dataset | Answers | tuple[Any, Any] | None) -> str:
    """A hash of what is learned; "" for nothing."""
    if found is None:
        return ""
    lesson = found if isinstance(found, Lesson) else as_lesson(found)
    soft = [] if lesson.soft is None else [lesson.soft]
    return fingerprint(lesson.images, lesson.labels, lesson.ids, *soft) + ",".join(lesson.augment)


def fingerprint_text(text: str) -> str:
    """A short hash of a text."""
    from joblib import hash as digest

    return str(digest(text))[:16]


def cached(folder: str | Path, settings: dict[str, Any]) -> Keep:
    """The file in ``folder`` that belongs to these settings: named by their hash (`joblib.hash`).

    Not `joblib.Memory`: that reads pickles, which can run any code; these files hold tensors and numbers only.
    """
    from joblib import hash as digest

    return Keep(Path(folder) / f"{digest(sorted(settings.items()))}.pt", settings)

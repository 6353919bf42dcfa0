"""Training runs on disk: interrupted runs go on after their last epoch, finished ones are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from torch import nn

from blackbox.checkpoint import fingerprint, read, write
from surrogates.data.answers import Answers
from surrogates.data.dataset import Dataset
from surrogates.nets.predict import place
from surrogates.training.examples import Examples, as_examples
from surrogates.training.recipe import Recipe


@dataclass(frozen=True)
class RunFile:
    """The file of one training run, identified by the settings that decide its outcome.

    `load` raises CheckpointError when the file is damaged or belongs to another run; it says what differs.
    """

    path: Path
    settings: dict[str, Any]

    def load(self) -> dict[str, Any] | None:
        """What was stored last, or None where nothing was."""
        return read(self.path, self.settings) if self.path.exists() else None

    def store(self, body: dict[str, Any]) -> None:
        """Replace what is stored, in one piece."""
        write(self.path, self.settings, body)


def run_settings(net: nn.Module, recipe: Recipe, seed: int, **data: Any) -> dict[str, Any]:
    """The settings of a run: recipe, seed, the net with its initial weights, and what else is given."""
    values = [*net.state_dict().values(), *net.buffers()]  # buffers: some are in no state dict
    device, dtype = place(net)
    return {
        **{f"recipe.{k}": v for k, v in recipe.settings().items()},
        "seed": seed,
        "net": f"{type(net).__qualname__} {getattr(net, 'arch', '')}".strip(),
        "layers": str(joblib.hash(str(net)))[:16],
        "initial weights": fingerprint(*values),
        "arithmetic": f"{device.type} {dtype}",
        **data,
    }


def examples_hash(found: Examples | Dataset | Answers | tuple[Any, Any] | None) -> str:
    """A hash of training examples; "" for none."""
    if found is None:
        return ""
    examples = found if isinstance(found, Examples) else as_examples(found)
    soft = [] if examples.soft is None else [examples.soft]
    return fingerprint(examples.images, examples.labels, examples.ids, *soft) + ",".join(examples.augment)


def cached_file(folder: str | Path, settings: dict[str, Any]) -> RunFile:
    """The file in ``folder`` that belongs to these settings: named by their hash (`joblib.hash`).

    Not `joblib.Memory`: that reads pickles, which can run any code; these files hold tensors and numbers only.
    """
    return RunFile(Path(folder) / f"{joblib.hash(sorted(settings.items()))}.pt", settings)

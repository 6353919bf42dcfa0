"""Training runs on disk: interrupted runs resume after their last epoch, finished ones are loaded."""

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
    """The file of one training run, identified by the settings that determine its result.

    `load` raises CheckpointError, saying what differs, when the file is damaged or belongs to another run.
    """

    path: Path
    settings: dict[str, Any]

    def load(self) -> dict[str, Any] | None:
        """Load what was stored last, or None."""
        return read(self.path, self.settings) if self.path.exists() else None

    def store(self, body: dict[str, Any]) -> None:
        """Replace what is stored, atomically."""
        write(self.path, self.settings, body)


def run_settings(net: nn.Module, recipe: Recipe, seed: int, **data: Any) -> dict[str, Any]:
    """The settings of a run: recipe, seed, the net with its initial weights, and ``data``."""
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
    """The file in ``folder`` for these settings, named by their hash (`joblib.hash`).

    `joblib.Memory` is not used, because it loads pickles, which can run any code; these files hold tensors and numbers only.
    """
    return RunFile(Path(folder) / f"{joblib.hash(sorted(settings.items()))}.pt", settings)

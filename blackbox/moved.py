"""Aliases of public modules that have moved: old names still import, and files that name them still open."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "blackbox.bases": "blackbox.proposals.bases",
    "blackbox.cli.digits": "blackbox.specs.digits",
    "blackbox.journal": "blackbox.oracle.journal",
    "blackbox.ledger": "blackbox.engine.ledger",
    "blackbox.objective": "blackbox.goals.objective",
    "blackbox.targets.retrying": "blackbox.channels.retrying",
    "blackbox.targets.stateful": "blackbox.defences.blacklight",
    "blackbox.tuning": "blackbox.evaluation.tuning",
    "surrogates.acquire": "surrogates.acquisition",
    "surrogates.answers": "surrogates.data.answers",
    "surrogates.ball": "surrogates.crafting.ball",
    "surrogates.dataflow": "surrogates.crafting.surgery.graph",
    "surrogates.directional": "surrogates.analysis.directional",
    "surrogates.goal": "surrogates.crafting.goal",
    "surrogates.gradients": "surrogates.crafting.gradients",
    "surrogates.hooks": "surrogates.crafting.surgery.hooks",
    "surrogates.lean": "surrogates.nets.fold",
    "surrogates.loaders": "surrogates.data.loaders",
    "surrogates.matrix": "surrogates.transfer.matrix",
    "surrogates.minimum_norm": "surrogates.crafting.minimum_norm",
    "surrogates.models": "surrogates.nets.registry",
    "surrogates.noise": "surrogates.transfer.noise",
    "surrogates.parts": "surrogates.crafting.parts",
    "surrogates.presets": "surrogates.crafting.presets",
    "surrogates.queried": "surrogates.crafting.queried",
    "surrogates.ray": "surrogates.analysis.ray",
    "surrogates.recipe": "surrogates.training.recipe",
    "surrogates.refine": "surrogates.training.averaging",
    "surrogates.robust": "surrogates.training.adversarial",
    "surrogates.runs": "surrogates.transfer.runs",
    "surrogates.weights": "surrogates.nets.weights",
}


def now(name: str) -> str:
    """The current name of a module: ``surrogates.parts.walk`` -> ``surrogates.crafting.parts.walk``."""
    for old, new in MOVED.items():
        if name == old or name.startswith(old + "."):
            return new + name[len(old) :]
    return name


class _Alias(MetaPathFinder, Loader):
    """Imports a module under its old name, as the same module object as under the new one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(("blackbox.", "surrogates.")):  # every import of the process passes here
            return None
        return None if now(fullname) == fullname else ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(now(spec.name))
        spec.loader_state = module.__spec__  # which the import system overwrites with the alias's
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


if not any(isinstance(finder, _Alias) for finder in sys.meta_path):
    sys.meta_path.insert(0, _Alias())  # before the file finder, which would load a second copy through an alias's path

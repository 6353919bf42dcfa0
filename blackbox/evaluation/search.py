"""Search ranges of settings with Optuna (Akiba et al. 2019, arXiv:1907.10902): each trial is run on one's own models.

A trial's images are cut into blocks. After each block, settings whose cost so far is above the median of those before them
stop: what they have is exactly what a whole run would have for these images. The settings that trial k tries depend on
(seed, k, the trials before it) alone, so a search that was killed goes on with the settings it would have tried.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checkpoint import fingerprint
from blackbox.evaluation.space import Space
from blackbox.evaluation.tuned import Tuned
from blackbox.oracle.kept import Kept
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Attack
from blackbox.run import attack as run
from blackbox.threat import Threat

SAMPLERS = ("tpe", "random")
WARM = 5  # trials that run to their end before others are compared with them; the default of Optuna's median pruner


@dataclass(frozen=True)
class Settings:
    """What is the same in all trials; see `blackbox.tune`."""

    models: dict[str, Any]
    x: Tensor
    y: Tensor
    ids: np.ndarray
    threat: Threat
    budget: int
    access: str
    classes: int
    seed: int
    files: Kept = field(default_factory=Kept)

    def identity(self, space: Space, sampler: str, blocks: int) -> str:
        """A hash of all that a trial depends on; of models that are no torch modules the name alone."""
        weights = [
            fingerprint(*(v.detach().cpu() for v in m.state_dict().values())) if isinstance(m, torch.nn.Module) else ""
            for m in self.models.values()
        ]
        what = [repr(space), list(self.models), weights, repr(self.threat), fingerprint(self.x, self.y, self.ids)]
        fixed = [self.budget, self.access, self.classes, self.seed, sampler, blocks]
        return hashlib.sha256(json.dumps([what, fixed]).encode()).hexdigest()[:16]


Costs = dict[str, list[int]]


def search(
    space: Space, fixed: Settings, trials: int, storage: str | Path | None = None, sampler: str = "tpe", blocks: int = 4,
    jobs: int = 1, progress: Callable[[int, int, Tuned], None] | None = None,
) -> Tuned:  # fmt: skip
    """Try ``trials`` settings, with those that ``storage`` holds of the same search among them; one process at a time.

    Args:
        jobs: images are shared out among so many processes; of no influence on what is tried or found.

    Raises:
        ValueError: optuna is not installed, an unknown sampler, or a model that has no image right.
    """
    optuna = _optuna()
    if sampler not in SAMPLERS:
        raise ValueError(f"Expected sampler to be one of {', '.join(SAMPLERS)}, but it was {sampler!r}.")
    study = _open(optuna, space, fixed, storage, sampler, blocks)
    while len(done := _finished(study)) < trials:
        study.sampler = _sampler(optuna, sampler, fixed.seed, len(done))
        trial = study.ask()
        values = space.draw(trial)
        try:
            costs, stopped = _trial(trial, space.build(values), fixed, blocks, jobs)
        except BaseException:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
        trial.set_user_attr("found", {"settings": values, "costs": costs})
        if stopped:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, _score(costs))
        if progress is not None:
            progress(len(done) + 1, trials, _tuned(study, space, fixed))
    return _tuned(study, space, fixed)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ValueError("Expected the extra [tune] to be installed, but it is not. pip install -e '.[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _open(optuna: Any, space: Space, fixed: Settings, storage: str | Path | None, sampler: str, blocks: int) -> Any:
    """The study of this search; trials that a killed process has left behind are marked as failed."""
    study = optuna.create_study(
        storage=None if storage is None else _sqlite(optuna, Path(storage).resolve()),
        study_name=f"blackbox-{fixed.identity(space, sampler, blocks)}", load_if_exists=True, direction="minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM, n_warmup_steps=0) if blocks > 1 else optuna.pruners.NopPruner(),
    )  # fmt: skip
    for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def _sqlite(optuna: Any, path: Path) -> Any:
    """A file as fast as the toolkit's others: in WAL mode it survives ``kill -9`` without waiting for the disk at every write."""
    from sqlalchemy import event

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        made = optuna.storages.RDBStorage(f"sqlite:///{path}")
    except Exception as error:
        raise ValueError(f"Expected {path} to be a file of Optuna, or none, but it cannot be used: {error}.") from error

    @event.listens_for(made.engine, "connect")
    def fast(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    made.engine.dispose()  # connections from before
    return made


def _finished(study: Any) -> list[Any]:
    """The trials that came to their end or were stopped early, in their order."""
    return [t for t in study.get_trials(deepcopy=False) if t.state.name in ("COMPLETE", "PRUNED") and "found" in t.user_attrs]


def _sampler(optuna: Any, name: str, seed: int, number: int) -> Any:
    """Of trial ``number``: one for all trials would begin anew when a search goes on."""
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=own) if name == "tpe" else optuna.samplers.RandomSampler(seed=own)


def _trial(trial: Any, attack: Attack, fixed: Settings, blocks: int, jobs: int) -> tuple[Costs, bool]:
    """Run block after block; the cost of each image that a model has right, and whether the trial was stopped early."""
    edges = np.linspace(0, len(fixed.x), min(blocks, len(fixed.x)) + 1).round().astype(int).tolist()
    costs: Costs = {name: [] for name in fixed.models}
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        for name, found in _block(attack, fixed, start, stop, jobs).items():
            costs[name] += found
        if stop == len(fixed.x):
            break
        if all(costs.values()):
            trial.report(_score(costs), number)
            if trial.should_prune():
                return costs, True
    if none := [name for name, found in costs.items() if not found]:
        raise ValueError(f"Expected {none[0]} to have some of the {len(fixed.x)} images right, but it has none. Is it trained?")
    return costs, False


def _block(attack: Attack, fixed: Settings, start: int, stop: int, jobs: int) -> Costs:
    """Images ``start`` to ``stop``, shared out: an image costs the same whoever its neighbours are."""
    from joblib import Parallel, delayed

    edges = np.linspace(start, stop, min(jobs, stop - start) + 1).round().astype(int).tolist()
    cells = [(name, a, b) for name in fixed.models for a, b in itertools.pairwise(edges)]
    found = Parallel(n_jobs=jobs)(delayed(_share)(attack, fixed, name, a, b) for name, a, b in cells)
    out: Costs = {name: [] for name in fixed.models}
    for (name, _, _), queries in zip(cells, found, strict=True):
        out[name] += queries
    return out


def _share(attack: Attack, fixed: Settings, model: str, start: int, stop: int) -> list[int]:
    """The queries of each image that the model has right, a failure charged at the budget."""
    some = slice(start, stop)
    oracle = Oracle(fixed.models[model], fixed.access, fixed.classes)
    own = fixed.files.of(f"{hashlib.sha256(repr(attack).encode()).hexdigest()[:8]}-{model}-{start}-{stop}")
    result = run(
        oracle, fixed.x[some], fixed.y[some], attack, fixed.threat, fixed.budget, seed=fixed.seed, ids=fixed.ids[some], **own
    )  # fmt: skip
    queries: list[int] = torch.where(result.success, result.first_success_query, fixed.budget)[result.attacked].tolist()
    return queries


def _score(costs: Costs) -> float:
    return float(np.mean([np.mean(found) for found in costs.values()]))


def _tuned(study: Any, space: Space, fixed: Settings) -> Tuned:
    """What is known so far; settings tried twice stand once, as a whole run where there was one."""
    attacks: dict[str, Attack] = {}
    cost: dict[str, dict[str, np.ndarray]] = {}
    stopped: set[str] = set()
    for trial in _finished(study):
        values, costs = trial.user_attrs["found"]["settings"], trial.user_attrs["found"]["costs"]
        early = trial.state.name == "PRUNED"
        name = ", ".join(f"{key}={value}" for key, value in values.items())
        if name in cost and (early or name not in stopped):
            continue
        attacks[name] = space.build(values)
        cost[name] = {model: np.array(found, np.int64) for model, found in costs.items()}
        stopped = stopped | {name} if early else stopped - {name}
    return Tuned(attacks, cost, fixed.budget, frozenset(stopped))

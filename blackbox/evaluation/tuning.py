"""Tune an attack's settings on your own models, where a query costs nothing.

found = blackbox.tune(blackbox.variants("square", p_init=[0.05, 0.1, 0.2, 0.4, 0.8]), {"mine": net}, x, y, threat, 1000)
print(found.table())
result = blackbox.attack(oracle, x, y, found.best, threat, 1000)
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox import attacks as registry
from blackbox.checkpoint import fingerprint
from blackbox.checks import as_ids, as_images, as_labels, check_int
from blackbox.evaluation.space import Space
from blackbox.evaluation.tuned import Tuned
from blackbox.oracle.kept import Kept
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Attack
from blackbox.run import attack as run
from blackbox.threat import Threat


def variants(name: str, **grid: Sequence[Any]) -> dict[str, Attack]:
    """Every combination of settings of one attack, by its settings in words: ``variants("square", p_init=[.1, .4])``.

    Raises:
        ValueError: no setting, or one without a value; whatever the attack says of a value that cannot be.
    """
    empty = [key for key, values in grid.items() if isinstance(values, str) or not len(values)]
    if not grid or empty:
        raise ValueError(
            f"Expected lists of values to try, such as p_init=[0.1, 0.4], but {empty[0] if empty else 'nothing'} "
            f"{'had none' if empty else 'was given'}."
        )
    out = {}
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        out[", ".join(f"{key}={value}" for key, value in settings.items())] = registry.build(name, **settings)
    return out


def tune(
    attacks: Mapping[str, Attack] | Space,
    models: Mapping[str, Any],
    x: Tensor | np.ndarray,
    y: Tensor | np.ndarray,
    threat: Threat,
    budget: int = 1000,
    *,
    access: str = "scores",
    classes: int = 10,
    seed: int = 0,
    ids: Tensor | np.ndarray | None = None,
    jobs: int = 1,
    cache: str | Path | None = None,
    journal: str | Path | None = None,
    checkpoint: str | Path | None = None,
    trials: int = 40,
    storage: str | Path | None = None,
    sampler: str = "tpe",
    blocks: int = 4,
    progress: Callable[[int, int, Tuned], None] | None = None,
) -> Tuned:
    """Run every attack against every model of yours and keep the queries that each image took.

    Not one query goes to the hidden target: settings chosen on surrogates are chosen blind to it.

    Args:
        attacks: name -> attack, from `variants` or made by hand; or `ranges`, in which some settings are tried.
        models: name -> whatever an `Oracle` takes; the more they resemble the target, the better.
        x: [N, \\*shape] images in [0, 1], one's own: not those to be attacked. y: [N] true labels.
        threat, budget, access, seed, ids: as the attack is to be run later.
        jobs: runs at once (`joblib`, in processes). cache: a folder that keeps each run under a hash of all it depends on,
            so that a larger grid costs only what is new; for torch modules, whose weights can be hashed.
        journal, checkpoint: as in `blackbox.attack`, for models that are slow or cost something: each run has a file of its own
            beside the one named, and the same call goes on where it was. A run that ``cache`` holds needs none.
        trials, storage, sampler, blocks, progress: of ranges alone, `blackbox.evaluation.search.search`: how many settings are
            tried; a SQLite file with which the same call goes on; ``"tpe"`` or ``"random"``; into how many parts the images
            are cut, after each of which settings that do worse than the median stop (1: none stops); called after each trial
            with its number, ``trials`` and what is known so far.

    Raises:
        ValueError: nothing to try, or nothing to try it on; a model that has no image right; a cache for a model that is
            no torch module. TypeError: something that is no attack. Else as `blackbox.attack`.
    """
    if not models or (not isinstance(attacks, Space) and not attacks):
        count = 1 if isinstance(attacks, Space) else len(attacks)
        raise ValueError(f"Expected attacks and models to try them on, but there were {count} attacks and {len(models)} models.")
    images = as_images(x, "x")
    labels = as_labels(y, len(images), classes, "y")
    numbers = as_ids(ids, len(images))
    if cache is not None and (other := [m for m, model in models.items() if not isinstance(model, torch.nn.Module)]):
        raise ValueError(f"Expected torch modules where runs are cached, but {other[0]} is none. Leave cache out.")
    if isinstance(attacks, Space):
        from blackbox.evaluation.search import Settings, search

        files = Kept(journal, checkpoint)
        fixed = Settings(dict(models), images, labels, numbers, threat, budget, access, classes, seed, files)
        return search(attacks, fixed, check_int(trials, "trials", 1), storage, sampler, check_int(blocks, "blocks", 1), jobs, progress)
    from joblib import Parallel, delayed

    files = Kept(journal, checkpoint)
    cells = list(itertools.product(attacks, models))
    found = Parallel(n_jobs=jobs)(
        delayed(_cell)(
            attacks[a], models[m], m, images, labels, numbers, threat, budget, access, classes, seed,
            None if cache is None else Path(cache), files.of(f"{a}-{m}"),
        )
        for a, m in cells
    )  # fmt: skip
    cost: dict[str, dict[str, np.ndarray]] = {}
    for (a, m), spent in zip(cells, found, strict=True):
        cost.setdefault(a, {})[m] = spent
    return Tuned(dict(attacks), cost, budget)


def _cell(
    attack: Attack, model: Any, name: str, x: Tensor, y: Tensor, ids: np.ndarray, threat: Threat, budget: int, access: str,
    classes: int, seed: int, cache: Path | None, files: dict[str, Any],
) -> np.ndarray:  # fmt: skip
    """[n] queries of one attack on one model."""
    kept = None
    if cache is not None:
        from joblib import hash as digest

        weights = fingerprint(*(v.detach().cpu() for v in model.state_dict().values()))
        what = (type(model).__qualname__, repr(model), weights, repr(attack), repr(threat), fingerprint(x, y, ids))
        kept = cache / f"{digest((*what, budget, access, classes, seed))}.json"
        if kept.exists():
            return np.array(json.loads(kept.read_text())["queries"], dtype=np.int64)
    result = run(Oracle(model, access, classes), x, y, attack, threat, budget, seed=seed, ids=ids, **files)
    if not bool(result.attacked.any()):
        raise ValueError(f"Expected {name} to have some of the {len(x)} images right, but it has none. Is it trained?")
    queries = torch.where(result.success, result.first_success_query, budget)[result.attacked].numpy()
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_suffix(".new")
        new.write_text(json.dumps({"attack": repr(attack), "model": name, "queries": queries.tolist()}))
        new.replace(kept)
    return queries

"""blackbox: attacks on models through queries alone, counted to the row.

    run            `attack`: check, run, report; `engine/` runs it, `results/` holds its result
    protocol       what an attack is: Ask, Tell, Task, Attack; `answer` is how an Ask becomes points and a Tell
    attacks/       one paper a file; on `estimators/` (gradients from queries), `proposals/` (what a random search tries),
                   `search` (bisections), `ascent` and `direction` (the loop of FGSM), `candidates/` (what `hybrid` chooses among)
    oracle/        counts queries to a target; `targets/`, `channels/`, `defences/` are what it wraps
    image_set/     a set of images as one sample: `universal`, one change for all of them
    goals/, threat what success means, and what may be changed
    statistics/    rates, curves, intervals, tests
    specs/         text -> target, data, threat, attack; `cli/`, `sweep/`, `evaluation/`, `report/`, `app/` are the faces
    testing/       contracts and analytic targets for your own attacks

Everything is imported when it is first used, so that ``blackbox --help`` need not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import blackbox.moved  # old names of public modules still import
from blackbox.lazy import lazy

__version__ = "0.1.0"

_WHERE = {
    "Oracle": "blackbox.oracle.oracle",
    "Reply": "blackbox.oracle.oracle",
    "TargetError": "blackbox.oracle.oracle",
    "Linf": "blackbox.threat",
    "L2": "blackbox.threat",
    "L1": "blackbox.threat",
    "L0": "blackbox.threat",
    "Threat": "blackbox.threat",
    "Tabular": "blackbox.tabular",
    "Tariff": "blackbox.tariff",
    "Bill": "blackbox.tariff",
    "UnsupportedThreat": "blackbox.threat",
    "per_entry": "blackbox.bounds",
    "Patch": "blackbox.areas",
    "Frame": "blackbox.areas",
    "Access": "blackbox.protocol",
    "AccessError": "blackbox.protocol",
    "Ask": "blackbox.protocol",
    "Attack": "blackbox.protocol",
    "Tell": "blackbox.protocol",
    "Task": "blackbox.protocol",
    "Steps": "blackbox.protocol",
    "Status": "blackbox.protocol",
    "PerImage": "blackbox.per_image",
    "CheckpointError": "blackbox.checkpoint",
    "AttackResult": "blackbox.results",
    "Pooled": "blackbox.results.pooled",
    "pool": "blackbox.results.pooled",
    "Measured": "blackbox.image_set",
    "Universal": "blackbox.change",
    "UniversalResult": "blackbox.image_set",
    "universal": "blackbox.image_set",
    "universal_rate": "blackbox.image_set",
    "Rate": "blackbox.statistics.rates",
    "attack": "blackbox.run",
    "evaluate": "blackbox.evaluation.evaluation",
    "goal": "blackbox.goals.own",
    "load": "blackbox.saved",
    "starts": "blackbox.start_images",
    "tune": "blackbox.evaluation.tuning",
    "variants": "blackbox.evaluation.tuning",
    "ranges": "blackbox.evaluation.space",
}
_MODULES = {
    "attacks": "blackbox.attacks",
    "targets": "blackbox.targets",
    "estimators": "blackbox.estimators",
    "goals": "blackbox.goals",
    "direction": "blackbox.direction",
    "bases": "blackbox.proposals.bases",
    "loggers": "blackbox.loggers",
    "testing": "blackbox.testing",
    "statistics": "blackbox.statistics",
}

__all__ = [*_WHERE, *_MODULES]

if TYPE_CHECKING:
    from blackbox import attacks, direction, estimators, goals, loggers, statistics, targets, testing
    from blackbox.areas import Frame, Patch
    from blackbox.bounds import per_entry
    from blackbox.change import Universal
    from blackbox.checkpoint import CheckpointError
    from blackbox.evaluation.evaluation import evaluate
    from blackbox.evaluation.space import ranges
    from blackbox.evaluation.tuning import tune, variants
    from blackbox.goals.own import goal
    from blackbox.image_set import Measured, UniversalResult, universal, universal_rate
    from blackbox.oracle.oracle import Oracle, Reply, TargetError
    from blackbox.per_image import PerImage
    from blackbox.proposals import bases
    from blackbox.protocol import Access, AccessError, Ask, Attack, Status, Steps, Task, Tell
    from blackbox.results import AttackResult
    from blackbox.results.pooled import Pooled, pool
    from blackbox.run import attack
    from blackbox.saved import load
    from blackbox.start_images import starts
    from blackbox.statistics import Rate
    from blackbox.tabular import Tabular
    from blackbox.tariff import Bill, Tariff
    from blackbox.threat import L0, L1, L2, Linf, Threat, UnsupportedThreat

__getattr__, __dir__ = lazy(__name__, _WHERE, _MODULES)

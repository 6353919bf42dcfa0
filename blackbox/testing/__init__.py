"""Test your own attack, estimator or target with the checks that this package's own parts must pass.

    from blackbox.testing import AttackContract

    class TestMine(AttackContract):
        attack = MyAttack(step_size=0.1)

and ``pytest`` runs every check of the contract for every norm that the attack supports, untargeted and targeted.
`EngineContract` checks what must hold for any attack; it is for those who change the engine.
The contracts need pytest; the analytic targets need only torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox.lazy import lazy

_WHERE = {
    "AttackContract": "blackbox.testing.attack_contract",
    "Case": "blackbox.testing.problems",
    "EngineContract": "blackbox.testing.engine_contract",
    "EstimatorContract": "blackbox.testing.estimator_contract",
    "Affine": "blackbox.testing.targets",
    "Constant": "blackbox.testing.targets",
    "Failing": "blackbox.testing.targets",
    "Moderation": "blackbox.testing.moderation",
    "Noisy": "blackbox.testing.targets",
    "Problem": "blackbox.testing.problems",
    "Quadratic": "blackbox.testing.targets",
    "Quantised": "blackbox.testing.targets",
    "Recording": "blackbox.testing.targets",
    "ReluNet": "blackbox.testing.targets",
    "Sphere": "blackbox.testing.targets",
    "affine_problem": "blackbox.testing.problems",
}

__all__ = [*_WHERE]

if TYPE_CHECKING:
    from blackbox.testing.attack_contract import AttackContract
    from blackbox.testing.engine_contract import EngineContract
    from blackbox.testing.estimator_contract import EstimatorContract
    from blackbox.testing.moderation import Moderation
    from blackbox.testing.problems import Case, Problem, affine_problem
    from blackbox.testing.targets import (
        Affine,
        Constant,
        Failing,
        Noisy,
        Quadratic,
        Quantised,
        Recording,
        ReluNet,
        Sphere,
    )

__getattr__, __dir__ = lazy(__name__, _WHERE)

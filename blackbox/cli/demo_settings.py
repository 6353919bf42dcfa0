"""Settings and outcome of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blackbox.report.shown import LastCell
    from blackbox.results import AttackResult
    from surrogates import TransferMatrix


@dataclass(frozen=True)
class Settings:
    """What the demo does; written to run.json.

    teacher: the hidden target that is asked. eps: Linf radius, large because the images have 64 pixels only.
    label_queries: paid for the surrogate. arch: its net; a small smooth one transfers better here than a cnn.
    attacks: crafted on it. images: how many are attacked through queries, each with at most ``budget``.
    groups: pixels a random group. components: of the PCA, fitted on the attacker's own images.
    steps: of fd-ifgsm, each of length eps / steps. h: the largest change of a pixel in a probe, about a grey level.
    rows_per_call: fixed, so that results repeat to the last bit on any target. more: further query attacks, by name.
    """

    teacher: str = "svm-rbf"
    eps: float = 0.2
    label_queries: int = 1600
    arch: str = "mlp"
    epochs: int = 10
    lr: float = 2e-3
    attacks: tuple[str, ...] = ("fgsm", "i-fgsm", "mi-fgsm")
    images: int = 100
    budget: int = 250
    h: float = 0.05
    groups: int = 2
    components: int = 16
    steps: int = 3
    rows_per_call: int = 256
    seed: int = 0
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """Everything that the tables and pictures are made of. ``last``: the last attack's examples."""

    settings: Settings
    own: int
    agreement: Any
    matrix: TransferMatrix
    last: LastCell
    queries: dict[str, AttackResult]

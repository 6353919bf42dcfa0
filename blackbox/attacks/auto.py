"""Auto: the attack with nothing to tune (this project's own)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from blackbox import attacks
from blackbox.prior import Prior
from blackbox.protocol import Access, Attack, Task
from blackbox.threat import Threat

CHOICE: dict[tuple[bool, str], str] = {
    # (scores or more, norm): measured is Linf with scores (`docs/results`), the others are our judgement
    (True, "Linf"): "ripples-linear",
    (True, "L2"): "ripples",
    (True, "L1"): "square",
    (True, "L0"): "sparse",
    (False, "Linf"): "ripples",
    (False, "L2"): "tangent",
    # no search through labels serves these norms: random candidates, until one happens to be adversarial
    (False, "L1"): "square",
    (False, "L0"): "sparse",
}


@dataclass(frozen=True)
class Auto(Attack):
    """Chooses by what the target shows, the norm, and whether there is a prior: `Hybrid` where there is one (in L1 a
    `TransferStart` of Square), else `CHOICE`. The result's ``config["parameters"]`` names the choice, ``config["parts"]``
    what each part of it contributed.

    Args:
        prior: `surrogates.prior(nets)`, or None.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2", "L1", "L0")
    informed: ClassVar[bool] = True

    prior: Prior | None = None

    def settle(self, access: Access, threat: Threat) -> Any:
        """The attack that runs."""
        scores = access > Access.LABELS
        if self.prior is not None and threat.norm in attacks.get("hybrid").norms:
            return attacks.build("hybrid", prior=self.prior).settle(access, threat)
        if self.prior is not None and scores and threat.norm == "L1":
            return attacks.build("transfer-start", prior=self.prior)
        return attacks.build(CHOICE[scores, threat.norm]).settle(access, threat)

    def init(self, t: Task) -> Any:
        return self.settle(t.access, t.threat).init(t)

    def step(self, t: Task, s: Any, k: int) -> Any:
        return self.settle(t.access, t.threat).step(t, s, k)

"""PARS-OPT (Xu, Cheng, Xu, Xuan & Ma 2026, arXiv:2512.21241), after the paper's description as we know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from blackbox.attacks.ars_opt import ARSOPT
from blackbox.candidates.told import members_slopes, told_start
from blackbox.prior import Guided
from blackbox.protocol import Steps, Task


@dataclass(frozen=True)
class PARSOPT(ARSOPT, Guided):
    """`ARSOPT` with surrogates: their gradients where momentum leads are directions of the estimate too, beside the random ones.

    The slope along each member's gradient (made orthonormal) is measured by a difference, so that one that knows nothing
    costs some queries and adds nothing; see `estimators.ray`.

    Departs from the paper as `ARSOPT` does; it starts from an example on the prior (`candidates.told`), with one query if that
    fools the target.

    Args:
        prior: `surrogates.prior(nets)`. others: as in `ARSOPT`.
    """

    def begin(self, t: Task) -> Steps[tuple[Tensor, Tensor]]:
        return (yield from told_start(t, self.known, self.tries))

    def priors(self, t: Task, x: Tensor) -> Sequence[Tensor]:
        return members_slopes(t, self.known, x)

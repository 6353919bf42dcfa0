"""What a candidate maker is, and what it sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from blackbox.protocol import Task, Tell
from blackbox.rowwise import choose


@dataclass(frozen=True)
class Scene:
    """Rows that a maker shall propose for.

    Attributes:
        t: their task (``t.rng`` draws for these rows, ``t.goal`` is what to leave or reach). prior: of the attack (a `Prior`), or None.
        x, loss, shown: their best points, see `Best`. k: the step.
        bank: a `Bank`, candidates kept for the whole cohort, or None. at: [n] the place of these rows in it.
    """

    t: Task
    prior: Any
    x: Tensor
    loss: Tensor
    shown: Tensor
    k: int
    bank: Any
    at: Tensor

    @classmethod
    def alone(cls, t: Task, best: Best, k: int) -> Scene:
        """Of a search without a prior."""
        return cls(t, None, *best, k, None, torch.arange(t.n, device=t.x0.device))

    def take(self, keep: Tensor) -> Scene:
        """The rows in ``keep`` (a boolean mask)."""
        mask = keep.numpy(force=True)
        if mask.all():
            return self
        index = torch.from_numpy(mask.nonzero()[0]).to(self.x.device)
        x, loss, shown, at = (v.index_select(0, index) for v in (self.x, self.loss, self.shown, self.at))
        return replace(self, t=self.t.take(mask), x=x, loss=loss, shown=shown, at=at)

    def everyone(self) -> Tensor:
        """[n] bool: all rows, for a maker that can always propose."""
        return torch.ones(self.t.n, dtype=torch.bool, device=self.x.device)

    def rivals(self) -> Tensor:
        """[n, C] what the target showed, the class to leave (or to reach) and what was not shown at -inf."""
        assert self.t.goal is not None
        return self.shown.nan_to_num(nan=-torch.inf).scatter(1, self.t.goal[:, None], -torch.inf)


class Best(NamedTuple):
    """The best point of each row: x [n, \\*shape], its loss [n], and what the target showed there [n, C]
    (NaN: nothing; [n, 0] in a search that does not ask)."""

    x: Tensor
    loss: Tensor
    shown: Tensor

    def updated(self, a: Tell) -> tuple[Best, Tensor]:
        """The better of this and the points that were looked at, and [n] where that is the latter."""
        better = a.loss > self.loss
        x, loss = choose(better, a.x, self.x), torch.where(better, a.loss, self.loss)
        shown = self.shown if a.shown is None or not self.shown.shape[1] else torch.where(better[:, None], a.shown, self.shown)
        return Best(x, loss, shown), better


class Maker:
    """What every maker inherits: a frozen dataclass of settings that proposes candidates.

    Attributes:
        name: in results and draws.
        worth: the successes and failures that it is credited with in the beginning, both above 0.
        towards: the same for attacks towards a class; None: not used there. A maker without it has ``worth`` there too.
        once: it would propose the same again at the same best point.
        surrogate: its candidates come from the prior; a row whose start disappointed does without it.
    """

    name: str
    worth: tuple[float, float]
    once: ClassVar[bool] = False
    surrogate: ClassVar[bool] = False

    def ready(self, scene: Scene) -> Tensor:
        """[n] bool: it can propose."""
        return scene.everyone()

    def make(self, scene: Scene) -> Tensor:
        """[n, \\*shape]: one candidate a row. Draws come from ``scene.t.rng`` with the step ``scene.k``."""
        raise NotImplementedError


def worth(maker: Maker, targeted: bool) -> tuple[float, float] | None:
    """The initial counts of a maker; None: it is not to be drawn."""
    return getattr(maker, "towards", maker.worth) if targeted else maker.worth

"""What a candidate maker is, and what it sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from scipy.special import betaincinv
from torch import Tensor

from blackbox.candidates.bank import Bank
from blackbox.prior import Prior
from blackbox.protocol import Task


@dataclass(frozen=True)
class Scene:
    """Rows that a maker shall propose for.

    Attributes:
        t: their task (``t.rng`` draws for these rows, ``t.goal`` is what to leave or reach). prior: what is known.
        x: [n, \\*shape] their best points, with loss [n] and what the target showed there, [n, C] (NaN: nothing).
        k: the step. bank: candidates kept for the whole cohort; at: [n] these rows in it.
    """

    t: Task
    prior: Prior
    x: Tensor
    loss: Tensor
    shown: Tensor
    k: int
    bank: Bank
    at: Tensor

    def take(self, keep: Tensor) -> Scene:
        """The rows in ``keep`` (a boolean mask)."""
        if bool(keep.all()):
            return self
        return replace(
            self,
            t=self.t.take(keep.numpy(force=True)),
            x=self.x[keep],
            loss=self.loss[keep],
            shown=self.shown[keep],
            at=self.at[keep],
        )

    def everyone(self) -> Tensor:
        """[n] bool: all rows, for a maker that can always propose."""
        return torch.ones(self.t.n, dtype=torch.bool, device=self.x.device)

    def rivals(self) -> Tensor:
        """[n, C] what the target showed, the class to leave (or to reach) and what was not shown at -inf."""
        assert self.t.goal is not None
        return self.shown.nan_to_num(nan=-torch.inf).scatter(1, self.t.goal[:, None], -torch.inf)


class Maker(Protocol):
    """A frozen dataclass. name: in results. worth: (a, b) of the Beta prior of its reward. once: it would propose the same
    again at the same best point. A maker may have ``towards`` beside: its worth towards a class, None where it is of none
    there (by default the same).
    """

    @property
    def name(self) -> str: ...

    @property
    def worth(self) -> tuple[float, float]: ...

    @property
    def once(self) -> bool: ...

    @property
    def surrogate(self) -> bool:
        """Its candidates come from the prior; it is trusted less where the prior's start did harm."""
        ...

    def ready(self, scene: Scene) -> Tensor:
        """[n] bool: it can propose."""
        ...

    def make(self, scene: Scene) -> Tensor:
        """[n, \\*shape]: one candidate a row. Draws come from ``scene.t.rng`` with the step ``scene.k``."""
        ...


def worth(maker: Maker, targeted: bool) -> tuple[float, float] | None:
    """(a, b) of the Beta prior of a maker's reward; None: it is not to be drawn."""
    return getattr(maker, "towards", maker.worth) if targeted else maker.worth


def thompson(t: Task, k: int, a: Tensor, b: Tensor) -> Tensor:
    """[n, makers]: a number drawn from each Beta posterior (``a``, ``b``: [n, makers] float64); the largest proposes."""
    u = t.rng.uniform_array(k, "maker", a.shape[1]).astype("float64")
    return torch.from_numpy(betaincinv(a.numpy(force=True), b.numpy(force=True), u)).to(a.device)

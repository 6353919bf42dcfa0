"""Schedules: which nets of an ensemble take part at a step, and inner loops that go from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor

from blackbox.rng import Stream
from surrogates.crafting.parts.base import Part, Parts

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


@dataclass(frozen=True)
class Schedule(Part):
    """Base class. Either ``pick`` says which nets take part at a step; or ``inner`` is True and ``__call__(walk, at)``
    makes the step's gradient itself from ``walk.members`` (one gradient source a net, views and all) and ``walk.field``
    (all nets together). An inner loop leaves no room for a probe or an aggregate."""

    slot: ClassVar[str] = "schedule"
    inner: ClassVar[bool] = False

    def pick(self, k: int, rng: Stream, nets: int) -> tuple[int, ...]:
        """The numbers of the nets that take part at step ``k``: the same for all rows."""
        return tuple(range(nets))

    def members(self, k: int, nets: int) -> int:
        """How many forward-and-backward passes a gradient costs at step ``k``, over all nets."""
        return len(self.pick(k, Stream(0, np.zeros(1, np.uint64)), nets))

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        raise NotImplementedError

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        if self.inner:
            for slot in ("probe", "aggregate"):
                if part := parts.one(slot):
                    raise ValueError(
                        f"Expected no {slot} beside {self}, whose inner loop says where gradients are taken, but there was "
                        f"{part}. Leave one of them out."
                    )
        if nets < 2:
            raise ValueError(
                f"Expected an ensemble of nets for {self}, but there was one net. Give several: [net_a, net_b], or what "
                "refine.lgv(net, data) or refine.swag(net, data) makes of one."
            )


@dataclass(frozen=True)
class Cycle(Schedule):
    """One net a step, in turn (LGV; Gubri et al. 2022, arXiv:2207.13129). shuffled: each round through the nets in an order
    of its own, drawn by the seed, so that few steps do not see the first nets only."""

    shuffled: bool = False

    def pick(self, k: int, rng: Stream, nets: int) -> tuple[int, ...]:
        if self.shuffled:
            return (int(rng.shared_permutation(k // nets, "members", nets)[k % nets]),)
        return (k % nets,)


@dataclass(frozen=True)
class Random(Schedule):
    """``count`` nets a step, drawn by (seed, step): the same for all images."""

    count: int = 1

    def pick(self, k: int, rng: Stream, nets: int) -> tuple[int, ...]:
        return tuple(sorted(rng.shared_permutation(k, "members", nets)[: self.count].tolist()))

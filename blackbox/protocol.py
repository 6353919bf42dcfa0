"""The protocol between an attack, which proposes points, and the engine, which evaluates them and counts queries.

An attack is a frozen dataclass of hyper-parameters with two methods, each a plain function or a generator:

    init(task) -> State                 before the first step
    step(task, state, k) -> State       iteration k of the paper's loop; None when the paper's loop has ended

A generator makes queries with ``tell = yield Ask(points)``. Procedures that make queries (an estimator, a bisection) are
generators too and are called with ``yield from``. A State is explicit *between* steps: a dataclass (or tuple, or tensor)
in which the first axis of every tensor is the batch, so that the engine can drop finished rows, save and resume. Inside a
step, use ordinary local variables.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from blackbox.bounds import Bounds
from blackbox.rng import Stream
from blackbox.status import Status
from blackbox.tabular.rows import TableRows
from blackbox.threat import Threat

S = TypeVar("S")


def grid(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height, width of a sample of any shape: a vector counts as one row of pixels, and all axes before the last
    two count as channels (those of a volume [channels, depth, height, width], say)."""
    return math.prod(shape[:-2]), shape[-2] if len(shape) > 1 else 1, shape[-1]


class Access(enum.IntEnum):
    """What a target shows for an image, from least to most; ``ANSWERS`` are of any form, which only a goal can read."""

    LABELS = 0
    TOPK = 1
    SCORES = 2
    LOGITS = 3
    ANSWERS = 4

    @classmethod
    def parse(cls, value: str | Access) -> Access:
        """``"scores"`` -> ``Access.SCORES``; raises ValueError with the list of names."""
        if isinstance(value, Access):
            return value
        names = {a.name.lower(): a for a in cls}
        try:
            return names[str(value).lower().replace("-", "")]
        except KeyError:
            raise ValueError(f"Expected access to be one of {', '.join(names)}, but it was {value!r}.") from None


class AccessError(ValueError):
    """The oracle shows less than the attack needs."""


class Directions(Protocol):
    """Probe directions that differ between rows, made on demand so that memory is that of one call."""

    @property
    def count(self) -> int:
        """The number of directions a row."""

    def make(self, row: Tensor, index: Tensor) -> Tensor:
        """Directions [m, \\*shape] for the pairs (row[i], index[i])."""


class Ask(NamedTuple):
    """Points to evaluate.

    Without ``u``: one point a row, ``x`` [n, \\*shape]; the engine projects it into the threat.
    With ``u``: probes at ``x + h * u``; ``u`` is [q, \\*shape], shared by the rows, or `Directions`, which differ between
    rows; ``h`` is a number or [n]. Probes are only clipped to the box.
    ``mask`` [n]: the rows to evaluate. ``part``: which of the attack's ``parts`` proposed the points, a number or [n] int64;
    the ledger counts queries and successes of each.
    """

    x: Tensor
    u: Tensor | Directions | None = None
    h: float | Tensor = 1.0
    mask: Tensor | None = None
    part: Tensor | int | None = None

    def part_of(self, row: np.ndarray) -> np.ndarray:
        """The part of each of these rows."""
        if isinstance(self.part, Tensor):
            return self.part.numpy(force=True)[row]
        return np.full(len(row), self.part)


class Tell(NamedTuple):
    """Answers: [n], or [n, q] for probes. NaN / False where nothing was paid.

    ``loss``: a margin in logits (or log-probabilities), negative until the goal is reached, larger is closer to success; from
    labels alone -1 or 1. ``adv``: the target's answer is what the attacker wants (at that point,
    inside the threat or not). ``x``: the projected points that were evaluated; None for probes.
    ``shown``: for an `informed` attack, [n, C] what the target showed of each point, as logits (logarithms of
    probabilities; with labels alone 0 for the predicted class), NaN where it showed nothing. None for others and for probes.
    ``rejected``: [n], or [n, q] for probes: paid, but the target refused to answer; ``adv`` is then False and ``loss`` that of
    the clean image, so that an attack that does not ask sees a point no better than its start, and a probe no slope. None for
    a target that never rejects.
    """

    loss: Tensor
    adv: Tensor
    paid: Tensor
    x: Any  # Tensor; Any, so that an attack that evaluates candidates need not check for None
    shown: Any = None
    rejected: Any = None


class Retire(NamedTuple):
    """Returned by ``init`` or ``step`` instead of a State to give up single rows (no start found, say)."""

    state: Any
    rows: Tensor
    status: Status = Status.NO_START


Steps: TypeAlias = Generator[Ask, Tell, S]


@dataclass(frozen=True)
class Task:
    """What an attack knows of its samples: no model, no label, no counter.

    Attributes:
        x0: [n, \\*shape] the clean images.
        loss0: [n] the loss there (the clean check has paid for it).
        ids: [n] sample ids. threat: norm, eps, box.
        rng: the rows' random stream. budget: total queries a row.
        probe: the smallest change of an entry that the target can see (1/255 behind an 8-bit input, else 0).
        resolution: the smallest change of a score that the target shows (0.01 when rounded to 2 digits, else 0).
        noise: standard deviation of a score that the target shows.
        randomised: the same image may get different answers.
        access: what the target shows.
        targeted: there is a class to reach. minimises: see `Attack`.
        start: [n, \\*shape] images to start from, given by the user, or None. Whether they are adversarial costs the attack
            a query.
        goal: [n] the class to leave, or to reach when targeted, for an `informed` attack; None for others.
        shown0: [n, C] what the target showed of the clean images, as `Tell.shown`, for an `informed` attack; None for others.
        mask: [n, \\*shape] bool, which entries may change, None where all may. The engine keeps to it: an attack need not.
        table: rows of a table, of which ``x0`` are the scaled columns; None for other inputs. The target is asked about what it shows.
        bounds: shares of eps and ranges of single entries, None where there are none. The engine keeps to them too.
    """

    x0: Tensor
    ids: np.ndarray
    threat: Threat
    rng: Stream
    budget: int
    loss0: Tensor
    access: Access = Access.SCORES
    targeted: bool = False
    minimises: bool = False
    probe: float = 0.0
    resolution: float = 0.0
    noise: float = 0.0
    randomised: bool = False
    low: Tensor | None = None
    high: Tensor | None = None
    start: Tensor | None = None
    goal: Tensor | None = None
    shown0: Tensor | None = None
    mask: Tensor | None = None
    table: TableRows | None = None
    bounds: Bounds | None = None

    @property
    def n(self) -> int:
        return len(self.ids)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.x0.shape[1:])

    @cached_property
    def grid(self) -> tuple[int, int, int]:
        """Channels, height, width; see the function `grid`."""
        return grid(self.shape)

    @cached_property
    def d(self) -> int:
        return self.x0[0].numel()

    @property
    def eps(self) -> float:
        return self.threat.eps

    @property
    def radius(self) -> float:
        """The unit of step sizes: eps, or the width of the box if eps is infinite."""
        return self.threat.eps if self.threat.eps < np.inf else self.threat.upper - self.threat.lower

    def distance(self, x: Tensor) -> Tensor:
        """The distances from the clean images in the threat's norm, [n], of what the mask lets change."""
        if self.bounds is None or self.bounds.stretched:
            return self.threat.distance(self.masked(x), self.x0)
        return self.bounds.distance(self.threat, self.masked(x))

    def masked(self, x: Tensor) -> Tensor:
        """``x`` [n, \\*shape] where the mask lets entries change, the clean image elsewhere."""
        return x if self.mask is None else torch.where(self.mask, x, self.x0)

    def clip(self, x: Tensor) -> Tensor:
        """Clip ``x``, which may be flat, to the box and the ranges, as is done with probes."""
        return self.threat.clip(x) if self.bounds is None else self.bounds.clip_free(x, self.threat)

    def project(self, x: Tensor) -> Tensor:
        """Project ``x`` as is done with candidates: onto the threat, or only to the box for an attack that minimises."""
        x = self.masked(x)
        if self.minimises:
            return self.threat.clip(x) if self.bounds is None else self.bounds.clip(x)
        if self.low is not None and self.high is not None:  # Linf: the two bounds are computed once a cohort
            return torch.clamp(x, self.low, self.high)
        return self.threat.project(x, self.x0) if self.bounds is None else self.bounds.project(self.threat, x)

    def take(self, keep: np.ndarray) -> Task:
        """The task of the rows in ``keep`` (a boolean mask)."""
        index = torch.from_numpy(keep.nonzero()[0]).to(self.x0.device)
        names = ("low", "high", "start", "goal", "shown0", "mask")
        kept: dict[str, Any] = {name: v if (v := getattr(self, name)) is None else v.index_select(0, index) for name in names}
        return replace(
            self,
            x0=self.x0.index_select(0, index),
            ids=self.ids[keep],
            rng=self.rng.take(keep),
            loss0=self.loss0.index_select(0, index),
            **kept,
            table=None if self.table is None else self.table.take(index),
            bounds=None if self.bounds is None else self.bounds.take(index),
        )


class Attack:
    """Base class of attacks: a frozen dataclass of hyper-parameters with the two methods `init` and `step`.

    Set on the class (or, if they depend on the settings, on the instance):

    Attributes:
        access: the least access it needs.
        norms: the norms it supports.
        minimises: it moves outside the eps-ball towards the smallest distance (candidates are then only clipped to the box,
            and a row continues until its distance is within eps or its budget is spent).
        informed: it compares a prior with the target, so it gets the goal and what the target shows, not only the loss.
        one_step: all its queries are made in ``init``: its images cannot wait for each other.
        parts: names of its components, for `Ask.part`.
        from_start: None, or a method ``from_start(t, x, loss)`` that replaces ``init`` and starts at points [n, \\*shape]
            with known losses [n].
        prior: a `blackbox.prior.Prior`, for an attack that uses one.
        needs_prior: it cannot run without one.
        needs_images: it serves images [channels, height, width] alone. Others serve any shape, see `grid`.
    """

    access: ClassVar[Access]
    norms: ClassVar[tuple[str, ...]]
    minimises: ClassVar[bool] = False
    informed: ClassVar[bool] = False
    one_step: ClassVar[bool] = False
    parts: ClassVar[tuple[str, ...]] = ()
    needs_prior: ClassVar[bool] = False
    needs_images: ClassVar[bool] = False
    from_start: ClassVar[Any] = None
    prior: Any = None

    def init(self, t: Task) -> Any:
        """Return the State before the first step, or a generator that makes queries and returns it."""
        raise NotImplementedError

    def step(self, t: Task, s: Any, k: int) -> Any:
        """Return the State after iteration ``k``, or a generator that makes queries and returns it; None ends the loop."""
        raise NotImplementedError

    def settle(self, access: Access, threat: Threat) -> Attack:
        """The attack to run instead: one name may stand for different searches at different access levels."""
        return self

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuse images of a shape that it cannot serve; called before the first query.

        Raises:
            ValueError: says which shape it needs.
        """
        if self.needs_images and len(shape) != 3:
            name = type(getattr(self, "own", self)).__name__
            axis = "Add the channel axis: x[:, None]. Or take" if len(shape) == 2 else "Take"
            raise ValueError(
                f"Expected images [channels, height, width] for {name}, but they have shape {tuple(shape)}. {axis} an "
                "attack that serves any shape, such as square, simba or rays."
            )

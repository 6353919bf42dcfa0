"""Gradient sources of the ascent loop: autograd through surrogates (here), estimators over a target's queries
(`surrogates.crafting.queried`), or a source seen through views (`surrogates.crafting.parts.viewed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from blackbox.targets.outputs import scores_of
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.parts import losses
from surrogates.crafting.parts.ensemble import Schedule
from surrogates.crafting.parts.losses import Answer, Fusion, LogitFusion, Loss, LossFusion
from surrogates.crafting.parts.surgery import Surgery
from surrogates.crafting.twins import Twins
from surrogates.nets.fold import folded
from surrogates.nets.predict import chunk_rows, class_count, cut, frozen, no_gradient, pieces, place


@runtime_checkable
class Gradient(Protocol):
    """A source of gradients.

    cost: forward-and-backward passes an image at each call, over all nets (the G of a preset).
    """

    cost: int

    def __call__(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> Tensor:
        """The gradient [n, \\*shape] of a loss that grows towards success, for images [n, \\*shape] and goals [n].

        Each row is the gradient of its own loss, whatever else is in the batch. ``rng``: the rows' random stream; ``k``:
        the step, from 0.
        """


class Seen(NamedTuple):
    """The gradient [n, \\*shape] of the loss at n points, the loss [n], and the scores [n, C] (of several nets the mean)."""

    gradient: Tensor
    loss: Tensor
    scores: Tensor


class Autograd:
    """Gradients through one net, or through several.

    Args:
        nets: a net or a sequence of nets that give logits [m, C] for images in [0, 1], on one device.
        x: [N, \\*shape] example images, to check that the nets accept them.
        loss: a `Loss` or its name; ``"cross-entropy"`` is what the FGSM family maximises.
        targeted: goals given as bare classes are classes to reach, not to leave.
        chunk: images a call; by default a function of their shape and the device. Every call has exactly this size (the
            last is padded with copies), so results do not depend on the batch.
        fusion: how the answers of several nets become one loss: by default the loss of the mean logits.
        surgeries: changes to the nets during the calls.
        schedule: which nets take part at a step; by default all.
        fold: use faster copies (`surrogates.nets.fold`): with batch norms folded without surgery, else where all surgeries can.
        twins: the goal seen through the nets, in place of classes.

    The nets are used in eval mode; their flags are restored after each call.

    Raises:
        ValueError: no net; nets with different numbers of classes or on different devices; images that a net does not
            take; an unknown loss.
    """

    groups = True  # goals with group > 1 are understood

    def __init__(
        self,
        nets: nn.Module | Sequence[nn.Module],
        x: Tensor,
        loss: str | Loss = "cross-entropy",
        targeted: bool = False,
        chunk: int | None = None,
        fusion: Fusion | None = None,
        surgeries: Sequence[Surgery] = (),
        schedule: Schedule | None = None,
        fold: bool = False,
        twins: Twins | None = None,
    ) -> None:
        self.nets = as_nets(nets)
        self.loss, self.targeted, self.surgeries, self.schedule = losses.get(loss), targeted, tuple(surgeries), schedule
        self.fusion = fusion or (LossFusion() if self.loss.needs_tap else LogitFusion())
        if chunk is not None and chunk < 1:
            raise ValueError(f"Expected chunk to be at least 1, but it was {chunk}.")
        self.twins = twins
        places = {place(net)[0] for net in self.nets}
        if len(places) > 1:
            raise ValueError(f"Expected all nets on one device, but they are on {', '.join(sorted(map(str, places)))}.")
        self.classes, self.device = _classes(self.nets, x) if twins is None else 2, places.pop()
        self.chunk = chunk or chunk_rows(tuple(x.shape[1:]), self.device)
        self.cost = len(self.nets)
        if fold and all(surgery.copied for surgery in self.surgeries):
            made = {net: folded(net, tuple(x.shape[1:]), not self.surgeries) for net in self.nets}  # a net may be listed twice
            self.nets = tuple(made[net] for net in self.nets)
        self._listeners: list[Any] | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Prepare the nets once for all calls in this context; calls outside prepare them each time."""
        if self._listeners is not None:
            yield
            return
        with frozen(self.nets), ExitStack() as stack:
            made = [stack.enter_context(surgery(self.nets)) for surgery in self.surgeries]
            self._listeners = [listener for listener in made if listener is not None]
            try:
                yield
            finally:
                self._listeners = None

    def meet(self, pool: Pool) -> None:
        """Pass the pool to surgeries that use other images (within `open`)."""
        for listener in self._listeners or ():
            if hasattr(listener, "meet"):
                listener.meet(pool)

    def _tell(self, loss: Tensor) -> None:
        for listener in self._listeners or ():
            if hasattr(listener, "told"):
                listener.told(loss)

    def with_loss(self, loss: Loss) -> Autograd:
        """The same source with another loss."""
        other = copy(self)
        other.loss = loss
        return other

    def member(self, i: int) -> Gradient:
        """The same source with net ``i`` alone."""
        return _Member(self, i)

    def __call__(self, x: Tensor, goal: Tensor | Goal, rng: Stream, k: int) -> Tensor:
        picked = range(len(self.nets)) if self.schedule is None else self.schedule.pick(k, rng, len(self.nets))
        return self.through(picked, x, goal, rng, k)

    def seen(self, x: Tensor, goal: Tensor | Goal, rng: Stream, k: int) -> Seen:
        """The gradient through all nets, with the loss and the scores of the same pass."""
        told: list[tuple[Tensor, Tensor]] = []
        g = self.through(range(len(self.nets)), x, goal, rng, k, told)
        return Seen(g, torch.cat([loss for loss, _ in told]), torch.cat([scores for _, scores in told]))

    @staticmethod
    def mean(answers: Sequence[Answer]) -> Tensor:
        """The mean of the nets' scores [m, C]."""
        return LogitFusion().mean([a.scores for a in answers])

    def through(
        self, picked: Sequence[int], x: Tensor, goal: Tensor | Goal, rng: Stream, k: int,
        told: list[tuple[Tensor, Tensor]] | None = None,
    ) -> Tensor:  # fmt: skip
        """The gradient through some of the nets, by their numbers. told: takes the losses and scores of each piece."""
        goal = Goal.of(goal, self.targeted)
        group = goal.group
        images = max(1, self.chunk // group)
        out = torch.empty_like(x)
        with self.open():
            for where, fill in pieces(len(goal), images):
                span = slice(where.start * group, where.stop * group)
                index = None if fill is None else (fill[:, None] * group + torch.arange(group)).flatten()
                given = cut(x, span, index).to(self.device).detach().requires_grad_()
                ids = rng.ids[span] if index is None else rng.ids[index.numpy()]
                with torch.enable_grad():
                    asked = goal[where if fill is None else fill].to(self.device)
                    answers = self.answers(given, asked, Stream(rng.seed, ids, rng.device), k, picked)
                    # the sum, never the mean: a row's gradient must not shrink with the number of rows
                    value = self.fusion(answers, asked, self.loss)
                    self._tell(value.detach())
                    out[span] = slope(value.sum(), given, [self.nets[i] for i in picked])[: span.stop - span.start]
                    if told is not None:
                        count = where.stop - where.start
                        told.append((value.detach()[:count], self.mean(answers).detach()[:count]))
        return check_gradients(out)

    def answers(self, x: Tensor, goal: Goal, rng: Stream, k: int, picked: Sequence[int] | None = None) -> list[Answer]:
        """The nets' answers to rows [m, \\*shape], with graph; to be called within `open`, with ``chunk`` rows."""
        out = []
        for i in range(len(self.nets)) if picked is None else picked:
            for listener in self._listeners or ():
                if hasattr(listener, "before"):
                    listener.before(x, goal, rng, k)
            found = self.nets[i](x.to(place(self.nets[i])[1]))
            if self.twins is None:
                scores = scores_of(found)
                scores = scores if scores.dtype == torch.float64 else scores.float()
            else:
                scores = self.twins.scores(i, found, goal.samples())
            if goal.group > 1:
                scores = scores.view(-1, goal.group, scores.shape[1]).mean(1)
            taken = [listener.take() for listener in self._listeners or () if hasattr(listener, "take")]
            out.append(Answer(scores, taken[0] if taken else None))
        return out


def _classes(nets: Sequence[nn.Module], x: Tensor) -> int:
    """The number of classes of all nets. Raises: ValueError, they have different ones."""
    counts = [
        class_count(net, x, f"net {i} of the ensemble" if len(nets) > 1 else "the net", gradients=True) for i, net in enumerate(nets)
    ]
    if len(set(counts)) > 1:
        raise ValueError(
            f"Expected the nets of an ensemble to have the same classes, but they have {', '.join(map(str, counts))} "
            "classes. Craft on each alone, or build them alike."
        )
    return counts[0]


def slope(total: Tensor, given: Tensor, nets: Sequence[nn.Module], keep: bool = False) -> Tensor:
    """The gradient of ``total`` at ``given``; ``keep``: another one of the same graph follows.

    Raises:
        ValueError: none passes through the nets.
    """
    found = torch.autograd.grad(total, given, retain_graph=keep, allow_unused=True)[0] if total.requires_grad else None
    if found is None:
        raise no_gradient(*nets)
    return found


def check_gradients(g: Tensor) -> Tensor:
    """Check that gradients [n, \\*shape] are finite, and return them. Raises: ValueError, saying which row is not."""
    # summing is faster than testing every entry, but the sum may overflow although all entries are finite
    if not bool(g.sum().isfinite()) and not bool(g.isfinite().all()):
        bad = int((~g.isfinite()).flatten(1).any(1).nonzero()[0])
        raise ValueError(
            f"Expected finite gradients, but that of row {bad} holds NaN or infinity. Was the net trained?"
        )
    return g


class _Member:
    groups = True
    cost = 1

    def __init__(self, whole: Autograd, i: int) -> None:
        self.whole, self.i = whole, i

    def __call__(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> Tensor:
        return self.whole.through((self.i,), x, goal, rng, k)


def as_nets(nets: Any) -> tuple[nn.Module, ...]:
    """A net or a sequence of nets as a tuple. Raises: ValueError, no nets, or something else."""
    alone = isinstance(nets, nn.Module) and not isinstance(nets, nn.ModuleList)
    found = (nets,) if alone or not isinstance(nets, Iterable) else tuple(nets)
    if not found or not all(isinstance(net, nn.Module) for net in found):
        what = ", ".join(sorted({type(net).__name__ for net in found})) or "none"
        raise ValueError(f"Expected one or more torch modules to take gradients through, but there were: {what}.")
    return found

"""Nets you own as a `blackbox.prior.Prior`, the prior knowledge of a query attack."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.goals import Goal
from blackbox.goals.base import Setting
from blackbox.prior import Prior, Pull, agree
from blackbox.targets.outputs import scores_of
from surrogates.crafting.gradients import as_nets, slope
from surrogates.crafting.twins import Twins, goals_of
from surrogates.nets.architectures import Normalised
from surrogates.nets.fold import folded
from surrogates.nets.predict import chunk_rows, class_count, cut, frozen, pieces, place


def prior(nets: Any, *, goal: Goal | Sequence[Goal] | None = None, chunk: int | None = None) -> Prior:
    """Use surrogates as an attack's prior: ``bb.attack(oracle, x, y, "hybrid", threat, prior=surrogates.prior(nets))``.

    Args:
        nets: a net or several that give logits for images in [0, 1], with the same classes, in the target's order; with a goal, what
            the target returns too.
        goal: where the attack has a goal that is another one on these nets, such as with references in a space of their own: one for
            all nets, or one for each. By default the attack's. It is for the prior alone: success is the attack's.
        chunk: images a call; by default a quarter of what `craft` takes, and a 64th (one CIFAR image, on a CPU) where an
            attack says that few rows are left, since every call is padded to its size. A result may change in its last
            bits with ``chunk``, never with the batch.

    Raises:
        ValueError: no net; nets with different classes, for different images, or on different devices; no goals.
    """
    return NetPrior(nets, chunk, goal)


class NetPrior:
    """Gives logits and gradients of M nets, and counts them. See `blackbox.prior.Prior`."""

    def __init__(
        self, nets: nn.Module | Sequence[nn.Module], chunk: int | None = None, goal: Goal | Sequence[Goal] | None = None
    ) -> None:
        try:
            self.nets = as_nets(nets)
        except (TypeError, ValueError):
            raise ValueError(
                f"Expected a prior of one or more torch modules, but it was made of {_named(nets)}. Give nets: prior([net])."
            ) from None
        if chunk is not None and chunk < 1:
            raise ValueError(f"Expected chunk to be at least 1, but it was {chunk}.")
        self.chunk, self.few = chunk, False
        self.goals = None if goal is None else goals_of(goal, len(self.nets))
        self._spent = {"gradients": 0, "passes": 0, "zeros": 0}  # one count, shared by all views
        self._members: Sequence[int] = range(len(self.nets))
        self._fits: tuple[tuple[int, ...], int] = ((), 0)
        built = {net.shape for net in self.nets if isinstance(net, Normalised)}
        if len(built) > 1:
            raise ValueError(
                f"Expected the nets of a prior to take images of one shape, but they take {sorted(built)}."
            )
        places = {place(net)[0] for net in self.nets}
        if len(places) > 1:
            raise ValueError(f"Expected all nets on one device, but they are on {', '.join(sorted(map(str, places)))}.")
        self.device = places.pop()
        counts = {net.classes for net in self.nets if isinstance(net, Normalised)}
        if len(counts) > 1 and self.goals is None:
            raise ValueError(
                f"Expected the nets of a prior to have the same number of classes, but they have {sorted(counts)}. Where these are no "
                "classes, say what they are attacked for: prior(nets, goal=...)."
            )
        self.classes = counts.pop() if len(counts) == 1 else 0  # other modules show it only on images
        digest = hashlib.sha256()
        for net in self.nets:
            for name, value in net.state_dict().items():
                digest.update(name.encode())
                digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        self.digest = digest.hexdigest()[:16]
        self._lean = [folded(net, net.shape) if isinstance(net, Normalised) else net for net in self.nets]
        # copies are frozen once: freezing at every call costs as much as a small net's forward pass on one image
        self._loose = [net for net in self._lean if any(net is given for given in self.nets)]

    def __repr__(self) -> str:  # names the nets: a checkpoint compares it
        own = "" if self.goals is None else f", for {'; '.join(dict.fromkeys(goal.identity() for goal in self.goals))}"
        return f"prior({self.members} nets, {self.digest}{own})"

    @property
    def members(self) -> int:
        return len(self._members)

    @property
    def gradients(self) -> int:
        return self._spent["gradients"]

    @property
    def passes(self) -> int:
        return self._spent["passes"]

    @property
    def zeros(self) -> int:
        """Gradients, of one image each, that were zero in every entry: they told an attack nothing."""
        return self._spent["zeros"]

    def view(self, members: Sequence[int] | None = None, few: bool = False) -> NetPrior:
        """See `blackbox.prior.view`."""
        out = copy.copy(self)
        out.few = few or self.few
        out._members = self._members if members is None else [self._members[m] for m in members]
        return out

    def of_goal(self, goal: Goal, setting: Setting, shape: tuple[int, ...]) -> GoalPrior:
        """The prior aimed at a goal of the run; see `blackbox.prior.Aimed`."""
        what = "net {} of the prior" if len(self.nets) > 1 else "the prior's net"
        return GoalPrior(self, Twins(goal if self.goals is None else self.goals, self.nets, setting, tuple(shape), what))

    def check(self, shape: tuple[int, ...], classes: int) -> None:
        shape = tuple(shape)
        if self.goals is not None:
            raise ValueError(
                f"Expected a goal for the attack as there is for its prior ({self.goals[0]}), but there was none. Give it to both: "
                "blackbox.attack(..., goal=goal, prior=prior)."
            )
        if self._fits == (shape, classes):
            return
        grey = torch.full((1, *shape), 0.5)
        for i, net in enumerate(self.nets):
            what = f"net {i} of the prior" if self.members > 1 else "the prior's net"
            if isinstance(net, Normalised):
                agree(what, (tuple(net.shape), net.classes), (shape, classes))
            else:
                agree(what, (shape, class_count(net, grey, what, gradients=True)), (shape, classes))
        self._fits, self.classes = (shape, classes), classes
        kept = dict(self._spent)
        # report NaN or a missing gradient before a query is spent; weights that differ, since probabilities sum to a constant
        g = self.gradient(grey, lambda scores, rows: torch.linspace(-1, 1, classes).expand(scores.shape).to(scores))
        self._spent.update(kept)
        if not bool(g.any()):
            warnings.warn(
                "The gradient of the prior is zero at a grey image. Does a net round its input, or answer with a softmax that is "
                "certain? An attack learns nothing from such a prior.",
                stacklevel=2,
            )

    def _size(self, x: Tensor) -> int:
        rows = chunk_rows(tuple(x.shape[1:]), self.device)
        most = self.chunk or max(4, rows // 4)
        return min(most, max(1, rows // 64)) if self.few else most

    def logits(self, x: Tensor) -> Tensor:
        out = []
        with frozen(self._loose), torch.no_grad():
            for where, fill in pieces(len(x), self._size(x)):
                out.append(self._scores(cut(x, where, fill).to(self.device))[: where.stop - where.start])
        self._spent["passes"] += len(x) * self.members
        scores = torch.cat(out) if out else torch.zeros(0, self.members, self.classes)
        _finite(scores, "scores")
        return scores.to(x.device)

    def gradient(self, x: Tensor, pull: Pull) -> Tensor:
        out = torch.zeros_like(x)
        with frozen(self._loose), torch.enable_grad():
            for where, fill in pieces(len(x), self._size(x)):
                count = where.stop - where.start
                given = cut(x, where, fill).to(self.device).detach().requires_grad_()
                scores = self._scores(given)
                at = torch.arange(where.start, where.stop) if fill is None else fill
                covector = pull(scores.detach().to(x.device), at.to(x.device)).to(scores)
                used = (covector != 0).flatten(2).any(2).any(0).tolist()
                self._spent["gradients"] += count * sum(used)
                self._spent["passes"] += count * (self.members - sum(used))
                total = sum((scores[:, m] * covector[:, m]).sum() for m in range(self.members) if used[m])
                if isinstance(total, Tensor):
                    out[where] = slope(total, given, self.nets)[:count].to(x)
        _finite(out, "gradients")
        self._spent["zeros"] += len(out) - int(out.flatten(1).any(1).sum())
        return out

    def _scores(self, x: Tensor) -> Tensor:
        return torch.stack([self._read(m, self._lean[m](x.to(place(self._lean[m])[1])), len(x)) for m in self._members], 1)

    def _read(self, member: int, out: Any, rows: int) -> Tensor:
        scores: Tensor = scores_of(out).float()
        return scores


class GoalPrior(NetPrior):
    """The nets of a `NetPrior`, each seen as two classes: a goal is not reached, or reached. See `blackbox.prior.Aimed`.

    Attributes:
        alike: [N] for each sample the first that has the same goal.
        who: the sample whose goal it is.
    """

    def __init__(self, whole: NetPrior, twins: Twins) -> None:
        vars(self).update(vars(whole))
        self.twins, self.who, self.classes = twins, 0, 2
        self.alike = twins.alike
        self.few = True  # rows of one goal are few, and how many must not decide

    def of_sample(self, sample: int) -> GoalPrior:
        """The same aimed at the goal of another sample."""
        out = copy.copy(self)
        out.who = sample
        return out

    def check(self, shape: tuple[int, ...], classes: int) -> None:
        """Checked when it was aimed."""

    def _read(self, member: int, out: Any, rows: int) -> Tensor:
        return self.twins.scores(member, out, np.full(rows, self.who)).float()


def _named(nets: Any) -> str:
    """Name what was given in one line; the repr of a net fills a page."""
    return type(nets).__name__ if isinstance(nets, (dict, nn.Module)) else f"{nets!r:.80}"


def _finite(v: Tensor, what: str) -> None:
    if not bool(v.isfinite().all()):
        raise ValueError(
            f"Expected finite {what} from the nets of the prior, but some hold NaN or infinity. Were they trained?"
        )

"""`Prior`: what an attack may know besides the target's answers, such as the gradients of nets you own.

``surrogates.prior(nets)`` makes one from trained nets; anything with the same five names will do. An attack with a prior
still learns of the target through queries alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import Attack
from blackbox.rowwise import choose

Pull = Callable[[Tensor, Tensor], Tensor]
"""Maps logits [m, M, C] of M members, and the rows [m] they belong to, to a covector [m, M, C]: the weights of the sum of
logits whose gradient is wanted."""


@runtime_checkable
class Prior(Protocol):
    """M members that each give C logits for an image, and gradients of any function of them.

    A row's logits and gradient must not depend on the rest of the batch, to the last bit.

    Attributes:
        classes: C.
        members: M.
        gradients: gradients taken so far (of one image through one member).
        passes: forward passes without a gradient so far (of one image through one member).
    """

    @property
    def gradients(self) -> int: ...

    @property
    def passes(self) -> int: ...

    @property
    def classes(self) -> int: ...

    @property
    def members(self) -> int: ...

    def logits(self, x: Tensor) -> Tensor:
        """The members' logits [n, M, C] for images [n, \\*shape] in [0, 1]."""
        ...

    def gradient(self, x: Tensor, pull: Pull) -> Tensor:
        """The sum over members and classes of ``covector * d logit / d x`` for each row, [n, \\*shape].

        ``pull`` is called with the logits of pieces of the rows; where its covector is zero for a member, that member's
        gradient need not be computed.
        """
        ...

    def check(self, shape: tuple[int, ...], classes: int) -> None:
        """Check that images of this shape and this number of classes fit. Raises: ValueError, they do not."""
        ...


def view(prior: Any, members: Sequence[int] | None = None, few: bool = False) -> Prior:
    """A view of the prior, with shared counts, restricted to these ``members``, or meant for ``few`` rows at a time.

    A prior with a ``view`` method saves work: it does not evaluate the other members, and computes rows in smaller pieces.
    The caller passes a flag, not the number of rows, so that a row's answer does not depend on other rows. For any other
    prior the view is the prior itself, with covectors of zero for the members left out.
    """
    if hasattr(prior, "view"):
        return prior.view(members, few)  # type: ignore[no-any-return]
    return prior if members is None else _Members(prior, members)  # type: ignore[no-any-return]


def pair(prior: Prior, i: int) -> Prior:
    """Two of the members, half the list apart (so that they differ in architecture if the list is sorted by it); ``i``
    chooses which."""
    m = prior.members
    return view(prior, sorted({i % m, (i + m // 2) % m}))


@dataclass(frozen=True)
class Aimed:
    """An attack in a run with a goal other than a class: its priors show two classes, 0, the goal is not reached, and 1, it is, whose
    logits differ by the loss that the goal has on the prior's nets.

    Attributes:
        attack: with such priors. alike: [N] for each sample the first that has the same goal: rows of one goal may share a cohort.
    """

    attack: Attack
    alike: np.ndarray

    @classmethod
    def at(cls, attack: Attack, goal: Any, setting: Any, shape: tuple[int, ...]) -> Aimed | None:
        """The attack aimed at a `blackbox.goals.Goal`; None where it has no prior. setting: what the goal is told of the run.

        Raises:
            ValueError: a prior cannot be aimed, or the goal does not fit its nets.
        """
        made: list[Any] = []

        def aimed(prior: Any) -> Any:
            if not hasattr(prior, "of_goal"):
                raise ValueError(
                    f"Expected a prior that can be aimed at a goal ({goal}), but {prior!r:.80} shows classes alone. Make one of nets: "
                    "surrogates.prior(nets)."
                )
            made.append(prior.of_goal(goal, setting, shape))
            return made[-1]

        found = with_priors(attack, aimed)
        if not made:
            return None
        together = np.stack([each.alike for each in made], 1)
        first: dict[bytes, int] = {}
        return cls(found, np.array([first.setdefault(row.tobytes(), i) for i, row in enumerate(together)], np.int64))

    def of(self, sample: int) -> Attack:
        """The attack on samples that have the goal of this one."""
        return with_priors(self.attack, lambda prior: prior.of_sample(sample))


def with_priors(attack: Any, change: Callable[[Any], Any]) -> Any:
    """The attack with each prior changed, its own and those of the attacks that it holds."""
    if not is_dataclass(attack):
        return attack
    new: dict[str, Any] = {}
    for f in fields(attack):
        old = getattr(attack, f.name)
        if f.init and old is not None and (f.name == "prior" or isinstance(old, Attack)):
            new[f.name] = change(old) if f.name == "prior" else with_priors(old, change)
    return replace(attack, **new) if any(new[name] is not getattr(attack, name) for name in new) else attack  # type: ignore[type-var]


class _Members:
    """Some members of a prior that has no ``view`` method."""

    def __init__(self, inner: Prior, members: Sequence[int]) -> None:
        self.inner, self.which = inner, list(members)
        self.check = inner.check

    classes = property(lambda self: self.inner.classes)
    members = property(lambda self: len(self.which))
    gradients = property(lambda self: self.inner.gradients)
    passes = property(lambda self: self.inner.passes)

    def logits(self, x: Tensor) -> Tensor:
        return self.inner.logits(x)[:, self.which]

    def gradient(self, x: Tensor, pull: Pull) -> Tensor:
        def all_members(scores: Tensor, rows: Tensor) -> Tensor:
            out = torch.zeros_like(scores)
            out[:, self.which] = pull(scores[:, self.which], rows)
            return out

        return self.inner.gradient(x, all_members)


@dataclass(frozen=True)
class Guided(Attack):
    """Base class of attacks that search with a prior. prior: ``surrogates.prior(nets)``."""

    informed: ClassVar[bool] = True
    needs_prior: ClassVar[bool] = True

    prior: Prior | None = None

    @property
    def known(self) -> Prior:
        """The prior; a run without one is refused before it starts (`require`)."""
        assert self.prior is not None
        return self.prior


def require(attack: Attack, name: str, shape: tuple[int, ...], classes: int) -> None:
    """Check, before any query, that the attack has the prior it needs and that the prior fits.

    Raises:
        ValueError: it has none, or one for other images or classes.
    """
    prior = attack.prior
    if prior is None:
        if attack.needs_prior:
            raise ValueError(
                f"Expected a prior for {name}, which searches with the gradients of nets you own, but there was none. "
                "Give prior=surrogates.prior(nets) (on the command line --surrogate), or take auto, which runs without one too."
            )
        return
    if not isinstance(prior, Prior):
        raise ValueError(
            f"Expected prior to be a blackbox.prior.Prior, but it was {type(prior).__name__}. Make one: surrogates.prior(nets)."
        )
    prior.check(shape, classes)


def agree(what: str, expected: tuple[tuple[int, ...], int], came: tuple[tuple[int, ...], int]) -> None:
    """Raise ValueError if a prior's (shape, classes), ``came``, are not those of the attack, ``expected``."""
    (shape, classes), (other, count) = expected, came
    if shape != other:
        raise ValueError(
            f"Expected {what} to take images of shape {other}, which are attacked, but it takes {shape}. "
            "Train surrogates on images of that size, or put a resize in front of them."
        )
    if classes != count:
        raise ValueError(
            f"Expected {what} to have the target's {count} classes, but it has {classes}. "
            "Train surrogates on the target's classes, in the target's order."
        )


def aim(scores: Tensor, goal: Tensor, targeted: bool | Tensor, soft: bool = False) -> Tensor:
    """The margin's covector [n, C] at ``scores`` [n, C]: +1 for the logit to raise, -1 for the one to lower.

    Untargeted: the largest other class against ``goal`` [n]; targeted (all, or the rows of [n] where true): ``goal`` against
    the largest other. soft: all other classes weighted by their softmax; this is the direction of the cross-entropy's
    gradient at any confidence.
    """
    others = scores.scatter(1, goal[:, None], -torch.inf)
    best = torch.nn.functional.one_hot(others.argmax(1), scores.shape[1]).to(scores)
    up = (others.softmax(1) if soft else best).scatter(1, goal[:, None], -1.0)
    sign = torch.as_tensor(targeted, device=scores.device).expand(len(scores))
    return choose(sign, -up, up)

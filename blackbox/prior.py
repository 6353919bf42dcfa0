"""`Prior`: what an attack may know besides the target's answers, such as the gradients of nets you own.

``surrogates.prior(nets)`` makes one from trained nets; anything with the same five names will do. An attack with a prior
still learns of the target through queries alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

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

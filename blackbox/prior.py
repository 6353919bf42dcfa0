"""Prior: what an attack may know beside the target's answers, such as the gradients of nets one owns.

``surrogates.prior(nets)`` makes one of trained nets; anything with the same five names will do. An attack that holds a
prior is still an attack through queries alone: the prior is asked about points, the target about candidates.
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
"""Logits [m, M, C] of M members, and the rows [m] they belong to -> covector [m, M, C]: the weights of the sum of logits
that is to be ascended."""


@runtime_checkable
class Prior(Protocol):
    """M members that each give C logits for an image, and gradients of any function of them.

    What it says of a row must not depend on the rows beside it, to the last bit.

    Attributes:
        classes: C. members: M. gradients: gradients taken so far (one image through one member). passes: images shown to
            a member without a gradient.
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
        """[n, M, C] for images [n, \\*shape] in [0, 1]."""
        ...

    def gradient(self, x: Tensor, pull: Pull) -> Tensor:
        """[n, \\*shape]: for each row the sum over members and classes of ``covector * d logit / d x``.

        ``pull`` is called with the logits of pieces of the rows; where its covector is zero for a member, that member's
        gradient need not be taken.
        """
        ...

    def check(self, shape: tuple[int, ...], classes: int) -> None:
        """Raises ValueError, in one sentence, where images of this shape or so many classes cannot be served."""
        ...


def view(prior: Any, members: Sequence[int] | None = None, few: bool = False) -> Prior:
    """The same prior, with the same counts, asked for these ``members`` alone, or for ``few`` rows at a time.

    A prior with a ``view`` method of its own saves work by it: it asks the other members nothing, and computes rows in
    smaller pieces. The caller says few, not the number of rows, so that a row's answer does not depend on other rows. Of
    any other prior it is the prior itself, with covectors of zero for the members left out.
    """
    if hasattr(prior, "view"):
        return prior.view(members, few)  # type: ignore[no-any-return]
    return prior if members is None else _Members(prior, members)  # type: ignore[no-any-return]


def pair(prior: Prior, i: int) -> Prior:
    """Two of the members, half the list apart (where nets are listed by architecture, one of each); others for the next ``i``."""
    m = prior.members
    return view(prior, sorted({i % m, (i + m // 2) % m}))


class _Members:
    """Some members of a prior that cannot be asked for some."""

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
    """What attacks that search with a prior have in common. prior: ``surrogates.prior(nets)``."""

    informed: ClassVar[bool] = True
    needs_prior: ClassVar[bool] = True

    prior: Prior | None = None

    @property
    def known(self) -> Prior:
        """The prior; a run without one is refused before it begins (`require`)."""
        assert self.prior is not None
        return self.prior


def require(attack: Attack, name: str, shape: tuple[int, ...], classes: int) -> None:
    """Check, before anything is asked, that the attack has the prior it needs and that the prior fits.

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
    """Raise ValueError where a prior's (shape, classes), ``came``, are not those of the attack, ``expected``."""
    (shape, classes), (other, count) = expected, came
    if shape != other:
        raise ValueError(
            f"Expected {what} to take images of shape {other}, which are attacked, but it takes {shape}. "
            "Train surrogates on images of that size, or put a resize in front of them."
        )
    if classes != count:
        raise ValueError(
            f"Expected {what} to tell the target's {count} classes apart, but it has {classes}. "
            "Train surrogates on the target's classes, in the target's order."
        )


def aim(scores: Tensor, goal: Tensor, targeted: bool | Tensor, soft: bool = False) -> Tensor:
    """The margin's covector [n, C] at ``scores`` [n, C]: +1 at what shall rise, -1 at what shall fall.

    Untargeted: the best other class against ``goal`` [n]; targeted (all, or the rows of [n] where true): ``goal``
    against the best other. soft: the other classes by their softmax, not the best alone; that is the direction of the
    cross-entropy's gradient, whatever the confidence.
    """
    others = scores.scatter(1, goal[:, None], -torch.inf)
    best = torch.nn.functional.one_hot(others.argmax(1), scores.shape[1]).to(scores)
    up = (others.softmax(1) if soft else best).scatter(1, goal[:, None], -1.0)
    sign = torch.as_tensor(targeted, device=scores.device).expand(len(scores))
    return choose(sign, -up, up)

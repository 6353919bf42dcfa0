"""Thompson sampling: which candidate maker proposes for a row, by how often each has helped there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from blackbox.candidates.maker import Best, Maker, Scene, worth
from blackbox.protocol import Ask, Steps, Task, Tell
from blackbox.rowwise import differs


class Counts(NamedTuple):
    """What the makers have done for each row, [n, makers] each.

    a: successes, the initial ones included, float64. b: failures. tried: bool, at this very point: it would propose the same.
    """

    a: Tensor
    b: Tensor
    tried: Tensor

    @classmethod
    def initial(cls, makers: Sequence[Maker], t: Task) -> Counts:
        """What every maker is credited with in the beginning."""
        blank = torch.zeros(t.n, len(makers), device=t.x0.device, dtype=torch.float64)
        counts = torch.tensor([worth(m, t.targeted) or (1.0, 1.0) for m in makers]).to(blank)
        return cls(blank + counts[:, 0], blank + counts[:, 1], blank > 0)


def thompson(t: Task, k: int, successes: Tensor, failures: Tensor, able: Tensor | None = None) -> Tensor:
    """[n, makers]: a number drawn from each Beta posterior of the counts [n, makers] float64, -1 where the maker is not
    ``able`` [n, makers] to propose; the largest does."""
    u = t.rng.uniform_array(k, "maker", successes.shape[1]).astype("float64")
    a, b = successes.numpy(force=True), failures.numpy(force=True)
    if able is None or bool(able.all()):
        drawn = betaincinv(a, b, u)
    else:  # it is dear: only for those that can be drawn
        free = able.numpy(force=True)
        drawn = np.full(free.shape, -1.0)
        drawn[free] = betaincinv(a[free], b[free], u[free])
    return torch.from_numpy(drawn).to(successes.device)


def draw(scene: Scene, makers: Sequence[Maker], counts: Counts, allowed: Tensor) -> Tensor:
    """[n] the maker of each row, of those that are ``allowed`` [n, makers] and can propose."""
    able = torch.zeros_like(allowed)
    for i, maker in enumerate(makers):
        if worth(maker, scene.t.targeted):
            able[:, i] = maker.ready(scene)
    return thompson(scene.t, scene.k, counts.a, counts.b, able & allowed).argmax(1)


def propose(scene: Scene, makers: Sequence[Maker], maker: Tensor) -> Tensor:
    """[n, \\*shape]: what each row's ``maker`` [n] makes of its best point."""
    x = scene.x.clone()
    drawn = set(maker.tolist())
    for i, one in enumerate(makers):
        if i in drawn:
            chosen = maker == i
            made = one.make(scene.take(chosen))
            x.index_copy_(0, chosen.nonzero()[:, 0], made.to(x))
    return x


def turn(
    scene: Scene, makers: Sequence[Maker], counts: Counts, allowed: Tensor, always: int, first_part: int
) -> Steps[tuple[Best, Counts, Tell]]:
    """One query a row: the best point as a drawn maker changes it, kept where the loss rises, which is that maker's success.

    Args:
        allowed: [n, makers] which may be drawn. always: the maker that can always propose, and does where another's candidate
            equals the best point. first_part: the part of the first maker.
    """
    maker = draw(scene, makers, counts, allowed & ~counts.tried)
    x, tried = scene.t.project(propose(scene, makers, maker)), counts.tried
    if bool((same := ~differs(x, scene.x)).any()):
        tried = tried | (same[:, None] & _one_hot(maker, makers))
        maker = torch.where(same, always, maker)
        x[same] = makers[always].make(scene.take(same))
    a = yield Ask(x, part=first_part + maker)
    best, better = Best(scene.x, scene.loss, scene.shown).updated(a)
    once = flags(tuple(m.once for m in makers), x.device)
    proposed, better = _one_hot(maker, makers) & a.paid[:, None], better[:, None]
    return (
        best,
        Counts(counts.a + (proposed & better), counts.b + (proposed & ~better), (tried | (proposed & once)) & ~better),
        a,
    )


@lru_cache(maxsize=64)
def flags(of: tuple[bool, ...], device: torch.device) -> Tensor:
    """[makers] bool: made once, not in every step; not to be written to."""
    return torch.tensor(of, device=device)


def _one_hot(maker: Tensor, makers: Sequence[Maker]) -> Tensor:
    """[n, makers] bool."""
    return torch.nn.functional.one_hot(maker, len(makers)).bool()

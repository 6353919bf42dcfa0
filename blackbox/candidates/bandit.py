"""Thompson sampling: which candidate maker proposes for a row, by how often each has helped there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.special import betaincinv
from torch import Tensor

from blackbox.candidates.maker import Maker, Scene, worth
from blackbox.protocol import Task


def initial_counts(makers: Sequence[Maker], t: Task) -> tuple[Tensor, Tensor]:
    """The successes and failures, [n, makers] float64 each, that every maker is credited with in the beginning."""
    blank = torch.zeros(t.n, len(makers), device=t.x0.device, dtype=torch.float64)
    counts = torch.tensor([worth(m, t.targeted) or (1.0, 1.0) for m in makers]).to(blank)
    return blank + counts[:, 0], blank + counts[:, 1]


def thompson(t: Task, k: int, successes: Tensor, failures: Tensor) -> Tensor:
    """[n, makers]: a number drawn from each Beta posterior of the counts [n, makers] float64; the largest proposes."""
    u = t.rng.uniform_array(k, "maker", successes.shape[1]).astype("float64")
    drawn = betaincinv(successes.numpy(force=True), failures.numpy(force=True), u)
    return torch.from_numpy(drawn).to(successes.device)


def draw(scene: Scene, makers: Sequence[Maker], successes: Tensor, failures: Tensor, allowed: Tensor) -> Tensor:
    """[n] the maker of each row, of those that are ``allowed`` [n, makers] and can propose."""
    drawn = thompson(scene.t, scene.k, successes, failures)
    for i, maker in enumerate(makers):
        able = torch.zeros_like(allowed[:, i])
        if worth(maker, scene.t.targeted):
            able = maker.ready(scene) & allowed[:, i]
        drawn[:, i] = torch.where(able, drawn[:, i], -1.0)
    return drawn.argmax(1)


def propose(scene: Scene, makers: Sequence[Maker], maker: Tensor) -> Tensor:
    """[n, \\*shape]: what each row's ``maker`` [n] makes of its best point."""
    x = scene.x.clone()
    for i, one in enumerate(makers):
        if bool((chosen := maker == i).any()):
            x[chosen] = one.make(scene.take(chosen))
    return x

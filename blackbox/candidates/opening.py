"""Opening: the first queries of an attack that holds a prior."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from blackbox.candidates.bank import Bank
from blackbox.candidates.maker import Scene
from blackbox.candidates.start import start
from blackbox.candidates.static import following
from blackbox.prior import Prior, view
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import choose, row_norm

START, STATIC, AFTER = range(3)  # parts of an opening, and the first one that is free for what follows


class Opened(NamedTuple):
    """x: [n, \\*shape] the point to go on from, an adversarial one, else the start; loss: [n] there; adv: [n] whether it is;
    bank: the candidates, where all were asked for."""

    x: Tensor
    loss: Tensor
    adv: Tensor
    bank: Bank | None


def opening(t: Task, prior: Prior, everything: bool) -> Steps[Opened]:
    """Ask for the start (`candidates.start`) and, with ``everything``, for each static candidate, until one is adversarial."""
    a = yield Ask(start(t, prior), part=START)
    x, loss, adv, todo = a.x, a.loss, a.adv, a.paid & ~a.adv
    if not everything:
        return Opened(x, loss, adv, None)
    bank = Bank.open(t, prior)
    blind = torch.full((t.n, prior.classes), torch.nan, device=x.device)
    scene = Scene(t, view(prior, few=True), x, t.loss0, blind, 0, bank, torch.arange(t.n, device=x.device))
    for _ in range(bank.asked.shape[1]):
        part = scene.take(todo & ~bank.asked.all(1))
        if not part.t.n or not bool(todo.any()):
            break
        slot = following(part)
        bank.asked[part.at, slot] = True
        trial = x.clone()
        trial[part.at] = bank.get(part, slot)
        mask = torch.zeros_like(todo)
        mask[part.at] = True
        a = yield Ask(trial, mask=mask, part=STATIC)
        x, loss = choose(a.adv, a.x, x), torch.where(a.adv, a.loss, loss)
        adv, todo = adv | a.adv, todo & ~a.adv & (a.paid | ~mask)
    return Opened(x, loss, adv, bank)


def outward(t: Task, x: Tensor, adv: Tensor) -> Steps[tuple[Tensor, Tensor]]:
    """Points twice, four times ... as far from the clean image as ``x``, until one is adversarial or the box ends.

    Returns them [n, \\*shape] and [n] whether they are adversarial.
    """
    width, delta, todo, far = t.threat.upper - t.threat.lower, x - t.x0, ~adv, 1.0
    while bool((todo := todo & (far * row_norm(delta, torch.inf) < width)).any()) and far < 1e6:
        far *= 2
        a = yield Ask(t.x0 + far * delta, mask=todo, part=AFTER)
        x, adv, todo = choose(a.adv, a.x, x), adv | a.adv, todo & ~a.adv & a.paid
    return x, adv

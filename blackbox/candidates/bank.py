"""Bank: static candidates of each row, crafted from the clean image when they are first wanted and then kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from blackbox.candidates.craft import CraftGoal, craft, fused, inside
from blackbox.prior import Prior, view
from blackbox.protocol import Task

if TYPE_CHECKING:
    from blackbox.candidates.maker import Scene

STEPS, STEP = 5, 0.4  # of candidates on all members (ours)
MOST = 9  # classes (untargeted) or variants (targeted) that a row keeps candidates of


@dataclass
class Bank:
    """Slots of a row: 0 to M-1 each member alone; M all members with momentum and diverse views; behind it one for each
    of the row's nearest classes (untargeted: a candidate that shall become this class), or variants with random weights
    and starts (targeted).

    Attributes:
        images: [n, S, \\*shape] the candidates. made: [n, S] crafted. asked: [n, S] shown to the target.
        aims: [n, S - M - 1] the classes that the last ones shall become.
    """

    images: Tensor
    made: Tensor
    asked: Tensor
    aims: Tensor

    @classmethod
    def open(cls, t: Task, prior: Prior, clean: Tensor | None = None) -> Bank:
        """An empty bank; the classes are those that the prior finds nearest at the clean images, by the mean of its members'
        logits there, ``clean`` [n, C], where these are known already."""
        assert t.goal is not None
        count = MOST if t.targeted else min(prior.classes - 1, MOST)
        scores = (fused(prior.logits(t.x0), None) if clean is None else clean).scatter(1, t.goal[:, None], -torch.inf)
        order = torch.argsort(scores, dim=1, descending=True, stable=True)[:, :count]
        aims = t.goal[:, None].expand(-1, count).clone() if t.targeted else order
        slots = prior.members + 1 + count
        blank = torch.zeros(t.n, slots, dtype=torch.bool, device=t.x0.device)
        asked = blank.clone()
        if prior.members == 1:
            asked[:, 0] = True  # the one member is what the start was crafted on
        return cls(t.x0.new_zeros(t.n, slots, *t.shape), blank, asked, aims)

    @property
    def first(self) -> int:
        """The first slot behind the members' and the joint one."""
        return self.made.shape[1] - self.aims.shape[1]

    def copy(self) -> Bank:
        """A bank for the next step: States of earlier steps keep what they have asked. The images are shared: each is a
        function of its row and slot, whenever it is made."""
        return replace(self, asked=self.asked.clone())

    def signs(self, t: Task) -> Tensor:
        """[n, S, \\*shape] int8: the signs of the candidates' changes; 0 where there is none."""
        made = self.made.view(*self.made.shape, *[1] * len(t.shape))
        return torch.where(made, (self.images - t.x0[:, None]).sign(), 0.0).to(torch.int8)

    def get(self, scene: Scene, slot: Tensor) -> Tensor:
        """The candidates [m, \\*shape] in ``slot`` [m] of the scene's rows, crafted where they are not there yet."""
        at = scene.at
        missing = ~self.made[at, slot]
        for j in slot[missing].unique().tolist():
            chosen = missing & (slot == j)
            part = scene.take(chosen)
            self.images[part.at, j] = self._craft(part, j)
            self.made[part.at, j] = True
        return self.images[at, slot]

    def _craft(self, scene: Scene, slot: int) -> Tensor:
        t, prior, m = scene.t, scene.prior, scene.prior.members
        if slot < m:
            return craft(t, view(prior, [slot]), t.x0, CraftGoal.of(t))
        if slot < self.first:
            return craft(t, prior, t.x0, CraftGoal.of(t), STEPS, STEP, diverse="joint", decay=1.0)
        j = slot - self.first
        aims = self.aims[scene.at, j]
        if not t.targeted:
            return craft(t, prior, t.x0, CraftGoal(aims, True), STEPS, STEP)
        noise = t.rng.signs(j, "bank start", t.shape)
        start = inside(t, t.x0 + 0.5 * t.radius * t.threat.steepest(noise))
        return craft(t, prior, start, CraftGoal(aims, True, dirichlet(t, j, "bank", m)), STEPS, STEP)


def dirichlet(t: Task, k: int, tag: str, members: int, concentration: float = 0.7) -> Tensor:
    """[n, M] random weights of the members, from a Dirichlet distribution (concentration 0.7: ours)."""
    from scipy.special import gammaincinv

    u = t.rng.uniform_array(k, f"weights {tag}", members).clip(1e-6, 1 - 1e-6)
    g = torch.from_numpy(gammaincinv(concentration, u.astype("float64"))).clamp_min(1e-12)
    total = g[:, 0].clone()
    for m in range(1, members):
        total += g[:, m]
    return (g / total[:, None]).float().to(t.x0.device)

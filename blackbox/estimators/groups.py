"""Grouping: one difference for many pixels, and from coarse groups to fine ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.estimators.probes import Own, affordable, bill, blocks, differences, probe_size, pushes
from blackbox.proposals.orders import ordered
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import row_sum


@dataclass(frozen=True)
class Groups:
    """Differences along groups of pixels: 2 * ceil(d / size) queries two-sided.

    Source: Bhagoji et al. 2018, arXiv:1712.09491, query reduction by random feature grouping. The pixels are dealt
    into groups at random, all of a group move together, and each gets the group's share: the gradient of least norm
    that explains the difference, ``g += df * v / |v|^2`` for the displacement v that really happened (the paper's
    df / (2 h size), away from the box's edges).

    Departs from the paper: the groups are fresh for every step *and* every sample, the clip to the box is accounted
    for, neighbours may be grouped, and groups may become smaller (``finest``). Between the steps of an iterated attack
    the size is halved. Within one gradient, `refine` halves every group, asks for one half and gives the other the
    rest of the difference (exact where the loss is linear), so that all rounds together cost little more than the
    finest one alone; SignHunter (Al-Dujaili & O'Reilly 2020, arXiv:1902.06894) halves its chunks in this way.
    When ``most`` is below the plan, groups are made larger until the whole image is covered; in `refine` only those
    with the largest differences are halved.

    Args:
        h: probe radius in units of the image range (as in the paper, 0.01). size: pixels a group (the paper: 8 on
            MNIST and CIFAR-10). finest: the size in the end, ``size`` over a power of two; by default ``size``.
        neighbours: groups of neighbouring pixels, along Morton's curve, instead of random ones.
        two_sided: f(x+h) - f(x-h); else f(x+h) - f(x). block: groups an Ask.
    """

    h: float = 0.01
    size: int = 8
    finest: int | None = None
    neighbours: bool = False
    two_sided: bool = True
    block: int = 64

    def __post_init__(self) -> None:
        low = self.finest or self.size
        if self.size < 1 or low < 1 or self.size % low or (self.size // low).bit_count() != 1:
            raise ValueError(
                "Expected size of at least 1 and finest to be size over a power of two (64 and 1, say), "
                f"but they were {self.size} and {self.finest}."
            )

    def size_at(self, k: int) -> int:
        """Pixels a group at step k, or in round k."""
        return max(self.finest or self.size, self.size >> k)

    def plan(self, shape: tuple[int, ...], centre: bool = True, k: int = 0, most: int | None = None) -> int:
        d = torch.Size(shape).numel()
        size = min(self.size_at(k), d)
        count = affordable(-(-d // size), self.two_sided, centre, most)
        size = max(size, -(-d // count)) if count else d
        return bill(-(-d // size) if count else 0, self.two_sided, centre, most)

    def rounds(self, shape: tuple[int, ...]) -> list[int]:
        """What each round of `refine` costs a row."""
        d, each = torch.Size(shape).numel(), 2 if self.two_sided else 1
        halvings = (self.size // (self.finest or self.size)).bit_length() - 1
        return [each * -(-d // (self.size >> max(0, k - 1))) for k in range(halvings + 1)]

    def estimate(
        self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]:
        size = min(self.size_at(k), t.d)
        count = affordable(-(-t.d // size), self.two_sided, loss is None, most)
        if not count:
            return torch.zeros_like(x)
        size = max(size, -(-t.d // count))
        push, moved, base = yield from self.ends(t, x, loss, size)
        order = self.deal(t, k, size)
        diff = yield from self.along(t, x, order, push, base)
        return self.spread(t, torch.zeros_like(moved), order, diff, moved)[:, : t.d].view_as(x)

    def refine(
        self, t: Task, x: Tensor, k: int, g: Tensor, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]:
        """Round k of a gradient at ``x``: ``g`` is what round k - 1 returned."""
        if k == 0:
            return (yield from self.estimate(t, x, 0, loss, most))
        size = self.size >> (k - 1)
        order = self.deal(t, 0, size)
        count = affordable(order.shape[1], self.two_sided, loss is None, most)
        if not count or size == 1:
            return g
        push, moved, base = yield from self.ends(t, x, loss, size // 2)
        out = torch.cat([g.flatten(1), push[:, -1:]], 1)
        at = order.flatten(1)
        whole = row_sum((out.gather(1, at) * moved.gather(1, at)).view(-1, size)).view(t.n, -1)
        if count < order.shape[1]:
            pick = whole.abs().sort(dim=1, descending=True, stable=True).indices[:, :count]
            order = order.gather(1, pick[:, :, None].expand(-1, -1, size))
            whole = whole.gather(1, pick)
        first, second = order[:, :, : size // 2], order[:, :, size // 2 :]
        half = yield from self.along(t, x, first, push, base)
        out = self.spread(t, out, first, half, moved)
        out = self.spread(t, out, second, whole - half, moved)
        return out[:, : t.d].view_as(x)

    def deal(self, t: Task, k: int, size: int) -> Tensor:
        """[n, groups, size]: the pixels of each group. A dummy pixel d fills the last group up; it never moves."""
        if self.neighbours:
            order = ordered(t.shape, "tiles").to(t.x0.device).expand(t.n, -1)
        else:
            order = t.rng.permutation(k, "groups", t.d)
        count = -(-t.d // size)
        return torch.cat([order, order.new_full((t.n, count * size - t.d), t.d)], 1).view(t.n, count, size)

    def ends(self, t: Task, x: Tensor, loss: Tensor | None, size: int) -> Steps[tuple[Tensor, Tensor, Tensor | None]]:
        """`pushes` for groups of ``size`` pixels, with a zero for the dummy pixel: [n, d + 1] twice, and the centre's loss."""
        h, pad = probe_size(t, self.h, size**0.5, self.two_sided), x.new_zeros(t.n, 1)
        push, moved, base = yield from pushes(t, x, h, loss, self.two_sided)
        return torch.cat([push, pad], 1), torch.cat([moved, pad], 1), base

    def along(self, t: Task, x: Tensor, order: Tensor, push: Tensor, base: Tensor | None) -> Steps[Tensor]:
        """The differences [n, groups] along groups [n, groups, size]."""
        each, parts = (2 if base is None else 1), []
        for start, stop in blocks(order.shape[1], self.block):
            pixels = order[:, start:stop]

            def make(row: Tensor, index: Tensor, pixels: Tensor = pixels) -> Tensor:
                at = pixels[row, index // each]
                move = push[row[:, None], at]
                if each == 2:
                    move = move * (1 - 2 * (index % 2))[:, None]
                u = move.new_zeros(len(row), t.d + 1).scatter_(1, at, move)
                return u[:, : t.d].view(-1, *t.shape)

            a = yield Ask(x, u=Own(each * (stop - start), make))
            parts.append(differences(a.loss, base))
        return torch.cat(parts, 1)

    def spread(self, t: Task, g: Tensor, order: Tensor, diff: Tensor, moved: Tensor) -> Tensor:
        """Write each group's gradient of least norm into ``g`` [n, d + 1]."""
        _, count, size = order.shape
        at = order.flatten(1)
        v = moved.gather(1, at).view(t.n * count, size)
        share = diff.flatten() / row_sum(v * v).clamp_min(1e-12)
        return g.scatter(1, at, (share[:, None] * v).view(t.n, count * size))

"""A gradient source behind views: applies the chain rule, copy by copy in pieces of bounded size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from blackbox.rng import Stream
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.gradients import Gradient
from surrogates.crafting.parts.views import Draw, View, fork


class Viewed:
    """The gradient of ``source`` through ``views``, averaged over their copies: T'(x)^T source(T(x)).

    Any source will do, even one that queries a target, since the views are differentiated here. The rows of all copies are
    processed in pieces of exactly ``rows``: memory is bounded by a piece, and a row does not depend on the others in it.

    Raises:
        ValueError: a view averages logits, but the source cannot (one that queries a target).
    """

    def __init__(self, source: Gradient, views: Sequence[View], rows: int, pool: Pool | None = None) -> None:
        self.source, self.views, self.pool = source, tuple(views), pool
        self.counts = [view.copies for view in views]
        self.copies = math.prod(self.counts)
        self.fused = any(view.fuse == "logits" for view in views)
        self.rows = max(1, rows // self.copies) * self.copies if self.fused else rows
        self.cost = source.cost * self.copies
        if self.fused and not getattr(source, "groups", False):
            raise ValueError(
                "Expected a source that can average logits, which one of the views needs, but it cannot. Leave that view out."
            )

    def __call__(self, x: Tensor, goal: Tensor | Goal, rng: Stream, k: int) -> Tensor:
        n, goal = len(x), Goal.of(goal)
        image, copy = torch.arange(n), torch.arange(self.copies)
        if self.fused:  # all copies of an image together
            image, copy = image.repeat_interleave(self.copies), copy.repeat(n)
        else:
            image, copy = image.repeat(self.copies), copy.repeat_interleave(n)
        total = torch.zeros_like(x)
        for start in range(0, len(image), self.rows):
            stop = min(start + self.rows, len(image))
            at = torch.arange(start, start + self.rows).clamp_max(stop - 1)
            g = self._piece(x, goal, rng, k, image[at], copy[at])
            self._add(total, g[: stop - start], image[start:stop])
        return total if self.fused else total / self.copies

    def _piece(self, x: Tensor, goal: Goal, rng: Stream, k: int, image: Tensor, copy: Tensor) -> Tensor:
        there = image.to(x.device)
        given = x[there].detach().requires_grad_()
        own = goal[image]
        seen = given
        with torch.enable_grad():
            for v, view in enumerate(self.views):
                later = math.prod(self.counts[v + 1 :])
                prefix = copy // later  # this view's copy and those of the views before it: its draws depend on them
                draw = Draw(self._stream(rng, f"{v}", image, prefix), k, prefix % self.counts[v], own, self.pool)
                out = view(seen, draw)
                seen = seen + (out - seen).detach() if view.straight else out
        inner = goal[image[:: self.copies]] if self.fused else own
        if self.fused:
            inner = replace(inner, group=self.copies)
        g = self.source(seen.detach(), inner, self._stream(rng, "net", image, copy), k)
        return torch.autograd.grad(seen, given, g)[0]

    @staticmethod
    def _stream(rng: Stream, tag: str, image: Tensor, label: Tensor) -> Stream:
        """The random stream of rows that are copies of the rows of ``rng``."""
        number, which = image.numpy(), label.numpy()
        ids = np.empty(len(number), np.uint64)
        for c in np.unique(which):
            at = which == c
            ids[at] = fork(rng, f"{tag} {c}").ids[number[at]]
        return Stream(rng.seed, ids, rng.device)

    @staticmethod
    def _add(total: Tensor, g: Tensor, image: Tensor) -> None:
        """Add g to total[image] in the order of the rows, which a scatter does not guarantee."""
        cuts = [0, *((image.diff() != 1).nonzero()[:, 0] + 1).tolist(), len(image)]
        for a, b in pairwise(cuts):
            first = int(image[a])
            total[first : first + b - a] += g[a:b]

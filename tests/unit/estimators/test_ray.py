"""Rays to a flat boundary, where distances and slopes are known."""

from __future__ import annotations

import math
from typing import Any

import torch

import blackbox as bb
from blackbox.estimators import ray
from blackbox.proposals.noise import White
from blackbox.testing.priors import LinearPrior
from blackbox.testing.problems import affine_problem

PROBLEM = affine_problem("L2", targeted=True)
SEEN: dict[str, Any] = {}


class Looks(bb.Attack):
    """Looks along one ray, and keeps what it is told."""

    access, norms, minimises = bb.Access.LABELS, ("L2",), True

    def init(self, t: Any) -> Any:
        w = PROBLEM.target.weight
        normal = (w[PROBLEM.goal] - w[1 - PROBLEM.goal]) / 1.0
        n = normal / normal.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        side = torch.zeros_like(n)
        side[:, 0, 0, 0] = 1
        (p,) = ray.orthonormal([side], [n])
        u = (n + 0.5 * p) / math.sqrt(1.25)  # the slope along the best direction's other half is known: see below
        q = (p - 0.5 * n) / math.sqrt(1.25)
        every = torch.ones(t.n, dtype=torch.bool)
        reach, found = yield from ray.distance(t, u, 2 * PROBLEM.optimum.float(), 1e-4, every)
        slope = yield from ray.slope(t, u, reach, q, 0.1, 1e-4, every)
        added = yield from ray.Estimate(4, 0.05, 0.1, 1e-4, White()).of(t, u, reach, 0, [q])
        SEEN.update(reach=reach, found=found, slope=slope, best=ray.sphere(t, u + added), n=n)
        return ()

    def step(self, t: Any, s: Any, k: int) -> None:
        return None


def test_distance_slope_and_best_direction_are_those_of_a_flat_boundary() -> None:
    oracle = bb.Oracle(PROBLEM.target, "labels", 2)
    bb.attack(oracle, PROBLEM.x, PROBLEM.y, Looks(), bb.L2(1e-4), 200, target=PROBLEM.goal)
    assert SEEN["found"].all()
    torch.testing.assert_close(SEEN["reach"], PROBLEM.optimum.float() * math.sqrt(1.25), rtol=2e-3, atol=0)
    torch.testing.assert_close(SEEN["slope"], torch.full((5,), -0.5), rtol=0.05, atol=0)  # (n . q) / (n . u)
    cosine = (SEEN["best"] * SEEN["n"]).flatten(1).sum(1)
    assert (cosine > 0.995).all()


def test_a_good_prior_is_worth_most_queries_and_a_misled_one_is_not_followed() -> None:
    found = {}
    for sign in (1.0, -1.0):
        prior = LinearPrior.of_problem(2, blur=0.1, sign=sign)
        attack = bb.attacks.build("prior-opt", prior=prior, probes=8)
        oracle = bb.Oracle(PROBLEM.target, "labels", 2)
        start = (PROBLEM.x + 3 * (torch.rand(PROBLEM.x.shape, generator=torch.Generator().manual_seed(1)) - 0.5)).clamp(0, 1)
        start = torch.where((PROBLEM.target(start).argmax(1) == PROBLEM.goal).view(-1, 1, 1, 1), start, 1 - start)
        run = bb.attack(oracle, PROBLEM.x, PROBLEM.y, attack, bb.L2(1e-4), 80, target=PROBLEM.goal, start=start)
        found[sign] = (run.distance.double() / PROBLEM.optimum).max()
    assert max(found.values()) < 1.05  # the gradient turned round is the same axis: its slope has the other sign

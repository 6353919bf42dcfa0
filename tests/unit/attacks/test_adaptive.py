"""Attacks around attacks: what a rejecting, a noisy and a reversing target do to the bare attack, and not to these."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.targets import Answer
from blackbox.testing.problems import affine_problem

PROBLEM = affine_problem("Linf", (3, 8, 8), 5, targeted=False)
EPS = bb.Linf(3.0 * float(PROBLEM.optimum.max()))
CLASSES = len(PROBLEM.target.weight)


class Remembers:
    """Rejects what is nearer than ``apart`` (root mean square of an entry) to anything it was asked before."""

    name, device, returns = "remembers", torch.device("cpu"), "logits"

    def __init__(self, apart: float) -> None:
        self.apart, self.seen, self.count = apart, torch.zeros(2000, 192), 0

    def predict(self, x: Tensor) -> Answer:
        first = self.count
        self.count += len(x)
        self.seen[first : self.count] = x.flatten(1)
        gaps = torch.cdist(self.seen[first : self.count], self.seen[: self.count]) / 192**0.5
        near = [bool((gap[: first + i] < self.apart).any()) for i, gap in enumerate(gaps)]
        scores: Tensor = PROBLEM.target(x)
        return Answer(scores.argmax(1), scores, torch.tensor(near))


def run(target: Any, attack: Any, budget: int = 300, access: str = "logits", **settings: Any) -> bb.AttackResult:
    oracle = bb.Oracle(target, access, CLASSES, returns="logits", **settings)
    return bb.attack(oracle, PROBLEM.x, PROBLEM.y, attack, EPS, budget, votes=1)


@pytest.mark.parametrize("name", ["square", "hop-skip-jump"])
def test_oars_is_not_rejected_where_the_bare_attack_is(name: str) -> None:
    apart = 0.3 * EPS.eps
    access, budget = ("labels", 300) if name == "hop-skip-jump" else ("logits", 200)
    bare = run(Remembers(apart), name, budget, access)
    ours = run(Remembers(apart), bb.attacks.OARS(name), budget, access)
    assert int(ours.success.sum()) >= 4 > int(bare.success.sum())
    assert float(ours.flagged.sum() / ours.queries.sum()) < 0.5 * float(bare.flagged.sum() / bare.queries.sum())


def test_oars_is_the_bare_attack_where_nothing_is_rejected() -> None:
    bare, ours = run(PROBLEM.target, "square"), run(PROBLEM.target, bb.attacks.build("oars"))
    assert ours.queries.tolist() == (bare.queries + 1).tolist() and torch.equal(ours.x_adv, bare.x_adv)


class Noisy:
    """Scores with noise that differs from call to call."""

    def __init__(self, size: float) -> None:
        self.size, self.draws = size, torch.Generator().manual_seed(0)

    def __call__(self, x: Tensor) -> Tensor:
        out: Tensor = PROBLEM.target(x)
        return out + self.size * torch.randn(out.shape, generator=self.draws)


def test_averaged_asks_again_only_where_answers_differ() -> None:
    seen: list[bytes] = []

    class Counts:
        def __call__(self, x: Tensor) -> Tensor:
            seen.extend(one.numpy().tobytes() for one in x)
            out: Tensor = PROBLEM.target(x)
            return out

    attack = bb.attacks.Averaged("square", pairs=4)
    threat = bb.Linf(0.7 * float(PROBLEM.optimum.min()))  # never enough
    bb.attack(bb.Oracle(Counts(), "logits", CLASSES, returns="logits"), PROBLEM.x[:1], PROBLEM.y[:1], attack, threat, 200)
    assert 4 <= len(seen) - len(set(seen)) <= 8  # Square itself returns to a point now and then
    seen.clear()
    size = float(PROBLEM.target.margins(PROBLEM.x, PROBLEM.y)[0].min()) / 4
    noisy = bb.Oracle(Noisy(size), "logits", CLASSES, returns="logits", randomised=True, noise=size)
    told = bb.attack(noisy, PROBLEM.x, PROBLEM.y, attack, EPS, 400)
    assert told.success.all()


class Reversed:
    """AAA's linear scores: within each interval of the margin the slope is turned round."""

    def __init__(self, width: float) -> None:
        self.width = width

    def __call__(self, x: Tensor) -> Tensor:
        scores: Tensor = PROBLEM.target(x)
        top = scores.topk(2, 1)
        margin = top.values[:, 0] - top.values[:, 1]
        middle = ((margin / self.width).floor() + 0.5) * self.width
        out = scores.clone()
        return out.scatter_add(1, top.indices[:, :1], ((2 * middle - margin) - margin)[:, None])


def test_both_ways_gets_through_a_reversed_slope() -> None:
    width = 0.3 * float(PROBLEM.target(PROBLEM.x).topk(2, 1).values.diff(dim=1).abs().min())
    target = Reversed(width)
    bare, ours = run(target, "square", 400), run(target, bb.attacks.BothWays("square", leap=width), 400)
    assert int(ours.success.sum()) == 5 > int(bare.success.sum())


def test_both_ways_refuses_what_compares_no_losses() -> None:
    with pytest.raises(ValueError, match="compares losses"):
        bb.attacks.BothWays("rays")


@pytest.mark.parametrize("name", ["oars", "averaged", "both-ways"])
def test_a_wrapper_is_as_its_attack(name: str) -> None:
    own = bb.attacks.build(name, attack="sparse")
    assert own.norms == bb.attacks.build("sparse").norms and own.access == bb.attacks.build("sparse").access
    from blackbox.specs.attack import build

    assert build(name, ["attack=nes"])[name] == bb.attacks.build(name, attack="nes")

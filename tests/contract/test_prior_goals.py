"""Priors under goals other than a class: fewer queries where surrogates know something, and the contract of every attack with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.goals import Regression, Verification
from blackbox.prior import with_priors
from blackbox.testing import Recording
from blackbox.testing.priors import LinearPrior

SHAPE = (1, 4, 4)
DRAWS = np.random.default_rng(2)
X = torch.tensor(DRAWS.uniform(0.4, 0.6, (4, *SHAPE)), dtype=torch.float32)
W = torch.tensor(DRAWS.normal(size=(16, 3)), dtype=torch.float32)
FACES = torch.tensor(DRAWS.uniform(0.3, 0.7, (2, *SHAPE)), dtype=torch.float32)  # of two others
EPS, NEAR = bb.Linf(0.1), 0.1


class Rows(nn.Module):
    """x @ w, row by row the same in every batch."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(w)

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1)[:, :, None] * self.w).sum(1)


TARGET, NUMBER = Rows(W), Rows(W[:, :1])
NETS = [Rows(W[:, :1]), Rows(W[:, :1] + 0.1 * W[:, 1:2])]


def reach(share: float) -> Regression:
    """The number rises by this share of the most that is possible."""
    return Regression(NUMBER(X).detach()[:, 0], by=share * EPS.eps * float(W[:, 0].abs().sum()), way="up")


def taken_for(faces: Tensor, **more: Any) -> Verification:
    """Each image is taken for one of two others, in turn."""
    every = faces[torch.arange(len(X)) % 2]
    return Verification(TARGET(every).detach(), NEAR, images=every, **more)


def run(attack: Any, goal: bb.goals.Goal, model: Any = TARGET, **more: Any) -> bb.AttackResult:
    oracle = bb.Oracle(model, "answers")
    result = bb.attack(oracle, X, None, attack, more.pop("threat", EPS), more.pop("budget", 60), goal=goal, **more)
    assert oracle.rows == result.queries.sum()
    return result


def test_what_surrogates_know_is_worth_the_search() -> None:
    """A net that is the target leads to the optimum of a linear number in the few queries before the start and the one for it; without
    it the search needs many more; and what cannot be reached is not."""
    alone = run("auto", reach(0.97), NUMBER, budget=100)
    informed = run("auto", reach(0.97), NUMBER, prior=sg.prior(NETS[:1]))
    assert "Hybrid(" in informed.config["parameters"] and informed.config["prior"]["gradients"] > 0
    assert informed.success.all() and int(informed.queries.max()) <= 3 < 15 < float(alone.queries.float().mean())
    assert not run("hybrid", reach(1.001), NUMBER, budget=20, prior=sg.prior(NETS[:1])).success.any()


def test_a_net_with_another_embedding_makes_references_of_its_own() -> None:
    """Its embedding has five numbers, the target's three: the same turned and stretched, so that it leads where the target's does."""
    turned = Rows(2 * W @ torch.linalg.qr(torch.tensor(DRAWS.normal(size=(5, 3)), dtype=torch.float32))[0].T)
    goal = taken_for(FACES)
    alone, informed = run("ripples", goal), run("hybrid", goal, prior=sg.prior([turned]))
    assert informed.success.all() and int(informed.queries.max()) <= 3 < 10 < float(alone.queries.float().mean())
    assert ((TARGET(informed.x_adv) - TARGET(FACES)[torch.arange(4) % 2]).norm(dim=1) <= NEAR).all()
    own = Verification(turned(FACES[torch.arange(4) % 2]).detach(), NEAR)
    again = run("hybrid", goal, prior=sg.prior([turned], goal=own))
    assert torch.equal(again.x_adv, informed.x_adv) and torch.equal(again.queries, informed.queries)
    with pytest.raises(ValueError, match=r"embeddings of 3 numbers.* returns 5\. .*images=.* So it was with the prior's net"):
        run("hybrid", Verification(goal.references, NEAR), prior=sg.prior([turned]))


@pytest.mark.parametrize("name", [*bb.attacks.with_prior(), "labels", "wrapped"])
def test_every_attack_with_a_prior_serves_goals_under_the_contract(name: str) -> None:
    """Ball, mask and counts; and the result of an image is that of the image alone, whatever cohort it is in and whose goal it is."""
    mask = torch.tensor(DRAWS.uniform(size=X.shape) < 0.7)
    goal: bb.goals.Goal = taken_for(FACES)
    attack, model = name, TARGET
    prior: Any = sg.prior([Rows(W), Rows(W + 0.2)])
    if name == "labels":
        limit = 1 + NUMBER(X).detach()[:, 0]
        goal = bb.goal(lambda a, i: 1.0 if a > limit[i] else -1.0, graded=False, twin=lambda out, who: out[:, 0] - limit[who])
        attack, model, prior = "hybrid", lambda x: NUMBER(x)[:, 0], sg.prior(NETS)
    if name == "wrapped":
        attack, prior = bb.attacks.build("oars", attack=bb.attacks.build("transfer-start", prior=prior)), None
    cls = bb.attacks.get(attack) if isinstance(attack, str) else attack
    threat = EPS if "Linf" in cls.norms else bb.L2(0.4)
    watched = Recording(model)
    more: dict[str, Any] = {"threat": threat, "budget": 5 if name == "p-bo" else 12, "mask": mask, "prior": prior}
    result = run(attack, goal, watched, **more)
    outside = torch.stack([((watched.shown == X[i]) | mask[i]).flatten(1).all(1) for i in range(len(X))])
    assert bool(outside.any(0).all())
    assert bool((threat.distance(result.x_adv, X)[result.success] <= threat.eps + threat.tolerance).all())
    alone = run(attack, goal, model, **more, cohort=1)
    assert torch.equal(result.x_adv, alone.x_adv) and torch.equal(result.queries, alone.queries)


def test_a_run_that_stopped_goes_on_and_one_of_another_goal_of_the_prior_does_not(tmp_path: Path) -> None:
    nets, goal, calls = [Rows(W + 0.2)], taken_for(FACES), list[int]()
    more: dict[str, Any] = {"prior": sg.prior(nets), "budget": 20}
    whole = run("hybrid", goal, **more)

    def stops(x: Tensor) -> Tensor:
        calls.append(len(x))
        if len(calls) == 6:
            raise KeyboardInterrupt
        return TARGET(x).detach()

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        run("hybrid", goal, stops, **more, checkpoint=path)
    with pytest.raises(bb.CheckpointError):
        run("hybrid", goal, prior=sg.prior(nets, goal=taken_for(FACES, metric="cosine")), budget=20, checkpoint=path)
    oracle = bb.Oracle(TARGET, "answers")
    again = bb.attack(oracle, X, None, "hybrid", EPS, goal=goal, **more, checkpoint=path)
    assert torch.equal(again.x_adv, whole.x_adv) and torch.equal(again.queries, whole.queries)
    assert oracle.rows == whole.queries.sum() - again.config["carried"] < whole.queries.sum()


def test_a_shared_budget_and_classes_that_are_a_set() -> None:
    shared = run("hybrid", taken_for(FACES), prior=sg.prior([Rows(W)]), shared_budget=True, budget=20)
    assert int(shared.queries.sum()) <= 80
    labels = TARGET(X).argmax(1)
    goal = bb.goals.NoneOf(labels[:, None].numpy(), k=2)
    for access in ("topk", "scores", "logits"):
        oracle = bb.Oracle(TARGET, access, 3, k=2)
        result = bb.attack(oracle, X, None, "hybrid", bb.Linf(0.3), 30, goal=goal, prior=sg.prior([Rows(W)]))
        assert result.success.all() and oracle.rows == result.queries.sum()
        assert (TARGET(result.x_adv).topk(2, dim=1).indices != labels[:, None]).all()


def test_what_has_no_twin_and_priors_that_cannot_be_aimed_are_refused_before_a_query() -> None:
    plain = bb.goal(lambda a: float(a[0]) - 50)
    other = LinearPrior.noise(3, shape=SHAPE)

    class Silent(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return TARGET(x).detach()

    for goal, prior, said in (
        (plain, sg.prior([TARGET]), r"a goal with a twin.*So|bb\.goal\(loss, twin"),
        (taken_for(FACES), other, "can be aimed at a goal"),
        (taken_for(FACES), sg.prior([Silent()]), "none passes through Silent"),
        (Verification(np.zeros(3), NEAR, images=FACES[0, :, :3]), sg.prior([TARGET]), r"reference images of shape \(1, 4, 4\)"),
    ):
        oracle = bb.Oracle(TARGET, "answers")
        with pytest.raises(ValueError, match=said):
            bb.attack(oracle, X, None, "hybrid", EPS, 10, goal=goal, prior=prior)
        assert oracle.rows == 0
    with pytest.raises(ValueError, match="a goal for the attack as there is for its prior"):
        bb.attack(bb.Oracle(TARGET, "logits", 3), X, TARGET(X).argmax(1), "hybrid", EPS, 10, prior=sg.prior([TARGET], goal=plain))
    with pytest.raises(ValueError, match="one goal for all 1 nets or one for each, but there were 2"):
        sg.prior([TARGET], goal=[plain, plain])


def test_an_attack_that_compares_classes_but_has_no_prior_serves_goals_too() -> None:
    result = run("bayes-linear", reach(0.7), NUMBER, budget=200)
    assert result.success.all()


def test_priors_are_changed_where_attacks_hold_attacks() -> None:
    inner = bb.attacks.build("p-rgf", prior=sg.prior([TARGET]))
    outer = bb.attacks.build("oars", attack=bb.attacks.build("transfer-start", prior=sg.prior([TARGET])))
    marks: list[Any] = []
    assert with_priors(inner, lambda prior: marks.append(prior) or prior) is inner and len(marks) == 1
    changed = with_priors(outer, lambda prior: prior.view([0]))
    assert changed.prior is changed.inner.prior is not outer.prior and with_priors(bb.attacks.build("square"), str) is not None

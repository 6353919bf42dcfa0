"""Attacks that hold a prior: with labels alone, with priors that know nothing or mislead, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox import attacks
from blackbox.attacks.hybrid_labels import HybridLabels
from blackbox.candidates import Bank, CraftGoal, Recraft, Scene, Squares, calibrated, craft, usual
from blackbox.candidates.craft import fused
from blackbox.prior import aim, pair
from blackbox.testing import AttackContract
from blackbox.testing.driver import task
from blackbox.testing.priors import LinearPrior
from blackbox.testing.problems import affine_problem
from blackbox.testing.targets import Affine

NAMES = ("p-rgf", "simba-ods", "gfcs", "bases", "p-bo", "transfer-start", "hybrid", "auto")
NORMS = {"Linf": bb.Linf, "L2": bb.L2}


class Short(AttackContract):
    run_budget = 50
    optimum_budget = 600


class TestHybridLabels(Short):
    attack = HybridLabels(LinearPrior.of_problem(3))
    goals = (False,)
    access = "labels"
    optimum_share = 0.6  # windows of signs, like RayS's, end where no window helps: two of five rays at 1.4 and 1.5 times


class TestHybridLabelsTargeted(Short):
    attack = HybridLabels(LinearPrior.of_problem(2))
    goals = (True,)
    access = "labels"


class TestTransferStartOnLabels(Short):
    attack = attacks.build("transfer-start", attack="rays", prior=LinearPrior.of_problem(3))
    goals = (False,)
    access = "labels"
    optimum_share = 0.6  # windows of signs, like RayS's, end where no window helps: two of five rays at 1.4 and 1.5 times
    randomised = False


class TestHybridMisled(Short):
    attack = attacks.build("hybrid", prior=LinearPrior.of_problem(3, sign=-1.0))
    goals = (False,)
    # squares alone are left, and they cannot follow random weights (see "square")
    optimum_factor: ClassVar[dict[str, float]] = {"L2": 3.0}


class Roomy(AttackContract):
    """Images that have room for waves; on smaller ones those of ripples are not tried."""

    shape = (1, 16, 17)
    run_budget = 40
    test_reaches_the_optimum = None  # type: ignore[assignment]  # `tests/unit/candidates/test_ripples.py`: where waves lead there


class TestRipplesWithRoom(Roomy):
    attack = "ripples"


class TestHybridWithRoom(Roomy):
    attack = attacks.build("hybrid", prior=LinearPrior.of_problem(3, blur=3.0, shape=Roomy.shape))
    goals = (False,)


class TestHybridTargetedWithRoom(Roomy):
    attack = attacks.build("hybrid", prior=LinearPrior.of_problem(2, blur=3.0, shape=Roomy.shape))
    goals = (True,)


def run(
    name: Any, norm: str = "Linf", share: float = 1.25, budget: int = 300, access: str = "scores", **more: Any
) -> bb.AttackResult:
    known = affine_problem(norm, alike=True)
    oracle = bb.Oracle(known.target, access, 3, returns="logits", k=2)
    return bb.attack(oracle, known.x, known.y, name, NORMS[norm](share * float(known.optimum.max())), budget, **more)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", NAMES)
def test_a_good_prior_is_worth_a_query_or_few(name: str, norm: str) -> None:
    settings = (
        {}
        if name in ("bases", "p-bo", "transfer-start", "hybrid", "auto", "p-rgf")
        else {"step_size": 0.5 if norm == "Linf" else 0.02}
    )
    result = run(attacks.build(name, prior=LinearPrior.of_problem(blur=0.0), **settings), norm)
    most = 2 if name in ("bases", "p-bo", "transfer-start", "hybrid", "auto") else 100
    assert result.success.all() and int(result.queries.max()) <= most


@pytest.mark.parametrize("access", ["topk", "scores", "logits", "labels"])
def test_hybrid_serves_every_access(access: str) -> None:
    prior = LinearPrior.of_problem(blur=1.0)
    result = run("hybrid", share=1.6, access=access, prior=prior, budget=600)
    assert result.success.all()
    assert sum(p["successes"] for p in result.config["parts"].values()) == 5
    # the clean check belongs to no part
    assert sum(p["queries"] for p in result.config["parts"].values()) == int(result.queries.sum()) - 5


@pytest.mark.parametrize("access", ["scores", "labels"])
@pytest.mark.parametrize("prior", [LinearPrior.noise(), LinearPrior.of_problem(sign=-1.0)], ids=["noise", "misled"])
def test_a_bad_prior_does_not_stop_hybrid(prior: LinearPrior, access: str) -> None:
    assert run("hybrid", share=2.5, access=access, prior=prior, budget=1000).success.all()


def test_an_image_whose_start_disappoints_goes_on_without_the_prior() -> None:
    misled = run("hybrid", share=2.5, prior=LinearPrior.of_problem(sign=-1.0), budget=1000)
    parts, without = misled.config["parts"], ("start", "stripes", "ripples", "square")
    assert parts["stripes"]["queries"] == 5 and parts["square"]["queries"] > 0
    assert not any(p["queries"] for name, p in parts.items() if name not in without)
    trusting = attacks.build("hybrid", prior=LinearPrior.of_problem(sign=-1.0), trust=(0.0, 0.0, 0.0))
    kept = run(trusting, share=2.5, budget=1000).config["parts"]
    assert any(p["queries"] for name, p in kept.items() if name not in without)
    good = run("hybrid", prior=LinearPrior.of_problem()).config["parts"]
    assert good["stripes"]["queries"] == 0


def test_what_the_prior_cost_stands_beside_the_queries() -> None:
    prior = LinearPrior.of_problem(members=2, blur=0.0)
    bill = run("transfer-start", prior=prior).config["prior"]
    assert bill["gradients"] == 5 * 2 * 8 and bill["gradients_per_image"] == 16 and bill["members"] == 2
    again = run("transfer-start", prior=prior).config["prior"]
    assert again["gradients"] == 80, "a prior that serves two runs is billed to each for itself"
    assert run("square").config["prior"] is None


@pytest.mark.parametrize("name", [n for n in NAMES if n != "auto"])
def test_without_a_prior_one_sentence(name: str) -> None:
    with pytest.raises(ValueError, match=rf"Expected a prior for {name}, .*surrogates.prior\(nets\)"):
        run(name)


def test_a_prior_that_does_not_fit_one_sentence() -> None:
    with pytest.raises(ValueError, match="the target's 3 classes, but it has 2"):
        run("hybrid", prior=LinearPrior.of_problem(2))
    with pytest.raises(ValueError, match=r"images of shape \(3, 4, 4\), which are attacked, but it takes \(3, 5, 5\)"):
        run("hybrid", prior=LinearPrior.noise(shape=(3, 5, 5)))
    with pytest.raises(ValueError, match="an attack that takes a prior, .*p-rgf"):
        run("square", prior=LinearPrior.noise())
    with pytest.raises(ValueError, match="with the name of an attack"):
        run(attacks.build("hybrid"), prior=LinearPrior.noise())
    with pytest.raises(ValueError, match="to be a blackbox.prior.Prior, but it was list"):
        run("hybrid", prior=[])  # type: ignore[arg-type]


@pytest.mark.parametrize("budget", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_budgets(name: str, budget: int) -> None:
    assert int(run(name, prior=LinearPrior.noise(), budget=budget).queries.max()) <= budget


def test_auto_chooses() -> None:
    for access, norm, prior, choice in (
        ("scores", "Linf", None, "RipplesLinear("),
        ("labels", "Linf", None, "RippleLabels("),
        ("labels", "L2", None, "Tangent("),
        ("scores", "Linf", LinearPrior.noise(), "Hybrid("),
        ("labels", "Linf", LinearPrior.noise(), "HybridLabels("),
        ("labels", "L2", LinearPrior.noise(), "TransferStart("),
    ):
        result = run("auto", norm, access=access, prior=prior, budget=4)
        assert result.config["attack"] == "auto" and result.config["parameters"].startswith(choice)


def test_transfer_start_needs_an_attack_that_starts_from_an_image() -> None:
    with pytest.raises(ValueError, match="can start from an image"):
        attacks.build("transfer-start", attack="nes")


# -- the parts --------------------------------------------------------------------------------------------------


def test_aim_is_the_margins_covector() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    goal = torch.tensor([0, 0])
    assert aim(scores, goal, False).tolist() == [[-1, 0, 1], [-1, 1, 0]]
    assert aim(scores, goal, True).tolist() == [[1, 0, -1], [1, -1, 0]]
    assert aim(scores, goal, torch.tensor([False, True])).tolist() == [[-1, 0, 1], [1, -1, 0]]


def test_craft_on_an_affine_prior_ends_in_the_corner() -> None:
    known = affine_problem("Linf")
    prior = LinearPrior(known.target.weight[None], known.target.bias[None])
    t = replace(task(known.x, threat=bb.Linf(0.02)), goal=known.y)
    made = craft(t, prior, known.x, CraftGoal.of(t))
    assert torch.allclose((made - known.x).abs(), torch.full_like(made, 0.02), atol=1e-6)
    other = known.target(made).scatter(1, known.y[:, None], -1e9).argmax(1)
    slope = known.target.weight[other] - known.target.weight[known.y]
    assert torch.equal((made - known.x).sign(), slope.sign())


def test_calibration_makes_the_prior_agree_where_the_target_spoke() -> None:
    known = affine_problem("Linf")
    prior = LinearPrior.noise()
    shown = known.target(known.x)
    agreed = prior.logits(known.x) + calibrated(prior, known.x, shown)
    assert torch.allclose(agreed, shown[:, None].expand_as(agreed), atol=1e-5), "each member"
    top = torch.where(shown == shown.amin(1, keepdim=True), torch.nan, shown)
    agreed = fused(prior.logits(known.x) + calibrated(prior, known.x, top), None)
    least = top.nan_to_num(nan=1e9).amin(1, keepdim=True)
    assert (agreed[top.isnan()] <= least.flatten() + 1e-5).all()
    assert torch.allclose(agreed[~top.isnan()], shown[~top.isnan()], atol=1e-5)
    nothing = torch.full_like(shown, torch.nan)
    assert not calibrated(prior, known.x, nothing).any()


def test_trust_is_three_shares() -> None:
    with pytest.raises(ValueError, match="Expected trust to be three shares"):
        attacks.build("hybrid", prior=LinearPrior.of_problem(), trust=(0.5, 1.5, 0.5))


def test_hybrid_wants_a_maker_that_can_always_propose() -> None:
    with pytest.raises(ValueError, match="makers with a Squares among them"):
        attacks.build("hybrid", makers=tuple(m for m in usual() if not isinstance(m, Squares)))


@dataclass(frozen=True)
class Answer:
    """A maker of one's own that knows the answer."""

    target: Affine
    name: str = "answer"
    worth: tuple[float, float] = (50.0, 1.0)
    once: bool = True
    surrogate: bool = False

    def ready(self, scene: Any) -> Tensor:
        return torch.ones(scene.t.n, dtype=torch.bool)

    def make(self, scene: Any) -> Tensor:
        return self.target.nearest(scene.t.x0, scene.t.goal, "Linf", 1.2).float()


def test_a_maker_of_ones_own_joins_and_is_credited() -> None:
    target = affine_problem("Linf", alike=True).target
    attack = attacks.build("hybrid", prior=LinearPrior.of_problem(sign=-1.0), makers=(*usual(), Answer(target)))
    result = run(attack, share=1.25)
    assert result.success.all() and result.config["parts"]["answer"]["successes"] >= 4
    assert int(result.queries.max()) <= 8


@dataclass(frozen=True)
class Not(Answer):
    """The same, but not for a class to reach."""

    name: str = "not"
    towards: None = None


def test_towards_a_class_makers_take_part_that_are_of_worth_there() -> None:
    known = affine_problem("Linf", targeted=True, alike=True)
    oracle = bb.Oracle(known.target, "scores", 2, returns="logits")
    hopeless = bb.Linf(0.5 * float(known.optimum.min()))
    makers = (*usual(), Answer(known.target), Not(known.target))
    attack = attacks.build("hybrid", prior=LinearPrior.of_problem(2, blur=3.0), makers=makers, trust=(0.0, 0.0, 0.0))

    def drawn(**more: Any) -> set[str]:
        parts = bb.attack(oracle, known.x, known.y, attack, hopeless, 80, **more).config["parts"]
        return {maker.name for maker in makers if parts[maker.name]["queries"]}

    assert drawn(target=1 - known.y) == {"recraft", "answer", "square"}  # too small for ripples
    assert drawn() >= {"recraft, random", "static", "crossover, random", "not"}


@pytest.mark.parametrize("patience", [5, 20])
def test_recrafts_tire(patience: int) -> None:
    """Where nothing can succeed they are drawn in the first steps alone; squares go on to the end of the budget."""
    recrafts = tuple(replace(m, patience=patience) for m in usual() if isinstance(m, Recraft))
    attack = attacks.build("hybrid", prior=LinearPrior.of_problem(blur=3.0), makers=(*recrafts, Squares()), trust=(0.0, 0.0, 0.0))
    parts = run(attack, share=0.5, budget=60).config["parts"]
    drawn = sum(parts[m.name]["queries"] for m in recrafts)
    assert 0 < drawn <= 5 * patience and parts["square"]["queries"] > 5 * (60 - 2 - patience) - 1


@pytest.mark.parametrize("members, pairs", [(1, [{0}]), (2, [{0, 1}]), (3, [{0, 1}, {1, 2}, {2, 0}]), (6, [{0, 3}, {1, 4}, {2, 5}])])
def test_pairs_of_members_are_half_the_list_apart(members: int, pairs: list[set[int]]) -> None:
    prior = LinearPrior.of_problem(members=members, blur=1.0)
    x = torch.full((1, 3, 4, 4), 0.4)
    known = prior.logits(x)
    for i in range(2 * len(pairs)):
        assert torch.equal(pair(prior, i).logits(x), known[:, sorted(pairs[i % len(pairs)])])


@pytest.mark.parametrize("targeted", [False, True])
def test_a_candidate_is_crafted_once_and_is_its_rows_own(targeted: bool) -> None:
    prior = sg.prior([sg.build("mlp", 3, (1, 4, 4), seed=i) for i in range(4)])
    x, y = torch.full((2, 1, 4, 4), 0.5), torch.tensor([0, 1])
    t = task(x, threat=bb.Linf(0.1), goal=y, targeted=targeted)
    bank, other = Bank.open(t, prior), Bank.open(t, prior)
    scene = Scene(t, prior, x, t.loss0, torch.zeros(2, 3), 0, bank, torch.arange(2))
    slot = torch.tensor([bank.first, bank.first + 1])
    before = prior.gradients
    made = bank.get(scene, slot)
    assert prior.gradients - before == 2 * 5 * 4  # rows, steps, members
    assert torch.equal(bank.get(scene, slot), made) and prior.gradients - before == 2 * 5 * 4
    alone = other.get(replace(scene, bank=other).take(torch.tensor([False, True])), slot[1:])
    assert torch.equal(alone, made[1:])


def test_the_summary_names_the_prior_and_the_parts() -> None:
    text = run("hybrid", prior=LinearPrior.of_problem(blur=0.0)).summary()
    assert "gradients an image" in text and "start 5 for 5" in text


def test_with_labels_a_ray_that_leads_nowhere_is_left_for_that_of_another_candidate() -> None:
    """The target leaves its label only for dark images. The prior's best craft goes up; that for its other class goes down."""

    def dark(x: Tensor) -> Tensor:
        return torch.nn.functional.one_hot((x.flatten(1).mean(1) < 0.4).long(), 3).double()

    up = torch.ones(1, 12, 12)
    prior = LinearPrior(torch.stack([0 * up, 3 * up, -up])[None], torch.zeros(1, 3))
    x, y = torch.full((3, 1, 12, 12), 0.7), torch.zeros(3, dtype=torch.long)
    result = bb.attack(bb.Oracle(dark, "labels", 3), x, y, "hybrid", bb.Linf(0.1), 60, prior=prior)
    # a random corner of the box is never that dark; 0.3 is the way to the boundary
    assert set(result.status) == {bb.Status.BUDGET} and float(result.distance.max()) < 0.32


def test_towards_a_class_a_start_that_gets_halfway_is_left_to_squares() -> None:
    """What is enough of a start to go on by the prior untargeted is not enough towards a class."""
    prior = LinearPrior.of_problem(2, blur=0.0)
    known = affine_problem("Linf", targeted=True)
    oracle = bb.Oracle(known.target, "scores", int(known.target.weight.shape[0]), returns="logits")
    half = bb.Linf(0.45 * float(known.optimum.min()))

    def gradients(trust: tuple[float, float, float]) -> int:
        attack = attacks.build("hybrid", prior=prior, trust=trust)
        return int(bb.attack(oracle, known.x, known.y, attack, half, 30, target=1 - known.y).config["prior"]["gradients"])

    assert gradients((0.0, 0.0, 0.6)) == gradients((1.0, 1.0, 1.0)) < gradients((0.6, 0.6, 0.2))

"""Votes: under a target that answers by chance a success is the majority of fresh answers, all charged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.given import VOTES
from blackbox.protocol import Ask, Status, Task
from blackbox.rng import Stream
from blackbox.targets import FunctionTarget, Noisy
from blackbox.testing import Affine, Failing, Recording, affine_problem
from tests.toys import Bisection, Fuzz, RandomSigns, Script

ONE = Affine(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([0.5, 0.0]))  # class 1 where x[0] > 0.5


class Flips:
    """Answers as the target does, but for a share of the rows, drawn by their number, names another class."""

    randomised = True
    noise = probe = resolution = 0.0
    name, device, returns = "flips", torch.device("cpu"), "labels"

    def __init__(self, target: Callable[[Tensor], Tensor], share: float, seed: int = 0) -> None:
        self.target, self.share, self.seed, self.shown = target, share, seed, 0

    def predict(self, x: Tensor) -> Tensor:
        out = self.target(x)
        numbers = np.arange(self.shown, self.shown + len(x), dtype=np.uint64)
        flip = Stream(self.seed, numbers).uniform(0, "flip", 1)[:, 0] < self.share
        self.shown += len(x)
        return torch.where(flip, (out.argmax(1) + 1) % out.shape[1], out.argmax(1))


class Told:
    """Gives away labels from a list, one a row; the images do not matter."""

    def __init__(self, labels: list[int]) -> None:
        self.labels: Iterator[int] = iter(labels)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.tensor([next(self.labels) for _ in range(len(x))])


def go(target: Any, attack: Any, budget: int = 100, n: int = 1, eps: float = 0.5, **settings: Any) -> bb.AttackResult:
    oracle = bb.Oracle(target, "labels", 2, rows_per_call=settings.pop("rows_per_call", None))
    x = torch.full((n, 2), 0.2)
    result = bb.attack(oracle, x, torch.zeros(n, dtype=torch.int64), attack, bb.Linf(eps), budget, **settings)
    assert oracle.rows == int(result.queries.sum()) and (result.queries <= budget).all()
    return result


def here(t: Task) -> Ask:
    return Ask(t.x0 + 0.1)


class TestLuck:
    SHARE, N, BUDGET = 0.1, 40, 300

    def flips(self) -> Flips:
        return Flips(lambda x: torch.tensor([[1.0, 0.0]]).expand(len(x), 2), self.SHARE)

    def test_without_votes_luck_fools_everyone(self) -> None:
        r = go(self.flips(), RandomSigns(), self.BUDGET, self.N, votes=1)
        right = r.attacked
        assert r.success[right].all() and int((~right).sum()) >= 1
        assert int((r.verified[r.success] == 0).sum()) > 0.7 * int(r.success.sum())

    def test_with_votes_it_fools_no_one(self) -> None:
        r = go(self.flips(), RandomSigns(), self.BUDGET, self.N)
        assert r.config["votes"] == VOTES == 11
        assert int(r.success.sum()) == 0 and r.attacked.all(), "nor is a clean image called wrong by one bad answer"
        assert set(r.status) == {Status.BUDGET} and r.queries.tolist() == [self.BUDGET] * self.N
        assert (r.clean_label == 0).all()

    def test_a_real_success_is_still_found(self) -> None:
        r = go(Flips(ONE, self.SHARE, seed=1), RandomSigns(), self.BUDGET, self.N)
        assert r.success.all() and (r.x_adv[:, 0] > 0.5).all() and (r.verified == 1).all()
        assert "majority of 11" in r.summary()

    def test_a_clean_image_that_is_mostly_wrong_is_not_attacked(self) -> None:
        r = go(Flips(lambda x: torch.tensor([[0.0, 1.0]]).expand(len(x), 2), self.SHARE), RandomSigns(), 50, 20)
        wrong = torch.tensor([s is Status.CLEAN_WRONG for s in r.status])
        assert int(wrong.sum()) >= 16, "those whose first answer was right by luck are attacked"
        assert (r.queries[wrong] <= 1 + VOTES).all() and (r.queries[wrong] >= 1 + VOTES // 2 + 1).all()


class TestCharges:
    def test_votes_end_when_a_majority_is_certain(self) -> None:
        # clean 0, claim 1; of 5 votes: 1 1 1
        r = go(Told([0, 1, 1, 1, 1, 1]), Script((here,)), votes=5, rows_per_call=1)
        assert r.queries.tolist() == [5] and r.first_success_query.tolist() == [5] and r.success.all()

    @pytest.mark.parametrize("rows_per_call", [1, 2, 3, None])
    def test_a_split_vote_goes_on(self, rows_per_call: int | None) -> None:
        # clean, claim, then 0 1 0 | 1 | 1 : three asked at first, since three could decide, then what is still short
        r = go(Told([0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1]), Script((here,)), votes=5, rows_per_call=rows_per_call)
        assert r.queries.tolist() == [7] and r.success.all()

    def test_a_claim_that_is_outvoted_is_taken_back(self) -> None:
        heard: list[Any] = []
        r = go(Told([0, 1, 0, 0, 0, 0]), Script((here, here), heard), votes=5)
        assert [a.adv.tolist() for _, a in heard] == [[False], [False]] and heard[0][1].paid.tolist() == [True]
        assert r.queries.tolist() == [6] and not r.success.any() and r.status == (Status.GAVE_UP,)

    def test_claims_of_one_ask_are_heard_in_turn(self) -> None:
        u = torch.tensor([[0.01, 0.0], [0.02, 0.0], [0.03, 0.0], [0.04, 0.0]])
        # clean; probes 0 1 1 1; votes on the second: 0 0; on the third: 1 1; the fourth is not put to the vote
        heard: list[Any] = []
        r = go(Told([0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1]), Script((lambda t: Ask(t.x0, u=u),), heard), votes=3)
        assert r.queries.tolist() == [9] and r.first_success_query.tolist() == [9]
        assert torch.allclose(r.x_adv, torch.tensor([[0.23, 0.2]]))

    @pytest.mark.parametrize(("budget", "success", "spent"), [(2, False, 2), (4, False, 2), (5, True, 5), (7, True, 5)])
    def test_too_little_left_is_no_success(self, budget: int, success: bool, spent: int) -> None:
        r = go(Told([0, 1, 1, 1, 1, 1, 1, 1, 1, 1]), Script((here,)), budget, votes=5)
        assert r.success.tolist() == [success] and r.queries.tolist() == [spent]

    def test_undecided_at_the_budget_is_no_success(self) -> None:
        r = go(Told([0, 1, 1, 0, 1, 1]), Script((here,)), 5, votes=5)  # 1 0 1, two for it, and nothing left
        assert r.queries.tolist() == [5] and not r.success.any() and r.status == (Status.BUDGET,)

    def test_the_clean_check_is_put_to_the_vote_as_well(self) -> None:
        r = go(Told([1, 0, 0, 0, 0]), Script((here,)), votes=3)
        assert r.attacked.all() and r.clean_label.tolist() == [0] and r.queries.tolist() == [4]
        r = go(Told([1, 1, 0, 1]), Script((here,)), votes=3)
        assert r.status == (Status.CLEAN_WRONG,) and r.queries.tolist() == [4]
        for budget in (1, 2):
            r = go(Told([1]), Script((here,)), budget, votes=3)
            assert r.status == (Status.CLEAN_WRONG,) and r.queries.tolist() == [1], "the first answer stands"
        r = go(Told([1, 1, 0]), Script((here,)), 3, votes=3)
        assert r.status == (Status.CLEAN_WRONG,) and r.queries.tolist() == [3]

    def test_outside_the_threat_nothing_is_claimed(self) -> None:
        far = lambda t: Ask(t.x0, u=torch.tensor([[0.7, 0.0]]))  # noqa: E731
        r = go(Told([0, 1]), Script((far,)), votes=3)
        assert r.queries.tolist() == [2] and not r.success.any()

    def test_smaller_distances_are_put_to_the_vote(self) -> None:
        asks = tuple((lambda t, h=h: Ask(t.x0 + h)) for h in (0.4, 0.1, 0.2, 0.05))
        # clean; .4: 1, votes 1 1; .1: 1, votes 0 0; .2: 1, votes 1 1; .05: 0
        told = Told([0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0])
        oracle = bb.Oracle(told, "labels", 2)
        r = bb.attack(oracle, torch.full((1, 2), 0.2), torch.tensor([0]), Script(asks, minimises=True), bb.Linf(float("inf")), 50, votes=3)
        assert r.queries.tolist() == [11] and r.first_success_query.tolist() == [4]
        assert r.trace[:, 1].tolist() == [4, 10] and torch.allclose(r.trace[:, 2], torch.tensor([0.4, 0.2]).double())
        assert torch.allclose(r.distance, torch.tensor([0.2]))

    @pytest.mark.parametrize("budget", [1, 2, 7, 13, 40])
    @pytest.mark.parametrize("attack", [Fuzz(), Bisection(), RandomSigns()], ids=["fuzz", "bisection", "signs"])
    def test_double_entry_and_budget(self, attack: Any, budget: int) -> None:
        p = affine_problem("Linf", samples=6)
        seen = Recording(p.target)
        flips = Flips(seen, 0.3)
        oracle = bb.Oracle(flips, "labels", 3)
        r = bb.attack(oracle, p.x, p.y, attack, bb.Linf(1.1 * float(p.optimum.max())), budget, votes=3, cohort=4)
        assert oracle.rows == int(r.queries.sum()) and (r.queries <= budget).all()
        assert seen.count == oracle.rows + oracle.counts["verify"]


class TestCompany:
    def test_without_chance_neither_calls_nor_cohorts_matter(self) -> None:
        p = affine_problem("Linf", samples=6)
        made = []
        for rows_per_call, cohort in ((None, 256), (1, 256), (3, 2), (5, 4)):
            oracle = bb.Oracle(p.target, "labels", 3, rows_per_call=rows_per_call)
            made.append(
                bb.attack(oracle, p.x, p.y, Fuzz(), bb.Linf(1.1 * float(p.optimum.max())), 60, votes=3, cohort=cohort)
            )
        for other in made[1:]:
            for name in ("queries", "first_success_query", "x_adv", "success"):
                assert torch.equal(getattr(made[0], name), getattr(other, name)), name

    @pytest.mark.parametrize("attack", [Fuzz(), Bisection(), RandomSigns()], ids=["fuzz", "bisection", "signs"])
    def test_stop_and_go_on(self, attack: Any, tmp_path: Path) -> None:
        """Stopped at any call, votes included, a resumed run asks nothing twice and ends where the other did."""
        p = affine_problem("Linf", samples=5)
        threat: Any = bb.Linf(1.2 * float(p.optimum.max()))

        def run(target: Any, path: Path | None) -> tuple[bb.AttackResult, bb.Oracle]:
            oracle = bb.Oracle(target, "labels", 3, rows_per_call=3)
            return bb.attack(oracle, p.x, p.y, attack, threat, 30, votes=5, checkpoint=path), oracle

        whole, oracle = run(Flips(p.target, 0.2), None)
        assert int((whole.queries > 8).sum()) > 1
        charged_calls = sum(oracle.sizes.values()) - 5 * -(-int(whole.success.sum()) // 3)
        for call in range(1, charged_calls, 3):
            path = tmp_path / f"{call}.ckpt"
            flips = Flips(p.target, 0.2)
            breaks = Failing(flips.predict, call)
            paid = 0
            for _ in range(2):
                target = FunctionTarget(breaks, returns="labels")
                inner = bb.Oracle(target, "labels", 3, rows_per_call=3, randomised=True)
                try:
                    result = bb.attack(inner, p.x, p.y, attack, threat, 30, votes=5, checkpoint=path)
                    paid += inner.rows
                    break
                except bb.TargetError:
                    paid += inner.rows
            assert paid == int(result.queries.sum()) == int(whole.queries.sum()), call
            for name in ("queries", "first_success_query", "x_adv", "trace"):
                assert torch.equal(getattr(result, name), getattr(whole, name)), (call, name)


class TestSettings:
    def test_defaults(self) -> None:
        assert go(ONE, Script(()), votes=None).config["votes"] == 1
        net = FunctionTarget(ONE, returns="logits")
        assert go(Noisy(net, 0.01), Script(())).config["votes"] == VOTES
        assert go(Noisy(net, 0.01), Script(()), votes=3).config["votes"] == 3

    @pytest.mark.parametrize("votes", [0, 2, -1, True, 1.5])
    def test_even_votes_are_refused(self, votes: Any) -> None:
        with pytest.raises(ValueError, match="odd number"):
            go(ONE, Script(()), votes=votes)

    def test_a_checkpoint_of_other_votes_is_refused(self, tmp_path: Path) -> None:
        go(ONE, Script((here,)), votes=3, checkpoint=tmp_path / "a")
        with pytest.raises(bb.CheckpointError, match="votes: 3 there, 5 here"):
            go(ONE, Script((here,)), votes=5, checkpoint=tmp_path / "a")

    def test_the_default_keeps_its_promise(self) -> None:
        """The share of false claims that the documented number of votes lets through, by the binomial law."""
        from scipy.stats import binom

        assert binom.sf(VOTES // 2, VOTES, 0.1) == pytest.approx(3e-4, rel=0.05)
        assert 100 * binom.sf(2, 5, 0.1) == pytest.approx(0.9, rel=0.06)

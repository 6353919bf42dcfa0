"""The faults that were found in other toolkits, planted one by one: the contract has to catch each of them.

Where a fault comes from: shared research notes on query attacks (section 3) and on model codebases (first table).
Each broken part is a sound toy, broken in one place; the sound toy passes the same check.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox.engine.engine
import blackbox.run
from blackbox.engine.accounts import Accounts
from blackbox.engine.engine import Engine
from blackbox.engine.evaluator import Evaluator
from blackbox.engine.ledger import CODES, LIVE
from blackbox.engine.resume import Checkpoint
from blackbox.engine.scheduler import Scheduler
from blackbox.engine.spec import RunSpec
from blackbox.oracle.oracle import Oracle
from blackbox.oracle.validation import Validation
from blackbox.protocol import Ask, Retire, Status, Steps, Task
from blackbox.rowwise import rows, weighted_sum
from blackbox.testing import AttackContract, Case, EngineContract, EstimatorContract
from blackbox.threat import L2
from tests.toys import Bisection, Differences, RandomSigns

LINF, L2_CASE = Case("Linf", False), Case("L2", False)


class Toy(EngineContract):
    """The contract for a toy. ``broken``: the part of the engine that stands in for its own base class."""

    broken: ClassVar[type | None] = None
    goals = (False,)

    def run(self, *args: Any, **settings: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            if self.broken is not None:
                base = self.broken.__mro__[1]
                patch.setattr(blackbox.run if base is Engine else blackbox.engine.engine, base.__name__, self.broken)
            return super().run(*args, **settings)


def contract(attack: Any, broken: type | None = None, **knobs: Any) -> AttackContract:
    return type("Planted", (Toy,), {"attack": attack, "broken": broken, **knobs})()


def check(suite: Any, name: str, case: Case, tmp_path: Path) -> None:
    test = getattr(suite, name)
    given = {"case": case, "norm_case": case, "tmp_path": tmp_path}
    test(**{p: given[p] for p in inspect.signature(test).parameters})


# -- sound toys keep all of it -----------------------------------------------------------------------------------

class TestRandomSigns(AttackContract):
    attack = RandomSigns()
    access = "scores"
    optimum_budget = 500
    optimum_factor: ClassVar[dict[str, float]] = {"Linf": 8.0, "L2": 10.0, "L1": 12.0}  # chance alone
    goals = (False,)


class TestDifferences(AttackContract):
    attack = Differences()


class TestBisection(AttackContract):
    attack = Bisection()
    access = "labels"
    optimum_factor: ClassVar[dict[str, float]] = {"Linf": 80.0, "L2": 40.0}
    goals = (False,)


# -- attacks -----------------------------------------------------------------------------------------------------


class BatchNorm(Differences):
    """Foolbox, HopSkipJump: the gradient is divided by the norm of the whole batch."""

    def direction(self, t: Task, g: Tensor) -> Tensor:
        return g / g.norm()


class BatchSum(Differences):
    """Foolbox, evolution strategies: every sample is weighed by the loss summed over the batch."""

    def weigh(self, diff: Tensor) -> Tensor:
        return super().weigh(diff).sum(0, keepdim=True).expand(len(diff), -1)


class BatchMaximum(Differences):
    """secml-torch: the maximum is taken over the batch."""

    def direction(self, t: Task, g: Tensor) -> Tensor:
        return torch.where(g.abs() == g.abs().max(), g.sign(), torch.zeros_like(g))


class MatrixProduct(Differences):
    """An order of additions that depends on the number of rows: results differ in the last bits."""

    def direction(self, t: Task, g: Tensor) -> Tensor:
        return g + 1e-6 * (g.sum(0, keepdim=True) - g)


class GlobalDraws(Differences):
    """ART: draws from an unseeded global generator, so that no seed repeats a run."""

    def directions(self, t: Task, k: int) -> Tensor:
        return torch.randn(self.pairs, *t.shape)


class ClobbersSeed(Differences):
    """AutoAttack: seeds the global generator, which is the caller's."""

    def directions(self, t: Task, k: int) -> Tensor:
        torch.manual_seed(t.rng.seed * 1000 + k)
        return torch.randn(self.pairs, *t.shape)


class IgnoresSeed(Differences):
    """Two seeds, one run."""

    def directions(self, t: Task, k: int) -> Tensor:
        return replace(t.rng, seed=0).shared_normal(k, "u", (self.pairs, *t.shape))


class DrawsByPosition(RandomSigns):
    """A sample's draws come from its place in the batch."""

    def step(self, t: Task, s: Any, k: int) -> Steps[Any]:
        place = replace(t.rng, ids=np.arange(t.n, dtype=np.uint64))
        return super().step(replace(t, rng=place), s, k)


class HiddenState(Differences):
    """pyribs, OpenAI-ES: what was drawn is kept on the object between ask and tell, and belongs to another ask."""

    def directions(self, t: Task, k: int) -> Tensor:
        before, vars(self)["noise"] = vars(self).get("noise"), super().directions(t, k)
        return vars(self)["noise"] if before is None else before


class HiddenPoint(Differences):
    """A tensor kept on the object instead of in the State."""

    def step(self, t: Task, s: Any, k: int) -> Steps[Any]:
        s = yield from super().step(t, s, k)
        vars(self)["last"] = s.x.mean()
        return s


class RowsLast(Differences):
    """A State whose tensors do not have the rows on their first axis: dropping finished rows drops directions instead."""

    @dataclass
    class State:
        x: Tensor
        u: Tensor | None = None

    def step(self, t: Task, s: Any, k: int) -> Steps[Any]:
        out = yield from super().step(t, s, k)
        return self.State(out.x, self.directions(t, k))


class ListState(Differences):
    """A State that hides tensors in a list, where the engine cannot drop rows."""

    @dataclass
    class State:
        x: Tensor
        past: list[Tensor] = field(default_factory=list)


class WholeState(Differences):
    """A State with a tensor without rows."""

    @dataclass
    class State:
        x: Tensor
        step: Tensor = field(default_factory=lambda: torch.tensor(1.0))


@dataclass(frozen=True)
class AsksBehindTheEngine(RandomSigns):
    """BlackboxBench, SimBA, GeoDA: a loss is computed for a log, or an assert, through the model and never counted."""

    model: Any = None

    def step(self, t: Task, s: Any, k: int) -> Steps[Any]:
        self.model(t.x0)
        return super().step(t, s, k)


@dataclass(frozen=True)
class LastColumnStays(RandomSigns):
    """AutoAttack, Square: ``randint(0, h - s)`` never reaches the last row and column. Coordinate search, full or not."""

    full: bool = True

    def step(self, t: Task, s: Any, k: int) -> Steps[Any]:
        c, h, w = t.shape
        height, width = (h, w) if self.full else (h - 1, w - 1)
        at = k % (c * height * width)
        i, rest = divmod(at, height * width)
        mask = torch.zeros_like(t.x0)
        mask[:, i, rest // width, rest % width] = 1
        return self._try(t, s, mask * t.eps)

    def _try(self, t: Task, s: Any, move: Tensor) -> Steps[Any]:
        x, loss = s.x, s.loss
        for sign in (1, -1):
            a = yield Ask(torch.where(move > 0, t.x0 + sign * move, x))
            better = a.loss > loss
            x, loss = torch.where(rows(better, x), a.x, x), torch.where(better, a.loss, loss)
        return self.State(x, loss)


class GoesDown(Differences):
    """A sign error: the loss falls."""

    def direction(self, t: Task, g: Tensor) -> Tensor:
        return -t.threat.steepest(g)




BROKEN_ATTACKS = [
    (BatchNorm(), "test_same_in_any_company", L2_CASE, "very same"),
    (BatchSum(), "test_same_in_any_company", LINF, "very same"),
    (BatchMaximum(), "test_same_in_any_company", LINF, "very same"),
    (MatrixProduct(), "test_same_in_any_company", L2_CASE, "very same"),
    (DrawsByPosition(), "test_same_in_any_company", LINF, "very same"),
    (GlobalDraws(), "test_seeds", LINF, "very same"),
    (ClobbersSeed(), "test_seeds", LINF, "global random generators"),
    (IgnoresSeed(), "test_seeds", LINF, "very same points"),
    (HiddenState(), "test_stop_and_resume", LINF, "after a stop|called again"),
    (HiddenState(), "test_state_leads_with_rows", LINF, "object changed"),
    (HiddenPoint(), "test_state_leads_with_rows", LINF, "object changed"),
    (RowsLast(), "test_state_leads_with_rows", LINF, "rows on axis 0"),
    (ListState(), "test_state_leads_with_rows", LINF, "plain value"),
    (WholeState(), "test_state_leads_with_rows", LINF, "rows on axis 0"),
    (GoesDown(), "test_reaches_the_optimum", LINF, "Expected success"),
    (LastColumnStays(full=False), "test_reaches_the_optimum", LINF, "Expected success"),
    (Bisection(), "test_reaches_the_optimum", L2_CASE, "ratios"),
]


@pytest.mark.parametrize(
    ("attack", "name", "case", "message"), BROKEN_ATTACKS, ids=[f"{type(b[0]).__name__}-{b[1]}" for b in BROKEN_ATTACKS]
)
def test_broken_attacks_are_caught(attack: Any, name: str, case: Case, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        check(contract(attack), name, case, tmp_path)


def test_the_coordinate_search_is_caught_for_its_window_only(tmp_path: Path) -> None:
    check(contract(LastColumnStays(full=True)), "test_reaches_the_optimum", LINF, tmp_path)


def test_queries_behind_the_engine_are_caught(tmp_path: Path) -> None:
    class Leaky(Toy):
        def run(self, oracle: Oracle, x: Tensor, y: Tensor, attack: Any, *args: Any, **settings: Any) -> Any:
            return super().run(oracle, x, y, AsksBehindTheEngine(model=self.seen), *args, **settings)

        def oracle(self, target: Any, *args: Any, **settings: Any) -> Oracle:
            self.seen = target
            return super().oracle(target, *args, **settings)

    leaky = type("Leaky", (Leaky,), {"attack": RandomSigns()})()
    with pytest.raises(AssertionError, match="The target saw"):
        leaky.test_never_past_the_budget_and_double_entry(LINF)


def test_a_state_that_loses_rows_fails_at_the_engine_too() -> None:
    """RowsLast again: the engine must not silently carry rows that belong to other samples."""
    suite = contract(RowsLast())
    with pytest.raises((AssertionError, IndexError, RuntimeError)):
        suite.test_same_in_any_company(LINF)
        suite.test_state_leads_with_rows(LINF)


# -- engines -----------------------------------------------------------------------------------------------------


class Overshoots(Accounts):
    """RayS: the budget is looked at between line searches only, so an Ask of probes may run past it."""

    def admit(self, cohort: Any) -> Any:
        budget, self.budget = self.budget, 10**9
        try:
            return super().admit(cohort)
        finally:
            self.budget = budget


class StopsEveryone(Accounts):
    """BlackboxBench: when anyone hits the budget, or succeeds, everyone stops."""

    def credit(self, cohort: Any, *args: Any) -> None:
        super().credit(cohort, *args)
        status = self.ledger.status[cohort.samples]
        if (status != LIVE).any():
            self.ledger.close(cohort.samples, Status.GAVE_UP)


class SuccessByDistance(Accounts):
    """BlackboxBench, decision attacks: a point near enough is a success; nobody looks at the label."""

    def credit(self, cohort: Any, plan: Any, points: Tensor, loss: np.ndarray, adv: np.ndarray) -> None:
        super().credit(cohort, plan, points, loss, np.ones_like(adv))


class FailedStartIsSuccess(Scheduler):
    """BlackboxBench, OPT and Sign-OPT; TangentAttack: a sample that found no start counts as done, hence as fooled."""

    def _between_steps(self, cohort: Any) -> None:
        if isinstance(cohort.state, Retire):
            lost = cohort.samples[cohort.state.rows.numpy()]
            self.ledger.first[lost] = self.ledger.spent[lost]
        super()._between_steps(cohort)


class NeverStops(Accounts):
    """Samples that have succeeded go on and pay."""

    def _credit_hits(self, *args: Any) -> None:
        status = self.ledger.status.copy()
        super()._credit_hits(*args)
        self.ledger.status[:] = np.where(self.ledger.status == CODES[Status.SUCCESS], status, self.ledger.status)


class ForwardsFinished(Evaluator):
    """Square and SimBA in two toolkits: finished samples are still sent through the model, uncharged."""

    def _call(self, pieces: Any) -> None:
        super()._call(pieces)
        if (self.accounts.ledger.status != LIVE).any():
            self.oracle._Oracle__target.predict(pieces[0][0].task.x0[:1])  # type: ignore[attr-defined]


class LooksForFree(Evaluator):
    """The success check is a second pass over each candidate that nobody counts."""

    def _call(self, pieces: Any) -> None:
        super()._call(pieces)
        self.oracle.submit(pieces[0][0].task.x0[:1], "verify")


class ForgetsTheSecondSide(Accounts):
    """BlackboxBench, SimBA: a try that did not help is not charged."""

    def credit(self, cohort: Any, plan: Any, points: Tensor, loss: np.ndarray, adv: np.ndarray) -> None:
        before = self.ledger.best.copy()
        super().credit(cohort, plan, points, loss, adv)
        who = cohort.samples[plan.row[plan.done : plan.done + len(loss)]]
        worse = who[self.ledger.best[who] <= before[who]]
        self.ledger.spent[worse] = np.maximum(self.ledger.spent[worse] - 1, 1)


class FreeCleanCheck(Accounts):
    """The clean check is not charged."""

    def check_clean(self, cohort: Any, *args: Any) -> None:
        super().check_clean(cohort, *args)
        self.ledger.spent[cohort.samples] = 0


class Unprojected(Scheduler):
    """Candidates are evaluated where the attack put them."""

    def cohort_of(self, samples: Any) -> Any:
        cohort = super().cohort_of(samples)
        cohort.task = replace(cohort.task, minimises=True)
        return cohort


class TriesHarder(Engine):
    """A radius that is silently larger than the one that was asked for."""

    def __init__(self, spec: RunSpec, *args: Any) -> None:
        super().__init__(replace(spec, threat=replace(spec.threat, eps=1.6 * spec.threat.eps)), *args)


class LateCredit(Accounts):
    """The number of the query that succeeded is the number spent when somebody looked."""

    def query_number(self, cohort: Any, plan: Any, i: int) -> int:
        return super().query_number(cohort, plan, i) + 1


class ForgetsTheStep(Checkpoint):
    """A checkpoint of the last step only: queries since then are asked, and paid, again."""

    def save(self, scheduler: Scheduler) -> None:
        for cohort in scheduler.cohorts:
            cohort.replay, cohort.plan = [], None
        super().save(scheduler)


class WritesIntoInputs(Engine):
    """The example is written where the input was."""

    def run(self) -> Any:
        ledger = super().run()
        self.spec.samples.x.add_(0.01)
        return ledger


class FixedCompany(Scheduler):
    """Finished rows are dropped from the State in the wrong order."""

    def _compact(self, cohort: Any, live: np.ndarray) -> None:
        super()._compact(cohort, live)
        if cohort.state is not None:
            cohort.state = cohort.state.__class__(**{n: v.flip(0) for n, v in vars(cohort.state).items()})


BROKEN_ENGINES = [
    (Overshoots, Differences(), "test_never_past_the_budget_and_double_entry", LINF, "Expected at most"),
    (StopsEveryone, Differences(), "test_same_in_any_company", LINF, "very same"),
    (SuccessByDistance, RandomSigns(), "test_constant_target", LINF, "reported as fooled"),
    (SuccessByDistance, RandomSigns(), "test_never_below_the_optimum", LINF, "no adversarial example"),
    (FailedStartIsSuccess, Bisection(), "test_constant_target", LINF, "reported as fooled"),
    (NeverStops, Differences(), "test_nothing_asked_after_success", LINF, "went on to ask"),
    (ForwardsFinished, Differences(), "test_never_past_the_budget_and_double_entry", LINF, "The target saw"),
    (LooksForFree, RandomSigns(), "test_never_past_the_budget_and_double_entry", LINF, "verification"),
    (ForgetsTheSecondSide, RandomSigns(), "test_never_past_the_budget_and_double_entry", LINF, "counted|charged"),
    (FreeCleanCheck, RandomSigns(), "test_never_past_the_budget_and_double_entry", LINF, "charged|counted"),
    (Unprojected, Differences(length=3.0), "test_honest_inside_the_box", LINF, "distances"),
    (TriesHarder, Differences(), "test_never_below_the_optimum", LINF, "no adversarial example"),
    (TriesHarder, Differences(), "test_honest_inside_the_box", LINF, "distances"),
    (LateCredit, Differences(), "test_nothing_asked_after_success", LINF, "first succeeded"),
    (ForgetsTheStep, Differences(), "test_stop_and_resume", LINF, "after a stop"),
    (WritesIntoInputs, Differences(), "test_honest_inside_the_box", LINF, "wrote into"),
    (FixedCompany, Differences(), "test_same_in_any_company", LINF, "very same"),
]


@pytest.mark.parametrize(
    ("broken", "attack", "name", "case", "message"),
    BROKEN_ENGINES,
    ids=[f"{b[0].__name__}-{b[2]}" for b in BROKEN_ENGINES],
)
def test_broken_engines_are_caught(
    broken: type, attack: Any, name: str, case: Case, message: str, tmp_path: Path
) -> None:
    knobs = {"access": "scores"}
    check(contract(attack, **knobs), name, case, tmp_path / "sound")
    with pytest.raises(AssertionError, match=message):
        check(contract(attack, broken, **knobs), name, case, tmp_path / "broken")


def test_nan_that_passes_unnoticed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Validation, "_check_finite", lambda self, values, alone: None)
    with pytest.raises(AssertionError, match="passed unnoticed"):
        contract(RandomSigns()).test_non_finite_reply(LINF)


def test_an_error_that_names_the_wrong_sample_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    class OffByOne(Engine):
        def __init__(self, spec: RunSpec, *args: Any) -> None:
            samples = replace(spec.samples, ids=spec.samples.ids + np.uint64(1))
            super().__init__(replace(spec, samples=samples), *args)

    with pytest.raises(AssertionError, match="to name sample"):
        contract(RandomSigns(), OffByOne).test_non_finite_reply(LINF)


def test_the_parenthesis_in_a_projection_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """adversarial-library, FMN: points inside the ball are pushed out to its surface."""
    from tests.unit.test_threat import check_projection

    def project(self: L2, x: Tensor, x0: Tensor) -> Tensor:
        delta = x - x0
        size = delta.flatten(1).norm(dim=1).clamp_min(1e-12)
        return self.clip(x0 + delta * rows(self.eps / size, x))

    x0 = torch.full((2, 2), 0.5)
    x = x0 + torch.tensor([[0.3, 0.1], [0.0, 0.2]])
    check_projection(L2(0.4), x, x0)
    monkeypatch.setattr(L2, "project", project)
    with pytest.raises(AssertionError):
        check_projection(L2(0.4), x, x0)


# -- estimators --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signs:
    """A sound two-sided estimator with random signs, to be broken."""

    h: float = 0.05
    pairs: int = 4

    def plan(self, shape: tuple[int, ...], centre: bool = True, k: int = 0) -> int:
        return 2 * self.pairs

    def point(self, x: Tensor) -> Tensor:
        return x

    def directions(self, t: Task, k: int) -> Tensor:
        return t.rng.shared_signs(k, "u", (self.pairs, *t.shape))

    def weigh(self, diff: Tensor) -> Tensor:
        return diff

    def moved(self, t: Task, x: Tensor, h: float) -> Tensor:
        return t.clip(x + h) - t.clip(x - h)

    def radius(self, t: Task) -> float:
        return max(self.h, 2 * t.probe) if not t.probe else round(self.h / t.probe) * t.probe

    def estimate(self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None) -> Steps[Tensor]:
        u, h = self.directions(t, k), self.radius(t)
        a = yield Ask(self.point(x), u=torch.cat([u, -u]), h=h)
        diff = a.loss[:, : self.pairs] - a.loss[:, self.pairs :]
        diff = self.weigh(torch.where(diff.isnan(), torch.zeros_like(diff), diff))
        return weighted_sum(diff, u) / self.pairs / self.moved(t, x, h)


class TestSoundEstimator(EstimatorContract):
    estimator = Signs()
    partial = False


class SumsTheBatch(Signs):
    """Foolbox, evolution strategies."""

    def weigh(self, diff: Tensor) -> Tensor:
        return diff.sum(0, keepdim=True).expand(len(diff), -1)


class NominalStep(Signs):
    """BlackboxBench, Bhagoji's code: divides by 2h where the clip removed one side."""

    def moved(self, t: Task, x: Tensor, h: float) -> Tensor:
        return torch.full_like(x, 2 * h)


class HalfScale(Signs):
    """The factor 2 of a two-sided difference forgotten."""

    def moved(self, t: Task, x: Tensor, h: float) -> Tensor:
        return super().moved(t, x, h) / 2


class WrongPlace(Signs):
    """CleverHans, SPSA: x is added once more, the gradient is taken at 2x."""

    def point(self, x: Tensor) -> Tensor:
        return 2 * x


class UnseededSigns(Signs):
    """Draws that no seed repeats."""

    def directions(self, t: Task, k: int) -> Tensor:
        return torch.randn(self.pairs, *t.shape).sign()


class NeverLearnsTheLast(Signs):
    """An off-by-one in the directions: the last entry never moves."""

    def directions(self, t: Task, k: int) -> Tensor:
        u = super().directions(t, k).clone()
        u.flatten(1)[:, -1] = 0
        return u


class UnpaidBill(Signs):
    """The loss at the centre is asked each time and is not in the plan."""

    def estimate(self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None) -> Steps[Tensor]:
        yield Ask(x)
        return (yield from super().estimate(t, x, k, loss, most))


class BelowALevel(Signs):
    """A probe too small for 8-bit input: the answers do not change."""

    def radius(self, t: Task) -> float:
        return 1e-4


class PassesNaN(Signs):
    """Answers that were not paid for go into the sum."""

    def estimate(self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None) -> Steps[Tensor]:
        u, h = self.directions(t, k), self.radius(t)
        a = yield Ask(x, u=torch.cat([u, -u]), h=h)
        return weighted_sum(a.loss[:, : self.pairs] - a.loss[:, self.pairs :], u) / self.pairs / self.moved(t, x, h)


BROKEN_ESTIMATORS = [
    (SumsTheBatch(), "test_same_in_any_company"),
    (NominalStep(), "test_unbiased_at_the_edges"),
    (NominalStep(), "test_scale"),
    (HalfScale(), "test_scale"),
    (HalfScale(), "test_unbiased_inside_the_box"),
    (WrongPlace(), "test_unbiased_inside_the_box"),
    (UnseededSigns(), "test_repeats"),
    (NeverLearnsTheLast(), "test_unbiased_inside_the_box"),
    (UnpaidBill(), "test_bill"),
    (BelowALevel(), "test_quantised_input"),
    (PassesNaN(), "test_unpaid_answers"),
    (Signs(), "test_most"),
]


@pytest.mark.parametrize(
    ("estimator", "name"), BROKEN_ESTIMATORS, ids=[f"{type(e).__name__}-{n}" for e, n in BROKEN_ESTIMATORS]
)
def test_broken_estimators_are_caught(estimator: Any, name: str) -> None:
    suite = type("Planted", (EstimatorContract,), {"estimator": estimator})()
    with pytest.raises(AssertionError):
        getattr(suite, name)()

"""AttackContract: what every attack must keep, as tests to inherit."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import inspect
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox.attacks
import blackbox.run
from blackbox.oracle.oracle import Oracle, TargetError
from blackbox.protocol import Retire, Status
from blackbox.results import AttackResult
from blackbox.testing.targets import Constant, Failing, Model, Problem, Recording, ReluNet, affine_problem
from blackbox.threat import L0, L1, L2, Linf, Threat, UnsupportedThreat


def _pixels(eps: float) -> L0:
    """L0 counts pixels: the whole number of them that a radius allows."""
    return L0(eps if eps == math.inf else max(1, math.floor(eps)))


_THREATS: dict[str, Callable[[float], Threat]] = {"Linf": Linf, "L2": L2, "L1": L1, "L0": _pixels}
_COLUMNS = (
    "success",
    "queries",
    "first_success_query",
    "x_adv",
    "distance",
    "loss",
    "clean_loss",
    "clean_label",
    "verified",
)


class Case(NamedTuple):
    """One combination that the contract runs: a norm, and whether a class is to be reached."""

    norm: str
    targeted: bool

    def __str__(self) -> str:
        return f"{self.norm}-{'targeted' if self.targeted else 'untargeted'}"


def expect(holds: bool | Tensor, message: str) -> None:
    """An assertion that ``python -O`` keeps and that explains itself without pytest's rewriting."""
    if not bool(holds):
        raise AssertionError(message)


class AttackContract:
    """Inherit this, set ``attack``, and pytest runs every check for every norm it serves.

    Checks that a method must keep its own promise at the budget given (`test_reaches_the_optimum`) can be adapted
    with the attributes below; checks of honesty (accounts, budgets, independence of samples) cannot.

    Attributes:
        attack: a registered name or an attack object.
        shape: of one image. The number of samples must not occur in it (a State that leads with another axis would
            pass unseen otherwise). samples: images in a run.
        norms: norms to check; by default those of ``attack.norms``. goals: False untargeted, True targeted.
        access: what the oracle shows in the checks that need a working attack: ``"logits"`` unless set. The accounts
            are also checked at the least access that the attack declares.
        optimum_budget: queries after which the attack must have succeeded at 1.25 times the smallest distance.
        optimum_factor: the multiple of the smallest distance by norm, 1.25 where a norm is not named. For a method
            that proposes shapes of its own (a square of equal changes, say), and so cannot follow any gradient.
        optimum_share: the share of samples that must have; 1 unless set.
        run_budget: queries of the runs that are compared with each other; enough for some steps.
        randomised: whether another seed must change the queries. A deterministic attack says False, and is then
            held to it.
    """

    attack: ClassVar[Any] = None
    shape: ClassVar[tuple[int, ...]] = (3, 4, 4)
    samples: ClassVar[int] = 5
    norms: ClassVar[tuple[str, ...] | None] = None
    goals: ClassVar[tuple[bool, ...]] = (False, True)
    access: ClassVar[str] = "logits"
    optimum_budget: ClassVar[int] = 3000
    optimum_factor: ClassVar[dict[str, float] | None] = None
    optimum_share: ClassVar[float] = 1.0
    run_budget: ClassVar[int] = 120
    randomised: ClassVar[bool] = True

    # -- what the checks are made of ----------------------------------------------------------------------------

    def pytest_generate_tests(self, metafunc: Any) -> None:
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", self.cases(), ids=str)

    @classmethod
    def cases(cls) -> list[Case]:
        """Norms times goals."""
        norms = cls.norms or tuple(cls.built().norms)
        return [Case(norm, targeted) for norm in norms for targeted in cls.goals]

    @classmethod
    def built(cls) -> Any:
        """The attack object under test."""
        if cls.attack is None:
            raise TypeError(f"Expected {cls.__name__} to set `attack` to a registered name or an attack object.")
        # a copy, as another process would have it: what an object remembers must not carry over
        return blackbox.attacks.build(cls.attack) if isinstance(cls.attack, str) else copy.deepcopy(cls.attack)

    def problem(self, case: Case, alike: bool = False) -> Problem:
        """An affine target with images whose smallest distances are known."""
        known = affine_problem(case.norm, self.shape, self.samples, targeted=case.targeted, alike=alike)
        return dataclasses.replace(known, x=known.x.clone(), y=known.y.clone())

    def between(self, case: Case, problem: Problem) -> Threat:
        """A radius that lets some samples succeed and others not: just above the median optimum."""
        return _THREATS[case.norm](1.1 * float(problem.optimum.median()))

    def oracle(self, target: Any, classes: int, access: str | None = None, rows_per_call: int | None = None) -> Oracle:
        """A fresh oracle. The tests of accounts fix the rows of a call, so that failures fall on a known call."""
        k = min(5, classes)
        return Oracle(target, access or self.access, classes, k=k, returns="logits", rows_per_call=rows_per_call)

    def run(self, oracle: Oracle, x: Tensor, y: Tensor, attack: Any, threat: Threat, budget: int, **settings: Any) -> AttackResult:
        """One run; override it to check another engine."""
        return blackbox.run.attack(oracle, x, y, attack, threat, budget, **settings)

    def _run(
        self, case: Case, problem: Problem, threat: Threat, budget: int, *, target: Any = None, rows: Any = None, **settings: Any
    ) -> AttackResult:
        index = torch.arange(len(problem.x)) if rows is None else torch.as_tensor(rows)
        x, y = (problem.x, problem.y) if rows is None else (problem.x[index], problem.y[index])
        access, per_call = settings.pop("access", None), settings.pop("rows_per_call", None)
        oracle = self.oracle(target or problem.target, len(problem.target.weight), access, per_call)
        goal = None if problem.goal is None else problem.goal[index]
        attack = settings.pop("attack", None) or self.built()
        settings.setdefault("ids", 10 + 3 * index)
        return self.run(oracle, x, y, attack, threat, budget, target=goal, **settings)

    # -- 1, 2: budgets and accounts -----------------------------------------------------------------------------

    def test_never_past_the_budget_and_double_entry(self, case: Case) -> None:
        """Budgets 1, 2, 7 and odd: no sample past its budget, and three accounts that agree, at the least access too."""
        problem = self.problem(case)
        least = self.built().access
        for budget in (1, 2, 7, 33, self.run_budget + 1):
            for access in dict.fromkeys((self.access, *([least.name.lower()] if budget in (2, 33) else []))):
                seen = Recording(problem.target)
                oracle = self.oracle(seen, len(problem.target.weight), access)
                threat = self.between(case, problem)
                result = self.run(oracle, problem.x, problem.y, self.built(), threat, budget, target=problem.goal)
                where = f"at budget {budget} with {access}"
                expect(
                    (result.queries <= budget).all(),
                    f"Expected at most {budget} queries a sample, but {result.queries.tolist()} were charged {where}.",
                )
                expect((result.queries >= 1).all(), f"The clean check must be charged, but {result.queries.tolist()} {where}.")
                charged, verify = int(result.queries.sum()), oracle.counts["verify"]
                expect(
                    verify <= int(result.success.sum()),
                    f"At most one uncharged second look an example is allowed, but there were {verify} rows for "
                    f"{int(result.success.sum())} examples {where}.",
                )
                expect(oracle.rows == charged, f"The oracle counted {oracle.rows} rows, the samples {charged} {where}.")
                expect(
                    seen.count - verify == charged,
                    f"The target saw {seen.count - verify} rows beside {verify} to verify, the samples were charged {charged} {where}.",
                )
                late = (result.first_success_query > result.queries) | (result.first_success_query > budget)
                expect(~late.any(), f"A success was credited past the queries paid for {where}.")
                expect(
                    torch.equal(result.success, result.first_success_query > 0),
                    f"Success and first_success_query disagree {where}.",
                )

    def test_double_entry_when_the_target_raises(self, case: Case) -> None:
        """The target fails on a call: what was paid for before is in ``error.result``, and the accounts agree."""
        problem = self.problem(case)
        threat = self.between(case, problem)
        for call in (1, 2, 5, 23):
            seen = Recording(Failing(problem.target, call))
            oracle = self.oracle(seen, len(problem.target.weight), rows_per_call=3)
            try:
                result = self.run(oracle, problem.x, problem.y, self.built(), threat, self.run_budget, target=problem.goal)
            except TargetError as error:
                result = error.result
                expect(
                    not any(s is Status.ERROR and bool(result.success[i]) for i, s in enumerate(result.status))
                    or self.built().minimises,
                    "A sample that had succeeded before the failure must keep its status.",
                )
            expect(isinstance(result, AttackResult), "Expected error.result to hold what was paid for.")
            charged = int(result.queries.sum())
            expect(
                oracle.rows == charged == seen.count - oracle.counts["verify"],
                f"After a failure on call {call} the oracle counted {oracle.rows}, the target answered {seen.count} and the "
                f"samples were charged {charged}.",
            )
            expect((result.queries <= self.run_budget).all(), "A sample went past its budget before the failure.")

    # -- 3, 9: what a result may depend on ----------------------------------------------------------------------

    def test_same_in_any_company(self, case: Case) -> None:
        """Bit-equal results for any cohort size, call size, order and shard of the same samples."""
        problem = self.problem(case)
        threat = self.between(case, problem)
        order = list(range(self.samples))[::-1]
        part, rest = order[: self.samples // 2], order[self.samples // 2 :]
        bent = self._bent(problem)
        labelled = self._labelled(problem, bent)

        def go(**settings: Any) -> AttackResult:
            return self._run(case, labelled, threat, self.run_budget, target=bent, **settings)

        whole = go()
        _same(whole, go(cohort=1), None, "with cohorts of 1")
        _same(whole, go(rows=order, rows_per_call=1), order, "in another order, with one row a call")
        _same(whole, go(rows=part), part, f"for the shard {part}")
        _same(whole, go(rows=rest, cohort=2, rows_per_call=4), rest, f"for the shard {rest}, in cohorts of 2")

    def test_seeds(self, case: Case) -> None:
        """A seed reproduces a run to the bit, another changes its queries, and the caller's generators stay untouched."""
        problem = self.problem(case)
        threat = _THREATS[case.norm](0.5 * float(problem.optimum.min()))
        before = (torch.get_rng_state(), np.random.get_state()[1].copy())  # type: ignore[union-attr, index]
        runs = []
        for seed in (0, 0, 1):
            seen = Recording(problem.target)
            runs.append((self._run(case, problem, threat, self.run_budget, target=seen, seed=seed), seen.shown))
        after = (torch.get_rng_state(), np.random.get_state()[1])  # type: ignore[index]
        _same(runs[0][0], runs[1][0], None, "for the same seed")
        expect(
            runs[0][1].shape == runs[1][1].shape and torch.equal(runs[0][1], runs[1][1]),
            "The same seed asked for different points.",
        )
        differ = runs[0][1].shape != runs[2][1].shape or not torch.equal(runs[0][1], runs[2][1])
        if self.randomised:
            expect(differ, "Seeds 0 and 1 asked for the very same points. Set randomised = False if that is meant.")
        else:
            expect(not differ, "Expected no randomness (randomised = False), but seeds 0 and 1 asked for different points.")
        expect(
            torch.equal(before[0], after[0]) and bool(np.array_equal(before[1], after[1])),
            "The run drew from the global random generators. Draw from task.rng.",
        )

    # -- 4: stop and go on --------------------------------------------------------------------------------------

    def test_stop_and_resume(self, case: Case, tmp_path: Path) -> None:
        """Stopped by a failing target or by ctrl-C at any call, a run goes on bit-equal and asks for nothing twice."""
        problem = self.problem(case)
        threat = self.between(case, problem)

        def go(target: Any, path: Path | None) -> AttackResult:
            return self._run(
                case, problem, threat, self.run_budget, target=target, rows_per_call=7, cohort=3, checkpoint=path
            )

        whole_seen = Recording(problem.target)
        whole = go(whole_seen, None)
        calls = len(whole_seen.sizes)
        moments = sorted({1, 2, calls // 3, calls // 2, calls - 1} & set(range(1, calls + 1)))
        for i, call in enumerate(moments):
            how = "interrupt" if i % 2 else "raise"
            path = tmp_path / f"{call}.checkpoint"
            first, second = Recording(Failing(problem.target, call, how)), Recording(problem.target)
            where = f"after a stop by {how!r} on call {call} of {calls}"
            with contextlib.suppress(TargetError, KeyboardInterrupt):
                go(first, path)
            resumed = go(second, path)
            _same(whole, resumed, None, where)
            asked = Counter(first.tally())
            asked.update(second.tally())
            expect(
                asked == Counter(whole_seen.tally()),
                f"Expected the {whole_seen.count} rows of a run without a stop, but {first.count} + {second.count} rows were "
                f"asked for {where}.",
            )
            again = Recording(problem.target)
            _same(whole, go(again, path), None, "when a finished run is called again")
            expect(
                again.count == int((whole.verified >= 0).sum()),
                "A finished run that is called again must ask for nothing but the uncharged second look.",
            )

    # -- 5, 6: what a result says -------------------------------------------------------------------------------

    def test_inside_the_threat(self, case: Case) -> None:
        """Examples lie in the ball and the box and are adversarial when the target is asked directly; inputs stay."""
        problem = self.problem(case)
        edges = dataclasses.replace(problem, x=self._at_the_edges(problem.x))
        bent = self._bent(problem)
        for some, target in ((problem, problem.target), (edges, bent)):
            labelled = self._labelled(some, target)
            x, y = labelled.x.clone(), labelled.y.clone()
            threat = _THREATS[case.norm](1.25 * float(problem.optimum.max()))
            result = self._run(case, labelled, threat, self.run_budget, target=target)
            expect(torch.equal(labelled.x, x) and torch.equal(labelled.y, y), "The run wrote into its inputs.")
            kept = result.success if self.built().minimises else torch.ones_like(result.success)
            far = threat.distance(result.x_adv, x)
            bound = threat.eps + 1e-6 * max(1.0, threat.eps)
            expect((far[kept] <= bound).all(), f"Expected distances up to {threat.eps:.7g}, but they were {far.tolist()}.")
            inside = (result.x_adv >= 0) & (result.x_adv <= 1)
            expect(inside.all(), "An example left the box [0, 1].")
            label = target(result.x_adv).argmax(1)
            adv = label != y if labelled.goal is None else label == labelled.goal
            wrong = (result.success & ~adv).nonzero().flatten().tolist()
            expect(not wrong, f"Samples {wrong} are reported as successes, but the target does not agree.")
            expect(
                torch.allclose(result.distance[result.success], far[result.success], rtol=1e-6, atol=0),
                "The distances reported are not those of the examples.",
            )

    def test_nothing_asked_after_success(self, case: Case) -> None:
        """The first adversarial point inside the threat is the success, and no further Ask of that sample is answered."""
        problem = self.problem(case)
        for i in range(self.samples):
            threat = _THREATS[case.norm](2 * float(problem.optimum[i]))  # wide enough to succeed early
            seen = Recording(problem.target)
            spy = _Spy(self.built(), seen)
            result = self._run(case, problem, threat, self.run_budget, target=seen, rows=[i], attack=spy)
            charged = int(result.queries.sum())
            points = seen.shown[:charged]
            label = problem.target(points).argmax(1)
            adv = label != problem.y[i] if problem.goal is None else label == problem.goal[i]
            inside = threat.distance(points, problem.x[i : i + 1].expand_as(points)) <= threat.eps + threat.tolerance
            hits = (adv & inside).nonzero().flatten()
            first = int(hits[0]) + 1 if len(hits) else 0
            expect(
                int(result.first_success_query[0]) == first,
                f"Sample {i} first succeeded with query {first}, but {int(result.first_success_query[0])} was reported.",
            )
            later = [count for count in spy.asked_at if first and first <= count < charged]
            expect(not later, f"Sample {i} succeeded with query {first}, but went on to ask after query {later}.")

    # -- 7, 8, 12: whether it works, and only where it can ------------------------------------------------------

    def test_reaches_the_optimum(self, case: Case) -> None:
        """Succeeds at 1.25 times the smallest distance to another class, at the stated budget."""
        problem = self.problem(case, alike=True)
        factor = (self.optimum_factor or {}).get(case.norm, 1.25)
        threat = _THREATS[case.norm](factor * float(problem.optimum.max()))
        won = self._run(case, problem, threat, self.optimum_budget).success
        need = math.ceil(self.optimum_share * self.samples)
        expect(
            int(won.sum()) >= need,
            f"Expected success at {factor:g} times the optimum for {need} of {self.samples} samples within {self.optimum_budget} "
            f"queries, but it was {won.tolist()}.",
        )

    def test_never_below_the_optimum(self, case: Case) -> None:
        """Never succeeds at 0.8 times the smallest distance: there is nothing to be found."""
        problem = self.problem(case, alike=True)
        threat = _THREATS[case.norm](0.8 * float(problem.optimum.min()))
        won = self._run(case, problem, threat, min(self.optimum_budget, 1000)).success
        expect(not won.any(), f"Successes {won.tolist()} are reported where there is no adversarial example.")

    def test_smallest_distance(self, case: Case) -> None:
        """An attack that minimises comes within 1.25 times the smallest distance."""
        if not self.built().minimises:
            pytest.skip("the attack works inside a fixed radius")
        problem = self.problem(case)
        result = self._run(case, problem, _THREATS[case.norm](math.inf), self.optimum_budget)
        ratio = result.distance.double() / problem.optimum
        need = math.ceil(self.optimum_share * self.samples)
        expect(
            bool((ratio >= 1 - 1e-4).all()) and int((ratio <= 1.25).sum()) >= need,
            f"Expected distances of 1 to 1.25 times the optimum for {need} of {self.samples} samples, but the ratios were "
            f"{[round(r, 3) for r in ratio.tolist()]}.",
        )

    def test_constant_target(self, case: Case) -> None:
        """A target that never changes its answer is never fooled."""
        problem = self.problem(case)
        classes = len(problem.target.weight)
        constant = Constant(classes)
        goal = None if problem.goal is None else torch.ones(self.samples, dtype=torch.int64)
        oracle = self.oracle(constant, classes)
        threat = self.between(case, problem)
        labels = torch.zeros(self.samples, dtype=torch.int64)
        result = self.run(oracle, problem.x, labels, self.built(), threat, self.run_budget, target=goal)
        expect(not result.success.any(), "A target that always answers the same was reported as fooled.")
        expect(Status.SUCCESS not in result.status, "A sample that was not fooled has the status SUCCESS.")
        expect(oracle.rows == int(result.queries.sum()), "The accounts differ on a constant target.")

    # -- 10, 11: hygiene ----------------------------------------------------------------------------------------

    def test_non_finite_reply(self, case: Case) -> None:
        """A NaN answer stops the run with an error that names the sample and holds what was paid for."""
        problem = self.problem(case)
        for call, row in ((1, 1), (2, 0), (4, 1)):
            seen = Recording(Failing(problem.target, call, "nan", row))
            oracle = self.oracle(seen, len(problem.target.weight), rows_per_call=2)
            ids = torch.tensor([4711, 815])
            threat = _THREATS[case.norm](0.5 * float(problem.optimum.min()))
            goal = None if problem.goal is None else problem.goal[:2]
            try:
                result = self.run(oracle, problem.x[:2], problem.y[:2], self.built(), threat, 60, target=goal, ids=ids, cohort=2)
            except TargetError as error:
                bad = seen.shown  # the call itself was answered, with a NaN, so the recorder has it
                point = bad[sum(seen.sizes[:-1]) + row]
                nearest = int((problem.x[:2] - point).flatten(1).norm(dim=1).argmin())
                sample = int(ids[nearest])
                if not self.built().minimises:
                    expect(f"sample {sample}" in str(error), f"Expected the error to name sample {sample}, but it said: {error}")
                charged = int(error.result.queries.sum())
                expect(charged == oracle.rows, f"The oracle counted {oracle.rows} rows, error.result {charged}.")
                expect(
                    charged == sum(seen.sizes[:-1]),
                    f"The {sum(seen.sizes[:-1])} answers before the NaN must be in error.result, but it has {charged}.",
                )
            else:
                raise AssertionError(f"A NaN on call {call} passed unnoticed: {result!r}")

    def test_state_leads_with_rows(self, case: Case) -> None:
        """Every tensor of a State leads with the row axis; the attack object itself does not change."""
        problem = self.problem(case)
        spy = _Spy(self.built(), Recording(problem.target))
        self._run(case, problem, self.between(case, problem), self.run_budget, attack=spy)
        expect(not spy.faults, "; ".join(dict.fromkeys(spy.faults)))
        expect(
            repr(self.built()) == spy.repr_before and _frozen(spy.inner, spy.copy),
            "The attack object changed during the run. State belongs into the State, between steps.",
        )

    def test_refuses_other_norms(self) -> None:
        """A norm that is not served raises UnsupportedThreat before anything is asked."""
        for norm in set(_THREATS) - set(self.built().norms):
            problem = affine_problem(norm, self.shape, self.samples)
            oracle = self.oracle(problem.target, len(problem.target.weight))
            try:
                self.run(oracle, problem.x, problem.y, self.built(), _THREATS[norm](0.1), 5)
            except UnsupportedThreat:
                expect(oracle.rows == 0, "Queries were spent before the norm was refused.")
            else:
                raise AssertionError(f"{norm} is not in norms={self.built().norms}, but was not refused.")

    # -- helpers ------------------------------------------------------------------------------------------------

    def _bent(self, problem: Problem) -> Model:
        """A nonlinear target with the same number of classes."""
        return ReluNet.random(self.shape, len(problem.target.weight))

    def _labelled(self, problem: Problem, target: Model) -> Problem:
        """The images with this target's own labels; one label is made wrong so that a clean-wrong sample takes part."""
        y = target(problem.x).argmax(1)
        classes = len(problem.target.weight)
        if target is not problem.target:
            y[-1] = (y[-1] + 1) % classes
        goal = None if problem.goal is None else (y + 1) % classes
        return dataclasses.replace(problem, y=y, goal=goal)

    def _at_the_edges(self, x: Tensor) -> Tensor:
        """Images in which some entries lie on the box's faces."""
        flat = x.clone().flatten(1)
        flat[:, ::3], flat[:, 1::5] = 0.0, 1.0
        return flat.view_as(x)


def _same(a: AttackResult, b: AttackResult, rows: list[int] | None, where: str) -> None:
    for name in _COLUMNS:
        left, right = getattr(a, name), getattr(b, name)
        left = left if rows is None else left[rows]
        if not np.array_equal(left.numpy(), right.numpy(), equal_nan=left.is_floating_point()):
            apart = (left != right) & ~(left.isnan() & right.isnan()) if left.is_floating_point() else left != right
            who = apart.flatten(1).any(1) if apart.ndim > 1 else apart
            raise AssertionError(
                f"Expected the very same {name} {where}, but rows {who.nonzero().flatten().tolist()} differ: a sample's "
                "result depends on its batch mates, on the order, or on something hidden between steps."
            )
    status = a.status if rows is None else tuple(a.status[i] for i in rows)
    expect(status == b.status, f"Expected the very same status {where}, but {status} became {b.status}.")


def _frozen(attack: Any, before: dict[str, Any]) -> bool:
    now = dict(vars(attack)) if hasattr(attack, "__dict__") else {}
    if now.keys() != before.keys():
        return False
    return all(torch.equal(v, before[k]) if isinstance(v, Tensor) else repr(v) == repr(before[k]) for k, v in now.items())


class _Spy:
    """An attack that does as another does and writes down when it asked and what its States look like."""

    def __init__(self, inner: Any, seen: Recording) -> None:
        self.inner, self.seen = inner, seen
        self.access, self.norms = inner.access, inner.norms
        self.minimises = inner.minimises
        self.informed, self.parts = bool(getattr(inner, "informed", False)), tuple(getattr(inner, "parts", ()))
        self.asked_at: list[int] = []
        self.faults: list[str] = []
        self.repr_before = repr(inner)
        self.copy = copy.deepcopy(dict(vars(inner))) if hasattr(inner, "__dict__") else {}

    def init(self, t: Any) -> Any:
        return self._watch(self.inner.init(t), t)

    def step(self, t: Any, s: Any, k: int) -> Any:
        self._look(s, t.n, f"the State that step {k} was given")
        return self._watch(self.inner.step(t, s, k), t)

    def _watch(self, made: Any, t: Any) -> Any:
        if inspect.isgenerator(made):
            return self._through(made, t)
        self._look(made, t.n, "a State")
        return made

    def _through(self, made: Any, t: Any) -> Any:
        try:
            ask = next(made)
            while True:
                self.asked_at.append(self.seen.count)
                ask = made.send((yield ask))
        except StopIteration as end:
            self._look(end.value, t.n, "a State")
            return end.value

    def _look(self, state: Any, n: int, what: str) -> None:
        if isinstance(state, Retire):
            state = state.state
        for path, value in _leaves(state, type(state).__name__):
            if isinstance(value, (Tensor, np.ndarray)):
                if value.ndim == 0 or len(value) != n:
                    self.faults.append(f"Expected {path} of {what} to lead with {n} rows, but its shape was {tuple(value.shape)}")
            elif value is not None and not isinstance(value, (bool, int, float, str)):
                self.faults.append(f"Expected {path} of {what} to be a tensor or a plain value, but it was {type(value).__name__}")


def _leaves(state: Any, path: str) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        for f in dataclasses.fields(state):
            yield from _leaves(getattr(state, f.name), f"{path}.{f.name}")
    elif isinstance(state, tuple):
        for i, value in enumerate(state):
            yield from _leaves(value, f"{path}[{i}]")
    else:
        yield path, state

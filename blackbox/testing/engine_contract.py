"""`EngineContract`: the checks that the engine must pass with any attack; run with a few attacks of different kinds."""

from __future__ import annotations

from typing import ClassVar

import torch

from blackbox.oracle.oracle import TargetError
from blackbox.protocol import Status
from blackbox.results import AttackResult
from blackbox.testing.attack_contract import AttackContract
from blackbox.testing.problems import THREATS, Case
from blackbox.testing.spy import Spy, expect
from blackbox.testing.targets import Failing, Recording


class EngineContract(AttackContract):
    """All of `AttackContract` at more budgets and stops, and checks of what only an engine can get wrong.

    To check another engine, override `run`.
    """

    budgets: ClassVar[tuple[int, ...]] = (1, 2, 7, 33, 121)

    def stops(self, calls: int) -> set[int]:
        return {1, 2, calls // 3, calls // 2, calls - 1}

    def test_double_entry_when_the_target_raises(self, norm_case: Case) -> None:
        """When the target fails on a call, ``error.result`` has what was paid for before, and the accounts agree."""
        problem = self.problem(norm_case)
        threat = self.between(norm_case, problem)
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

    def test_honest_inside_the_box(self, case: Case) -> None:
        """As `test_inside_the_threat`, for both goals, where the distances are known in closed form."""
        problem = self.problem(case)
        self._honest(case, problem, problem.target)

    def test_nothing_asked_after_success(self, case: Case) -> None:
        """The first adversarial point inside the threat is the success, and no further Ask of that sample is answered."""
        problem = self.problem(case)
        for i in range(self.samples):
            threat = THREATS[case.norm](2 * float(problem.optimum[i]))  # wide enough to succeed early
            seen = Recording(problem.target)
            spy = Spy(self.built(), seen)
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

    def test_never_below_the_optimum(self, norm_case: Case) -> None:
        """Never succeeds at 0.8 times the smallest distance, where there is nothing to find."""
        problem = self.problem(norm_case, alike=True)
        threat = THREATS[norm_case.norm](0.8 * float(problem.optimum.min()))
        won = self._run(norm_case, problem, threat, min(self.optimum_budget, 1000)).success
        expect(not won.any(), f"Successes {won.tolist()} are reported where there is no adversarial example.")

    def test_non_finite_reply(self, norm_case: Case) -> None:
        """A NaN answer stops the run with an error that names the sample and holds what was paid for."""
        problem = self.problem(norm_case)
        for call, row in ((1, 1), (2, 0), (4, 1)):
            seen = Recording(Failing(problem.target, call, "nan", row))
            oracle = self.oracle(seen, len(problem.target.weight), rows_per_call=2)
            ids = torch.tensor([4711, 815])
            threat = THREATS[norm_case.norm](0.5 * float(problem.optimum.min()))
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

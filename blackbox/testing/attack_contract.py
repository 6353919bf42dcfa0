"""`AttackContract`: the checks that every attack must pass, as tests to inherit.

They check what depends on the attack. What depends on the engine alone (failing calls, budgets, when to stop) is checked by
`blackbox.testing.engine_contract.EngineContract`, with a few attacks of different kinds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from blackbox.engine import resume
from blackbox.oracle.oracle import TargetError
from blackbox.protocol import Status
from blackbox.results import AttackResult
from blackbox.testing.attack_runs import AttackRuns
from blackbox.testing.problems import THREATS, Case, Problem, affine_problem
from blackbox.testing.spy import Spy, expect, expect_same
from blackbox.testing.targets import Constant, Failing, Model, Recording
from blackbox.threat import UnsupportedThreat

__all__ = ["AttackContract", "Case"]

_CHECKS = 2 * resume.CHECKED  # clean images and examples


class AttackContract(AttackRuns):
    """Inherit this, set ``attack``, and pytest runs every check for every norm it supports.

    Checks of effectiveness (`test_reaches_the_optimum`) can be adapted with the attributes below; checks of correctness
    (accounts, budgets, independence of samples) cannot.

    Attributes:
        attack: a registered name or an attack object.
        shape: of one image. The number of samples must not occur in it (otherwise a State whose first axis is not the batch
            could pass).
        samples: images in a run.
        norms: norms to check; by default those of ``attack.norms``.
        goals: False untargeted, True targeted.
        access: what the oracle shows in the checks that need a working attack: ``"logits"`` unless set. The accounts
            are also checked at the least access that the attack declares.
        optimum_budget: queries after which the attack must have succeeded at 1.25 times the smallest distance; one that
            minimises must have come as near.
        optimum_factor: the multiple of the smallest distance by norm, by default 1.25; for methods that propose fixed shapes
            (a square of equal changes, say) and so cannot follow every gradient.
        optimum_share: the share of samples that must succeed; 1 unless set.
        run_budget: queries of the runs that are compared with each other; enough for some steps.
        randomised: whether another seed must change the queries. For a deterministic attack set False, which is then
            checked.
    """

    budgets: ClassVar[tuple[int, ...]] = (1, 2, 7)

    # -- budgets and accounts -----------------------------------------------------------------------------------

    def test_never_past_the_budget_and_double_entry(self, norm_case: Case) -> None:
        """At the smallest budgets no sample exceeds its own, and three counts agree, also at the least access."""
        problem = self.problem(norm_case)
        least = self.built().access.name.lower()
        for budget in self.budgets:
            for access in dict.fromkeys((self.access, *([least] if budget in (2, 33) else []))):
                self._accounts(norm_case, problem, budget, access)

    def _accounts(self, case: Case, problem: Problem, budget: int, access: str) -> None:
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
            f"At most one uncharged verification an example is allowed, but there were {verify} rows for "
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

    # -- what a result may depend on ----------------------------------------------------------------------------

    def test_same_in_any_company(self, norm_case: Case) -> None:
        """Results are bit-equal for any cohort size, call size, order and shard of the same samples."""
        problem = self.problem(norm_case)
        threat = self.between(norm_case, problem)
        order = list(range(self.samples))[::-1]
        part = order[: self.samples // 2]
        bent = self._bent(problem)
        labelled = self._labelled(problem, bent)

        def go(**settings: Any) -> AttackResult:
            return self._run(norm_case, labelled, threat, self.run_budget, target=bent, **settings)

        whole = go()
        turned = go(rows=order, cohort=2, rows_per_call=2)
        expect_same(whole, turned, order, "in another order, in cohorts of 2, with two rows a call")
        expect_same(whole, go(rows=part, cohort=1, rows_per_call=4), part, f"for the shard {part}, one by one")

    def test_seeds(self, norm_case: Case) -> None:
        """A seed reproduces a run to the bit, another changes its queries, and global generators are not touched."""
        problem = self.problem(norm_case)
        threat = THREATS[norm_case.norm](0.5 * float(problem.optimum.min()))
        before = (torch.get_rng_state(), np.random.get_state()[1].copy())  # type: ignore[union-attr, index]
        runs = []
        for seed in (0, 0, 1):
            seen = Recording(problem.target)
            runs.append((self._run(norm_case, problem, threat, self.run_budget, target=seen, seed=seed), seen.shown))
        after = (torch.get_rng_state(), np.random.get_state()[1])  # type: ignore[index]
        expect_same(runs[0][0], runs[1][0], None, "for the same seed")
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

    # -- stop and go on -----------------------------------------------------------------------------------------

    def stops(self, calls: int) -> set[int]:
        """The calls of a run at which it is stopped."""
        return {calls // 3, calls - 1}

    def test_stop_and_resume(self, norm_case: Case, tmp_path: Path) -> None:
        """Stopped by a failing target or by ctrl-C, a run resumes bit-equal and makes no query twice."""
        problem = self.problem(norm_case)
        threat = self.between(norm_case, problem)

        def go(target: Any, path: Path | None) -> AttackResult:
            return self._run(
                norm_case, problem, threat, self.run_budget, target=target, rows_per_call=7, cohort=3, checkpoint=path
            )

        whole_seen = Recording(problem.target)
        whole = go(whole_seen, None)
        calls = len(whole_seen.sizes)
        for i, call in enumerate(sorted(self.stops(calls) & set(range(1, calls + 1)))):
            how = "interrupt" if i % 2 else "raise"
            path = tmp_path / f"{call}.checkpoint"
            first, second = Recording(Failing(problem.target, call, how)), Recording(problem.target)
            where = f"after a stop by {how!r} on call {call} of {calls}"
            with contextlib.suppress(TargetError, KeyboardInterrupt):
                go(first, path)
            resumed = go(second, path)
            expect_same(whole, resumed, None, where)
            asked = Counter(first.tally())
            asked.update(second.tally())
            wanted, checks = Counter(whole_seen.tally()), resumed.config.get("check_rows") or 0
            expect(  # some are asked again, uncharged, to see whether the target is the same
                not wanted - asked and (asked - wanted).total() == checks <= _CHECKS,
                f"Expected the {whole_seen.count} rows of a run without a stop, but {first.count} + {second.count} rows were "
                f"asked for {where}.",
            )
            again = Recording(problem.target)
            expect_same(whole, go(again, path), None, "when a finished run is called again")
            expect(
                0 <= again.count - int((whole.verified >= 0).sum()) <= _CHECKS,
                "A finished run that is called again must ask for nothing but the uncharged checks.",
            )

    def test_state_leads_with_rows(self, norm_case: Case) -> None:
        """The first axis of every tensor of a State is the batch; the attack object itself does not change."""
        problem = self.problem(norm_case)
        spy = Spy(self.built(), Recording(problem.target))
        self._run(norm_case, problem, self.between(norm_case, problem), self.run_budget, attack=spy)
        expect(not spy.faults, "; ".join(dict.fromkeys(spy.faults)))
        expect(not spy.changed, "The attack object changed during the run. State belongs into the State, between steps.")

    # -- what a result says -------------------------------------------------------------------------------------

    def test_inside_the_threat(self, norm_case: Case) -> None:
        """Examples are adversarial and lie in the ball and the box, even for images on its faces; inputs do not change."""
        problem = self.problem(norm_case)
        edges = dataclasses.replace(problem, x=self._at_the_edges(problem.x))
        self._honest(norm_case, self._labelled(edges, self._bent(problem)), self._bent(problem))

    def _honest(self, case: Case, problem: Problem, target: Model) -> None:
        x, y = problem.x.clone(), problem.y.clone()
        threat = THREATS[case.norm](1.25 * float(problem.optimum.max()))
        result = self._run(case, problem, threat, self.run_budget, target=target)
        expect(torch.equal(problem.x, x) and torch.equal(problem.y, y), "The run wrote into its inputs.")
        kept = result.success if self.built().minimises else torch.ones_like(result.success)
        far = threat.distance(result.x_adv, x)
        bound = threat.eps + 1e-6 * max(1.0, threat.eps)
        expect((far[kept] <= bound).all(), f"Expected distances up to {threat.eps:.7g}, but they were {far.tolist()}.")
        inside = (result.x_adv >= 0) & (result.x_adv <= 1)
        expect(inside.all(), "An example left the box [0, 1].")
        label = target(result.x_adv).argmax(1)
        adv = label != y if problem.goal is None else label == problem.goal
        wrong = (result.success & ~adv).nonzero().flatten().tolist()
        expect(not wrong, f"Samples {wrong} are reported as successes, but the target does not agree.")
        expect(
            torch.allclose(result.distance[result.success], far[result.success], rtol=1e-6, atol=0),
            "The distances reported are not those of the examples.",
        )

    def test_other_shapes(self) -> None:
        """Vectors, matrices, signals and volumes are attacked as images are, or refused before the first query."""
        cases = self.norm_cases()
        for i, shape in enumerate(((12,), (1, 16), (2, 3, 4, 3))):
            problem = self.random_problem(shape, cases[i % len(cases)])
            oracle, threat = self.oracle(problem.target, 3), self.between(cases[i % len(cases)], problem)
            try:
                result = self.run(oracle, problem.x, problem.y, self.built(), threat, self.run_budget, target=problem.goal)
            except ValueError as error:
                expect(oracle.rows == 0, f"{oracle.rows} rows were asked for before images of shape {shape} were refused.")
                expect(str(error).startswith("Expected"), f"Expected a sentence about images of shape {shape}, but it was {error}.")
            else:
                expect(oracle.rows == int(result.queries.sum()), f"The accounts differ on images of shape {shape}.")
                far = threat.distance(result.x_adv, problem.x)[result.success]
                expect((far <= threat.eps + threat.tolerance).all(), f"An example of shape {shape} left the threat.")

    # -- whether it works, and only where it can ----------------------------------------------------------------

    def test_reaches_the_optimum(self, case: Case) -> None:
        """The attack succeeds at 1.25 times the smallest distance within its budget; one that minimises comes as near."""
        if self.built().minimises:
            self._minimises(case)
        else:
            self._succeeds(case)

    def _succeeds(self, case: Case) -> None:
        problem = self.problem(case, alike=True)
        factor = (self.optimum_factor or {}).get(case.norm, 1.25)
        threat = THREATS[case.norm](factor * float(problem.optimum.max()))
        won = self._run(case, problem, threat, self.optimum_budget).success
        need = math.ceil(self.optimum_share * self.samples)
        expect(
            int(won.sum()) >= need,
            f"Expected success at {factor:g} times the optimum for {need} of {self.samples} samples within {self.optimum_budget} "
            f"queries, but it was {won.tolist()}. If the method needs more, or may settle on a class that is not the nearest, set "
            "optimum_budget, optimum_factor or optimum_share and say why.",
        )

    def _minimises(self, case: Case) -> None:
        problem = self.problem(case)
        factor = (self.optimum_factor or {}).get(case.norm, 1.25)
        result = self._run(case, problem, THREATS[case.norm](math.inf), self.optimum_budget)
        ratio = result.distance.double() / problem.optimum
        need = math.ceil(self.optimum_share * self.samples)
        expect(
            bool((ratio >= 1 - 1e-4).all()) and int((ratio <= factor).sum()) >= need,
            f"Expected distances of 1 to {factor:g} times the optimum for {need} of {self.samples} samples, but the ratios were "
            f"{[round(r, 3) for r in ratio.tolist()]}.",
        )
        self.check_minimised(case, problem, result)

    def check_minimised(self, case: Case, problem: Problem, result: AttackResult) -> None:
        """Further checks of the distances of an attack that minimises; override it."""

    def test_constant_target(self, norm_case: Case) -> None:
        """A target that never changes its answer is never fooled."""
        problem = self.problem(norm_case)
        classes = len(problem.target.weight)
        goal = None if problem.goal is None else torch.ones(self.samples, dtype=torch.int64)
        oracle = self.oracle(Constant(classes), classes)
        threat = self.between(norm_case, problem)
        labels = torch.zeros(self.samples, dtype=torch.int64)
        result = self.run(oracle, problem.x, labels, self.built(), threat, self.run_budget, target=goal)
        expect(not result.success.any(), "A target that always answers the same was reported as fooled.")
        expect(Status.SUCCESS not in result.status, "A sample that was not fooled has the status SUCCESS.")
        expect(oracle.rows == int(result.queries.sum()), "The accounts differ on a constant target.")

    def test_refuses_other_norms(self) -> None:
        """A norm that is not supported raises UnsupportedThreat before any query."""
        for norm in set(THREATS) - set(self.built().norms):
            problem = affine_problem(norm, self.shape, self.samples)
            oracle = self.oracle(problem.target, len(problem.target.weight))
            try:
                self.run(oracle, problem.x, problem.y, self.built(), THREATS[norm](0.1), 5)
            except UnsupportedThreat:
                expect(oracle.rows == 0, "Queries were spent before the norm was refused.")
            else:
                raise AssertionError(f"{norm} is not in norms={self.built().norms}, but was not refused.")

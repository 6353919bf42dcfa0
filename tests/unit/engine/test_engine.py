"""Engine: who pays, in which order, what counts, when a row ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor

import blackbox as bb
from blackbox.adopted import as_attack
from blackbox.engine import Engine, RunSpec, Samples, iterate
from blackbox.goals.objective import Objective
from blackbox.protocol import Access, Ask, Retire, Status, Task
from blackbox.testing import Affine, Constant, Failing, Recording, ReluNet, affine_problem
from blackbox.testing.driver import task
from tests.toys import Bisection, Differences, Fuzz, RandomSigns, Script

ONE = Affine(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([0.5, 0.0]))  # class 1 where x[0] > 0.5
X0 = torch.tensor([[0.2, 0.2], [0.3, 0.3], [0.4, 0.4]])
Y0 = torch.zeros(3, dtype=torch.int64)


def run(attack: Any, budget: int = 100, eps: float = 0.5, x: Tensor = X0, target: Any = ONE, **settings: Any) -> bb.AttackResult:
    oracle = bb.Oracle(target, "logits", 2, returns="logits", rows_per_call=settings.pop("rows_per_call", None))
    result = bb.attack(oracle, x, Y0[: len(x)], attack, bb.Linf(eps), budget, **settings)
    assert oracle.rows == int(result.queries.sum())
    return result


def to(value: float) -> Callable[[Task], Ask]:
    return lambda t: Ask(torch.full_like(t.x0, value))


class TestWhoPays:
    def test_the_clean_check_is_the_first_query(self) -> None:
        seen = Recording(ONE)
        r = run(Script(()), target=seen)
        assert r.queries.tolist() == [1, 1, 1] and torch.equal(seen.shown, X0)
        assert set(r.status) == {Status.GAVE_UP}

    def test_a_budget_of_one_is_spent_on_it(self) -> None:
        r = run(Script((to(1.0),)), budget=1)
        assert r.queries.tolist() == [1, 1, 1] and set(r.status) == {Status.BUDGET} and not r.success.any()

    def test_a_wrong_clean_image_is_not_attacked(self) -> None:
        x = torch.tensor([[0.9, 0.0], [0.1, 0.0]])
        r = run(Script((to(0.3),)), x=x)
        assert r.status[0] is Status.CLEAN_WRONG and r.queries.tolist() == [1, 2]
        assert not r.success[0] and r.first_success_query[0] == 0 and torch.equal(r.x_adv[0], x[0])
        assert r.attacked.tolist() == [False, True] and r.clean_label.tolist() == [1, 0]

    def test_the_mask_decides(self) -> None:
        heard: list[Any] = []
        r = run(Script((lambda t: Ask(t.x0, mask=torch.tensor([True, False, True])),), heard))
        assert r.queries.tolist() == [2, 1, 2]
        _, a = heard[0]
        assert a.paid.tolist() == [True, False, True] and a.loss.isnan().tolist() == [False, True, False]

    def test_probes_are_charged_left_to_right_up_to_the_budget(self) -> None:
        seen, heard = Recording(ONE), []
        u = torch.tensor([[0.01, 0.0], [0.02, 0.0], [0.03, 0.0]])
        r = run(Script((lambda t: Ask(t.x0, u=u), to(0.0)), heard), budget=3, target=seen, cohort=3)
        assert r.queries.tolist() == [3, 3, 3] and set(r.status) == {Status.BUDGET}
        asked = seen.shown[3:]
        want = torch.stack([x + u[j] for x in X0 for j in (0, 1)])
        assert torch.equal(asked, want)
        assert not heard  # nobody is left to be told

    def test_rows_without_probes_left_hear_nan(self) -> None:
        heard: list[Any] = []
        some = lambda t: Ask(t.x0, mask=torch.tensor([True, True, False]))  # noqa: E731
        run(Script((some, some, lambda t: Ask(t.x0, u=torch.zeros(3, 2)), to(0.1)), heard), budget=5)
        t, a = heard[2]
        assert t.n == 3 and a.x is None
        assert a.paid.tolist() == [[True, True, False]] * 2 + [[True] * 3]
        assert torch.equal(a.loss.isnan(), ~a.paid) and not (a.adv & ~a.paid).any()
        assert len(heard) == 3  # the last query of the last row ends the run

    def test_probes_are_clipped_and_candidates_projected(self) -> None:
        seen, heard = Recording(Constant(2)), []
        h = torch.tensor([1.0, 2.0, 3.0])
        asks = (lambda t: Ask(t.x0, u=torch.tensor([[0.5, -0.5]]), h=h), to(1.0))
        run(Script(asks, heard), eps=0.1, target=seen)
        want = (X0 + h[:, None] * torch.tensor([0.5, -0.5])).clamp(0, 1)
        assert torch.allclose(seen.shown[3:6], want)
        assert torch.allclose(seen.shown[6:9], X0 + 0.1) and torch.equal(heard[1][1].x, seen.shown[6:9])

    def test_double_precision_points_are_cast(self) -> None:
        r = run(Script((lambda t: Ask(t.x0.double() + 0.4), lambda t: Ask(t.x0.double(), u=torch.ones(1, 2).double()))))
        assert r.success.tolist() == [True, True, True] and r.x_adv.dtype == torch.float32


class TestSuccess:
    def test_the_number_of_the_query(self) -> None:
        r = run(Script((to(0.0), to(1.0))))
        assert r.first_success_query.tolist() == [3, 3, 3] and r.queries.tolist() == [3, 3, 3]
        assert torch.allclose(r.x_adv, X0 + 0.5) and torch.allclose(r.distance, torch.full((3,), 0.5))
        assert set(r.status) == {Status.SUCCESS} and r.verified.tolist() == [1, 1, 1]

    def test_a_probe_inside_the_threat_counts_and_the_rest_of_its_ask_is_charged(self) -> None:
        u = torch.tensor([[0.01, 0.0], [0.45, 0.0], [0.05, 0.0]])
        r = run(Script((lambda t: Ask(t.x0, u=u), to(1.0))))
        assert r.first_success_query.tolist() == [3, 3, 3] and r.queries.tolist() == [4, 4, 4]
        assert torch.allclose(r.x_adv, X0 + u[1]) and r.success.all()

    @pytest.mark.parametrize("rows_per_call", [1, 2, 5, None])
    def test_however_the_calls_are_cut(self, rows_per_call: int | None) -> None:
        u = torch.tensor([[0.01, 0.0], [0.45, 0.0], [0.46, 0.0]])
        r = run(Script((lambda t: Ask(t.x0, u=u), to(1.0))), rows_per_call=rows_per_call)
        assert r.first_success_query.tolist() == [3, 3, 3] and r.queries.tolist() == [4, 4, 4]
        assert torch.allclose(r.x_adv, X0 + u[1])

    def test_a_probe_outside_the_threat_is_told_but_is_no_success(self) -> None:
        heard: list[Any] = []
        r = run(Script((lambda t: Ask(t.x0, u=torch.tensor([[0.6, 0.0]])), to(0.0)), heard), eps=0.05)
        assert heard[0][1].adv.all() and not r.success.any() and r.distance.isnan().all()

    def test_without_success_the_best_candidate_is_kept(self) -> None:
        r = run(Script((to(0.35), to(0.45), to(0.1))), eps=0.2, x=X0[:2])
        assert torch.allclose(r.x_adv[:, 0], torch.tensor([0.4, 0.45])) and not r.success.any()
        assert torch.allclose(r.loss, r.x_adv[:, 0] - 0.5, atol=1e-6)
        assert torch.allclose(r.clean_loss, X0[:2, 0] - 0.5, atol=1e-6)

    def test_the_best_candidate_outlives_the_rows_that_end_beside_it(self) -> None:
        ends = torch.tensor([[0.1, 0.1], [0.9, 0.9], [0.9, 0.9]])
        r = run(Script((to(0.45), lambda t: Ask(ends), to(0.2))))
        assert r.success.tolist() == [False, True, True] and r.queries.tolist() == [4, 3, 3]
        assert torch.equal(r.x_adv, torch.tensor([[0.45, 0.45], [0.9, 0.9], [0.9, 0.9]]).clamp(X0 - 0.5, X0 + 0.5))

    def test_finished_rows_leave_the_task(self) -> None:
        heard: list[Any] = []
        asks = (lambda t: Ask(t.x0 + 0.15), to(0.45), to(0.45))
        r = run(Script(asks, heard), eps=0.2)
        assert r.success.tolist() == [False, False, True]
        assert [t.n for t, _ in heard] == [3, 2, 2]
        assert heard[1][0].ids.tolist() == [0, 1] and torch.equal(heard[1][0].x0, X0[:2])
        assert torch.allclose(heard[1][0].loss0, torch.tensor([-0.3, -0.2]))

    def test_an_answer_that_changes_is_reported(self) -> None:
        calls = []

        def moody(x: Tensor) -> Tensor:
            calls.append(len(x))
            return ONE(x) if len(calls) < 3 else ONE(torch.zeros_like(x))

        r = run(Script((to(1.0),)), target=moody, rows_per_call=3)
        assert r.success.all() and r.verified.tolist() == [0, 0, 0]
        assert "3 examples were not adversarial in their verification query" in r.summary()


class TestMinimising:
    def test_it_goes_on_until_within_eps_and_keeps_the_nearest(self) -> None:
        r = run(Script((to(0.9), to(0.6), to(0.8), to(0.52)), minimises=True), eps=0.25)
        assert r.success.tolist() == [False, True, True]
        assert torch.allclose(r.x_adv[0], torch.full((2,), 0.52)) and r.queries.tolist() == [5, 5, 3]
        assert torch.allclose(r.distance, torch.tensor([0.32, 0.22, 0.2]), atol=1e-6)

    def test_without_a_limit_it_spends_the_budget(self) -> None:
        oracle = bb.Oracle(ONE, "labels", 2, returns="logits")
        r = bb.attack(oracle, X0, Y0, Bisection(), bb.L2(float("inf")), 60)
        assert r.success.all() and set(r.status) == {Status.SUCCESS} and r.queries.max() <= 60
        adv = ONE(r.x_adv).argmax(1) == 1
        assert adv.all() and bool((r.distance <= 1.42).all())


class TestEnds:
    def test_no_start(self) -> None:
        r = run(Bisection(tries=4), target=Constant(2))
        assert set(r.status) == {Status.NO_START} and r.queries.tolist() == [5, 5, 5]

    def test_retire_single_rows(self) -> None:
        class Half(Script):
            def init(self, t: Task) -> Any:
                return Retire(torch.zeros(t.n), torch.tensor([True, False, True]), Status.GAVE_UP)

        r = run(Half((to(0.1),)))
        assert r.queries.tolist() == [1, 2, 1] and r.status[0] is Status.GAVE_UP

    @pytest.mark.parametrize("generator", [False, True])
    def test_an_attack_that_never_asks_is_given_up(self, generator: bool) -> None:
        class Silent(Script):
            def step(self, t: Task, s: Tensor, k: int) -> Any:
                return self.nothing(s) if generator else s

            def nothing(self, s: Tensor) -> Any:
                return s
                yield

        r = run(Silent(()))
        assert set(r.status) == {Status.GAVE_UP} and r.queries.tolist() == [1, 1, 1]

    def test_a_step_that_asks_for_nothing_forever_is_given_up(self) -> None:
        class Spins(Script):
            def step(self, t: Task, s: Tensor, k: int) -> Any:
                while True:
                    yield Ask(t.x0, mask=torch.zeros(t.n, dtype=torch.bool))

        r = run(Spins(()))
        assert set(r.status) == {Status.GAVE_UP} and r.queries.tolist() == [1, 1, 1]

    def test_a_row_that_is_never_paid_for_is_given_up_while_others_go_on(self) -> None:
        class One(Script):
            def step(self, t: Task, s: Tensor, k: int) -> Any:
                yield Ask(t.x0 * 0.9, mask=torch.from_numpy(t.ids == 1))
                return s

        r = run(One(()), budget=150)
        assert [s.name for s in r.status] == ["GAVE_UP", "BUDGET", "GAVE_UP"] and r.queries.tolist() == [1, 150, 1]

    def test_an_error_in_the_attack_is_the_attacks(self) -> None:
        class Buggy(Script):
            def step(self, t: Task, s: Tensor, k: int) -> Any:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run(Buggy(()))


class TestCohorts:
    def test_a_cohort_is_refilled_so_that_calls_stay_full(self) -> None:
        p = affine_problem("Linf", samples=120)
        seen = Recording(p.target)
        oracle = bb.Oracle(seen, "logits", 3, rows_per_call=8)
        r = bb.attack(oracle, p.x, p.y, RandomSigns(), bb.Linf(4 * float(p.optimum.max())), 200, cohort=32)
        assert r.first_success_query.max() > 4 * r.first_success_query.float().median()  # a long tail, all the same:
        calls = seen.sizes[: -(-120 // 8)]
        assert sum(calls) / len(calls) > 0.75 * 8, calls

    def test_memory_is_that_of_a_call_not_of_all_directions(self) -> None:
        """The largest tensor that own directions make is one call, however many probes there are."""
        made: list[int] = []

        class Many:
            count = 5000

            def make(self, row: Tensor, index: Tensor) -> Tensor:
                made.append(len(row))
                return torch.zeros(len(row), 2)

        heard: list[Any] = []
        run(Script((lambda t: Ask(t.x0, u=Many()),), heard), budget=4000, rows_per_call=64)
        assert max(made) <= 64 and sum(made) == 3 * 3999

    def test_progress_is_told(self) -> None:
        said: list[Any] = []
        run(Script((to(1.0),)), progress=said.append)
        assert (said[-1].done, said[-1].total, said[-1].success, said[-1].spent) == (3, 3, 3, 6)


# -- accounts under anything -------------------------------------------------------------------------------------

NET = ReluNet.random((5,), 3)


@given(
    n=st.integers(1, 7),
    most=st.integers(1, 9),
    budget=st.integers(1, 60),
    cohort=st.integers(1, 8),
    per_call=st.one_of(st.none(), st.integers(1, 20)),
    seed=st.integers(0, 10**6),
    eps=st.sampled_from([0.01, 0.1, 0.5]),
    kind=st.sampled_from([bb.Linf, bb.L2, bb.L1]),
    starts=st.booleans(),
    ends=st.one_of(st.none(), st.integers(0, 5)),
    fails=st.one_of(st.none(), st.integers(1, 60)),
    how=st.sampled_from(["raise", "nan", "drop", "interrupt"]),
    access=st.sampled_from(["labels", "topk", "scores", "logits"]),
    targeted=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_accounts_hold_for_any_attack_and_any_failure(
    n: int, most: int, budget: int, cohort: int, per_call: int | None, seed: int, eps: float, kind: type[bb.Threat],
    starts: bool, ends: int | None, fails: int | None, how: str, access: str, targeted: bool,
) -> None:  # fmt: skip
    """Never past the budget; oracle rows = sample charges = rows the target answered, also when it fails at any call."""
    x = torch.tensor(np.random.default_rng(seed).uniform(0, 1, (n, 5)), dtype=torch.float32)
    y = NET(x).argmax(1)
    seen = Recording(NET if fails is None else Failing(NET, fails, how))
    oracle = bb.Oracle(seen, access, 3, k=2, returns="logits", rows_per_call=per_call)
    goal = (y + 1) % 3 if targeted else y
    samples = Samples(x, y, goal, np.arange(n, dtype=np.uint64))
    fuzz = as_attack(Fuzz(most, starts, ends))
    engine = Engine(RunSpec(fuzz, kind(eps), Objective(targeted=targeted), samples, budget, seed=seed, cohort=cohort), oracle)
    try:
        ledger = engine.run()
    except (bb.TargetError, KeyboardInterrupt):
        ledger = engine.ledger
    else:
        assert not ledger.live.any()
    assert int(ledger.spent.max()) <= budget
    assert oracle.rows == int(ledger.spent.sum())
    answered = seen.count - (seen.sizes[-1] if oracle.failed and how in ("nan", "drop") else 0)
    assert answered == oracle.rows + oracle.counts["verify"] and oracle.counts["verify"] <= n
    assert bool((ledger.first <= ledger.spent).all())
    won = ledger.first > 0
    adv = NET(ledger.x).argmax(1)
    assert bool(((adv == goal) if targeted else (adv != goal)).numpy()[won].all())
    assert bool((kind(eps).distance(ledger.x, x).numpy() <= eps + 1e-6).all())
    assert bool(((ledger.x >= 0) & (ledger.x <= 1)).all())


@given(seed=st.integers(0, 10**6), stop=st.integers(1, 80), how=st.sampled_from(["raise", "interrupt", "nan"]))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_attack_resumes_bit_equal_after_a_stop_at_any_call(
    tmp_path_factory: pytest.TempPathFactory, seed: int, stop: int, how: str
) -> None:
    x = torch.tensor(np.random.default_rng(seed).uniform(0, 1, (5, 5)), dtype=torch.float32)
    y = NET(x).argmax(1)
    path = tmp_path_factory.mktemp("resume") / "run.checkpoint"

    def go(target: Any, checkpoint: Path | None) -> tuple[bb.AttackResult | None, bb.Oracle]:
        oracle = bb.Oracle(target, "logits", 3, rows_per_call=3)
        try:
            return bb.attack(oracle, x, y, Fuzz(), bb.Linf(0.15), 40, seed=seed, cohort=3, checkpoint=checkpoint), oracle
        except (bb.TargetError, KeyboardInterrupt):
            return None, oracle

    whole, whole_oracle = go(NET, None)
    _, first = go(Failing(NET, stop, how), path)
    resumed, second = go(NET, path)
    assert whole is not None and resumed is not None
    for name in ("success", "queries", "first_success_query", "x_adv", "loss"):
        assert torch.equal(getattr(whole, name), getattr(resumed, name)), name
    assert whole.status == resumed.status
    assert first.rows + second.rows == whole_oracle.rows
    assert resumed.config["carried"] == first.rows


def test_a_stop_right_after_a_hit_among_probes(tmp_path: Path) -> None:
    """The probes planned beside a success are charged in a run without a stop; so they are after one."""
    u = torch.tensor([[0.45, 0.0], [0.01, 0.0], [0.02, 0.0], [0.03, 0.0]])

    def go(target: Any, path: Path | None) -> bb.AttackResult:
        oracle = bb.Oracle(target, "logits", 2, rows_per_call=1)
        return bb.attack(oracle, X0[:1], Y0[:1], TwoAsks(u), bb.Linf(0.5), 50, checkpoint=path)

    whole_seen = Recording(ONE)
    whole = go(whole_seen, None)
    for stop in range(1, len(whole_seen.sizes) + 1):
        path = tmp_path / str(stop)
        first, second = Recording(Failing(ONE, stop)), Recording(ONE)
        with contextlib.suppress(bb.TargetError):
            go(first, path)
        resumed = go(second, path)
        assert resumed.queries.tolist() == whole.queries.tolist(), f"stopped at call {stop}"
        assert resumed.first_success_query.tolist() == whole.first_success_query.tolist()
        assert first.count + second.count - resumed.config["check_rows"] == whole_seen.count


@dataclass(frozen=True)
class TwoAsks:
    """Two Asks of probes in one step, the second with a hit."""

    u: Tensor
    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf",)

    def __repr__(self) -> str:
        return "TwoAsks()"

    def init(self, t: Task) -> Tensor:
        return torch.zeros(t.n)

    def step(self, t: Task, s: Tensor, k: int) -> Any:
        yield Ask(t.x0, u=torch.zeros(2, 2))
        yield Ask(t.x0, u=self.u)
        return s


def test_iterate_is_the_ask_tell_face() -> None:
    """The same attack in one's own loop asks for the same points."""
    p = affine_problem("Linf")
    seen = Recording(p.target)
    bb.attack(bb.Oracle(seen, "logits", 3, rows_per_call=64), p.x, p.y, Differences(), bb.Linf(1e-4), 14, cohort=5)
    t = task(p.x, threat=bb.Linf(1e-4))
    objective = Objective()
    oracle = bb.Oracle(p.target, "logits", 3)
    steps = iterate(Differences(), replace(t, low=None, high=None))
    ask, asked = next(steps), []
    for _ in range(2):
        if ask.u is None:
            points = t.project(ask.x)
            loss, adv = objective(oracle(points), p.y)
            tell = bb.Tell(loss, adv, torch.ones_like(adv), points)
        else:
            assert isinstance(ask.u, Tensor)
            points = t.clip(ask.x[:, None] + ask.h * ask.u[None]).flatten(0, 1)
            loss, adv = objective(oracle(points), p.y.repeat_interleave(len(ask.u)))
            shape = (t.n, len(ask.u))
            tell = bb.Tell(loss.view(shape), adv.view(shape), torch.ones(shape, dtype=torch.bool), None)
        asked.append(points)
        ask = steps.send(tell)
    assert torch.allclose(torch.cat(asked), seen.shown[5:], atol=1e-6)

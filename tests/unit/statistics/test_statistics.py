"""Statistics against answers worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox import statistics as stats
from blackbox.protocol import Status
from blackbox.statistics import Rate
from blackbox.testing import affine_problem

NEVER = 0


def result(
    first: list[int],
    budget: int = 100,
    *,
    queries: list[int] | None = None,
    status: dict[int, Status] | None = None,
    ids: list[int] | None = None,
    trace: list[tuple[int, int, float]] | None = None,
) -> bb.AttackResult:
    """A run whose samples first succeeded at these queries (0: never), with the statuses that go with it."""
    n = len(first)
    won = torch.tensor(first) > 0
    ends = [Status.SUCCESS if w else Status.BUDGET for w in won]
    for i, other in (status or {}).items():
        ends[i] = other
    zeros = torch.zeros(n)
    return bb.AttackResult(
        success=won,
        queries=torch.tensor(queries or [f or budget for f in first]),
        first_success_query=torch.tensor(first),
        x_adv=torch.zeros(n, 1),
        distance=zeros,
        status=tuple(ends),
        loss=zeros,
        clean_loss=zeros,
        clean_label=torch.zeros(n, dtype=torch.int64),
        verified=won.to(torch.int8),
        y=torch.zeros(n, dtype=torch.int64),
        goal=torch.zeros(n, dtype=torch.int64),
        ids=torch.tensor(ids or list(range(n))),
        threat=bb.Linf(0.1),
        config={"budget": budget, "attack": "made", "target": "up"},
        trace=torch.tensor(trace or [], dtype=torch.float64).view(-1, 3),
    )


class TestSuccessAt:
    def test_counts(self) -> None:
        r = result([1, 10, 11, 100, NEVER, 3], status={5: Status.CLEAN_WRONG})
        rates = stats.success_at(r)
        assert {b: (v.k, v.n) for b, v in rates.items()} == {10: (2, 5), 50: (3, 5), 100: (4, 5)}
        assert stats.success_at(r, [11])[11] == Rate(3, 5)

    def test_nothing_is_said_beyond_the_budget(self) -> None:
        assert list(stats.success_at(result([1], 499))) == [10, 50, 100, 200]
        assert list(stats.success_at(result([1], 10_000))) == list(stats.BUDGETS)

    def test_wilson_by_hand(self) -> None:
        # 2 of 4 at z = 1.959964: centre 1/2, half width z sqrt(1/16 + z^2/64) / (1 + z^2/4) = 0.349969
        rate = stats.success_at(result([1, 1, NEVER, NEVER]), [10])[10]
        assert rate.low == pytest.approx(0.150039, abs=1e-5) and rate.high == pytest.approx(0.849961, abs=1e-5)


class TestCensoredCurve:
    def test_kaplan_meier_by_hand(self) -> None:
        # at risk 5 at query 2: 4/5; one cut short at 3; at risk 3 at query 4: 4/5 * 2/3 = 8/15; two fail at 10
        r = result([2, NEVER, 4, NEVER, NEVER], 10, queries=[2, 3, 4, 10, 10], status={1: Status.ERROR})
        c = stats.censored_curve(r)
        assert c.n == 5
        got = c.read([0, 1, 2, 3, 4, 10])[:, 0]
        assert got == pytest.approx([0, 0, 1 / 5, 1 / 5, 7 / 15, 7 / 15])
        # Greenwood on the log-log scale at query 4: var = (1/(5*4) + 1/(3*2)) / ln(8/15)^2
        spread = 1.959964 * np.sqrt(1 / 20 + 1 / 6) / abs(np.log(8 / 15))
        want = [1 - (8 / 15) ** np.exp(-spread), 1 - (8 / 15) ** np.exp(spread)]
        assert c.read([4])[0, 1:] == pytest.approx(want, abs=1e-5)

    def test_giving_up_is_failing(self) -> None:
        """An attack that ends early on hard images must not look as good as one that was cut short there."""
        gave_up = result([2, NEVER, NEVER, 9], 10, queries=[2, 3, 3, 9], status={1: Status.GAVE_UP, 2: Status.NO_START})
        assert stats.censored_curve(gave_up).read([10])[0, 0] == pytest.approx(2 / 4)
        error = result([2, NEVER, NEVER, 9], 10, queries=[2, 3, 3, 9], status={1: Status.ERROR, 2: Status.ERROR})
        assert stats.censored_curve(error).read([10])[0, 0] == 1.0

    def test_without_censoring_before_the_budget_it_is_the_plain_share(self) -> None:
        draw = np.random.default_rng(0)
        first = [int(v) if v <= 50 else NEVER for v in draw.geometric(0.02, 200)]
        r = result(first, 50)
        at = np.arange(1, 51)
        assert stats.censored_curve(r).read(at)[:, 0] == pytest.approx([x.value for x in r.curve(at)])

    @pytest.mark.parametrize(("first", "value"), [([NEVER] * 6, 0.0), ([1] * 6, 1.0)])
    def test_bands_exist_where_the_formula_does_not(self, first: list[int], value: float) -> None:
        c = stats.censored_curve(result(first, 10))
        assert c.read([10])[0].tolist() == pytest.approx([value, Rate(int(6 * value), 6).low, Rate(int(6 * value), 6).high])
        assert np.isfinite(c.low).all() and (c.low <= c.value).all() and (c.value <= c.high).all()

    def test_nobody_attacked(self) -> None:
        c = stats.censored_curve(result([NEVER], status={0: Status.CLEAN_WRONG}))
        assert c.n == 0 and np.isnan(c.value).all()


class TestRestrictedMean:
    def test_failures_at_the_budget(self) -> None:
        r = result([10, 30, NEVER, 5], 100, queries=[12, 30, 40, 5], status={2: Status.GAVE_UP, 3: Status.CLEAN_WRONG})
        e = stats.restricted_mean(r)
        assert (e.value, e.n) == (pytest.approx((12 + 30 + 100) / 3), 3) and e.value == pytest.approx(r.mean_queries)
        assert 1 <= e.low < 12 and e.value < e.high <= 100, "three images exclude little"
        assert stats.restricted_mean(r, 20).value == pytest.approx((12 + 20 + 20) / 3)

    def test_equal_values_may_hide_others(self) -> None:
        """Of 3 equal images, an unseen kind may be a share of 1 - 0.025^(1/3) = 71 % of all, at 1 query or at the budget."""
        e, unseen = stats.restricted_mean(result([7, 7, 7])), 1 - 0.025 ** (1 / 3)
        assert e.value == 7 and (e.low, e.high) == (pytest.approx(7 - 6 * unseen, abs=0.1), pytest.approx(7 + 93 * unseen, abs=2))
        assert np.isnan(stats.restricted_mean(result([NEVER], status={0: Status.CLEAN_WRONG})).value)

    def test_a_sample_cut_short_is_left_out(self) -> None:
        assert stats.restricted_mean(result([10, NEVER, 20], queries=[10, 3, 20], status={1: Status.ERROR})).value == 15

    def test_the_interval_is_the_normal_one_for_many(self) -> None:
        first = np.random.default_rng(1).integers(1, 101, 400)
        e = stats.restricted_mean(result(first.tolist()))
        half = 1.96 * first.std() / 20
        assert e.low == pytest.approx(first.mean() - half, abs=0.15 * half)
        assert e.high == pytest.approx(first.mean() + half, abs=0.15 * half)
        assert e == stats.restricted_mean(result(first.tolist())), "seeded"
        assert str(e).endswith("(n = 400)")

    @pytest.mark.parametrize("horizon", [0, 101])
    def test_a_horizon_beyond_the_budget_is_refused(self, horizon: int) -> None:
        with pytest.raises(ValueError, match="from 1 to 100"):
            stats.restricted_mean(result([1]), horizon)


class TestCompare:
    def test_mcnemar_by_hand(self) -> None:
        a = result([1, 1, 1, 1, 1, 1, NEVER, NEVER, 1])
        b = result([2, NEVER, NEVER, NEVER, NEVER, NEVER, 1, NEVER, 1], status={8: Status.CLEAN_WRONG})
        got = stats.paired(a, b)
        assert (got.both, got.first_only, got.second_only, got.neither) == (1, 5, 1, 1)
        assert got.p == pytest.approx(2 * (1 + 6) / 64)  # 5 of 6 or more, both sides
        assert got.saved.value == pytest.approx((1 + 5 * 99 - 99 + 0) / 8)
        assert stats.paired(b, a).saved.value == -got.saved.value and stats.paired(b, a).p == got.p
        assert "only the first 5" in str(got)

    def test_no_disagreement(self) -> None:
        got = stats.paired(result([1, NEVER]), result([1, NEVER]))
        assert got.p == 1.0 and got.saved.value == 0 and -99 < got.saved.low == -got.saved.high < -80, "two images exclude little"

    def test_pairing_sees_what_means_alone_do_not(self) -> None:
        """Images differ far more than the attacks: paired, a saving of one query an image is certain."""
        hard = np.random.default_rng(0).integers(1, 1000, 50)
        a, b = result(hard.tolist(), 2000), result((hard + np.arange(50) % 3).tolist(), 2000)
        got = stats.paired(a, b)
        assert got.saved.low > 0.5 and got.saved.high < 1.5
        assert stats.restricted_mean(a).high > stats.restricted_mean(b).low + 100

    def test_different_budgets_meet_at_the_smaller(self) -> None:
        got = stats.paired(result([50, 150], 200), result([60, NEVER], 100))
        assert got.horizon == 100 and got.neither == 1 and got.saved.value == pytest.approx((10 + 0) / 2)

    def test_other_samples_are_refused(self) -> None:
        with pytest.raises(ValueError, match="ids differ"):
            stats.paired(result([1, 2]), result([1, 2], ids=[1, 0]))
        with pytest.raises(ValueError, match="ids differ"):
            stats.common_success({"a": result([1]), "b": result([1, 2])})

    def test_common_success(self) -> None:
        got = stats.common_success({"a": result([10, 20, NEVER, 60]), "b": result([1, NEVER, 3, 5])})
        assert got.n == 2 and got.mean["a"].value == 35 and got.mean["b"].value == 3 and got.median == {"a": 35, "b": 3}
        none = stats.common_success({"a": result([NEVER]), "b": result([1])})
        assert none.n == 0 and np.isnan(none.median["a"])

    def test_logrank_by_hand(self) -> None:
        # 1 | 2 | 3 (a, a, b): expected a 2/4 + 1/3 + 0/2, observed 2; variance 1/4 + 2/9 + 0; the last at the budget
        a, b = result([1, 2], 9), result([3, NEVER], 9)
        z = (2 - 5 / 6) / np.sqrt(1 / 4 + 2 / 9)
        from scipy.stats import norm

        assert stats.logrank(a, b) == pytest.approx(2 * norm.sf(z))


class TestDistance:
    TRACE: ClassVar = [(0, 2, 5.0), (1, 3, 4.0), (0, 10, 3.0), (0, 90, 1.0), (1, 50, 2.0), (2, 60, 6.0)]

    def test_reads_the_trace(self) -> None:
        r = result([2, 3, 60], trace=self.TRACE)
        inf = float("inf")
        assert r.distance_at([1, 2, 10, 50, 60, 100]).tolist() == [
            [inf, inf, inf],
            [5.0, inf, inf],
            [3.0, 4.0, inf],
            [3.0, 2.0, inf],
            [3.0, 2.0, 6.0],
            [1.0, 2.0, 6.0],
        ]

    def test_median(self) -> None:
        got = stats.median_distance(result([2, 3, 60], trace=self.TRACE), [10, 60, 100, 1000])
        assert {b: e.value for b, e in got.items()} == {10: 4.0, 60: 3.0, 100: 2.0}
        assert got[60].n == 3 and (got[60].low, got[60].high) == (0.0, float("inf")), "three samples bound nothing at 95 %"
        pair = result([2, 2], trace=[(0, 2, 1.0), (1, 2, 4.0)])
        assert stats.median_distance(pair, [1, 2])[2].value == 2.5 and stats.median_distance(pair, [1])[1].value == float("inf")

    def test_interval_by_hand(self) -> None:
        # of 10, P(at most 1 below the median) = 11/1024 < 2.5 % < P(at most 2): the 2nd and the 9th bound it
        r = result([1] * 10, trace=[(i, 1, float(i + 1)) for i in range(10)])
        e = stats.median_distance(r, [1])[1]
        assert (e.value, e.low, e.high) == (5.5, 2.0, 9.0)

    def test_the_engine_writes_it(self) -> None:
        """Every bettered distance is in the trace, at the query that found it; the last is the distance reported."""
        from tests.toys import Bisection

        p = affine_problem("L2")
        r = bb.attack(bb.Oracle(p.target, "labels", 3), p.x, p.y, Bisection(), bb.L2(float("inf")), 40)
        at = r.distance_at(range(1, 41))
        assert torch.equal(at[-1], r.distance) and (at[:-1] >= at[1:]).all() and torch.isinf(at[0]).all()
        for i in range(len(r)):
            rows = r.trace[r.trace[:, 0] == i]
            assert len(rows) > 3 and int(rows[0, 1]) == int(r.first_success_query[i])
            assert (rows[:, 1].diff() > 0).all() and (rows[:, 2].diff() < 0).all()

    def test_a_fixed_radius_has_one_entry(self) -> None:
        p = affine_problem("Linf")
        r = bb.attack(bb.Oracle(p.target, "logits", 3), p.x, p.y, "square", bb.Linf(1.3 * float(p.optimum.max())), 100)
        assert r.success.all() and sorted(r.trace[:, 0].tolist()) == list(range(len(r)))
        assert torch.equal(r.trace[r.trace[:, 0].argsort(), 1].long(), r.first_success_query)

    def test_resume_keeps_it(self, tmp_path: Any) -> None:
        from blackbox.testing import Failing
        from tests.toys import Bisection

        p = affine_problem("L2")
        settings: dict[str, Any] = {"attack": Bisection(), "threat": bb.L2(float("inf")), "budget": 30}
        whole = bb.attack(bb.Oracle(p.target, "labels", 3), p.x, p.y, **settings)
        target = Failing(p.target, 12)
        for _ in range(2):
            try:
                again = bb.attack(bb.Oracle(target, "labels", 3), p.x, p.y, checkpoint=tmp_path / "c", **settings)
            except bb.TargetError:
                continue
        assert again.config["carried"] > 0 and torch.equal(again.trace, whole.trace)


class TestFigures:
    def test_no_two_lines_look_alike(self) -> None:
        from blackbox.report import style

        assert len({style.line(i) for i in range(36)}) == 36

    def test_distances_of_many(self, tmp_path: Path) -> None:
        from blackbox.report.distances import distances
        from blackbox.report.figures import curves

        made = {f"attack {i}": result([2, 3, 60], trace=TestDistance.TRACE) for i in range(8)}
        made["never"] = result([NEVER])
        for draw, name in ((distances, "d.png"), (curves, "c.png")):
            path = draw(made, tmp_path / name)
            assert path is not None and path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size > 10_000
        assert distances({"never": result([NEVER])}, tmp_path / "none.png") is None


class TestVirtualBest:
    def test_each_image_by_its_quickest_attack(self) -> None:
        a, b = result([10, NEVER, 30, NEVER, 7]), result([20, 5, NEVER, NEVER, 7])
        found = stats.virtual_best({"a": a, "b": b})
        assert (found.success.k, found.success.n) == (4, 5)
        assert found.queries.value == pytest.approx((10 + 5 + 30 + 100 + 7) / 5)
        assert (found.share["a"].k, found.share["b"].k, found.share["a"].n) == (3, 2, 4)  # the last image is a tie

    def test_within_fewer_queries(self) -> None:
        found = stats.virtual_best({"a": result([10, 60])}, horizon=50)
        assert found.success.k == 1 and found.queries.value == 30

    def test_what_cannot_be_compared(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            stats.virtual_best({})
        with pytest.raises(ValueError, match="same"):
            stats.virtual_best({"a": result([1, 2]), "b": result([1, 2], ids=[5, 6])})

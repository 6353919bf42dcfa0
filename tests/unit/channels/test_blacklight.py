"""The stateful detector: what it flags, what it leaves alone, what a flagged query learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.targets import Blacklight, Detection, EightBit
from blackbox.testing import Failing, ReluNet


def images(n: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((n, 3, 16, 16), dtype=np.float32))


NET = ReluNet.random((3, 16, 16))


class TestFlags:
    def test_other_images_are_let_through_and_near_ones_flagged(self) -> None:
        guard = Blacklight(NET)
        x = images(30)
        guard.predict(x)
        assert not guard.flags.any()
        # a change of a level moves 1 pixel in 50 to another step, so a window of 20 stays whole two times in three
        guard.predict((x + (images(30, 1) - 0.5).sign() / 255).clamp(0, 1))
        assert guard.flags[30:].sum() >= 27
        guard.reset()
        guard.predict(x)
        guard.predict((x + 0.1 * (images(30, 1) - 0.5).sign() / 255).clamp(0, 1))
        assert guard.flags[30:].all()
        guard.predict(images(30, 2))
        assert not guard.flags[60:].any()
        assert guard.report() == Detection(90, 30, 31) and guard.report().share == pytest.approx(1 / 3)
        assert str(guard.report()) == "33.3 % of 90 queries flagged, the first was query 31"

    def test_rows_of_one_call_see_each_other(self) -> None:
        x = images(1).expand(4, -1, -1, -1)
        guard, one_by_one = Blacklight(NET), Blacklight(NET)
        guard.predict(x)
        for row in x:
            one_by_one.predict(row[None])
        assert guard.flags.tolist() == one_by_one.flags.tolist() == [False, True, True, True]

    def test_blank_images_are_alike_but_not_to_every_other(self) -> None:
        guard = Blacklight(NET)
        guard.predict(torch.stack([torch.zeros(3, 16, 16), torch.ones(3, 16, 16), torch.zeros(3, 16, 16)]))
        assert guard.flags.tolist() == [False, False, True]

    def test_the_threshold_is_exceeded_not_met(self) -> None:
        """Two images that share their first half share hashes in proportion; the count decides exactly."""
        a = images(1)
        b = torch.cat([a[:, :, :8], images(1, 5)[:, :, :8]], 2)
        guard = Blacklight(NET)
        prints = guard.fingerprints(torch.cat([a, b]))
        shared = len(np.intersect1d(prints[0], prints[1]))
        assert 5 < shared < 45
        for threshold, flagged in ((shared - 1, True), (shared, False)):
            guard = Blacklight(NET, threshold=threshold)
            guard.predict(torch.cat([a, b]))
            assert bool(guard.flags[1]) is flagged

    def test_shared_hashes_of_different_queries_do_not_add_up(self) -> None:
        """Half of each of two earlier images: the larger share counts, not their sum."""
        a, b = images(1), images(1, 5)
        mixed = torch.cat([a[:, :, :8], b[:, :, 8:]], 2)
        prints = Blacklight(NET).fingerprints(torch.cat([a, b, mixed]))
        one, other = (len(np.intersect1d(p, prints[2])) for p in prints[:2])
        assert min(one, other) > 3
        for threshold, flagged in ((max(one, other) - 1, True), (max(one, other), False)):
            guard = Blacklight(NET, threshold=threshold)
            guard.predict(torch.cat([a, b, mixed]))
            assert guard.flags.tolist() == [False, False, flagged]

    def test_fingerprints_are_the_largest_hashes_of_all_windows(self) -> None:
        guard = Blacklight(NET, kept=30, threshold=10)
        (few,) = guard.fingerprints(images(1))
        (all_,) = Blacklight(NET, kept=10_000, threshold=10).fingerprints(images(1))
        assert len(few) == 30 and len(all_) == 3 * 16 * 16 - 20 + 1
        assert np.array_equal(few, all_[-30:])
        assert not np.array_equal(few, Blacklight(NET, kept=30, threshold=10, seed=1).fingerprints(images(1))[0])

    def test_small_images(self) -> None:
        guard = Blacklight(lambda x: torch.ones(len(x), 2), kept=1, threshold=0)
        guard.predict(torch.tensor([[0.1, 0.2], [0.1, 0.2]]))
        assert guard.flags.tolist() == [False, True]

    def test_reset(self) -> None:
        guard = Blacklight(NET)
        guard.predict(images(2))
        guard.reset()
        guard.predict(images(2))
        assert guard.report() == Detection(2, 0, 0) and "none of 2" in str(guard.report())

    def test_a_failed_call_leaves_no_trace(self) -> None:
        guard = Blacklight(Failing(NET, 1))
        with pytest.raises(RuntimeError):
            guard.predict(images(3))
        guard.predict(images(3))
        assert guard.flags.tolist() == [False] * 3


class TestReplay:
    @pytest.mark.parametrize("access", ["labels", "scores", "logits"])
    def test_a_flagged_query_gets_the_earlier_answer(self, access: str) -> None:
        x = images(6)
        near = (x + 0.003).clamp(0, 1)
        oracle = bb.Oracle(Blacklight(NET, action="replay"), access, classes=3, returns="logits" if access == "logits" else "auto")
        first, again = oracle(x), oracle(near)
        assert torch.equal(first.label, again.label)
        if first.values is not None and again.values is not None:
            assert torch.equal(first.values, again.values)
            fresh = bb.Oracle(NET, access, classes=3)(near).values
            assert fresh is not None and not torch.equal(fresh, again.values)
        assert oracle.rows == 12, "rejected queries count"

    def test_labels_only_targets_too(self) -> None:
        calls = iter([0, 1, 2])
        guard = Blacklight(lambda x: torch.full((len(x),), next(calls), dtype=torch.int64), action="replay")
        x = images(2)
        assert [int(guard.predict(v)[0]) for v in (x[:1], x[:1], x[1:])] == [0, 0, 2]

    def test_no_attack_succeeds_on_what_it_is_not_told(self) -> None:
        x = images(4)
        y = NET(x).argmax(1)
        threat: Any = bb.Linf(0.1)
        free = bb.attack(bb.Oracle(Blacklight(NET), classes=3), x, y, "square", threat, 200)
        held = bb.attack(bb.Oracle(Blacklight(NET, step=100, window=5, action="replay"), classes=3), x, y, "square", threat, 200)
        assert free.success.all() and int(held.success.sum()) < 4
        assert held.config["detection"]["flagged"] > 0.5 * int(held.queries.sum())


class TestReport:
    def test_a_run_says_how_detectable_it_was(self) -> None:
        x = images(5)
        y = NET(x).argmax(1)
        oracle = bb.Oracle(EightBit(Blacklight(NET)), classes=3)
        oracle(images(3, 9))  # asked before: not the attack's
        r = bb.attack(oracle, x, y, "simba", bb.L2(0.01), 20)
        seen = r.config["detection"]
        assert seen["queries"] == int(r.queries.sum()) == 100
        assert seen["flagged"] == 95 and seen["first"] == 6, "all but the clean image, to which each query is near"
        assert "95.0 % of 100 queries flagged" in r.summary()

    def test_no_detector_no_report(self) -> None:
        r = bb.attack(bb.Oracle(NET, classes=3), images(2), NET(images(2)).argmax(1), threat=bb.Linf(0.01), budget=3)
        assert r.config["detection"] is None and "flagged" not in r.summary()


def test_bad_settings() -> None:
    for settings in ({"window": 0}, {"step": 0}, {"threshold": 50}, {"action": "ban"}):
        with pytest.raises(ValueError, match="Expected"):
            Blacklight(NET, **settings)  # type: ignore[arg-type]

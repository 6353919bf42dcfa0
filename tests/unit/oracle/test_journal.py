"""The journal: nothing is paid for twice, nothing is lost, and nothing is taken for what it is not."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.oracle.journal import CHECKED, Journal, JournalError
from blackbox.targets.answer import Part
from blackbox.testing import Affine, affine_problem

PROBLEM = affine_problem("Linf")
ROOT = Path(__file__).resolve().parents[3]


class Killed(BaseException):
    """Stands for kill -9: nothing after it is written."""


class Paid:
    """Charges for every row it answers, and may die after it has charged for a call or before."""

    name, device, returns = "paid", torch.device("cpu"), "logits"

    def __init__(self, keyed: bool = True) -> None:
        self.keyed = keyed
        self.charged: list[tuple[str, bytes]] = []
        self.given: dict[str, Tensor] = {}
        self.calls = 0
        self.dies_in = -1

    def predict(self, x: Tensor, keys: list[str] | None = None) -> Tensor:
        self.calls += 1
        out = PROBLEM.target(x)
        for i in range(len(x)):
            key = keys[i] if keys else ""
            if key in self.given:
                out[i] = self.given[key]
            else:
                self.charged.append((key, x[i].numpy().tobytes()))
                if keys:
                    self.given[key] = out[i].clone()
        if self.calls == self.dies_in:
            self.die()
        return out

    def die(self) -> None:
        raise Killed


def go(target: Any, path: Path | None, rows: int | None = 2, attack: Any = "square", **more: Any) -> bb.AttackResult:
    oracle = bb.Oracle(target, more.pop("access", "scores"), 3, rows_per_call=rows)
    setting: dict[str, Any] = {"budget": 15, "seed": 0, **more}
    result = bb.attack(oracle, PROBLEM.x, PROBLEM.y, attack, bb.Linf(0.022), journal=path, **setting)
    spent = int(result.queries.sum())
    assert oracle.rows + (oracle.replayed + oracle.cached).total() - oracle.replayed["verify"] == spent
    return result


def same(a: bb.AttackResult, b: bb.AttackResult) -> bool:
    names = ("x_adv", "queries", "first_success_query", "loss", "clean_loss", "verified", "trace")
    return all(torch.equal(getattr(a, n), getattr(b, n)) for n in names)


@pytest.fixture(scope="module")
def whole() -> tuple[bb.AttackResult, Counter[bytes]]:
    target = Paid(keyed=False)
    result = go(target, None)
    assert result.success.any() and not result.success.all()  # with looks at examples, and without
    return result, Counter(row for _, row in target.charged)


def test_dying_in_any_call_costs_nothing(tmp_path: Path, whole: tuple[bb.AttackResult, Counter[bytes]]) -> None:
    probe = Paid()
    go(probe, tmp_path / "probe")
    assert probe.calls > 20
    for k in range(1, probe.calls + 1):
        target, path = Paid(), tmp_path / f"{k}"
        target.dies_in = k
        with pytest.raises(Killed):
            go(target, path)
        result = go(target, path, rows=3)  # other calls: the answers belong to rows
        assert same(result, whole[0])
        assert Counter(row for _, row in target.charged) == whole[1], f"died in call {k}"
        assert result.config["journal"]["in_doubt"] in (1, 2)
        assert result.config["carried"] + result.config["journal"]["paid"] >= int(result.queries.sum())


def test_a_target_without_keys_is_in_doubt_for_one_call_and_says_so(
    tmp_path: Path, whole: tuple[bb.AttackResult, Counter[bytes]]
) -> None:
    target = Paid(keyed=False)
    target.dies_in = 9
    with pytest.raises(Killed):
        go(target, tmp_path / "j")
    result = go(target, tmp_path / "j")
    assert same(result, whole[0])
    twice = Counter(row for _, row in target.charged) - whole[1]
    again = result.config["journal"]["checked"]  # to see whether it is the same target
    assert 1 <= twice.total() - again == result.config["journal"]["in_doubt"] <= 2 and again == CHECKED
    assert f"{twice.total() - again} more were asked of the target in runs that ended" in result.summary()


class Halfway(Paid):
    """Fails once, in a call of three rows or more, after it has answered two of them and charged for a third."""

    fails_in = -1

    def predict(self, x: Tensor, keys: list[str] | None = None) -> Tensor:
        if not 0 <= self.fails_in <= self.calls or len(x) < 3:
            return super().predict(x, keys)
        self.fails_in = -1
        rows = [1, len(x) - 1]
        answer = super().predict(x[rows], keys and [keys[i] for i in rows])
        super().predict(x[:1], keys and keys[:1])
        error = ConnectionError("the line broke")
        error.part = Part(rows, answer, [0])  # type: ignore[attr-defined]
        raise error


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("rows", [2, 5])
def test_what_a_failed_call_answered_is_not_paid_again(
    tmp_path: Path, whole: tuple[bb.AttackResult, Counter[bytes]], rows: int, keyed: bool
) -> None:
    for k in (1, 6, 9):
        target, path = Halfway(keyed), tmp_path / f"{k}"
        target.fails_in = k
        with pytest.raises(bb.TargetError, match="the line broke"):
            go(target, path, rows=4)
        target.fails_in = target.calls + 2  # and again, in another call
        again = 0  # asked to see whether it is the same target
        try:
            result = go(target, path, rows=rows)
        except bb.TargetError as error:
            again = error.result.config["journal"]["checked"]
            result = go(target, path, rows=3)
        again += result.config["journal"]["checked"]
        assert same(result, whole[0])
        twice = (Counter(row for _, row in target.charged) - whole[1]).total()
        assert twice == 0 if keyed else twice - again == result.config["journal"]["in_doubt"] >= 1, (k, twice)
        target.fails_in = -1
        last = go(target, path, rows=rows)
        assert same(last, whole[0])
        more = (Counter(row for _, row in target.charged) - whole[1]).total() - twice
        assert more == (0 if keyed else last.config["journal"]["checked"]), "read back for nothing"


def test_a_finished_run_is_read_back_for_nothing(tmp_path: Path) -> None:
    target = Paid()
    first = go(target, tmp_path / "j")
    paid = len(target.charged)
    assert first.config["journal"]["paid"] == paid and first.config["carried"] == 0
    again = go(target, tmp_path / "j")
    assert same(first, again) and len(target.charged) == paid
    assert again.config["journal"]["paid"] == 0 and again.config["journal"]["replayed"] == paid
    assert again.config["carried"] == int(first.queries.sum())
    assert "were paid before" in again.summary()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"budget": 16}, "budget: 15 there, 16 here"),
        ({"attack": "nes"}, "attack: 'Square"),
        ({"access": "logits"}, "access: 'SCORES' there, 'LOGITS' here"),
        ({"cohort": 3}, "cohort: 128 there, 3 here"),
        ({"cache": True}, "cache: False there, True here"),
        ({"ids": [5, 6, 7, 8, 9]}, "samples: "),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    go(Paid(), tmp_path / "j")
    target = Paid()
    with pytest.raises(bb.CheckpointError, match=f"belongs to other settings.*{named}"):
        go(target, tmp_path / "j", **change)
    assert not target.charged


def test_a_journal_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, I am no database" * 100)
    with pytest.raises(JournalError, match="to be a journal of this package"):
        go(Paid(), tmp_path / "text")
    go(Paid(), tmp_path / "later")
    with closing(sqlite3.connect(tmp_path / "later", isolation_level=None)) as db:
        db.execute("UPDATE head SET value = '99' WHERE name = 'version'")
    with pytest.raises(JournalError, match="version 1, but .* has version 99"):
        go(Paid(), tmp_path / "later")
    with pytest.raises(JournalError, match="cannot be used"):
        go(Paid(), tmp_path)
    with pytest.raises(ValueError, match="either a checkpoint or a journal"):
        go(Paid(), tmp_path / "both", checkpoint=tmp_path / "c")
    with pytest.raises(ValueError, match="Expected a journal for the cache"):
        go(Paid(), None, cache=True)


def test_two_runs_cannot_share_a_journal(tmp_path: Path) -> None:
    go(Paid(), tmp_path / "j")
    held = sqlite3.connect(tmp_path / "j", isolation_level=None)
    held.execute("PRAGMA locking_mode = EXCLUSIVE")
    held.execute("BEGIN EXCLUSIVE")
    target = Paid()
    with pytest.raises(JournalError, match="another process is using it"):
        go(target, tmp_path / "j")
    assert not target.charged
    held.close()
    go(target, tmp_path / "j")


def test_a_run_that_asks_otherwise_is_stopped_before_it_pays(tmp_path: Path) -> None:
    target = Paid()
    target.dies_in = 9
    with pytest.raises(Killed):
        go(target, tmp_path / "j")
    with closing(sqlite3.connect(tmp_path / "j", isolation_level=None)) as db:
        (blob,) = db.execute("SELECT prints FROM calls WHERE id = 5").fetchone()
        db.execute("UPDATE calls SET prints = ? WHERE id = 5", (bytes(len(blob)),))
    paid = len(target.charged)
    with pytest.raises(
        JournalError, match=r"asks for something else. Nothing was paid. The journal was written with torch"
    ):
        go(target, tmp_path / "j")
    assert len(target.charged) == paid


def test_the_cache_pays_for_no_image_twice_and_changes_no_result(tmp_path: Path) -> None:
    """Four copies of an image each, so that clean checks repeat for certain."""

    def run(target: Paid, path: Path | None, cache: bool) -> tuple[bb.Oracle, bb.AttackResult]:
        oracle = bb.Oracle(target, "scores", 3, rows_per_call=3)
        x, y = PROBLEM.x.repeat(4, 1, 1, 1)[:, :, :, :], PROBLEM.y.repeat(4)
        return oracle, bb.attack(oracle, x, y, "simba", bb.Linf(0.01), 20, journal=path, cache=cache)

    plain, cached, again = Paid(), Paid(), Paid()
    _, without = run(plain, None, False)
    oracle, result = run(cached, tmp_path / "j", True)
    assert same(without, result)
    asked = Counter(row for _, row in cached.charged)
    verified = oracle.counts["verify"]
    assert asked.total() - len(asked) <= verified  # only what is looked at again on purpose
    assert oracle.cached["attack"] >= 3 * len(PROBLEM.x) and oracle.cached["verify"] == 0
    assert oracle.rows + oracle.cached["attack"] == int(result.queries.sum())
    assert result.config["journal"]["cached"] == oracle.cached["attack"]
    assert "answered from the cache, unpaid" in result.summary()
    oracle, result = run(again, tmp_path / "j", True)
    assert same(without, result) and len(again.charged) == CHECKED == oracle.counts["check"] and oracle.rows == 0


def test_no_cache_before_a_target_that_answers_by_chance(tmp_path: Path) -> None:
    target = bb.targets.Noisy(Paid(), 0.1)
    with pytest.raises(ValueError, match="Expected no cache before Noisy"):
        go(target, tmp_path / "j", cache=True)


@pytest.mark.parametrize("kind", ["Noisy", "Blacklight"])
def test_channels_work_as_if_nothing_had_happened(tmp_path: Path, kind: str) -> None:
    """What they draw goes by the number of the row, what they remember by all rows: replayed rows pass them as well."""

    def stack(target: Paid) -> Any:
        return bb.targets.Noisy(target, 0.05, seed=3) if kind == "Noisy" else bb.targets.Blacklight(target, window=4)

    whole = go(stack(Paid(keyed=False)), None)
    target = Paid()
    target.dies_in = 6
    with pytest.raises(Killed):
        go(stack(target), tmp_path / "j")
    resumed = go(stack(target), tmp_path / "j")
    assert same(whole, resumed) and whole.config["detection"] == resumed.config["detection"]
    assert len({key for key, _ in target.charged}) == len(target.charged)


class Spotty(Paid):
    """Answers NaN for a row once."""

    def predict(self, x: Tensor, keys: list[str] | None = None) -> Tensor:
        out = super().predict(x, keys)
        if self.calls == 4:
            out = out.clone()
            out[0] = torch.nan
        return out


def test_an_answer_that_is_none_is_asked_for_again(tmp_path: Path) -> None:
    target = Spotty()
    with pytest.raises(bb.TargetError, match="Expected finite scores"):
        go(target, tmp_path / "j")
    result = go(target, tmp_path / "j")
    assert same(result, go(Paid(), None)) and result.config["journal"]["in_doubt"] in (1, 2)


def test_a_full_disk_stops_before_the_target_is_asked(tmp_path: Path) -> None:
    target, path = Paid(), tmp_path / "j"
    journal = Journal(path, {})
    journal.file.db.execute("PRAGMA max_page_count = 1")
    oracle = bb.Oracle(target, "scores", 3)
    with pytest.raises(JournalError, match="make room and give the same command again"), oracle.journalled(journal):
        for _ in range(100):
            oracle(PROBLEM.x.repeat(40, 1, 1, 1))
    kept = sum(
        len(p) // 16 for (p,) in sqlite3.connect(path).execute("SELECT prints FROM calls WHERE answer IS NOT NULL")
    )
    assert len(target.charged) - kept in (0, len(PROBLEM.x) * 40) and oracle.rows == kept


class Flaky(Affine):
    """The line breaks before every second answer."""

    def __init__(self) -> None:
        super().__init__(PROBLEM.target.weight, PROBLEM.target.bias)
        object.__setattr__(self, "calls", 0)

    def __call__(self, x: Tensor) -> Tensor:
        object.__setattr__(self, "calls", self.calls + 1)  # type: ignore[attr-defined]
        if self.calls % 2:  # type: ignore[attr-defined]
            raise TimeoutError("no answer")
        return super().__call__(x)


def test_retries_wait_longer_each_time_and_charge_once(tmp_path: Path) -> None:
    waits: list[float] = []
    target = bb.targets.Retrying(Flaky(), tries=3, wait=0.5, sleep=waits.append)
    result = go(bb.targets.Noisy(target, 0.001), tmp_path / "j")
    assert same(result, go(bb.targets.Noisy(PROBLEM.target, 0.001), None))
    assert waits and set(waits) == {0.5}
    rows = int(result.queries.sum()) + result.config["verify_rows"]
    assert result.config["retried_rows"] == rows and result.config["failed_rows"] == 0
    assert "charged once" in result.summary()

    def dead(x: Tensor) -> Tensor:
        raise ConnectionError("the line is dead")

    waits.clear()
    with pytest.raises(bb.TargetError, match="the line is dead"):
        go(bb.targets.Retrying(dead, tries=5, wait=1, longest=3, sleep=waits.append), None)
    assert waits == [1, 2, 3, 3]
    with pytest.raises(ValueError, match="at least one try"):
        bb.targets.Retrying(dead, tries=0)

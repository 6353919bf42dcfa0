"""Evaluations whose target fails: what is known is kept, the rest is unknown, and the same call goes on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.oracle.kept import Kept, beside
from tests.unit.evaluation.test_evaluation import EPS, NET, N, X, Y

ROWS = [
    "nothing 0 none (clean images)", "nothing 0 random noise, same Linf",
    *(f"{s} {b} auto" for s in ("labels", "scores") for b in (4, 12)),
]  # fmt: skip


class Target:
    """Fails at the calls named, and counts every row that it answered."""

    def __init__(self, *fails: int, kind: type[BaseException] = ConnectionError) -> None:
        self.fails, self.kind, self.calls, self.seen = set(fails), kind, 0, Counter[bytes]()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls in self.fails:
            raise self.kind("the line is dead")
        self.seen.update(row.numpy().tobytes() for row in x)
        return ((x.flatten(1)[:, None] - 0.5) * NET.weight.detach()).sum(2)


def go(target: Any, **more: Any) -> Any:
    wrapped = bb.targets.FunctionTarget(target, name="t", returns="logits")
    return bb.evaluate(lambda access: bb.Oracle(wrapped, access, 2, rows_per_call=8), X, Y, bb.Linf(EPS), budgets=(4, 12), **more)


@pytest.fixture(scope="module")
def whole() -> tuple[Any, Target]:
    target = Target()
    return go(target), target


def cut(target: Any, **more: Any) -> Any:
    with pytest.raises((bb.TargetError, KeyboardInterrupt)) as caught:
        go(target, **more)
    return caught.value.result  # type: ignore[union-attr]


def holds(part: Any, whole: Any) -> None:
    """What is known is right, and every rate says how many are not."""
    assert [f"{r.sees} {r.budget} {r.attack}" for r in part.rows] == ROWS
    for now, then in zip(part.rows, whole.rows, strict=True):
        assert not (now.wrong & now.unknown).any() and np.array_equal(now.wrong[~now.unknown], then.wrong[~now.unknown])
        assert (now.robust.n, now.robust.unknown) == (int((~now.unknown).sum()), int(now.unknown.sum()))
    assert part.table().startswith("INCOMPLETE: ")


def test_a_clean_image_without_an_answer_leaves_all_else_unknown(whole: Any, tmp_path: Path) -> None:
    target = Target(2)
    part = cut(target)
    holds(part, whole[0])
    assert target.calls == 2 and part.rows[0].unknown.tolist() == [False] * 8 + [True] * (N - 8) and part.rows[0].queries == 8
    assert all(r.unknown.all() for r in part.rows[1:]) and set(part.failures) == {"clean"}
    read = type(part).load(part.save(tmp_path))
    assert read.table() == part.table() and "unknown" in read.table() and read.failures == part.failures and not read.complete


def test_a_failed_row_loses_no_other_and_stops_larger_budgets_alone(whole: Any, tmp_path: Path) -> None:
    saved: list[int] = []
    part = cut(Target(8), saved=lambda found: saved.append(sum(r.unknown.any() for r in found.rows)))  # in labels, 4
    holds(part, whole[0])
    unknown = {f"{r.sees} {r.budget}": int(r.unknown.sum()) for r in part.rows}
    assert unknown["nothing 0"] == 0 == unknown["scores 4"] == unknown["scores 12"] and 0 < unknown["labels 4"] <= unknown["labels 12"]
    assert list(part.failures) == ["labels-4", "labels-12"] and part.failures["labels-12"].startswith("not begun")
    assert saved == [5, 4, 4, 3, 2]  # after each part; the larger budget was not begun
    assert part.results["labels", 4].summary().startswith("INCOMPLETE")
    assert np.array_equal(part.row("scores", 12).wrong, whole[0].row("scores", 12).wrong)


def test_what_a_cut_row_had_found_is_known(whole: Any) -> None:
    part = cut(Target(whole[1].calls - 2))  # in the last row
    holds(part, whole[0])
    last, result = part.row("scores", 12), part.results["scores", 12]
    assert list(part.failures) == ["scores-12"] and int(last.unknown.sum()) == int((~result.known).sum()) < len(result)


@pytest.mark.parametrize("kind", ["journal", "checkpoint"])
def test_the_same_call_goes_on_and_nothing_is_paid_for_twice(whole: Any, kind: str, tmp_path: Path) -> None:
    kept: Any = {kind: tmp_path / "run.file"}
    calls = whole[1].calls
    seen = Counter[bytes]()
    for fails in (calls // 4, calls // 2, 3 * calls // 4 + 1, 0):
        where = Target(fails, kind=KeyboardInterrupt if fails % 2 else ConnectionError)
        try:
            found = go(where, **kept)
        except (bb.TargetError, KeyboardInterrupt) as error:
            holds(error.result, whole[0])  # type: ignore[union-attr]
        seen += where.seen
    assert found.complete and not found.failures
    for now, then in zip(found.rows, whole[0].rows, strict=True):
        assert np.array_equal(now.wrong, then.wrong) and now.queries == then.queries
    for key, result in found.results.items():
        assert torch.equal(result.x_adv, whole[0].results[key].x_adv) and torch.equal(result.queries, whole[0].results[key].queries)
    assert not whole[1].seen - seen
    assert sorted(p.name for p in tmp_path.glob("run-*.file")) == sorted(
        f"run-{part}.file" for part in ("clean", "noise", "labels-4", "labels-12", "scores-4", "scores-12")
    )
    again = Target()
    go(again, **kept)
    assert again.seen.total() <= 8 * 6 + 2 * N  # what is asked to see whether it is the same target, and, of a checkpoint, verified


def test_either_or(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="either a checkpoint or a journal"):
        go(Target(), journal="a", checkpoint="b")
    assert beside("runs/j.db", "a/b: c").name == "j-a_b_c.db" and Kept().of("x") == {"journal": None, "checkpoint": None}


def test_examples_that_could_not_be_verified_are_noted(whole: tuple[Any, Target]) -> None:
    """A verification call that fails ends nothing: every image is known, and the table says what was not checked."""
    noted = 0
    for call in range(whole[1].calls * 3 // 4, whole[1].calls + 1):
        try:
            found = go(Target(call))
        except bb.TargetError:
            continue
        left = [int((r.success & (r.verified < 0)).sum()) for r in found.results.values()]
        assert found.complete and [str(n) for n in left if n] == [
            note.split(" examples could not be verified")[0].split()[-1] for note in found.notes if "verified" in note
        ]
        noted += any(left)
        assert ("examples could not be verified, because the target failed" in found.table()) == any(left)
    assert noted

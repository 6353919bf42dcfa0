"""Evaluations of a defended target: the attacker who knows the defence beside the one who does not, and false alarms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.evaluation.benign import FRAMES, benign, panned
from blackbox.evaluation.rows import Evaluation
from blackbox.targets import Blacklight
from blackbox.testing import ReluNet

NET = ReluNet.random((3, 16, 16))
X = torch.from_numpy(np.random.default_rng(0).random((12, 3, 16, 16), dtype=np.float32))
Y = bb.Oracle(NET, "labels", 3)(X).label


def fresh(access: str) -> bb.Oracle:
    return bb.Oracle(Blacklight(NET, action="reject"), access, 3)


def test_the_adaptive_row_stands_beside_and_benign_queries_are_counted(monkeypatch: Any, tmp_path: Path) -> None:
    made = []

    def oars(attack: Any) -> Any:  # one large step each, that no detector finds alike
        made.append(attack)
        return bb.attacks.Square(p_init=1.0)

    monkeypatch.setattr("blackbox.evaluation.knowing.wrapper", {"oars": oars}.get)
    got = bb.evaluate(fresh, X, Y, bb.Linf(0.3), budgets=(5, 20), levels=("scores",), attack="square")
    assert [(r.sees, r.attack, r.budget) for r in got.rows[2:]] == [
        ("scores", "square", 5), ("scores", "square", 20), ("scores, adaptive", "square", 5), ("scores, adaptive", "square", 20)
    ]  # fmt: skip
    assert isinstance(made[0], bb.attacks.Square) and got.complete
    assert not got.row("nothing").unknown.any()  # the owner's own questions are not watched
    assert set(got.results) == {(s, b) for s in ("scores", "scores, adaptive") for b in (5, 20)}
    assert got.alarms["different images"] == (0, 12) and got.alarms["frames of clips"][1] == 12 * FRAMES
    again = Evaluation.load(got.save(tmp_path / "e"))
    assert again.alarms == got.alarms and "false alarms, different images: 0 [" in again.table()
    assert (tmp_path / "e" / "scores-adaptive-20").is_dir()


def test_without_a_wrapper_it_says_so_and_a_shared_detector_is_told_of(monkeypatch: Any) -> None:
    monkeypatch.setattr("blackbox.evaluation.knowing.wrapper", {}.get)
    shared = Blacklight(NET)
    got = bb.evaluate(lambda access: bb.Oracle(shared, access, 3), X, Y, bb.Linf(0.1), budgets=(5,), levels=("scores",), attack="square")
    assert "no adaptive attacker of it is known here" in got.table() and "give a fresh detector at each call" in got.table()
    assert got.alarms == {}
    plain = bb.evaluate(lambda access: bb.Oracle(NET, access, 3), X, Y, bb.Linf(0.1), budgets=(5,), levels=("scores",), attack="square")
    assert not plain.notes or "adaptive" not in plain.notes[0]


def test_what_the_owner_asks_is_neither_flagged_nor_remembered() -> None:
    oracle = fresh("scores")
    for _ in range(2):
        reply = oracle.submit(X, "verify")
        assert reply.rejected is None or not reply.rejected.any()
    assert oracle.flags is not None and not len(oracle.flags) and oracle.rows == 0
    first, second = oracle(X[:1]), oracle(X[:1])
    assert first.rejected is not None and not first.rejected.any() and second.rejected is not None and second.rejected.all()


def test_a_clip_pans_by_a_pixel_a_frame() -> None:
    x = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 1, 2, 5) / 5
    assert torch.equal(panned(x, 2)[0, 0, 0], torch.tensor([2, 3, 4, 4, 4]) / 5) and panned(x, 0) is x
    frames = benign(x)["frames of clips"]
    assert frames.shape == (FRAMES, 1, 2, 5) and torch.allclose(frames[2], panned(x, 2)[0], atol=5 / 255)
    assert benign(x.view(1, 10))["frames of clips"].shape == (FRAMES, 10)


def test_defences_by_name_on_the_command_line() -> None:
    from blackbox.specs import channels

    stack = channels.read(["round:2"], ["aaa", "blacklight:action=reject,accounts=3,lock=9"])
    assert [c.name for c in stack] == ["aaa", "blacklight", "round"]
    assert channels.wrap(NET, stack[1:2], 0).lock == 9
    with pytest.raises(ValueError, match="--defence"):
        channels.read([], ["round:2"])

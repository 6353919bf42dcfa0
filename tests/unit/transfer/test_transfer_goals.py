"""Transfer for goals other than a class: rates of inputs that do not reach it unchanged, with a goal for each embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import blackbox as bb
import surrogates as sg
from blackbox.goals import NoneOf, Regression, Verification

DRAWS = np.random.default_rng(6)
X = torch.tensor(DRAWS.uniform(0.4, 0.6, (5, 1, 4, 4)), dtype=torch.float32)


def linear(given: int, made: int) -> nn.Linear:
    out = nn.Linear(given, made)
    with torch.no_grad():
        for p in out.parameters():
            p.copy_(torch.tensor(DRAWS.normal(size=p.shape)))
    return out


NET = nn.Sequential(nn.Flatten(), linear(16, 3))
FACE = torch.full((1, 4, 4), 0.5)
WIDE = nn.Sequential(NET, linear(3, 6))


def test_who_reaches_the_goal_unchanged_is_in_no_rate_but_that_of_all(tmp_path: Path) -> None:
    """The number is to rise by a share of the most that it can; two images have risen already."""
    net = nn.Sequential(nn.Flatten(), linear(16, 1))
    clean = net(X).detach()[:, 0]
    most = 0.1 * net[1].weight.abs().sum().item()
    reference = clean - torch.tensor([0.0, 0.0, 0.0, most, most])
    asked = bb.Oracle(net, "answers")
    m = sg.transfer_matrix({"own": net}, {"t": asked}, X, None, ["fgsm"], [bb.Linf(0.1)], goal=Regression(reference, 0.9 * most, "up"))
    cell = ("own", "t", "fgsm", "Linf 0.1")
    assert m.rate(*cell).k == m.rate(*cell).n == m.rate(*cell, "both-correct").n == m.rate(*cell, "source-fooled").n == 3
    assert m.rate(*cell, "all").n == 5 and m.clean_accuracy("t").k == m.clean_accuracy("own").k == 3
    assert m.noise_rate("t", "Linf 0.1").k == 0 and m.noise_rate("t", "Linf 0.1").n == 3 and asked.rows == 5 * 4 == m.queries["t"]
    table = m.table()
    assert "Goal: the number moves up by" in table and "images that do not reach the goal unchanged" in table
    assert "clean, not reached" in table and "accuracy" not in table and "gets" not in table
    again = sg.TransferMatrix.load(m.save(tmp_path / "m"))
    assert again.goal == m.goal and again.table("source-fooled") == m.table("source-fooled")
    assert m.plot(tmp_path / "m.png").stat().st_size > 0


def test_sources_and_targets_may_have_references_in_spaces_of_their_own() -> None:
    near = 0.6 * (NET(X) - NET(FACE[None])).norm(dim=1).min().item()
    one = Verification(NET(FACE[None])[0].detach(), near, images=FACE)
    each = {"own": [one, one], "t": one, "wide": Verification(WIDE(FACE[None])[0].detach(), near / 3)}
    oracles = {name: bb.Oracle(net, "answers", rows_per_call=5) for name, net in (("t", NET), ("wide", WIDE))}  # clocks decide else
    m = sg.transfer_matrix({"own": [NET, WIDE]}, oracles, X, attacks=["mi-fgsm"], threats=[bb.Linf(0.1)], goal=each)
    assert m.rate("own", "t", "mi-fgsm", "Linf 0.1").k > m.noise_rate("t", "Linf 0.1").k
    assert m.goal is not None and m.goal.count(";") == 1
    short = "embeddings of 3 numbers, as the references have, but the target"
    for given, said in (({"own": one, "t": one}, "none for 'wide'"), (one, short)):
        with pytest.raises(ValueError, match=said):
            sg.transfer_matrix({"own": NET}, oracles, X, attacks=["fgsm"], goal=given)
    assert sum(oracle.rows for oracle in oracles.values()) == 2 * 5 * 4 + 10  # clean images alone, before the last


def test_a_target_that_shows_too_little_and_one_that_rejects() -> None:
    goal = NoneOf([0], k=2)
    with pytest.raises(bb.AccessError, match="at least topk"):
        sg.transfer_matrix({"own": NET}, {"t": bb.Oracle(NET, "labels", 3)}, X, goal=goal)

    def picky(x: torch.Tensor) -> bb.targets.Answer:
        scores = NET(x).softmax(1)
        return bb.targets.Answer(scores.argmax(1), scores, (x == X[0]).flatten(1).all(1))

    m = sg.transfer_matrix({"own": NET}, {"t": bb.Oracle(picky, "scores", 3)}, X, attacks=["fgsm"], goal=goal)
    assert m.clean_target[0, 0] == -1 and m.rate("own", "t", "fgsm", m.threats[0]).unknown == 1

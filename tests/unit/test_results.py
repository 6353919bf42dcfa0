"""Ledger, results, rates: against numbers worked out by hand, and through files."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.engine.ledger import CODES, LIVE, Ledger
from blackbox.protocol import Status
from blackbox.statistics import Rate
from blackbox.testing import affine_problem


def result(**config: Any) -> bb.AttackResult:
    """Five samples: wrong before, fooled with queries 3 and 8, out of budget, given up."""
    n = 5
    success = torch.tensor([False, True, True, False, False])
    return bb.AttackResult(
        success=success,
        queries=torch.tensor([1, 4, 8, 10, 6]),
        first_success_query=torch.tensor([0, 3, 8, 0, 0]),
        x_adv=torch.arange(n * 2, dtype=torch.float32).view(n, 2) / 10,
        distance=torch.tensor([math.nan, 0.1, 0.3, math.nan, math.nan]),
        status=(Status.CLEAN_WRONG, Status.SUCCESS, Status.SUCCESS, Status.BUDGET, Status.GAVE_UP),
        loss=torch.tensor([1.0, 0.5, 0.25, -1.0, -2.0]),
        clean_loss=torch.tensor([1.0, -1.0, -1.0, -1.5, -2.5]),
        clean_label=torch.tensor([1, 0, 0, 0, 0]),
        verified=torch.tensor([-1, 1, 0, -1, -1], dtype=torch.int8),
        y=torch.zeros(n, dtype=torch.int64),
        goal=torch.zeros(n, dtype=torch.int64),
        ids=torch.tensor([4, 3, 2, 1, 0]),
        threat=bb.Linf(0.3),
        config={"attack": "toy", "target": "net", "access": "scores", "targeted": False, "budget": 10, "seed": 0, **config},
    )


def test_rates_by_hand() -> None:
    r = result()
    assert (r.clean_accuracy.k, r.clean_accuracy.n) == (4, 5)
    assert (r.success_rate.k, r.success_rate.n) == (2, 4)
    assert (r.robust_accuracy.k, r.robust_accuracy.n) == (2, 5)
    assert r.mean_queries == (4 + 8 + 10 + 10) / 4 and r.median_queries == 9
    assert [(c.k, c.n) for c in r.curve([1, 2, 3, 7, 8, 100])] == [(0, 4), (0, 4), (1, 4), (1, 4), (2, 4), (2, 4)]
    assert len(r) == 5


def test_wilson_interval_by_hand() -> None:
    """Wilson 1927 for 2 of 4, from the formula."""
    k, n, z = 2, 4, 1.959963984540054
    p = k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    rate = Rate.of([True, False, True, False])
    assert (rate.low, rate.high) == pytest.approx((middle - half, middle + half))
    assert float(rate) == 0.5 and str(rate) == "50 % [15, 85] (2/4)"


def test_rates_of_nothing_and_of_some() -> None:
    none = Rate.of([True, False], [False, False])
    assert math.isnan(none.value) and (none.low, none.high) == (0, 1) and "n = 0" in str(none)
    assert Rate.of(torch.tensor([True, False, True]), np.array([True, True, False])) == Rate(1, 2)


def test_summary_says_its_denominators() -> None:
    text = result(carried=7).summary()
    for part in ("toy on net", "Linf 0.3", "budget 10", "(4/5)", "(2/4)", "(2/5)", "mean 8.0 [3.5, 9.8], median 9", "29 spent in all"):
        assert part in text, text
    assert "1 images: the attack's own loop ended" in text and "1 examples were not adversarial" in text
    assert "7 of these queries were paid before" in text and "few images       4 images: below 100, " in text


def test_summary_when_nothing_was_attacked() -> None:
    p = affine_problem("Linf")
    r = bb.attack(bb.Oracle(p.target, "logits", 3), p.x, (p.y + 1) % 3, "square", bb.Linf(0.1), 5)
    assert r.queries.tolist() == [1] * 5 and math.isnan(r.mean_queries) and "n = 0" in r.summary()


@pytest.mark.parametrize("threat", [bb.Linf(0.05), bb.L2(0.5), bb.L1(3.0), bb.L2(math.inf)])
def test_save_and_load(threat: bb.Threat, tmp_path: Path) -> None:
    from tests.toys import Bisection, RandomSigns

    p = affine_problem("Linf")
    attack = Bisection() if threat.eps == math.inf else RandomSigns()
    r = bb.attack(bb.Oracle(p.target, "logits", 3), p.x, p.y, attack, threat, 20, ids=[9, 4, 7, 1, 0])
    back = bb.AttackResult.load(r.save(tmp_path / "run"))
    for name, value in vars(r).items():
        other = getattr(back, name)
        if isinstance(value, torch.Tensor):
            assert value.dtype == other.dtype and np.array_equal(value, other, equal_nan=value.is_floating_point()), name
        elif name != "config":
            assert value == other, name
    assert back.summary() == r.summary() == (tmp_path / "run" / "summary.txt").read_text()[:-1]
    lines = list(csv.DictReader((tmp_path / "run" / "outcomes.csv").read_text().splitlines()))
    assert [int(line["queries"]) for line in lines] == r.queries.tolist()
    assert [line["status"] for line in lines] == [s.name.lower() for s in r.status]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["budget"] == 20


def test_load_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config.json, examples.safetensors.*AttackResult.save"):
        bb.AttackResult.load(tmp_path)


@pytest.mark.parametrize("damage", ["a column cut short", "a setting lost"])
def test_a_damaged_folder_is_refused_where_it_is_read(damage: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    p = affine_problem("Linf")
    bb.attack(bb.Oracle(p.target, "logits", 3), p.x, p.y, "square", bb.Linf(0.1), 9).save(tmp_path)
    if damage == "a column cut short":
        tensors = load_file(tmp_path / "examples.safetensors")
        save_file({**tensors, "queries": tensors["queries"][:3]}, tmp_path / "examples.safetensors", {"format": "blackbox-result-1"})
        message = "queries has 3 entries for 5 samples"
    else:
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "budget"}))
        message = "config.json does not say budget"
    with pytest.raises(ValueError, match=message):
        bb.AttackResult.load(tmp_path)


def test_every_status_has_a_sentence() -> None:
    assert all(s.value[0].islower() and len(s.value) > 20 for s in Status)
    assert len({s.value for s in Status}) == len(Status)


def test_ledger_closes_once_and_comes_back() -> None:
    led = Ledger.open(torch.rand(4, 2))
    assert led.live.all() and (led.status == LIVE).all()
    led.close(np.array([0, 2]), Status.BUDGET)
    led.close(np.array([2, 3]), Status.GAVE_UP)
    assert led.status.tolist() == [CODES[Status.BUDGET], LIVE, CODES[Status.BUDGET], CODES[Status.GAVE_UP]]
    again = Ledger.restore(led.state())
    for name, value in vars(led).items():
        other = getattr(again, name)
        unknown = name in ("loss0", "sure0", "sure1")
        assert torch.equal(value, other) if name == "x" else np.array_equal(value, other, equal_nan=unknown), name
    again.spent += 1
    assert led.spent.sum() == 0, "state() must copy"


def test_take_keeps_rows_together() -> None:
    r = result()
    some = r.take([3, 1])
    assert some.ids.tolist() == [1, 3] and some.queries.tolist() == [10, 4] and some.success.tolist() == [False, True]
    assert len(r.take([])) == 0 and "– (n = 0)" in r.take([]).summary()
    assert some.status == (Status.BUDGET, Status.SUCCESS) and torch.equal(some.x_adv, r.x_adv[[3, 1]])


def test_what_the_target_said_is_kept(tmp_path: Path) -> None:
    """Label and probability of clean images and of examples, and a hash of each image, as the target gives them."""
    problem = affine_problem("Linf")
    oracle = bb.Oracle(problem.target, access="scores", classes=3)
    r = bb.attack(oracle, problem.x, problem.y, "square", threat=bb.Linf(0.3), budget=200, seed=0)
    told = bb.Oracle(problem.target, access="scores", classes=3)
    clean, fooled = told(problem.x), told(r.x_adv)
    assert torch.allclose(r.clean_confidence, clean.values.amax(1)) and r.success.any()
    assert torch.equal(r.adv_label[r.success], fooled.label[r.success]) and (r.adv_label[~r.success] == -1).all()
    assert torch.allclose(r.adv_confidence[r.success], fooled.values.amax(1)[r.success])
    assert len(set(r.prints.tolist())) == len(torch.unique(problem.x.flatten(1), dim=0))
    again = bb.AttackResult.load(r.save(tmp_path))
    assert torch.equal(again.prints, r.prints) and torch.equal(again.adv_label, r.adv_label)


def test_files_of_before_are_read(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    result().save(tmp_path)
    tensors = load_file(tmp_path / "examples.safetensors")
    for name in ("adv_label", "clean_confidence", "adv_confidence", "prints"):
        del tensors[name]
    save_file(tensors, tmp_path / "examples.safetensors", {"format": "blackbox-result-1"})
    old = bb.AttackResult.load(tmp_path)
    assert old.prints.tolist() == [0] * 5 and old.adv_label.tolist() == [-1] * 5 and old.clean_confidence.isnan().all()


def test_the_default_attack_is_that_of_the_command_line_and_is_square_where_it_was() -> None:
    """On scores in Linf the search is the same to the bit; on labels alone it is one that sees labels."""
    import inspect
    import typing

    from blackbox.cli.options import Search

    here = {n: p.default for n, p in inspect.signature(bb.attack).parameters.items()}
    assert (here["attack"], here["budget"], here["seed"]) == (Search.attack, Search.budget, 0) == ("auto", 1000, 0)
    assert typing.get_type_hints(Search)["attack"] is str
    net = torch.nn.Linear(6, 3)
    x = torch.rand(5, 6, generator=torch.Generator().manual_seed(0))
    y = net(x).argmax(1)
    default, square = (bb.attack(bb.Oracle(net, classes=3), x, y, *name, threat=bb.Linf(0.1), budget=30) for name in ((), ("square",)))
    assert torch.equal(default.x_adv, square.x_adv) and torch.equal(default.queries, square.queries)

"""A tariff as text: the same for the command line, studies and the league; each fault is a sentence."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox import specs
from blackbox.evaluation import Evaluation
from blackbox.sweep import Plan, Study
from blackbox.sweep.views import result
from tests.studies import here, study  # noqa: F401

PRICES = "query=0.01, bad=1/50,most=1.5,lock-out=5"


def test_a_tariff_is_read() -> None:
    assert specs.read_tariff(PRICES) == bb.Tariff(query=0.01, bad=0.02, most=1.5, lock_out=5)
    assert specs.read_tariff(None) is None is specs.tariff_of({})
    assert str(specs.read_tariff(PRICES)) == "query 0.01, bad 0.02; at most 1.50 an image, locked out after 5 flagged queries"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("qery=1", "Expected prices (query, flagged, bad, label, gradient, second) and limits (lock_out, most) in a tariff, but there was "
         "'qery'. Did you mean 'query'?"),
        ("query", "Expected a tariff as name=value"), ("", "but there was none in ''"), ("query=much", "Expected query to be a number"),
        ("query=1,query=2", "Expected each price once in a tariff, but query was there twice"),
        ("query=1,lock-out=2.5", "Expected lock_out to be a whole number"), ("query=-1", "the price query to be a number of at least 0"),
        (f"query=1,lock-out={2**63}", "Expected lock_out to be a whole number below 2**63"),
        ("query=1,most=0.5", "Expected most to pay for a query at least"),
    ],
)  # fmt: skip
def test_what_is_no_tariff_is_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        specs.read_tariff(text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_study_keeps_to_a_tariff(here: Path) -> None:  # noqa: F811
    grid = {"targets": "target.py:linear", "attacks": "square", "threats": "linf:0.05", "budgets": 30}
    plain = Study(**study().model_dump() | {"attack": grid})
    priced = Study(**study().model_dump() | {"attack": grid | {"tariff": "query=0.1,bad=0.2,most=3"}})
    assert Plan.of(plain).cells()[0].key != Plan.of(priced).cells()[0].key
    assert sum(map(Plan.of(priced).worst, Plan.of(priced).cells())) == 14 * 10
    table = priced.run("s")
    (point,) = table.outcomes
    found = table.outcomes[point]
    money = 0.1 * found["queries"] + 0.2 * found["bad"]
    assert (money <= 3).all() and table.records()[0]["money"] == pytest.approx(money.sum())
    assert table.queries(point)[0] == np.where(found["success"], found["queries"], 10)[found["attacked"]].mean()
    assert "Tariff: query 0.1, bad 0.2; at most 3 an image; money in all: square, on target.py:linear, linf:0.05" in str(table)
    r = result(table, point)
    assert r is not None and r.money.tolist() == pytest.approx(money.tolist()) and r.config["budget"] == 10
    with pytest.raises(ValueError, match=r"attack: Expected prices .* but there was 'qery'"):
        Study(**study().model_dump() | {"attack": grid | {"tariff": "qery=1"}})


def test_an_evaluation_keeps_to_a_tariff(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    x = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    prices: Any = bb.Tariff(query=1, most=6)
    e = bb.evaluate(
        lambda access: bb.Oracle(net, access, 3), x, net(x).argmax(1), bb.Linf(0.01), budgets=(5, 20), levels=("scores",), attack="square",
        tariff=prices,
    )  # fmt: skip
    runs = [e.results["scores", budget] for budget in (5, 20)]
    assert [int(r.queries.max()) for r in runs] == [5, 6] and all(r.config["tariff"] == asdict(prices) for r in runs)
    said = [f"money, scores, {budget} queries: {r.bill}" for budget, r in zip((5, 20), runs, strict=True)]
    assert e.paid() == said and all(line in e.table() for line in said)
    assert Evaluation.load(e.save(tmp_path)).paid() == said

"""Sweeps as they run in this process: nothing done twice, rates, and cells that fail."""

from __future__ import annotations

import runpy
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from blackbox.statistics import Rate
from blackbox.sweep import Plan, Store, Study, Table
from blackbox.sweep import work as worker
from blackbox.sweep.views import result
from tests.studies import TARGET, asked, same, study


def one_point() -> Study:
    """At a radius at which some images are fooled."""
    attack = {"targets": ["target.py:linear"], "attacks": ["square"], "threats": ["linf:0.3"], "budgets": [10]}
    return Study(**study().model_dump() | {"attack": attack})


def test_a_study_that_grew_does_only_what_is_new(here: Path) -> None:
    small = study()
    small.run("s")
    before = asked(here)
    values = small.model_dump()
    values["attack"]["budgets"] = [10, 30, 50]
    grown = Study(**values)
    assert "left             16 cells" in Plan.of(grown).summary(Store("s").done())
    table = grown.run("s")
    new = [p for p in table.outcomes if p.budget == 50]
    cost = sum(int(table.outcomes[p]["queries"].sum() + (table.outcomes[p]["verified"] >= 0).sum()) for p in new)
    assert asked(here) - before == cost


def test_rates_are_those_of_one_attack_on_all_images(here: Path) -> None:
    import blackbox as bb

    table = study().run("s")
    point = next(p for p in table.outcomes if p.what == "square" and p.budget == 30 and p.seed == 1)
    data = np.load("data.npz")
    model = runpy.run_path("target.py")["linear"]
    alone = bb.attack(bb.Oracle(model, classes=3), data["images"], data["labels"], "square", bb.Linf(0.05), 30, seed=1)
    assert table.rate(point) == alone.success_rate
    assert table.queries(point) == (alone.mean_queries, alone.median_queries)
    np.testing.assert_array_equal(table.outcomes[point]["queries"], alone.queries.numpy())
    record = next(r for r in table.records() if r["what"] == "square" and r["budget"] == 30 and r["seed"] == 1)
    assert (record["fooled"], record["of"], record["images"]) == (alone.success_rate.k, alone.success_rate.n, 14)
    assert "square" in str(table) and table.save("out").joinpath("rates.csv").read_text().count("\n") == 9


def test_money_and_budgets_are_those_of_one_attack_with_the_tariff(here: Path) -> None:
    """An image has money for five of its ten queries."""
    import blackbox as bb

    plain = one_point()
    assert plain.attack is not None
    priced = Study(**plain.model_dump() | {"attack": plain.attack.model_dump() | {"tariff": "query=0.01,bad=0.02,most=0.15"}})
    assert "at most 70 queries" in Plan.of(priced).summary() and "at most 140 queries" in Plan.of(plain).summary()
    table = priced.run("s")
    (point,) = table.outcomes
    data, model = np.load("data.npz"), runpy.run_path("target.py")["linear"]
    tariff = bb.Tariff(query=0.01, bad=0.02, most=0.15)
    alone = bb.attack(bb.Oracle(model, classes=3), data["images"], data["labels"], "square", bb.Linf(0.3), 10, tariff=tariff)
    assert table.queries(point) == (alone.mean_queries, alone.median_queries)
    found = result(table, point)
    assert found is not None and found.config["budget"] == alone.config["budget"] == 5 and found.bill.total == alone.bill.total
    assert table.money(point) == table.records()[0]["money"] == pytest.approx(alone.bill.total)
    assert "Tariff: query 0.01, bad 0.02; at most 0.15 an image; money in all: " in str(table)


def test_a_cell_that_fails_says_why_and_the_others_go_on(here: Path) -> None:
    both = study(["target.py:refuses", "target.py:linear"])
    table = both.run("s")
    assert len(table.failures) == 32 and table.done == 32 and table.total == 64
    assert all("not today" in reason for reason in table.failures.values())
    assert str(table).startswith("INCOMPLETE: 32 of 64 cells are missing, and their images unknown: 32 of them failed (")
    for point in table.outcomes:
        failed = point.target == "target.py:refuses"
        assert table.rate(point) == Rate(0, 0, unknown=14) if failed else table.rate(point).n > 0 == table.unknown(point)
        assert (result(table, point) is None) == failed
    assert len(both.run("s").failures) == 32  # tried again


def test_images_of_missing_cells_are_unknown(here: Path) -> None:
    whole = one_point().run("s")
    (point,) = whole.outcomes
    cell = whole.plan.first[point]
    with sqlite3.connect("s") as file:
        file.execute("DELETE FROM cells WHERE key = ?", (cell,))
    with Store("s", look=True) as store:
        part = Table.read(whole.plan, store)
    rate, true = part.rate(point), whole.rate(point)
    block = len(whole.outcomes[point]["y"]) - len(part.outcomes[point]["y"])
    assert block and rate.unknown == block and rate.bounds[0] <= true.value <= rate.bounds[1]
    assert part.incomplete == f"INCOMPLETE: 1 of {part.total} cells are missing, and their images unknown"
    one = result(part, point)
    assert one is not None and one.robust_accuracy.unknown == block and len(one) == 14 and not one.complete
    assert one.success_rate == rate and "their cells of the sweep failed, or are not done" in one.summary().splitlines()[0]
    assert next(r for r in part.records() if r["unknown"])["unknown"] == block


def test_a_cell_whose_examples_were_not_verified_is_tried_again_from_its_journal(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("blackbox.engine.engine.verify", lambda *_: None)  # as where the target fails then
        first = one_point().run("s", journal=here / "book")
    paid = asked(here)
    assert first.failures and all("verification of" in said for said in first.failures.values())
    again = one_point().run("s", journal=here / "book")
    assert not again.failures and not any((c["success"] & (c["verified"] < 0)).any() for c in again.outcomes.values())
    verified = sum(int((c["verified"] >= 0).sum()) for c in again.outcomes.values())
    assert asked(here) - paid <= verified + 8 * len(first.failures), "the queries of the search are not paid again"


def test_a_file_that_is_another_on_the_worker(here: Path) -> None:
    plan = Plan.of(study())
    sent = plan.job(list(plan.cells())[:1])
    (here / "target.py").write_text(TARGET + "\n# changed\n")
    (result,) = worker.job(sent)
    assert result["columns"] is None and "Expected target.py:linear to be the same on every machine" in result["error"]
    (here / "target.py").unlink()
    (result,) = worker.job(sent)
    assert "Expected the model target.py:linear, but there is no file target.py" in result["error"]


def test_data_that_changed_since_are_read_anew(here: Path) -> None:
    """A second study of the same process, under the same names: other cells, not those of the images that were there before."""
    first = study().run("store.sqlite")
    shown = dict(np.load("data.npz"))
    np.savez("data.npz", images=1 - shown["images"], labels=shown["labels"])
    second = study().run("store.sqlite")
    assert first.done == second.done == first.total == second.total
    assert asked(here) and not same(first, second)
    with Store("store.sqlite", look=True) as store:
        assert len(store.done()) == 2 * first.total


def test_a_study_with_a_goal_says_its_own_words(here: Path) -> None:
    import blackbox as bb

    (here / "far.py").write_text("def sums(x):\n    return x.flatten(1).sum(1)\n\n\ndef far(answer):\n    return answer - %s\n")
    data = np.load("data.npz")
    sums = data["images"].reshape(len(data["images"]), -1).sum(1)
    limit = float(np.sort(sums)[-2]) - 0.01  # two reach it unchanged
    (here / "far.py").write_text((here / "far.py").read_text() % limit)
    grid = {"targets": ["far.py:sums"], "attacks": ["square"], "threats": ["linf:0.2"], "budgets": [30], "goal": "far.py:far"}
    made = Study(**study().model_dump() | {"attack": grid, "transfer": None})
    table = made.run("s")
    (point,) = table.outcomes
    module = runpy.run_path("far.py")
    oracle = bb.Oracle(module["sums"], "answers")
    alone = bb.attack(oracle, data["images"], None, "square", bb.Linf(0.2), 30, goal=bb.goal(module["far"]))
    assert table.rate(point) == alone.success_rate and alone.success_rate.n == len(sums) - 2
    text, record = str(table), table.records()[0]
    assert "Goal: far.py:far; reached: of the inputs that did not reach it unchanged" in text and "fooled" not in text
    assert record["reached"] == alone.success_rate.k and "fooled" not in record
    one = result(table, point)
    assert one is not None and one.config["goal"] == "far.py:far" and "accuracy" not in one.summary()
    before = Plan.of(made).first[point]
    (here / "far.py").write_text((here / "far.py").read_text() + "\n")
    assert Plan.of(made).first[point] != before, "another file is another goal"
    with pytest.raises(ValueError, match="either targeted or a goal"):
        Study(**made.model_dump() | {"attack": grid | {"targeted": "1"}})

"""Rows of a table: what is refused, what is scaled, what a result says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier

import blackbox as bb

FRAME = pd.DataFrame(
    {
        "age": [30, 40, 50, 20],
        "income": [1000.5, 2000.25, 3000.0, 500.0],
        "sex": [0, 1, 1, 0],
        "job_cook": [1, 0, 0, 1],
        "job_nurse": [0, 1, 0, 0],
        "job_none": [0, 0, 1, 0],
        "region": [0, 2, 1, 2],
    }
)
JOBS = ["job_cook", "job_nurse", "job_none"]
KINDS: dict[str, Any] = {"integer": ["age"], "categorical": [JOBS, "region"], "immutable": ["sex"], "increasing": ["age"]}
TABLE = bb.Tabular.from_data(FRAME, **KINDS)


def test_a_table_learns_ranges_and_names_and_is_made_again_of_its_settings() -> None:
    assert TABLE.columns == tuple(FRAME.columns) and TABLE.ranges[:2] == ((20, 50), (500.0, 3000.0))
    assert TABLE.categorical == {"job": tuple(JOBS), "region": ("region",)}
    assert bb.Tabular(**TABLE.about()) == TABLE
    other = bb.Tabular.from_data(FRAME, **KINDS, ranges={"age": (18, 99)})
    assert other.ranges[0] == (18, 99) and other.ranges[1] == TABLE.ranges[1]
    by_place = bb.Tabular.from_data(FRAME.to_numpy(), integer=[0], categorical=[[3, 4, 5], 6], immutable=2, increasing=[0])
    assert torch.equal(by_place.scale(FRAME.to_numpy()), TABLE.scale(FRAME))


def test_scaled_columns_and_back_to_the_bit() -> None:
    z = TABLE.scale(FRAME)
    assert z.shape == (4, 3 + 3 + 3) and z.dtype == torch.float32  # three numbers, three jobs, three regions
    assert z[0].tolist() == pytest.approx([1 / 3, 0.2002, 0, 1, 0, 0, 1, 0, 0])
    rows = TABLE.rows(FRAME[::-1])
    assert torch.equal(rows.shown(rows.z), torch.tensor(FRAME[::-1].to_numpy()))
    moved = rows.z.clone()
    moved[:, 0] += 0.02  # 0.6 of a year: a whole one up; a fall is none
    moved[1, 0] = 0.0
    assert rows.shown(moved)[:, 0].tolist() == [21, 50, 41, 31]


@pytest.mark.parametrize("norm", [bb.Linf(0.05), bb.L2(0.05), bb.L1(0.05)])
def test_whole_numbers_go_towards_the_clean_one_where_the_nearest_is_outside(norm: bb.Threat) -> None:
    table = bb.Tabular([(0, 10), (0, 1)], integer=[0])
    rows = table.rows(np.array([[5.0, 0.5], [5.0, 0.5]]))
    z = rows.z.clone()
    z[:, 0] += 0.055
    assert rows.shown(z)[:, 0].tolist() == [6, 6] and rows.shown(z, threat=norm)[:, 0].tolist() == [5, 5]


def test_a_category_changes_as_one_or_not_at_all() -> None:
    rows = TABLE.rows(FRAME[:1])
    z = rows.z.clone()
    z[0, 3:6] = torch.tensor([0.4, 0.1, 0.6])
    x = rows.shown(z)
    assert x[0, 3:6].tolist() == [0, 0, 1] and x[0, :3].tolist() == rows.x[0, :3].tolist()
    for threat, far in ((bb.L2(2.0), 1), (bb.L1(2.0), 1), (bb.Linf(1.0), 1), (bb.L0(2), 1)):
        assert float(TABLE.distance(x, FRAME[:1], threat)) == far
        assert torch.equal(rows.shown(z, threat=threat), x)
    for threat in (bb.L2(0.9), bb.L1(0.9), bb.Linf(0.9)):
        assert torch.equal(rows.shown(z, threat=threat), rows.x)
    z[0, 3:6] = torch.tensor([1.0, 1.0, 0.0])  # what changes one entry at a time means the new one
    assert rows.shown(z)[0, 3:6].tolist() == [0, 1, 0]


def test_float32_rows_stay_in_ranges_that_float32_does_not_hold() -> None:
    table = bb.Tabular([(0.1, 0.7)])
    rows = table.rows(np.array([[0.3]], np.float32))
    for end in (0.0, 1.0):
        x = rows.shown(torch.full((1, 1), end))
        assert x.dtype == torch.float32 and 0.1 <= float(x[0, 0]) <= 0.7


def test_violations_are_told_apart_and_projected_away() -> None:
    x = torch.tensor(FRAME.to_numpy())
    x[0, 0] = 30.5  # neither whole
    x[1, 0] = 39  # nor fallen
    x[2, 1] = 9999  # nor outside
    x[3, 2] = 1  # nor another
    x[3, 4] = 1  # nor two
    found = {kind: hit.tolist() for kind, hit in TABLE.violations(x, FRAME).items()}
    assert found == {
        "ranges": [False, False, True, False],
        "integer": [True, False, False, False],
        "categorical": [False, False, False, True],
        "immutable": [False, False, False, True],
        "increasing": [False, True, False, False],
    }
    assert not TABLE.valid(x, FRAME).any() and TABLE.valid(TABLE.project(x, FRAME), FRAME).all()
    x = torch.tensor(FRAME.to_numpy())
    x[:, 1] = float("nan")  # in no range
    assert TABLE.violations(x, FRAME)["ranges"].all() and not TABLE.valid(x, FRAME).any()
    kept = bb.Tabular.from_data(FRAME, categorical=[JOBS], immutable=JOBS)
    assert torch.equal(kept.project(FRAME[::-1], FRAME)[:, 3:6], torch.tensor(FRAME[JOBS].to_numpy(float)))


def test_categories_that_no_row_has_and_codes_between_whole_numbers() -> None:
    seen = np.array([[0.0, 1.0, 0.0, 0.1], [1.0, 0.0, 0.0, 0.9]])
    table, other = bb.Tabular.from_data(seen, categorical=[[0, 1, 2]]), np.array([[0.0, 0.0, 1.0, 0.1]])
    assert torch.equal(table.project(other, seen[:1]), torch.tensor(other)) and table.valid(other, seen[:1]).all()
    table.rows(other)
    coded = bb.Tabular([(0.5, 3.5), (0, 1)], categorical=[0])
    rows = coded.project(np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([[2.0, 0.0]] * 2))
    assert rows[:, 0].tolist() == [1.0, 3.0] and coded.valid(rows, rows).all()


def test_a_table_needs_ranges() -> None:
    with pytest.raises(ValueError, match="Expected ranges as a pair .* but they were None"):
        bb.Tabular(None)


def broken(**cells: Any) -> pd.DataFrame:
    out = FRAME.copy().astype(object)
    for column, value in cells.items():
        out.loc[1, column] = value
    return out


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ({"categorical": [JOBS, ["job_none", "region"]]}, "'job_none' is in 'job' and in"),
        ({"immutable": ["age", "shoe"]}, "'shoe' is none of them"),
        ({"integer": [7]}, "7 is none of them"),
        ({"immutable": ["age"], "increasing": ["age"]}, "'age' is both"),
        ({"categorical": [JOBS], "integer": ["job_none"]}, "'job_none' holds a category"),
        ({"categorical": [JOBS], "immutable": ["job_none"]}, "all columns of the category 'job'"),
        ({"ranges": {"age": (9, 3)}}, "range of column 'age' to be finite, the lowest first"),
        ({"ranges": {"age": 3}}, "range of column 'age' to be a pair"),
        ({"ranges": {"age": (20.2, 20.8)}, "integer": ["age"]}, "whole number in the range of column 'age'"),
        ({"immutable": list(FRAME.columns)}, "all columns are immutable"),
        ({"immutable": list(FRAME.columns)[1:], "ranges": {"age": (30, 30)}}, "or have one value"),
        ({"categorical": [JOBS], "ranges": {"job_none": (0, 0)}}, r"one-hot column 'job_none' to be \(0, 1\)"),
        ({"categorical": ["region"], "ranges": {"region": (0.1, 0.9)}}, "whole number in the range of column 'region'"),
        ({"categorical": ["income"], "ranges": {"income": (0, 1e9)}}, "100000 codes at most, but the range of 'income'"),
        ({"categorical": [[]]}, "one is empty"),
        ({"columns": list("aabcdef")}, "'a' occurs 2 times"),
    ],
)
def test_what_contradicts_itself_is_refused(kinds: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bb.Tabular.from_data(FRAME, **kinds)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (broken(age=60), r"column 'age' to be within its range \[20, 50\], but it is 60 in sample 1"),
        (broken(age=30.5), "column 'age' to be a whole number, but it is 30.5 in sample 1"),
        (broken(job_cook=1), "exactly one 1 .* 'job' .* sample 1 has 2"),
        (broken(job_nurse=0), "exactly one 1 .* sample 1 has 0"),
        (broken(income=math.nan), "sample 1 has nan in 'income'"),
        (broken(income="much"), "column 'income' holds 'much'"),
        (FRAME.drop(columns="age"), "has no 'age'"),
        (FRAME.to_numpy()[:, 1:], "rows of 7 columns"),
    ],
)
def test_rows_that_are_none_are_refused_before_any_query(frame: Any, said: str) -> None:
    oracle = bb.Oracle(lambda x: x[:, :2], classes=2)
    with pytest.raises(ValueError, match=said):
        bb.attack(oracle, frame, [0, 0, 0, 0], "square", bb.L2(1), 10, table=TABLE)
    assert oracle.rows == 0


def test_what_does_not_go_with_a_table_is_refused() -> None:
    oracle = bb.Oracle(lambda x: x[:, :2], classes=2)
    for more, said in (
        ({"mask": np.ones(7, bool)}, "no mask with a table"),
        ({"eight_bit": True}, "no eight_bit with a table"),
        ({"threat": bb.L2(1, 0.0, 2.0)}, r"scaled to \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=said):
            bb.attack(oracle, FRAME, [0] * 4, "square", **{"threat": bb.L2(1), "table": TABLE, **more})
    with pytest.raises(ValueError, match="Rows of a table"):
        bb.attack(oracle, FRAME.to_numpy(float), [0] * 4, "square", bb.L2(1))
    with pytest.raises(TypeError, match="to be a blackbox.Tabular"):
        bb.attack(oracle, FRAME, [0] * 4, "square", bb.L2(1), table={"age": 1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="range for each column that may change, but 'b' has none"):
        bb.Tabular({"a": (0, 1), "b": None})
    with pytest.raises(ValueError, match="attack on rows of a table"):
        bb.attack(bb.Oracle(lambda x: x, classes=2), np.array([[0.2, 0.4]], np.float32), [1], "square", bb.L2(1), 5).changes()


def test_a_model_of_named_columns_is_attacked_and_the_result_says_what_changed(tmp_path: Path) -> None:
    draws = np.random.default_rng(1)
    frame = pd.DataFrame({"age": draws.integers(18, 80, 300), "income": draws.uniform(0, 9e4, 300), "sex": draws.integers(0, 2, 300)})
    y = ((frame.age > 45) & (frame.income > 3e4)).to_numpy().astype(int)
    model = DecisionTreeClassifier().fit(frame, y)
    table = bb.Tabular.from_data(frame, integer=["age"], immutable=["sex"])
    x, y = frame[:6].sample(frac=1, axis=1, random_state=0), y[:6]  # columns in another order
    journal, run = tmp_path / "journal", {"threat": bb.L2(math.inf), "budget": 60, "table": table}
    oracle = bb.Oracle(model, "labels", classes=2)
    result = bb.attack(oracle, x, y, "hop-skip-jump", **run, journal=journal)  # type: ignore[arg-type]
    assert bool(result.success.all()) and result.success.tolist() == (model.predict(frame[:6].assign(
        **{name: result.x_adv[:, i].numpy() for i, name in enumerate(table.columns)})) != y).tolist()  # fmt: skip
    changes = result.changes()
    assert {c.column for c in changes} <= {"age", "income"} and {c.sample for c in changes} == set(range(6))
    for c in changes:
        assert c.before == frame[c.column][c.sample] and float(c.after) == result.x_adv[c.sample, table.columns.index(c.column)]
    for i in range(6):
        assert sum(c.scaled**2 for c in changes if c.sample == i) ** 0.5 == pytest.approx(float(result.distance[i]))
    assert "income  in" in result.summary() and "of its range" in result.summary() and "mask" not in result.summary()
    again = bb.AttackResult.load(result.save(tmp_path / "run"))
    assert again.changes() == changes and torch.equal(again.x_adv, result.x_adv)
    assert again.take([2]).changes() == [c._replace(sample=0) for c in changes if c.sample == 2]
    replayed = bb.attack(bb.Oracle(model, "labels", classes=2), x, y, "hop-skip-jump", **run, journal=journal)  # type: ignore[arg-type]
    assert torch.equal(replayed.x_adv, result.x_adv) and replayed.config["journal"]["paid"] <= 6  # the verification alone
    single = bb.attack(bb.Oracle(model, "labels", classes=2), x[3:4], y[3:4], "hop-skip-jump", **run, ids=[3])  # type: ignore[arg-type]
    assert torch.equal(single.x_adv[0], result.x_adv[3])


def test_a_checkpoint_goes_on(tmp_path: Path) -> None:
    calls = []

    def model(x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        if len(calls) == 9:
            raise RuntimeError("down")
        return torch.stack([x[:, 1], torch.full((len(x),), 1500.0)], 1)

    run: dict[str, Any] = {"attack": "square", "threat": bb.L2(0.3), "budget": 40, "table": TABLE}
    y = [1, 0, 0, 1]
    with pytest.raises(bb.TargetError):
        bb.attack(bb.Oracle(model, "logits", 2), FRAME, y, **run, checkpoint=tmp_path / "c")
    resumed = bb.attack(bb.Oracle(model, "logits", 2), FRAME, y, **run, checkpoint=tmp_path / "c")
    whole = bb.attack(bb.Oracle(model, "logits", 2), FRAME, y, **run)
    assert torch.equal(resumed.x_adv, whole.x_adv) and torch.equal(resumed.queries, whole.queries) and resumed.config["carried"] > 0

"""No number in README or docs that committed rows do not give: the walk, what it refuses, and what it knows to be no measurement."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blackbox as bb
from experiments import ground, marks, measured, measurements, publishable, published, tables
from experiments.measurements import ROOT
from experiments.publishable import Figure, Spread, Table, told

README, RESULT, HOW_TO = ROOT / "README.md", ROOT / "docs" / "results" / "x.md", ROOT / "docs" / "how-to" / "x.md"

SETTINGS = (  # of docstrings: what is set, not measured
    "15 % of the moves hold", "success is 0 %", "10 % larger", "10 % smaller", "r**(1/3)", "r**(1/2)", "r ** (1/3)",
    "a chance of 0.3 to 5 %", "within 3 % of each other", "no 0.01 % better loss",
    "At the checkpoints, 22 % of the steps",
)  # fmt: skip


@pytest.mark.parametrize("path", published.pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_page_has_a_number_that_no_rows_give(path: Path) -> None:
    assert published.amiss(path) == []


def test_the_tables_and_the_list_of_attacks_are_what_rows_say() -> None:
    assert (ROOT / tables.OUT).read_text(encoding="utf-8") == tables.text()
    assert measured.FILE.read_text(encoding="utf-8") == measured.text()


def test_the_readme_is_short() -> None:
    text = re.sub(r"<!--.*?-->", "", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert sum(bool(re.search(r"\w", word)) for word in text.split()) <= 800  # the bars of tables are no words


@pytest.mark.parametrize("package", ["blackbox", "surrogates"])
def test_docstrings_tell_of_no_measurement(package: str) -> None:
    found = {}
    for path in (ROOT / package).rglob("*.py"):
        text = published.docstrings(path.read_text(encoding="utf-8"))
        for setting in SETTINGS:
            text = text.replace(setting, "")
        found[path.relative_to(ROOT).as_posix()] = marks.unmarked(text, strict=False)
    assert {name: numbers for name, numbers in found.items() if numbers} == {}


def test_a_measurement_in_a_docstring_is_found() -> None:
    source = 'def f() -> int:\n    """What it does.\n\n    It needs 12.4 queries an image, 93 % of them.\n    """\n    return 1\n'
    assert marks.unmarked(published.docstrings(source), strict=False) == ["line 4: 12.4 queries an", "line 4: 93 %"]


@pytest.mark.parametrize(
    "text",
    [
        "Square needs 12.4 queries.", "It fools 93 % [91, 95].", "| square | 12.4 | 300/300 |", "It is twice as fast.",
        "A dozen queries.", "**1.3** times Square's time", "- 44.5 instead of 70.7", "```text\nmean 12.4\n```", "[a 12.4](x.md)",
        "It asks two thirds.", ":::{div} answer\nOn 97 %.\n:::", "0.4", "117→11", "p = .07", "ResNet-20 12.4", "MNIST 21.6 queries",
        "Linf 8/255 12.4", "a <!-- m: attacks -->31<!-- /m --> and 32", "1,000 queries", "10x faster",
    ],
)  # fmt: skip
def test_a_number_by_hand_is_refused(text: str) -> None:
    for path in (README, RESULT):
        assert any("a number that no mark derives" in line for line in published.amiss(path, text)), path


@pytest.mark.parametrize(
    "text", ["It fools 93 % of them.", "Square needs 12.4 queries each.", "3 times faster", "it fooled 5", "(37/50)", "0.4 [0.3, 0.5]"]
)
def test_claims_are_refused_on_any_page(text: str) -> None:
    assert published.amiss(HOW_TO, text) != []


@pytest.mark.parametrize(
    "text",
    [
        "A CIFAR ResNet-20, Linf 8/255, L2, uint8, EfficientNet-Lite0.", "MNIST at Linf 0.3, eps 0.1, a budget of 1,000 queries.",
        "Digits of 8 × 8 pixels, a 95 % interval.", "Szegedy et al. 2013, table 4, arXiv:1312.6199", "`12.4` and\n\n```sh\nx 12.4\n```",
        "1. First.\n2. Second.", "Python 3.11; [results](12.md); pixels in [0, 1]", "% a comment 12.4\n:name: 12.4",
        "```{results} Queries 12.4\n```", "The <!-- cited: Papernot et al. 2017 -->84 %<!-- /m -->", "three seeds, ten gradients",
    ],
)  # fmt: skip
def test_what_is_no_measurement_passes(text: str) -> None:
    assert published.amiss(RESULT, text) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a <!-- m: attacks -->30<!-- /m -->", "Run python -m experiments.tables"),
        ("a <!-- m: nothing -->30<!-- /m -->", "Expected a mark to name a function"),
        ("a <!-- m: attacks 5 -->30<!-- /m -->", "Expected words that attacks takes"),
        ("<!-- m: attacks -->30", "before another begins"),
        ("<!-- m: attacks --><!-- m: attacks -->30<!-- /m --><!-- /m -->", "before another begins"),
        ("Some text\n<!-- m: attacks -->31<!-- /m --> attacks", "Expected a word before the mark 'attacks'"),
        ("a <!-- cited: somebody -->30<!-- /m -->", "Expected a source with its year"),
        ("a <!-- m: command nobody_ran_this -->`x`<!-- /m -->", "is not there"),
    ],
)
def test_marks_that_are_amiss(text: str, told: str) -> None:
    assert told in "\n".join(published.amiss(README, text))


def test_a_table_with_a_bare_mean_is_refused() -> None:
    table = "## Speed\n\n| attack | mean queries |\n| --- | --- |\n| square | 12.4 (0.3) |\n| nes | 12.4 [10.1, 15.0] |\n| spsa | – |\n"
    assert published.amiss(ROOT / "experiments" / "RESULTS.md", table) == [
        "experiments/RESULTS.md, line 5: 12.4 (0.3): a mean without an interval. Give it as a Figure of experiments/publishable.py."
    ]


def test_marks_are_rewritten_and_code_is_not() -> None:
    text = "a <!-- m: x 1 -->old<!-- /m -->\n```sh\n<!-- m: x 1 -->code<!-- /m -->\n```\n<!-- cited: A 2017 -->84<!-- /m -->\n"
    new = marks.rewritten(text, lambda words: f"<{words}>")
    assert new == text.replace("old", "<x 1>") and marks.rewritten(new, lambda words: f"<{words}>") == new
    with pytest.raises(ValueError, match="Expected no backticks inside of a mark, but what 'x 1' gives has some"):
        marks.rewritten(text, lambda words: f"`{words}`")


# -- what can be published ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [12.4, np.float64(3.0), None, True, (1, 2), bb.Rate(0, 0)])
def test_a_bare_number_cannot_be_told(value: Any) -> None:
    with pytest.raises(ValueError, match="Expected a figure with its interval"):
        told(value)


@pytest.mark.parametrize(("value", "low", "high", "n"), [(5, 5, 5, 9), (5, 1, 9, 1), (5, float("nan"), 9, 9), (5, 6, 9, 9)])
def test_a_mean_without_an_interval_is_none(value: float, low: float, high: float, n: int) -> None:
    with pytest.raises(ValueError, match="Publish no mean without its interval"):
        Figure(value, low, high, n)


def test_what_figures_say() -> None:
    assert told(Figure(112.4, 97.6, 128.2, 206)) == "112 [98, 128] (n = 206)"
    assert told(Figure(11.24, 9.76, 13.1, 1206)) == "11.2 [9.8, 13.1] (n = 1,206)"
    assert told(Figure(0.941, 0.9, 0.97, 206, percent=True)) == "94 % [90, 97] (n = 206)"
    assert told(Spread(1.104, 0.95, 1.28, 5)) == "1.10 [0.95, 1.28] (5 runs)"
    assert told(bb.Rate(37, 50)) == "74 % [60, 84] (37/50)" and told(11383) == "11,383"
    assert told(bb.Rate(0, 1000)) == "0 % [0.0, 0.4] (0/1,000)" and told(bb.Rate(995, 1000)) == "99.5 % [98.8, 99.8] (995/1,000)"
    one = Figure(112.4, 97.6, 128.2, 206)
    assert "| square | 112 [98, 128] (n = 206) |" in str(Table(["attack", "mean"], [["square", one]]))
    assert "| square | 206 | 112 [98, 128] |" in str(Table(["attack", "images", "mean"], [["square", 206, one]]))
    with pytest.raises(ValueError, match="Expected a figure"):
        str(Table(["attack", "mean"], [["square", 12.4]]))


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results file: two attacks, two seeds, four images."""
    monkeypatch.setattr(measurements, "ROOT", tmp_path)
    path = tmp_path / measurements.RESULTS / "made.json"
    path.parent.mkdir(parents=True)
    lists = {("a", 0): ([3, 9, 5, 7], [1, 1, 0, 1]), ("a", 1): ([5, 9, 7, 7], [1, 1, 1, 1]), ("b", 0): ([30, 90, 20, 70], [1, 1, 0, 1])}
    rows = [
        {"attack": attack, "seed": seed, "budget": 100, "queries": queries, "found": found}
        for (attack, seed), (queries, found) in lists.items()
    ]
    path.write_text(json.dumps({"target": {"name": "densenet"}, "images": {"among": "raw"}, "ids": [5, 6, 8, 9], "rows": rows}))
    return path


def test_figures_of_rows(made: Path) -> None:
    a, b = measurements.rows("made", attack="a"), measurements.rows("made", attack="b")
    assert (a.n, a.seeds, a.budget, a.ids) == (4, [0, 1], 100, [5, 6, 8, 9])
    assert a.spent.mean(0).tolist() == [4, 9, 53.5, 7]  # the failure is charged the budget
    assert a.mean().value == 18.375 and a.mean().low < 18.375 < a.mean().high and a.mean().n == 4
    assert (a.median().value, a.median().low, a.median().n) == (8, 0, 4)
    assert told(publishable.Middle(3, 3, 4.5, 206)) == "3 [3, 4.5] (n = 206)"
    assert (published.drawn([a, None]), published.drawn([a, b, None])) == ("2", "2, 1, –")
    assert a.rate().value == 0.875 and b.rate() == Figure(0.75, bb.Rate(3, 4).low, bb.Rate(3, 4).high, 4, percent=True)
    assert a.over(b).value == pytest.approx(29.75 / 72.5) and a.over(b).low < 0.41 < 1 < a.over(b).high, "four images exclude little"


def test_a_ratio_is_of_the_seeds_that_both_have(made: Path) -> None:
    a, b = measurements.rows("made", attack="a"), measurements.rows("made", attack="b")
    first, second = (replace(a, rows=(row,)) for row in a.rows)
    assert first.over(b).value == pytest.approx(first.spent.mean() / b.spent[0].mean())
    with pytest.raises(ValueError, match=r"Expected seeds that both have, but made has \[0\] and made \[1\]"):
        first.over(second)


@pytest.mark.parametrize(("source", "key"), [("none", {}), ("made", {"attack": "c"}), ("made", {})])
def test_rows_that_are_not_there(made: Path, source: str, key: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"Publish what rests on committed rows|Expected one row a seed"):
        measurements.rows(source, **key)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target": {"name": "resnet20"}}, "the target resnet20 is not"),
        ({"images": {"among": "raw-filtered"}}, "the set of images raw-filtered is not"),
        ({"target": "CIFAR ResNet-20"}, "to name a target and images of experiments/ground.toml"),
    ],
)
def test_what_settings_are_chosen_on_is_not_reported(made: Path, change: dict[str, Any], told: str) -> None:
    content = json.loads(made.read_text()) | change
    made.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=told):
        measurements.rows("made", attack="a")


def test_seeds_for_choosing_are_not_reported(made: Path) -> None:
    content = json.loads(made.read_text())
    content["rows"][0]["seed"] = 100
    made.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="the seed 100 is not"):
        measurements.rows("made", attack="a")


# -- the build of the site ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Square needs 12.4 queries.", "a number that no mark derives from rows"),
        ("a <!-- m: bare -->12.4<!-- /m -->", "Expected a figure with its interval and number of images, but it was 12.4"),
        ("a <!-- m: command none -->x<!-- /m -->", "Publish what rests on committed rows"),
        ("a <!-- m: chosen -->x<!-- /m -->", "Expected made.json to rest on what is for reporting, but the seed 100 is not"),
    ],
)
def test_the_build_refuses(text: str, told: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    made.write_text(made.read_text().replace('"seed": 1,', '"seed": 100,'))
    monkeypatch.setitem(published.FIGURES, "bare", lambda: 12.4)
    monkeypatch.setitem(published.FIGURES, "chosen", lambda: measurements.rows("made", attack="a").mean())
    monkeypatch.setattr(published, "ROOT", tmp_path)
    page = tmp_path / "docs" / "results" / "page.md"
    page.parent.mkdir(parents=True)
    page.write_text(text)
    extension = importlib.import_module("measured")
    with pytest.raises(Exception, match=r"page\.md") as error:
        extension.check(None, [page])
    assert told in str(error.value)


def test_the_build_refuses_a_setting_chosen_on_what_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    tables = ground.ground()
    entry = {"by": "python -m experiments.x", "targets": ["densenet"]}
    monkeypatch.setattr(ground, "ground", lambda: {**tables, "chosen": {"square, p_init": entry}})
    with pytest.raises(Exception, match=r"square, p_init was chosen on densenet, which is not for choosing"):
        importlib.import_module("measured").check(None, [])

"""The sentence at the top of a page: for outcomes that are known it says the known numbers, for unknown ones nothing."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import blackbox as bb
from blackbox.cli import attack as attack_verb
from blackbox.cli import transfer as transfer_verb
from blackbox.evaluation import Evaluation
from blackbox.protocol import Status
from blackbox.report import headline, runs
from blackbox.report.pages import Page
from blackbox.report.sections.common import Item
from blackbox.statistics import Rate
from tests.saved_runs import made, matrix

RIGHT = headline.percent(Rate(3, 20))


def item(first: list[int], name: str = "square", **how: object) -> Item:
    return Item(runs.Run("r", Path("r")), name, made(first, attack=name, **how))  # type: ignore[arg-type]


def test_what_query_attacks_reach() -> None:
    """17 of 20 images fooled, all right when clean: 3 of 20 left, Wilson [5, 36]."""
    one = item([5] * 17 + [0] * 3)
    assert RIGHT == "15 % [5, 36]"
    assert headline.queries([one]) == "With scores alone, 100 queries an image cut accuracy from 100 % to 15 % [5, 36]."
    weak = item([5] * 4 + [0] * 16, "nes")
    said = headline.queries([weak, one])
    assert said == "With scores alone, 100 queries an image cut accuracy from 100 % to 15 % [5, 36] (square, the best of 2)."
    assert "left the accuracy at" in headline.queries([item([0, 0])]) and "no image was fooled" in headline.queries([item([0, 0])])
    assert headline.queries([item([3, 4, 0], eps=math.inf)]).startswith(
        "With scores alone, 100 queries an image bring the nearest adversarial example to a median Linf distance of "
    )
    goal = headline.queries([item([3, 0, 0, 0], targeted=True)])
    assert f"made the target name the class asked for on {headline.percent(Rate(1, 4))} of the images" in goal
    assert headline.queries([item([0], wrong=[0])]) == "", "none was attacked"


def test_no_headline_over_unknown_images() -> None:
    known, cut = item([5, 5, 0]), made([5, 0, 0])
    object.__setattr__(cut, "status", (Status.SUCCESS, Status.BUDGET, Status.ERROR))
    assert not cut.complete
    unknown = Item(known.run, "nes", cut)
    assert headline.queries([unknown]) == headline.queries([known, unknown]) == ""


    half = matrix()
    half.adv_target[0, 0, 0, 0, 0] = -1
    assert headline.transfer(half, "target-correct") == ""


def test_what_transfers() -> None:
    assert headline.transfer(matrix(), "target-correct") == (
        f"Examples crafted on s with fgsm, Linf 0.2, fool a on {headline.percent(Rate(3, 4))} and b on {headline.percent(Rate(2, 4))} "
        "of the images each gets right; noise of the same size on 0 %."
    )


def test_what_an_evaluation_says() -> None:
    found = Evaluation([], bb.Linf(0.1), 0, np.zeros(10, int), np.arange(10))
    for sees, name, budget, wrong in (
        ("nothing", "clean images", 0, 1), ("nothing", "fgsm from s", 0, 3), ("labels", "auto", 10, 2), ("labels", "auto", 50, 4),
        ("everything", "pgd", 0, 9),
    ):  # fmt: skip
        found.plan(sees, name, budget)
        if (sees, budget) != ("labels", 50):
            found.put(sees, name, np.arange(10) < wrong, np.zeros(10, bool), budget, 10)
    assert headline.evaluation(found) == "", "a row is unknown"
    found.put("labels", "auto", np.arange(10) < 4, np.zeros(10, bool), 50, 10)
    left = [headline.percent(Rate(k, 10)) for k in (7, 6, 1)]
    assert headline.evaluation(found) == (
        f"Accuracy falls from 90 % to {left[0]} with no query (fgsm from s); to {left[1]} with labels and 50 queries an image; "
        f"to {left[2]} with the gradients of the model (pgd)."
    )


@pytest.mark.parametrize("verb", ["attack", "transfer"])
def test_the_page_of_a_run(tmp_path: Path, verb: str) -> None:
    """Tables, not console output: the text is folded; every rate has its count; nothing lies beside the page."""
    import torch

    import surrogates as sg

    told = {"settings": {"verb": verb, "data": "mine"}, "command": f"blackbox {verb}"}
    (tmp_path / "run.json").write_text(json.dumps(told))
    if verb == "attack":
        data = sg.Dataset(torch.full((20, 1, 4, 4), 0.5), torch.zeros(20, dtype=torch.int64), ("three", "eight"))
        attack_verb.save(made([5] * 17 + [0] * 3, prints=torch.zeros(20, dtype=torch.int64)), tmp_path, data, "net")
        wanted = ["cut accuracy from 100 % to 15 % [5, 36]", "three → eight", "17/20", "square on net", "blackbox attack"]
    else:
        transfer_verb.save(matrix(), tmp_path, "all")
        wanted = ["fool a on", "3/4", "Transfer from s to a, b", "of all images", "blackbox transfer"]
    page = (tmp_path / "report.html").read_text()
    for words in wanted:
        assert words in page, words
    assert not re.findall(r'src="(?!data:)', page)
    assert page.count("<pre>") == 2 and page.count("<details><summary>The summary as text</summary><pre>") == 1
    rates = re.findall(r'<span class="v">\d+ %.*?</span>(.{0,40})', page)
    assert rates and all(re.match(r' <span class="of">\d+/\d+</span>', after) for after in rates)
    assert "<th role=\"columnheader\" class=\"l\"><span>Run" not in page, "one run needs no name"
    assert "**" in (tmp_path / "report.md").read_text()


def test_incomplete_stands_before_everything() -> None:
    page = Page("x", first=["INCOMPLETE: 3 of 4."], headline=["No."], lead="More.")
    assert page.markdown().startswith("# x\n\n> INCOMPLETE: 3 of 4.\n\n**No.**\n\nMore.")
    html = page.html()
    assert html.index("INCOMPLETE") < html.index("No.") < html.index("More.")


def test_targets_have_short_names() -> None:
    from blackbox.report.sections.common import target_names

    specs = {"nets/resnet32.safetensors": "resnet32", "digits:knn": "knn", "models/file.py:load": "load", "hf:models/vit": "vit",
             "https://a.b/predict": "https://a.b/predict", "net.onnx#threads=2": "net"}  # fmt: skip
    assert target_names(specs) == specs
    assert target_names(["a/net.onnx", "b/net.onnx", "digits:knn"]) == {
        "a/net.onnx": "a/net.onnx", "b/net.onnx": "b/net.onnx", "digits:knn": "knn"
    }  # fmt: skip
    oracle = bb.Oracle(lambda x: np.zeros(len(x)), access="labels", classes=2, name="mine")
    assert oracle.name == "mine" and "mine" in repr(oracle)


def test_what_a_sweep_says() -> None:
    from blackbox.sweep import Plan, Study, Table

    grid = {"targets": "digits:knn", "attacks": ["square", "nes"], "threats": "linf:0.1", "budgets": 9}
    plan = Plan(Study(attack=grid), 4, {})  # type: ignore[arg-type]
    outcomes = {
        p: {"success": np.arange(4) < k, "attacked": np.ones(4, bool), "ids": np.arange(4), "y": np.zeros(4, int)}
        for p, k in zip(plan.points, (1, 3), strict=True)
    }
    said = headline.sweep(Table(plan, outcomes, {}, 2, 2))
    assert said == f"Most fooled: knn by nes (Linf 0.1, 9 queries an image): {headline.percent(Rate(3, 4))}."
    assert headline.sweep(Table(plan, outcomes, {}, 1, 2)) == "", "a cell is missing"


def test_a_surrogate_is_not_shown_what_it_learned_from() -> None:
    """The command that comes next names other images, but for the digits, which have a part of their own for attacks."""
    from blackbox.cli.surrogate import unseen

    assert unseen("digits") == "digits" and unseen("folder:mine") == "IMAGES-IT-HAS-NOT-SEEN"

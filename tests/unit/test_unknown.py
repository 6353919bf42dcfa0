"""A run that is cut off says only what is known: at every call on which the target may fail, against the run that was not."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox import statistics as stats
from blackbox.protocol import Status
from blackbox.statistics import Rate
from blackbox.testing import Affine, Failing, Recording
from tests.toys import Bisection, RandomSigns

BUDGET = 6
KINDS: dict[str, tuple[Any, bb.Threat, dict[str, Any]]] = {
    "stops at success": (RandomSigns(), bb.Linf(0.3), {}),
    "minimises": (Bisection(), bb.L2(0.8), {}),
    "8-bit": (RandomSigns(), bb.Linf(0.3), {"eight_bit": True}),
    "votes": (RandomSigns(), bb.Linf(0.3), {"votes": 3}),
}


def problem() -> tuple[Affine, torch.Tensor, torch.Tensor]:
    """Eight images: some are misclassified, some are fooled at once, some never."""
    draw = np.random.default_rng(5)
    net = Affine(torch.from_numpy(draw.normal(size=(3, 4))).float(), torch.zeros(3))
    x = torch.from_numpy(draw.uniform(0.2, 0.8, (8, 4))).float()
    y = net(x).argmax(1)
    y[[1, 6]] = (y[[1, 6]] + 1) % 3
    return net, x, y


def run(kind: str, call: int = 0, how: str = "raise") -> bb.AttackResult:
    """The result; with ``call`` that of a target which fails then."""
    net, x, y = problem()
    attack, threat, more = KINDS[kind]
    seen = Recording(Failing(net, call, how))
    oracle = bb.Oracle(seen, "scores", 3, returns="logits", rows_per_call=3)
    try:
        return bb.attack(oracle, x, y, attack, threat, BUDGET, **more)
    except (bb.TargetError, KeyboardInterrupt) as error:
        return error.result  # type: ignore[union-attr]


@cache
def whole(kind: str) -> tuple[bb.AttackResult, int]:
    """The run that nothing cut off, and how many calls it makes."""
    net, x, y = problem()
    attack, threat, more = KINDS[kind]
    oracle = bb.Oracle(net, "scores", 3, returns="logits", rows_per_call=3)
    result = bb.attack(oracle, x, y, attack, threat, BUDGET, **more)
    assert result.complete and {Status.CLEAN_WRONG, Status.SUCCESS} <= set(result.status)
    return result, oracle.calls


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_of_a_run_cut_off_at_any_call_is_true(kind: str) -> None:
    true, calls = whole(kind)
    cut_off = 0
    for call in range(1, calls + 1):
        r = run(kind, call)
        cut_off += not r.complete
        known, clean = r.known, r.clean_known
        assert r.attacked[clean].equal(true.attacked[clean]), call
        assert r.success[known].equal(true.success[known]), call
        assert not r.success[~known].any() and not r.attacked[~clean].any()
        for name in ("clean_accuracy", "success_rate", "robust_accuracy"):
            rate, right = getattr(r, name), getattr(true, name)
            assert rate.bounds[0] <= right.value <= rate.bounds[1], (call, name, rate, right)
        assert r.robust_accuracy.n == int(known.sum()) and r.robust_accuracy.unknown == 8 - int(known.sum())
        for b, rate, right in zip((1, 2, 4, 6), r.curve([1, 2, 4, 6]), true.curve([1, 2, 4, 6]), strict=True):
            assert rate.bounds[0] <= right.value <= rate.bounds[1], (call, b, rate, right)
            assert stats.success_at(r, [b])[b] == rate
        for b, estimate in stats.median_distance(r, [1, 2, 4, 6]).items():
            some = stats.outcomes.complete(r, b)
            assert estimate.n == some.sum()
            if some.any():
                assert estimate.value == stats.median(true.distance_at([b])[0].numpy()[some]).value
        both = stats.paired(r, true)
        assert both.first_only == both.second_only == 0, "on the images of both it is the same attack"
        assert both.saved.n + both.unknown >= int(r.attacked.sum())
        if between := re.search(r"mean of all \d+ between ([\d.]+) and ([\d.]+)", r.summary()):
            budget = np.where(true.success, true.queries, BUDGET)[r.attacked.numpy()].mean()
            assert float(between[1]) - 0.06 <= budget <= float(between[2]) + 0.06, (call, r.summary())
        first = r.summary().splitlines()[0]
        assert first.startswith(f"INCOMPLETE: {8 - int(known.sum())} of 8 images are unknown: the target failed after") != r.complete
    assert cut_off > 3, "the target must fail while images are attacked"


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_that_never_answers_is_not_robust(kind: str) -> None:
    r = run(kind, 1)
    assert not r.known.any() and not r.attacked.any() and not r.complete
    for rate in (r.clean_accuracy, r.success_rate, r.robust_accuracy, *r.curve([1, 6])):
        assert rate == Rate(0, 0, unknown=8) and math.isnan(rate.value) and rate.bounds == (0, 1)
    assert math.isnan(r.mean_queries) and math.isnan(r.median_queries) and stats.censored_curve(r).n == 0
    assert stats.paired(r, r).unknown == 8 and "no image was finished by both" in str(stats.paired(r, r))
    best = stats.virtual_best({"a": r, "b": r})
    assert best.success == Rate(0, 0, unknown=8) and not best.queries.n and math.isnan(stats.logrank(r, r))
    assert stats.common_success({"a": r}).n == 0 and stats.restricted_mean(r).n == 0
    assert r.summary().startswith("INCOMPLETE: 8 of 8 images are unknown: the target failed after 0 queries.")
    assert "100 %" not in r.summary() and "planned failure" in r.summary()


def test_a_clean_answer_is_known_though_the_attack_was_cut_off() -> None:
    """The second call of three images fails: three clean answers are there, one of them wrong."""
    r = run("stops at success", 2)
    assert r.clean_known.tolist() == [True] * 3 + [False] * 5
    assert r.known.tolist() == [False, True, False] + [False] * 5, "the misclassified one needs no attack"
    assert r.clean_accuracy == Rate(2, 3, unknown=5) and r.robust_accuracy == Rate(0, 1, unknown=7)
    assert r.success_rate == Rate(0, 0, unknown=7), "those without an answer may belong to the denominator"
    assert r.curve([1]) == [Rate(0, 2, unknown=5)], "the clean query fools nobody"
    assert str(r.clean_accuracy) == "67 % [21, 94] (2/3; 5 unknown: between 25 and 88 %)"
    assert str(r.success_rate) == "unknown (n = 0; 7 unknown)"


def test_cut_off_it_is_saved_shown_and_compared(tmp_path: Path) -> None:
    """Pages, tables and files of a run that was cut off: no curve where nothing is known, gaps instead of -1, bounds."""
    from matplotlib import pyplot

    from blackbox.cli.compare import table
    from blackbox.report import figures, tables
    from blackbox.report.build import write
    from blackbox.report.runs import read

    (true, _), never, middle = whole("stops at success"), run("stops at success", 1), run("stops at success", 8)
    for name, r in (("never", never), ("middle", middle), ("whole", true)):
        back = bb.AttackResult.load(r.save(tmp_path / name))
        assert back.summary() == r.summary() and back.known.equal(r.known) and back.complete == r.complete
        for record in r.records():
            assert (record["success"] is None) == (not record["known"]) and -1 not in record.values()
    assert (tmp_path / "never" / "outcomes.csv").read_text().splitlines()[1].count(",,") > 2
    assert figures.curves({"a": never}, tmp_path / "none.svg") is None and not (tmp_path / "none.svg").exists()
    assert not len(figures.known_curve(never)[0]) and figures.known_curve(true)[0][-1] == BUDGET
    at, rates = figures.known_curve(middle)
    pyplot.switch_backend("agg")
    drawn = middle.plot(pyplot.figure().subplots())
    assert drawn.get_lines()[0].get_xdata()[-1] == at[-1] and not never.plot(pyplot.figure().subplots()).get_lines()
    pyplot.close("all")
    assert 0 < len(at) and at[-1] < BUDGET and len({rate.n for rate in rates}) == 1, "the line ends where images become unknown"
    runs = [read(tmp_path / name, name) for name in ("never", "middle", "whole")]
    written = write(runs, tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert page.count("> INCOMPLETE: ") == 2 and "INCOMPLETE: never: 8 of 8 images are unknown" in page
    assert "never: no curve of success against queries" in page and "unknown (n = 0; 8 unknown)" in page
    assert "unknown <span" in (tmp_path / "report.html").read_text() and "nan" not in page
    assert {"attacks.csv", "curves.csv"} <= set(written) and "never" not in (tmp_path / "curves.csv").read_text()
    row = tables.attack(runs[1], "", middle)
    assert row["robust_n"] + row["robust_unknown"] == 8 and row["stopped"] == "TargetError" and not row["complete"]
    text = table({"cut": middle, "all": true}).splitlines()
    assert text[0].startswith("INCOMPLETE: cut: ") and "left out: not finished by both" in text[-2] and text[-1].startswith("6 images: ")
    assert "nan" not in table({"a": never, "b": never})


def test_why_it_ended() -> None:
    r = run("stops at success", 5, "interrupt")
    assert r.summary().startswith("INCOMPLETE: ") and f"the run was stopped after {int(r.queries.sum())} queries." in r.summary()
    assert r.config["stopped"]["by"] == "user"
    part, all_queries = r.take([*range(6)]), int(r.queries.sum())
    assert f"after {all_queries} queries" in part.summary() and f"{int(part.queries.sum())} spent in all" in part.summary()
    r.config["stopped"] = None  # a file of before
    assert "the target failed, or the run was stopped, after" in r.summary().splitlines()[0]


def test_a_success_cut_off_while_it_is_minimised_is_known() -> None:
    found = [r for call in range(3, 20) if (r := run("minimises", call)).success.any() and not r.complete]
    assert found
    for r in found:
        cut = [s is Status.ERROR and bool(r.success[i]) for i, s in enumerate(r.status)]
        assert r.known[cut].all() and r.success_rate.k == int(r.success.sum())
        assert not any(s is Status.BUDGET and bool(r.success[i]) for i, s in enumerate(r.status))


def test_an_example_not_yet_asked_about_as_an_8_bit_image_is_unknown() -> None:
    true, calls = whole("8-bit")
    r = run("8-bit", calls)  # the last call asks about rounded examples
    assert Status.ROUNDED_AWAY not in set(r.status) - set(true.status)
    waiting = r.success_float & ~r.success & torch.tensor([s is Status.ERROR for s in r.status])
    assert waiting.any() and not r.known[waiting].any() and r.summary().startswith("INCOMPLETE")


def test_what_was_sent_is_said_beside_what_was_charged() -> None:
    net, x, y = problem()
    attack, threat, _ = KINDS["stops at success"]
    for call in range(40):
        seen = Recording(net)
        oracle = bb.Oracle(Failing(seen, call, "nan"), "scores", 3, returns="logits", rows_per_call=3)
        try:
            r = bb.attack(oracle, x, y, attack, threat, BUDGET)
        except bb.TargetError as error:
            r = error.result
        charged, sent = int(r.queries.sum()), seen.count
        assert f"in all {charged} charged" in r.summary() and f"= {sent} sent" in r.summary(), (call, r.summary())
        if not call:
            assert f"{charged} charged + {sent - charged} checks = {sent} sent" in r.summary()


def test_what_held_stands_beside_what_was_found() -> None:
    """A target that answers by chance without saying so: examples that were lucky answers do not count as held."""
    net, x, y = problem()
    flips = np.random.default_rng(0)

    def lucky(images: torch.Tensor) -> torch.Tensor:
        out = net(images)
        return torch.where(torch.from_numpy(flips.random((len(images), 1)) < 0.3), out.roll(1, 1), out).float()

    r = bb.attack(bb.Oracle(lucky, "scores", 3, returns="logits"), x, y, RandomSigns(), bb.Linf(1e-4), 50)
    lost = int((r.verified == 0).sum())
    assert lost and r.verified_rate == Rate(r.success_rate.k - lost, r.success_rate.n)
    assert f"that held        {r.verified_rate}" in r.summary()
    assert "randomised=True" in r.summary() and "--votes 5" in r.summary()

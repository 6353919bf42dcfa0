"""A query attack under the page's meter."""

from __future__ import annotations

import time

import pytest

import blackbox as bb
from blackbox.app import draw, hunt


def run(table, **settings):
    made = hunt.Hunt(table, table.shots[0], "theirs", surrogate="mine", **settings)
    return made, list(made.watch())


@pytest.mark.parametrize("attack", ["square", "fd-fgsm", "transfer-start", "rays"])
def test_the_meter_shows_the_oracles_own_count(table, attack):
    _, states = run(table, attack=attack, eps=0.2, budget=60)
    end = states[-1]
    assert end.result is not None and bool(end.result.success[0]) and end.said.fooled
    assert end.spent == int(end.result.queries[0]) == int(end.result.first_success_query[0]) <= 60
    assert end.change <= 0.2 + 1e-6
    assert [s.spent for s in states] == sorted(s.spent for s in states)
    assert "Meter" in type(end).__name__ and f"{end.spent:,} of at most 60 queries" in draw.meter(table, end, "x")


def test_a_budget_is_kept_and_a_failure_said(table):
    _, states = run(table, attack="square", eps=0.01, budget=25)
    end = states[-1]
    assert end.spent == 25 and not end.said.fooled and "without success" in end.ended
    assert "square did not fool the target, eps 0.010" in draw.meter(table, end, "x")
    assert [q for q, _ in end.trail] == sorted({q for q, _ in end.trail}) and end.trail[0][0] == 1
    assert [p for _, p in end.trail] == sorted((p for _, p in end.trail), reverse=True)


def test_the_curve_of_the_meter_has_a_scale(table):
    _, states = run(table, attack="square", eps=0.01, budget=25)
    html = draw.meter(table, states[-1], "x")
    assert "<span>100 %</span><span>50 %</span><span>0 %</span>" in html and "<span>0</span><span>queries</span><span>25</span>" in html
    assert draw._trail(states[-1])[0][0] == pytest.approx(1 / 25), "the first query stands at 1 of 25: the left edge is 0"


def test_stopped_by_hand_nothing_paid_for_is_lost(table):
    made = hunt.Hunt(table, table.shots[0], "theirs", "square", eps=0.01, budget=10_000, pace=200)
    for state in made.watch():
        if state.spent >= 20:
            made.stop.set()
    assert state.ended == hunt.STOPPED and "whether it fools the target is not known" in draw.meter(table, state, "x")
    assert 20 <= state.spent == int(state.result.queries[0]) < 10_000


def test_closing_the_page_ends_the_attack(table):
    made = hunt.Hunt(table, table.shots[0], "theirs", "square", eps=0.01, budget=10_000, pace=200)
    watching = made.watch()
    next(watching)
    watching.close()
    assert made.stop.is_set()


def test_pace(table):
    begin = time.perf_counter()
    run(table, attack="square", eps=0.01, budget=40, pace=100)
    assert time.perf_counter() - begin > 0.35


def test_an_attack_on_labels_sees_labels(table):
    made = hunt.Hunt(table, table.shots[0], "mute", "rays", eps=0.2, budget=80)
    end = list(made.watch())[-1]
    assert end.result.config["access"] == "labels" and end.said.after is None
    assert end.said.label == 1 and end.result.success[0]


def test_a_clean_image_that_is_wrong_costs_one_query(table):
    made = hunt.Hunt(table, table.shots[1], "mute", "rays", eps=0.2, budget=80)
    object.__setattr__(made.shot, "label", 0)
    end = list(made.watch())[-1]
    assert end.spent == 1 and "already gets the clean image wrong" in end.ended


@pytest.mark.parametrize(
    "settings, sentence",
    [({"attack": "no-such"}, "Expected an attack that serves Linf"), ({"budget": 0}, "Expected a budget of at least one"),
     ({"eps": 7}, "Expected an Linf eps of at most 1")],
)  # fmt: skip
def test_settings_that_cannot_be_are_told_before_the_first_query(table, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(table, **settings)


def test_scores_are_needed_and_the_target_has_labels(table):
    with pytest.raises(bb.AccessError, match="at least topk for square, but this one shows labels"):
        list(hunt.Hunt(table, table.shots[0], "mute", "square").watch())


def test_a_target_that_fails_in_the_middle_keeps_what_was_paid(table):
    from blackbox.app.bench import Once
    from blackbox.specs import Model

    seen = []

    def fails(x):
        seen.append(len(x))
        if len(seen) > 12:
            raise RuntimeError("line cut")
        return table.targets["theirs"]().model(x)

    table.targets["weak"] = Once(lambda: Model("weak", "toy", fails))
    end = list(hunt.Hunt(table, table.shots[0], "weak", "square", eps=0.01, budget=100).watch())[-1]
    assert "line cut" in end.ended and end.spent == int(end.result.queries[0]) == 11

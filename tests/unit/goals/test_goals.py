"""Goals other than one class: against targets whose optimum is known, with every kind of answer; what is wrong is said of a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.goals import AnyOf, Goal, GoalError, MultiLabel, NoneOf, Regression, Verification

EPS = bb.Linf(0.1)
W = torch.tensor(np.random.default_rng(3).normal(size=(16, 6)), dtype=torch.float32)
X = torch.tensor(np.random.default_rng(4).uniform(0.3, 0.7, size=(8, 16)), dtype=torch.float32)


def logits(x: Tensor) -> Tensor:
    return torch.stack([(x * W[:, j]).sum(1) for j in range(W.shape[1])], 1)  # row by row the same in every batch


def number(x: Tensor) -> Tensor:
    return logits(x)[:, 0]


def reply(values: list[list[float]], access: str = "logits", **more: Any) -> bb.Reply:
    table = torch.tensor(values)
    return bb.Oracle(lambda x: table[: len(x)], access, table.shape[1], **more)(torch.zeros(len(table), 1))


def judged(goal: Goal, r: bb.Reply, **more: Any) -> tuple[list[float], list[bool]]:
    from blackbox.goals.base import Setting

    bound = goal.bound(Setting(len(r.label), r.access, r.total, **more))
    loss, reached = bound.verdict(r, np.arange(len(r.label)))
    return loss.tolist(), reached.tolist()


class TestClasses:
    def test_the_margin_of_a_set_is_its_best_class_against_the_best_other(self) -> None:
        r = reply([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 1.0, 4.0]])
        assert judged(AnyOf([1, 2]), r) == ([-1.0, 1.0], [False, True])
        assert judged(NoneOf([1, 2]), r) == ([1.0, -1.0], [True, False])

    def test_among_the_first_k_it_is_against_the_kth_other(self) -> None:
        r = reply([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 1.0, 4.0]])
        assert judged(NoneOf([[0], [2]], k=2), r) == ([-2.0, 3.0], [False, True])
        assert judged(AnyOf([[0], [2]], k=3), r) == ([3.0, 1.0], [True, True])

    def test_from_labels_alone_and_from_a_list_of_the_first(self) -> None:
        values = [[0.6, 0.1, 0.25, 0.05], [0.1, 0.5, 0.1, 0.3]]
        assert judged(NoneOf([0]), reply(values, "labels")) == ([-1.0, 1.0], [False, True])
        loss, reached = judged(NoneOf([[0], [3]], k=2), reply(values, "topk", k=2), listed=2)
        assert reached == [False, False] and loss == pytest.approx([np.log(0.075 / 0.6), np.log(0.1 / 0.3)], rel=1e-4)

    def test_words(self) -> None:
        oracle = bb.Oracle(logits, "scores", classes=list("abcdef"))
        first = int(logits(X).argmax(1).mode().values)
        made = bb.attack(oracle, X, None, "square", bb.Linf(0.3), 60, goal=NoneOf(["abcdef"[first]]))
        assert made.config["goal"] == f"class {'abcdef'[first]} is not the first"
        assert bool(made.success.any())
        names = bb.Oracle(logits, "labels", classes=list("abcdef"))(made.x_adv[made.success]).label
        assert first not in names.tolist()

    @pytest.mark.parametrize(
        ("goal", "said"),
        [
            (NoneOf([6]), "from 0 to 5, but one was 6"),
            (NoneOf(["z"]), "the oracle knows no names"),
            (NoneOf([0.5]), "numbers or words"),
            (NoneOf([[0], [1]]), "for all 8 samples or one for each, but there were 2"),
            (AnyOf([0, 1, 2, 3, 4, 5]), "k=1 classes outside the set"),
            (NoneOf([0, 0, 1, 1, 2, 2, 3, 3]), "give them an axis"),
        ],
    )
    def test_what_does_not_fit_is_refused_before_a_query(self, goal: Goal, said: str) -> None:
        oracle = bb.Oracle(logits, "scores", 6)
        with pytest.raises(ValueError, match=said):
            bb.attack(oracle, X, None, "square", EPS, 10, goal=goal)
        assert oracle.rows == 0


class TestNumbers:
    @pytest.mark.parametrize("way", ["up", "down", "either"])
    def test_a_linear_number_moves_by_no_more_than_the_dual_norm_allows(self, way: str) -> None:
        reach = 0.1 * float(W[:, 0].abs().sum())  # the optimum, no entry of X is within eps of the box
        for share, found in ((0.9, True), (1.01, False)):
            goal = Regression(number(X), by=share * reach, way=way)
            result = bb.attack(bb.Oracle(number, "answers"), X, None, "square", EPS, 600, goal=goal)
            assert bool(result.success.all()) is found and bool(result.success.any()) is found
            if found:
                moved = number(result.x_adv) - number(X)
                assert (({"up": moved, "down": -moved}.get(way, moved.abs())) >= share * reach).all()

    def test_labels_suffice_for_a_walk(self) -> None:
        """Through a goal that is not graded an attack sees whether it is reached, and finds the nearest point all the same."""
        limit = number(X).max() + 0.2
        goal = bb.goal(lambda a: 1.0 if a > float(limit) else -1.0, graded=False, name="above the limit")
        start = (X + torch.where(W[:, 0] > 0, 0.3, -0.3)).clamp(0, 1)
        result = bb.attack(bb.Oracle(number, "answers"), X, None, "hop-skip-jump", bb.L2(np.inf), 400, goal=goal, start=start)
        least = (limit - number(X)) / W[:, 0].norm()
        assert result.success.all() and (result.distance <= 1.15 * least).all() and (result.distance >= 0.999 * least).all()
        with pytest.raises(bb.AccessError, match="labels only"):
            bb.attack(bb.Oracle(number, "answers"), X, None, "nes", EPS, 10, goal=goal)

    def test_moves_that_are_none_and_references_that_are_not_there(self) -> None:
        with pytest.raises(ValueError, match="by to be positive"):
            Regression(0.0, by=0)
        reference = number(X).clone()
        reference[5] = torch.nan
        with pytest.raises(ValueError, match="sample 5"):
            bb.attack(bb.Oracle(number, "answers"), X, None, "square", EPS, 10, goal=Regression(reference, by=1))


class TestSeveralLabels:
    def test_the_label_farthest_from_where_it_should_be_decides(self) -> None:
        rows = [[0.9, 0.2, 0.6], [0.1, 0.8, 0.4]]
        r = bb.Oracle(lambda x: np.array(rows)[: len(x)], "answers")(torch.zeros(2, 1))
        loss, reached = judged(MultiLabel(hide=[0], show=[1]), r)
        assert loss == pytest.approx([-0.4, 0.3]) and reached == [False, True]
        dicts = bb.Oracle(lambda x: [{"a": 0.9}, {"a": 0.1}][: len(x)], "answers")(torch.zeros(2, 1))
        loss, reached = judged(MultiLabel(hide="a", threshold=0.3), dicts)
        assert loss == pytest.approx([-0.6, 0.2]) and reached == [False, True]

    def test_a_label_that_the_target_does_not_score_is_told(self) -> None:
        r = bb.Oracle(lambda x: [{"b": 0.9}], "answers")(torch.zeros(1, 1))
        with pytest.raises(GoalError, match="labels that the target scores, b, but one was 'a'"):
            judged(MultiLabel(hide=["a"]), r)
        with pytest.raises(ValueError, match="a was to be both"):
            MultiLabel(hide=["a"], show=["a"])


class TestEmbeddings:
    def test_known_distances(self) -> None:
        r = bb.Oracle(lambda x: torch.tensor([[1.0, 0.0], [0.0, 2.0]]), "answers")(torch.zeros(2, 1))
        assert judged(Verification([1.0, 0.0], 0.5), r) == ([0.5, pytest.approx(0.5 - 5**0.5)], [True, False])
        assert judged(Verification([0.0, 1.0], 0.9, "dodge", "cosine"), r) == ([pytest.approx(0.9), pytest.approx(-0.1)], [True, False])

    def test_impersonates_another_and_the_found_point_is_within_the_threshold(self) -> None:
        other = logits(X).roll(1, 0)
        before = (logits(X) - other).norm(dim=1)
        goal = Verification(other, threshold=float(before.max()) * 0.8)
        result = bb.attack(bb.Oracle(logits, "answers"), X, None, "auto", bb.Linf(0.2), 500, goal=goal)
        assert bool(result.success[result.attacked].all()) and bool(result.attacked.any())
        near = (logits(result.x_adv) - other).norm(dim=1)
        assert (near[result.success] <= goal.threshold).all()


class TestOwn:
    def test_a_goal_in_a_line_on_boxes_where_an_empty_list_is_an_answer(self) -> None:
        def detector(x: Tensor) -> list[dict[str, Any]]:
            scores = torch.sigmoid(number(x) - number(X).mean())
            return [{"boxes": [[0, 0, 4, 4]] if s > 0.5 else [], "score": float(s)} for s in scores]

        goal = bb.goal(lambda a: 0.5 - a["score"], success=lambda a: not a["boxes"], name="nothing is found")
        result = bb.attack(bb.Oracle(detector, "answers"), X, None, "square", EPS, 200, goal=goal)
        assert all(not a["boxes"] for a in detector(result.x_adv[result.success])) and bool(result.success.any())
        assert result.config["goal"] == "nothing is found" and "nothing is found" in result.summary()
        already = [not a["boxes"] for a in detector(X)]
        assert [s is bb.Status.REACHED for s in result.status] == already and any(already)
        assert result.queries[torch.tensor(already)].tolist() == [1] * sum(already)

    def test_what_was_asked_is_charged_when_the_goal_fails_and_the_sample_is_named(self) -> None:
        oracle = bb.Oracle(number, "answers")
        goal = bb.goal(lambda a, i: float("nan") if i == 5 else -1.0)
        with pytest.raises(GoalError, match=r"NaN.*sample 105") as error:
            bb.attack(oracle, X, None, "square", EPS, 10, goal=goal, ids=np.arange(100, 108))
        assert error.value.result.queries.sum() == oracle.rows == 8  # type: ignore[attr-defined]
        with pytest.raises(GoalError, match=r"raised KeyError.*sample 100"):
            bb.attack(oracle, X, None, "square", EPS, 10, goal=bb.goal(lambda a: {}["score"]), ids=np.arange(100, 108))

    def test_scores_of_classes(self) -> None:
        goal = bb.goal(lambda p: p[1] - p[0], access="scores")
        result = bb.attack(bb.Oracle(logits, "scores", 6), X, None, "square", EPS, 200, goal=goal)
        p = logits(result.x_adv)
        assert (p[result.success, 1] > p[result.success, 0]).all() and bool(result.success.any())


class TestAnswers:
    def test_the_form_of_an_answer(self) -> None:
        for out in (lambda x: x.sum(1), lambda x: x.sum(1).numpy(), lambda x: x.sum(1).tolist()):
            assert bb.Oracle(out, "answers")(X).answers == pytest.approx(X.sum(1).tolist())
        net = torch.nn.Linear(16, 2)
        assert np.array_equal(bb.Oracle(net, "answers")(X[:3]).answers, net(X[:3]).detach().numpy())  # type: ignore[arg-type]
        columns = bb.Oracle(lambda x: {"a": x, "b": ["t"] * len(x)}, "answers")(X[:2]).answers
        assert columns is not None and columns[1]["b"] == "t" and np.array_equal(columns[1]["a"], X[1].numpy())

    @pytest.mark.parametrize(
        ("model", "said"),
        [
            (lambda x: [1.0], "returned 1. It must not drop"),
            (lambda x: None, "it returned NoneType"),
            (lambda x: [{"a": 1}] * 7 + [{"b": 1}], "row 7 of a call with 8 inputs has the keys b"),
            (lambda x: np.array(3.0), "with an entry for each input"),
        ],
    )
    def test_answers_that_are_none(self, model: Any, said: str) -> None:
        with pytest.raises(bb.TargetError, match=said):
            bb.Oracle(model, "answers")(X)

    def test_a_journal_keeps_them_and_a_finished_run_is_read_back_without_a_query(self, tmp_path: Path) -> None:
        def boxes(x: Tensor) -> list[dict[str, Any]]:
            return [{"v": row, "words": ("a", [1, None])} for row in logits(x)]

        goal = bb.goal(lambda a: float(a["v"][1] - a["v"][0]) if a["words"] == ("a", [1, None]) else np.nan)
        runs, oracles = [], [bb.Oracle(boxes, "answers") for _ in range(2)]
        for oracle in oracles:
            runs.append(bb.attack(oracle, X, None, "square", EPS, 40, goal=goal, journal=tmp_path / "j.db"))
        assert torch.equal(runs[0].x_adv, runs[1].x_adv) and torch.equal(runs[0].queries, runs[1].queries)
        assert oracles[0].rows == runs[0].queries.sum() and oracles[1].rows == 0

    def test_without_a_goal_or_with_two_of_them_nothing_is_asked(self) -> None:
        oracle = bb.Oracle(number, "answers")
        for more, said in (
            ({}, "Expected a goal"), ({"goal": Regression(0, 1), "target": 3}, "either a target class or a goal"),
            ({"goal": lambda a: 1}, "bb.goal"), ({"goal": NoneOf([1])}, "shows at least labels for the goal"),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=said):
                bb.attack(oracle, X, torch.zeros(8, dtype=torch.int64), "square", EPS, 10, **more)  # type: ignore[arg-type]
        with pytest.raises(bb.AccessError, match="Oracle\\(..., access='answers'\\)"):
            bb.attack(bb.Oracle(logits, "scores", 6), X, None, "square", EPS, 10, goal=Regression(0, 1))
        assert oracle.rows == 0


@pytest.mark.parametrize("attack", ["square", "simba", "nes", "rays", "hop-skip-jump"])
def test_counts_are_exact_and_results_do_not_depend_on_the_batch(attack: str) -> None:
    goal = Regression(number(X), by=0.2)
    whole, oracle = None, bb.Oracle(number, "answers")
    whole = bb.attack(oracle, X, None, attack, EPS, 60, goal=goal)
    assert oracle.rows == whole.queries.sum()
    for i in (0, 5):
        one = bb.attack(
            bb.Oracle(number, "answers"), X[i : i + 1], None, attack, EPS, 60, goal=Regression(number(X)[i : i + 1], by=0.2), ids=[i]
        )
        assert torch.equal(one.x_adv[0], whole.x_adv[i]) and one.queries[0] == whole.queries[i]


def test_a_checkpoint_of_another_goal_is_refused(tmp_path: Path) -> None:
    for by, fails in ((0.2, False), (0.3, True)):
        def run(by: float = by) -> Any:
            return bb.attack(
                bb.Oracle(number, "answers"), X, None, "square", EPS, 20, goal=Regression(0.0, by), checkpoint=tmp_path / "c"
            )

        if fails:
            with pytest.raises(bb.CheckpointError, match="objective"):
                run()
        else:
            run()


def test_saved_and_read_back_it_says_its_goal(tmp_path: Path) -> None:
    result = bb.attack(bb.Oracle(number, "answers"), X, None, "square", EPS, 30, goal=Regression(number(X), by=0.1))
    result.save(tmp_path)
    again = bb.AttackResult.load(tmp_path)
    assert again.summary() == result.summary() and "the number moves up or down by 0.1" in again.summary()
    false = {"y", "goal", "label", "clean_label", "adv_label", "clean_confidence", "adv_confidence"}  # of answers that are no classes
    assert not false & ({*again.records()[0]} | {*again.to_pandas().columns})
    assert not false & {*(tmp_path / "outcomes.csv").read_text().splitlines()[0].split(",")}
    rate = again.success_rate
    assert f"of the {rate.n} inputs that did not reach the goal unchanged" in again.summary() and rate.n == int(again.attacked.sum())
    for word in ("accuracy", "had right", "fooled", "misclass"):
        assert word not in again.summary() + again._repr_html_()


def test_a_goal_of_classes_keeps_the_labels_and_says_its_denominator() -> None:
    y = logits(X).argmax(1)
    result = bb.attack(bb.Oracle(logits, "scores", list("abcdef")), X, y, "square", EPS, 30, goal=NoneOf(y[:, None]))
    assert {"y", "clean_label", "adv_label"} <= {*result.records()[0]} and "goal" not in result.records()[0]
    assert "(the class given for each input is the first)" in result.summary()
    assert result.unchanged.k == 0 and result.unchanged.n == 8

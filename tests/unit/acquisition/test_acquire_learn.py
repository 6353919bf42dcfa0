"""The loop that spends queries: what is charged, to which account, what is learned from, what is measured on."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import surrogates as sg
from blackbox.oracle.oracle import Oracle, TargetError
from blackbox.statistics import Rate
from surrogates import acquisition as acquire
from surrogates.acquisition import AgreementCurve, Choice, Jacobian, Random, Rounds, Situation, Strategy
from tests.surrogate_doubles import Rejecting, images

QUICK = sg.Recipe(epochs=4)


@pytest.fixture(scope="module")
def parts() -> dict[str, sg.Dataset]:
    return sg.split(sg.load("digits"), {"target": 600, "pool": 500, "test": 300}, seed=0)


@pytest.fixture(scope="module")
def target(parts: dict[str, sg.Dataset]) -> nn.Module:
    return sg.train(sg.build("mlp", 10, (1, 8, 8), seed=7), parts["target"], sg.Recipe(epochs=10), seed=7)


def fresh() -> nn.Module:
    return sg.build("mlp", 10, (1, 8, 8), seed=1)


def rows(x: Tensor) -> set[bytes]:
    return {v.numpy().tobytes() for v in x}


@pytest.mark.parametrize("name", acquire.names())
def test_every_strategy_pays_what_the_bill_says(parts: dict[str, sg.Dataset], target: nn.Module, name: str) -> None:
    seen: list[Tensor] = []

    def watched(x: Tensor) -> Tensor:
        seen.append(x.clone())
        return target(x)

    oracle = Oracle(watched, "scores", 10, returns="logits")
    strategy = Jacobian(seeds=60, rounds=3) if name == "jacobian" else acquire.get(name)
    if isinstance(strategy, Rounds):
        strategy = type(strategy)(first=0.3, rounds=2)
    got = sg.learn(
        fresh(),
        oracle,
        parts["pool"],
        strategy,
        queries=240,
        held_out=0.25,
        recipe=QUICK,
        evaluation=parts["test"].images,
    )
    assert got.bill.total == 240 == oracle.rows and oracle.counts == {"verify": 300, "held out": 60, "train": 180}
    assert got.curve.asked_apart == 300 and got.curve.queries[-1] == 240 and len(got.answers) == 180
    assert np.diff((60, *got.curve.queries)).tolist() == list(got.bill.rounds)
    assert got.held_out is not None and [r.n for r in got.curve.held_out] == [60] * len(got.bill.rounds)
    learned, held = rows(got.answers.images), rows(got.held_out.images)
    assert not learned & held and not (learned | held) & rows(parts["test"].images)
    assert len(learned) >= 0.9 * 180  # no image twice (but where the Jacobian's step comes back)
    shown = torch.cat(seen)
    assert torch.equal(shown[300:360], got.held_out.images) and torch.equal(shown[360:], got.answers.images)
    assert got.curve.evaluation[-1].value > 0.6
    own = sg.predict(got.net, parts["test"].images) == sg.predict(target, parts["test"].images)
    assert got.curve.evaluation[-1] == Rate(int(own.sum()), 300)


def test_the_result_is_a_function_of_the_seed_and_nothing_is_chosen_by_the_evaluation(
    parts: dict[str, sg.Dataset], target: nn.Module
) -> None:
    def once(seed: int = 0, **options: Any) -> tuple[list[Tensor], Any]:
        got = sg.learn(
            fresh(), Oracle(target, rows_per_call=20), parts["pool"], Random(rounds=2), queries=100, recipe=QUICK, seed=seed,
            **options,
        )  # fmt: skip
        return list(got.net.state_dict().values()), got

    first, _ = once()
    again, _ = once(evaluation=parts["test"].images)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other, got = once(seed=1)
    assert not torch.equal(first[0], other[0])
    # each round trains anew: the last point is that of one training on all answers
    alone = sg.train(fresh(), got.answers, QUICK, seed=1, validation=got.held_out)
    assert all(torch.equal(a, b) for a, b in zip(other, alone.state_dict().values(), strict=True))
    warm, _ = once(seed=1, warm=True)
    assert not torch.equal(warm[0], other[0])


def test_labels_of_the_pool_are_never_read(parts: dict[str, sg.Dataset], target: nn.Module) -> None:
    made = []
    for labels in (parts["pool"].labels, torch.zeros(500, dtype=torch.int64)):
        pool = sg.Dataset(parts["pool"].images, labels, parts["pool"].classes)
        got = sg.learn(fresh(), Oracle(target, "labels"), pool, Jacobian(seeds=50, rounds=1), queries=100, recipe=QUICK)
        made.append(next(got.net.parameters()))
        assert torch.equal(got.answers.labels, sg.predict(target, got.answers.images))
    assert torch.equal(*made)


def test_a_strategy_of_ones_own_needs_a_few_lines(parts: dict[str, sg.Dataset], target: nn.Module) -> None:
    @dataclass(frozen=True)
    class Dark(Rounds):
        """The darkest images."""

        def score(self, now: Situation) -> np.ndarray:
            return -now.pool[torch.from_numpy(now.left)].flatten(1).mean(1).numpy()

    got = sg.learn(fresh(), Oracle(target), parts["pool"], Dark(rounds=1), queries=200, held_out=0, recipe=QUICK)
    chosen = got.answers.images[20:].flatten(1).mean(1)
    assert len(chosen) == 180 and float(chosen.max()) <= float(parts["pool"].images.flatten(1).mean(1).median())
    assert got.held_out is None and not got.curve.held_out and got.curve.strategy == "Dark"


def test_a_strategy_cannot_overdraw(parts: dict[str, sg.Dataset], target: nn.Module) -> None:
    class Greedy(Strategy):
        def plan(self, queries: int, pool: int) -> tuple[int, ...]:
            return (10,)

        def select(self, now: Situation, count: int) -> Choice:
            return now.take(now.random(11))

    oracle = Oracle(target)
    with pytest.raises(ValueError, match="at most 10 images from Greedy, but it chose 11"):
        sg.learn(fresh(), oracle, parts["pool"], Greedy(), queries=50, held_out=0)
    assert oracle.rows == 0


def test_a_target_that_fails_leaves_what_was_paid_for(parts: dict[str, sg.Dataset], target: nn.Module) -> None:
    oracle: Oracle

    def moody(x: Tensor) -> Tensor:
        if oracle.rows >= 130:
            raise ConnectionError("gone")
        return target(x)

    oracle = Oracle(moody, "scores", 10, returns="logits", rows_per_call=10)
    with pytest.raises(TargetError) as error:
        sg.learn(fresh(), oracle, parts["pool"], Random(first=0.5, rounds=2), queries=200, held_out=0, recipe=QUICK)
    kept = error.value.result
    assert oracle.rows == 130 and len(kept) >= 100
    sg.train(fresh(), kept, QUICK)


def test_a_target_of_one_class_says_so_and_hands_over_the_answers(parts: dict[str, sg.Dataset]) -> None:
    one = Oracle(lambda x: torch.full((len(x),), 4), "labels", 10)
    with pytest.raises(
        ValueError, match="at least two classes, but the target answered 4 for all of the 40 images"
    ) as error:
        sg.learn(fresh(), one, parts["pool"], queries=50, recipe=QUICK)
    assert len(error.value.answers) == 40  # type: ignore[attr-defined]


def dark(x: Tensor) -> Tensor:
    return x.flatten(1).mean(1) < 0.3


@pytest.mark.parametrize("access", ["labels", "scores"])
@pytest.mark.parametrize("strategy", [Random(first=0.5, rounds=1), acquire.Jacobian(seeds=60, rounds=1), acquire.Noised(copies=2)])
def test_what_is_rejected_is_paid_for_and_not_learned(
    parts: dict[str, sg.Dataset], target: nn.Module, access: str, strategy: acquire.Strategy
) -> None:
    oracle = Oracle(Rejecting(target, dark, access), access, 10, **({} if access == "labels" else {"returns": "logits"}))
    found = sg.learn(
        fresh(), oracle, parts["pool"], strategy, queries=150, recipe=sg.Recipe(epochs=1), evaluation=parts["test"]
    )
    for some in (found.answers, found.held_out):
        assert some is not None and not dark(some.images).any() and some.rejected > 0
        assert torch.equal(some.labels, target(some.images).argmax(1))
        assert some.probabilities is None or bool(some.probabilities.isfinite().all())
        assert some.index[some.index >= 0].tolist() == [
            int((parts["pool"].images == image).flatten(1).all(1).nonzero()) for image in some.images[some.index >= 0]
        ]
    paid = len(found.answers) + found.answers.rejected + len(found.held_out) + found.held_out.rejected  # type: ignore[arg-type, union-attr]
    assert oracle.rows == found.curve.queries[-1] == paid and sg.report(found.net).queries == paid
    assert found.curve.evaluation[-1].unknown == int(dark(parts["test"].images).sum())


def test_a_teacher_that_rejects(parts: dict[str, sg.Dataset], target: nn.Module, tmp_path: Any) -> None:
    def train(of: Any = dark) -> nn.Module:
        teacher = Oracle(Rejecting(target, of, "labels"), "labels", 10, name="t")
        return sg.train(fresh(), parts["pool"], sg.Recipe(epochs=1), teacher=teacher, queries=100, checkpoint=tmp_path / "c")

    told = [sg.report(train()) for _ in range(2)]  # the second from the file
    assert [r.queries for r in told] == [100, 100] and told[0].images == told[1].images < 100
    assert any("were rejected by the target" in note for note in told[1].notes)
    both = sg.teach([fresh()], parts["pool"], Oracle(Rejecting(target, dark, "labels"), "labels", 10), 50, sg.Recipe(epochs=1))
    assert len(both) == 1


def test_a_target_that_rejects_everything(parts: dict[str, sg.Dataset], target: nn.Module) -> None:
    oracle = Oracle(Rejecting(target, lambda x: torch.ones(len(x), dtype=torch.bool), "labels"), "labels", 10)
    with pytest.raises(ValueError, match="rejected all 40 images to learn from. They are paid for") as error:
        sg.learn(fresh(), oracle, parts["pool"], queries=50, recipe=QUICK)
    assert error.value.answers.rejected == 40 and oracle.rows == 50  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="rejected all 30 images"):
        sg.train(fresh(), parts["pool"], QUICK, teacher=oracle, queries=30)


def test_a_target_that_rejects_and_then_fails(parts: dict[str, sg.Dataset], target: nn.Module) -> None:
    """What it rejected in the part that it did not finish was paid for too."""
    answered, rejected = [], []  # rows of each call

    def of(x: Tensor) -> Tensor:
        if sum(rejected) >= 20:
            raise ConnectionError("not today")
        (rejected if sum(answered) >= 90 else answered).append(len(x))
        return torch.full((len(x),), bool(rejected))

    oracle = Oracle(Rejecting(target, of, "labels"), "labels", 10, rows_per_call=10)
    with pytest.raises(TargetError) as error:
        sg.learn(fresh(), oracle, parts["pool"], Random(first=0.5, rounds=1), queries=180, recipe=sg.Recipe(epochs=1))
    assert error.value.result.rejected == sum(rejected) == oracle.rows - sum(answered) > 0  # type: ignore[attr-defined]


def test_answers_are_joined_without_losing_what_was_shown() -> None:
    x, soft = torch.rand(6, 1, 2, 2), torch.full((6, 3), 1 / 3)
    all_of_it = sg.Answers(x, torch.zeros(6, dtype=torch.int64), soft, np.arange(6), 3, rejected=2)
    none = replace(all_of_it.take(np.zeros(6, bool)), probabilities=None, rejected=1)  # of a call that failed at once
    found = none.join(all_of_it.take([0, 1]), all_of_it.take([2, 3, 4, 5]))
    assert torch.equal(found.images, x) and torch.equal(found.probabilities, soft) and found.index.tolist() == list(range(6))  # type: ignore[arg-type]
    assert found.paid == 7 and all_of_it.join(replace(found, probabilities=None)).probabilities is None


def bad(**change: Any) -> None:
    oracle = change.pop("oracle", Oracle(lambda x: x.flatten(1)[:, :3], "scores", 3, returns="logits"))
    args: dict[str, Any] = {"net": sg.build("mlp", 3, (1, 4, 4)), "oracle": oracle, "pool": images(20), "queries": 10}
    try:
        sg.learn(**(args | change))
    finally:
        assert oracle.counts.total() == 0  # refused before the first query


LABELS = Oracle(lambda x: x.flatten(1)[:, :3].argmax(1), "labels", 3)
BAD: list[tuple[dict[str, Any], str]] = [
    ({"queries": 0}, "at least 1, but it was 0"),
    ({"queries": 9, "strategy": Jacobian(seeds=15)}, "the seed set, 15 queries, but 7 are there to learn from"),
    ({"queries": 9, "strategy": Jacobian(seeds=15)}, "Of 9 given, 2 are held out"),
    ({"strategy": "activ"}, "Did you mean 'active'"),
    ({"net": sg.build("mlp", 4, (1, 4, 4))}, "the target's 3 classes, but it has 4"),
    ({"net": sg.build("mlp", 3, (3, 4, 4))}, "3 channels for the net, but they had 1"),
    ({"pool": images(20) * 300}, "Expected pool to lie in [0, 1]"),
    ({"recipe": sg.Recipe(held_out=0.1)}, "learn's own held_out"),
    ({"recipe": sg.Recipe(patience=2), "held_out": 0.0}, "held_out > 0 with patience"),
    ({"held_out": 1.5}, "held_out, a share of the budget"),
    ({"topk": "first"}, "topk to be one of"),
    ({"oracle": LABELS, "soft": True}, "shows labels only"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_bad_input_gets_a_sentence_and_costs_nothing(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as error:
        bad(**change)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_curves_are_saved_and_drawn(tmp_path: Path) -> None:
    curve = AgreementCurve("random", (50, 100), (Rate(5, 10), Rate(9, 10)), (Rate(30, 50), Rate(40, 50)), 50)
    assert AgreementCurve.load(curve.save(tmp_path / "a" / "curve.json")) == curve
    assert "100 queries   held out 90 %" in curve.table() and "evaluation 80 %" in curve.table()
    path = acquire.plot({"random": curve, "other": curve}, tmp_path / "curve.png")
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_a_bag_is_judged_by_members_that_did_not_learn_the_answer(
    parts: dict[str, sg.Dataset], target: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle = Oracle(target)
    told = sg.ask(oracle, parts["pool"], 200)
    module = sys.modules["surrogates.acquisition.bagged"]
    seen: list[tuple[set[bytes], set[bytes]]] = []
    real = module.train

    def spy(net: nn.Module, answers: Any, recipe: Any, **options: Any) -> nn.Module:
        seen.append((rows(answers.images), rows(options["validation"].images)))
        assert len(answers) == 200
        return real(net, answers, recipe, **options)

    monkeypatch.setattr(module, "train", spy)
    bag = acquire.bagged("mlp", told, 3, QUICK, seed=2)
    assert oracle.rows == 200 and len(bag.nets) == 3  # no query more
    whole = rows(told.images)
    for learned, left_out in seen:
        assert not learned & left_out and learned | left_out == whole and 0.28 < len(left_out) / 200 < 0.46
    everybody = set.intersection(*(learned for learned, _ in seen))
    assert bag.agreement.n == 200 - len(everybody)
    outs = [sg.predict(net, told.images) for net in bag.nets]
    assert not torch.equal(outs[0], outs[1])
    assert 0.5 < bag.agreement.value < 1
    monkeypatch.undo()
    whole_set = acquire.bagged("mlp", told, 2, QUICK, seed=2, bootstrap=False)
    alone = sg.train(sg.build("mlp", 10, (1, 8, 8), seed=5), told, QUICK, seed=5)  # member 1 of seed 2
    assert torch.equal(sg.predict(alone, told.images), sg.predict(whole_set.nets[1], told.images))
    assert whole_set.agreement.n == 0
    with pytest.raises(ValueError, match="at least 2 members"):
        acquire.bagged("mlp", told, 1)
    with pytest.raises(ValueError, match="without held_out"):
        acquire.bagged("mlp", told, 2, sg.Recipe(held_out=0.1))


@pytest.mark.parametrize(
    ("access", "options"),
    [
        ("labels", {"recipe": QUICK}),
        ("scores", {"recipe": sg.Recipe(epochs=4, temperature=3.0)}),
        ("topk", {"recipe": QUICK, "topk": "renormalised"}),
        ("rounded", {"recipe": QUICK}),
        ("scores", {"recipe": QUICK, "soft": False}),
    ],
)
def test_distillation_learns_from_whatever_is_shown(
    parts: dict[str, sg.Dataset], target: nn.Module, access: str, options: dict[str, Any]
) -> None:
    rounded = {"decimals": 1} if access == "rounded" else {}
    oracle = Oracle(target, "scores" if access == "rounded" else access, k=3, **rounded)
    got = sg.learn(fresh(), oracle, parts["pool"], queries=300, evaluation=parts["test"], **options)
    assert got.curve.evaluation[-1].value > 0.75
    soft = access != "labels" and options.get("soft", True)
    assert sg.report(got.net).soft is soft and sg.report(got.net).queries == 300
    if soft:
        assert got.answers.probabilities is not None
        torch.testing.assert_close(got.answers.probabilities.sum(1), torch.ones(240))


def test_noise_teaches_something_but_less_than_images(parts: dict[str, sg.Dataset], target: nn.Module) -> None:
    pool = acquire.noise((1, 8, 8), 300, "smooth")
    found = [
        sg.learn(fresh(), Oracle(target), p, queries=300, recipe=sg.Recipe(epochs=15), evaluation=parts["test"])
        for p in (pool, parts["pool"])
    ]
    noise, real = (got.curve.evaluation[-1] for got in found)
    assert 0.2 < noise.value < real.low

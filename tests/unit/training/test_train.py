"""Training: budgets, what is read, what is kept, and that nothing outside is touched."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

import surrogates as sg
from blackbox.oracle.oracle import Oracle, TargetError
from tests.surrogate_doubles import images


@pytest.fixture(scope="module")
def parts() -> dict[str, sg.Dataset]:
    return sg.split(sg.load("digits"), {"target": 500, "surrogate": 400, "attack": 200}, seed=0)


@pytest.fixture(scope="module")
def target(parts: dict[str, sg.Dataset]) -> nn.Module:
    return sg.train(sg.build("mlp", 10, (1, 8, 8), seed=7), parts["target"], sg.Recipe(epochs=8), seed=7)


def weights(net: nn.Module) -> list[torch.Tensor]:
    return [v.clone() for v in net.state_dict().values()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(v, w) for v, w in zip(a, b, strict=True))


@pytest.mark.parametrize(("arch", "least"), [("mlp", 0.85), ("lenet", 0.8), ("cnn", 0.9)])
def test_learns_the_digits(parts: dict[str, sg.Dataset], arch: str, least: float) -> None:
    net = sg.train(sg.build(arch, 10, (1, 8, 8)), parts["surrogate"], sg.Recipe(epochs=8))
    assert sg.accuracy(net, parts["attack"]).value > least
    out = sg.report(net)
    assert len(out.loss) == 8 == out.best and out.loss[-1] < out.loss[0] and out.stopped == "epochs"
    assert not net.training


def test_repeats_to_the_bit_and_leaves_the_global_generator_alone(parts: dict[str, sg.Dataset]) -> None:
    def once(seed: int) -> list[torch.Tensor]:
        with torch.random.fork_rng():
            net = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, 10))
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(torch.linspace(-0.3, 0.3, p.numel()).view_as(p))
        return weights(sg.train(net, parts["surrogate"], sg.Recipe(epochs=2, augment=("crop", "flip")), seed=seed))

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = once(0)
    sg.build("cnn", seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    assert same(first, once(0))
    assert not same(first, once(1))


@pytest.mark.parametrize("access", ["labels", "topk", "scores", "logits"])
def test_the_budget_is_kept_exactly_at_every_access_level(
    parts: dict[str, sg.Dataset], target: nn.Module, access: str
) -> None:
    oracle = Oracle(target, access=access, k=3)
    net = sg.train(sg.build("mlp", 10, (1, 8, 8)), parts["surrogate"], sg.Recipe(epochs=6), teacher=oracle, queries=301)
    assert oracle.rows == 301 and oracle.counts == {"train": 301}
    out = sg.report(net)
    assert out.queries == out.budget == 301 and out.soft is (access != "labels") and not out.notes
    agreement = sg.fidelity(net, oracle, parts["attack"].images)
    assert agreement.n == 200 and agreement.value > 0.75
    assert oracle.counts == {"train": 301, "fidelity": 200}


def test_a_pool_smaller_than_the_budget_is_asked_once(parts: dict[str, sg.Dataset], target: nn.Module) -> None:
    oracle = Oracle(target)
    recipe = sg.Recipe(epochs=1, held_out=0.2)
    net = sg.train(sg.build("mlp", 10, (1, 8, 8)), parts["attack"], recipe, teacher=oracle, queries=5000)
    out = sg.report(net)
    assert oracle.rows == 200 == out.queries and out.budget == 5000 and "200 of 5000" in out.notes[0]
    assert out.images == 160 and out.held_out == 40  # what is held out was paid for too


def test_true_labels_are_never_read_with_a_teacher(parts: dict[str, sg.Dataset], target: nn.Module) -> None:
    pool, recipe = parts["surrogate"], sg.Recipe(epochs=2)
    made = []
    for labels in (pool.labels, torch.zeros_like(pool.labels), None):
        net = sg.build("mlp", 10, (1, 8, 8))
        data: Any = (pool.images, labels)
        made.append(weights(sg.train(net, data, recipe, teacher=Oracle(target, access="labels"), queries=150)))
    assert same(made[0], made[1]) and same(made[0], made[2])


def test_soft_labels_carry_more_than_hard_ones_and_can_be_left_out(
    parts: dict[str, sg.Dataset], target: nn.Module
) -> None:
    def once(**options: Any) -> list[torch.Tensor]:
        net = sg.build("mlp", 10, (1, 8, 8))
        return weights(sg.train(net, parts["surrogate"], sg.Recipe(epochs=2), queries=100, **options))

    hard = once(teacher=Oracle(target, access="labels"))
    assert same(hard, once(teacher=Oracle(target, access="scores"), soft=False))
    assert not same(hard, once(teacher=Oracle(target, access="scores")))


def test_rounded_scores_still_make_probabilities(parts: dict[str, sg.Dataset]) -> None:
    flat = Oracle(
        lambda x: torch.full((len(x), 30), 1 / 30) + torch.eye(30)[x.flatten(1).argmax(1) % 30] * 1e-3,
        classes=30,
        returns="probabilities",
        decimals=1,
    )
    answers = sg.ask(flat, parts["attack"], 20)
    assert answers.probabilities is not None and torch.equal(answers.probabilities.sum(1), torch.ones(20))
    assert torch.equal(answers.probabilities.argmax(1), answers.labels)


def test_answers_are_bought_once_and_used_twice(parts: dict[str, sg.Dataset], target: nn.Module) -> None:
    oracle = Oracle(target)
    answers = sg.ask(oracle, parts["surrogate"], 120, seed=4)
    assert torch.equal(answers.images, parts["surrogate"].images[torch.from_numpy(answers.index)])
    direct = sg.train(
        sg.build("mlp", 10, (1, 8, 8)),
        parts["surrogate"],
        sg.Recipe(epochs=2),
        teacher=Oracle(target),
        queries=120,
        seed=4,
    )
    again = sg.train(sg.build("mlp", 10, (1, 8, 8)), answers, sg.Recipe(epochs=2), seed=4)
    assert same(weights(direct), weights(again)) and oracle.rows == 120


def test_a_teacher_that_fails_leaves_what_was_paid_for() -> None:
    calls = 0

    def moody(x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += len(x)
        if calls > 1024:
            raise ConnectionError("gone")
        return x.flatten(1)[:, :3].argmax(1)

    oracle = Oracle(moody, access="labels", classes=3, rows_per_call=256)
    with pytest.raises(TargetError) as error:
        sg.train(sg.build("mlp", 3, (1, 2, 2)), (images(2000, (1, 2, 2)), None), teacher=oracle, queries=1500)
    kept = error.value.result
    assert len(kept) == 1024 == oracle.rows
    sg.train(sg.build("mlp", 3, (1, 2, 2)), kept, sg.Recipe(epochs=1))


@pytest.mark.parametrize("count", [9, 17, 33])
def test_a_last_batch_of_one_does_not_crash_batch_norm(count: int) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    sg.train(net, (images(count), torch.arange(count) % 3), sg.Recipe(epochs=2, batch_size=8))
    assert sg.report(net).updates == 2 * (count // 8)


def test_held_out_images_choose_the_epoch_and_patience_stops(parts: dict[str, sg.Dataset]) -> None:
    g = torch.Generator().manual_seed(0)
    noise = (torch.rand(120, 1, 8, 8, generator=g), torch.randint(0, 10, (120,), generator=g))  # nothing to learn
    recipe = sg.Recipe(epochs=60, held_out=0.3, patience=3, schedule="constant", lr=0.05)
    net = sg.train(sg.build("mlp", 10, (1, 8, 8)), noise, recipe)
    out = sg.report(net)
    assert out.stopped == "patience" and len(out.loss) == out.best + 3 < 60
    assert out.held_out_loss[out.best - 1] == min(out.held_out_loss)


def test_divergence_says_so_and_keeps_the_best(parts: dict[str, sg.Dataset]) -> None:
    net = sg.build("mlp", 10, (1, 8, 8))
    with pytest.warns(UserWarning, match="Diverged in epoch"):
        sg.train(net, parts["surrogate"], sg.Recipe(epochs=5, lr=1e12, warmup=0.0))
    assert sg.report(net).stopped == "diverged" and all(bool(v.isfinite().all()) for v in net.state_dict().values())


def test_the_rate_rises_falls_and_ends() -> None:
    recipe = sg.Recipe(warmup=0.1)
    assert recipe.rate(0.0) == 0 and recipe.rate(0.05) == pytest.approx(0.5) and recipe.rate(0.1) == pytest.approx(1)
    assert recipe.rate(0.55) == pytest.approx(0.5) and recipe.rate(1.0) == pytest.approx(0)
    assert [sg.Recipe(schedule="step", warmup=0).rate(t) for t in (0.4, 0.6, 0.9)] == [1, 0.1, 0.01]


def test_progress_sees_every_epoch(parts: dict[str, sg.Dataset]) -> None:
    seen: list[int] = []
    sg.train(
        sg.build("mlp", 10, (1, 8, 8)),
        parts["attack"],
        sg.Recipe(epochs=3),
        progress=lambda epoch, out: seen.append(epoch),
    )
    assert seen == [1, 2, 3]


X3 = images(6)
BAD: list[tuple[dict[str, Any], str]] = [
    ({"train_set": (X3, torch.ones(6, dtype=torch.int64))}, "all labels are 1 for all of the 6 images"),
    ({"train_set": (X3, torch.arange(6))}, "Build the net with classes=6"),
    ({"train_set": (X3, None)}, "or a teacher to give them"),
    ({"train_set": X3}, "Dataset or a pair"),
    ({"queries": 5}, "teacher= with queries="),
    ({"teacher": Oracle(lambda x: x.flatten(1)[:, :3])}, "queries= with a teacher"),
    ({"teacher": Oracle(lambda x: x.flatten(1)[:, :3], classes=3), "queries": 0}, "at least 1, but it was 0"),
    ({"teacher": Oracle(lambda x: torch.zeros(len(x), dtype=torch.int64), "labels", 3), "queries": 5}, "the target answered 0 for all"),
    ({"teacher": Oracle(lambda x: x.flatten(1)[:, :3].argmax(1), "labels", 3), "queries": 5, "soft": True}, "shows labels only"),
    ({"teacher": Oracle(lambda x: x.flatten(1)[:, :3] * float("inf"), "logits", 3, returns="logits"), "queries": 5}, "finite scores"),
    ({"teacher": Oracle(lambda x: x.flatten(1)[:, :4], "scores", 4, returns="logits"), "queries": 5}, "Build the net with classes=4"),
    ({"soft": True}, "for soft labels"),
    ({"train_set": (images(6, (3, 4, 4)), torch.arange(6) % 3)}, "1 channels for the net, but they had 3"),
    ({"recipe": sg.Recipe(held_out=0.9)}, "enough images to hold out"),
    ({"recipe": sg.Recipe(patience=2)}, "with patience"),
    ({"validation": (images(6, (1, 5, 5)), torch.arange(6) % 3)}, "validation images like those learned from"),
    ({"checkpoint": "a", "cache": "b"}, "both were given"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), BAD)
def test_bad_input_gets_a_sentence(change: dict[str, Any], words: str) -> None:
    args: dict[str, Any] = {"train_set": (X3, torch.arange(6) % 3)} | change
    with (
        pytest.raises((ValueError, TargetError)) as error,
        warnings.catch_warnings(),
    ):  # TargetError: it answered nonsense
        sg.train(sg.build("mlp", 3, (1, 4, 4)), **args)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0}, {"batch_size": 1}, {"optimiser": "lion"}, {"schedule": "zigzag"}, {"augment": ("cutmix",)}, {"lr": -1.0},
        {"momentum": 1.0}, {"held_out": 1.0}, {"patience": 0}, {"temperature": 0.0},
        {"precision": "half"}, {"update": "sam"},
    ],
)  # fmt: skip
def test_a_recipe_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        sg.Recipe(**change)


def test_no_report_without_training() -> None:
    with pytest.raises(ValueError, match="has no report"):
        sg.report(sg.build("mlp"))

"""Interrupted runs, cached runs, validation images: the same weights to the bit, and no query paid twice."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import surrogates as sg
from blackbox.checkpoint import CheckpointError
from blackbox.oracle.oracle import Oracle
from blackbox.rng import Stream
from blackbox.threat import Linf
from surrogates.training.examples import as_examples, augmented
from surrogates.training.loop import Loop
from tests.surrogate_doubles import images

X = images(60, (1, 8, 8))
Y = (X[:, 0, 0, 0] * 5).long() % 3


class Stop(Exception):
    """The power goes out."""


def fresh(seed: int = 0) -> nn.Module:
    """With batch norm and dropout, so that everything random and everything running is in play."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(144, 3)
        )


def stop_at(epoch: int) -> Callable[[int, Any], None]:
    def progress(number: int, out: Any) -> None:
        if number == epoch:
            raise Stop

    return progress


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(v, w) for v, w in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"optimiser": "sgd"},
        {"optimiser": "adam", "augment": ("flip", "crop")},
        {"held_out": 0.3, "patience": 4, "lr": 0.2, "schedule": "constant", "epochs": 30},
    ],
)
@pytest.mark.parametrize("stopped", [1, 4])
def test_a_resumed_run_ends_with_the_weights_of_the_unbroken_one(
    tmp_path: Path, options: dict[str, Any], stopped: int
) -> None:
    recipe = sg.Recipe(**{"epochs": 6, "batch_size": 16} | options)
    whole = sg.train(fresh(), (X, Y), recipe, seed=3)
    path = tmp_path / "run.pt"
    with pytest.raises(Stop):
        sg.train(fresh(), (X, Y), recipe, seed=3, checkpoint=path, progress=stop_at(stopped))
    seen: list[int] = []
    again = sg.train(fresh(), (X, Y), recipe, seed=3, checkpoint=path, progress=lambda n, out: seen.append(n))
    # the epoch in which progress raised was not stored yet, so it is the first one to be repeated
    assert same(whole, again) and seen[0] == stopped
    assert sg.report(whole).loss == sg.report(again).loss and sg.report(whole).best == sg.report(again).best
    assert sg.report(whole).stopped == sg.report(again).stopped == ("patience" if "patience" in options else "epochs")


def test_a_finished_run_is_read_and_another_run_is_refused(tmp_path: Path) -> None:
    path, recipe = tmp_path / "run.pt", sg.Recipe(epochs=2)
    first = sg.train(fresh(), (X, Y), recipe, checkpoint=path)
    again = sg.train(fresh(), (X, Y), recipe, checkpoint=path, progress=stop_at(1))  # would stop if it trained
    assert same(first, again) and "2 epochs were there" in sg.report(again).notes[-1] and not again.training
    for change, words in (
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"recipe": sg.Recipe(epochs=3)}, "recipe.epochs: '2' there, '3' here"),
        ({"train_set": (X, (Y + 1) % 3)}, "data"),
        ({"net": fresh(1)}, "initial weights"),
    ):
        args: dict[str, Any] = {"net": fresh(), "train_set": (X, Y), "recipe": recipe, "checkpoint": path} | change
        with pytest.raises(CheckpointError) as error:
            sg.train(**args)
        assert words in str(error.value)


def test_a_run_that_stops_while_it_learns_from_a_target_pays_once(tmp_path: Path) -> None:
    target = sg.build("mlp", 3, (1, 8, 8), seed=5)
    recipe = sg.Recipe(epochs=3, lr=0.01)

    def once(oracle: Oracle, **options: Any) -> nn.Module:
        return sg.train(fresh(), (X, None), recipe, teacher=oracle, queries=40, **options)

    # calls of one size, because a matrix product of another size may differ in its last bits
    whole, oracle = once(Oracle(target, classes=3, rows_per_call=20)), Oracle(target, classes=3, rows_per_call=20)
    with pytest.raises(Stop):
        once(oracle, checkpoint=tmp_path / "run.pt", progress=stop_at(2))
    again = once(oracle, checkpoint=tmp_path / "run.pt")
    assert same(whole, again) and oracle.rows == 40 == sg.report(again).queries
    with pytest.raises(CheckpointError, match="access"):
        once(Oracle(target, "labels", 3), checkpoint=tmp_path / "run.pt")


def test_the_cache_knows_what_decides_the_outcome(tmp_path: Path) -> None:
    trained: list[int] = []

    def once(**change: Any) -> nn.Module:
        args: dict[str, Any] = {"net": fresh(), "train_set": (X, Y), "recipe": sg.Recipe(epochs=2)} | change
        return sg.train(**args, cache=tmp_path, progress=lambda n, out: trained.append(n))

    first = once()
    assert trained == [1, 2] and same(first, once()) and trained == [1, 2]
    changes: list[dict[str, Any]] = [
        {"seed": 1},
        {"recipe": sg.Recipe(epochs=2, lr=0.02)},
        {"recipe": sg.Recipe(epochs=2, update=sg.robust.Adversarial(Linf(0.1)))},
        {"recipe": sg.Recipe(epochs=2, update=sg.robust.Adversarial(Linf(0.2)))},
        {"train_set": (X, (Y + 1) % 3)},
        {"train_set": (X.flip(3), Y)},
        {"net": fresh(1)},
        {"validation": (X[:9], Y[:9])},  # may choose the last epoch too
    ]
    for i, change in enumerate(changes):
        other = once(**change)
        assert "validation" in change or not same(first, other), change
        assert len(trained) == 4 + 2 * i
    normal = [sg.build("cnn", 3, (1, 8, 8), mean=m) for m in (0.0, 0.5)]  # the mean is in no state dict
    assert not same(*(once(net=net) for net in normal))
    assert len(list(tmp_path.glob("*.pt"))) == len(changes) + 3


def test_validation_images_choose_the_epoch() -> None:
    recipe = sg.Recipe(epochs=8, lr=0.3, schedule="constant", batch_size=16)
    wrong = (X[:30], (Y[:30] + 1) % 3)  # the better the net, the worse it does here
    net = sg.train(fresh(), (X, Y), recipe, validation=wrong)
    out = sg.report(net)
    assert out.held_out == 30 and out.images == 60
    assert out.best == int(np.argmin(out.held_out_loss)) + 1 < 8


def test_a_loss_that_explodes_without_nan_is_divergence_too() -> None:
    with pytest.warns(UserWarning, match="Diverged in epoch 1"):
        net = sg.train(sg.build("mlp", 3, (1, 8, 8)), (X, Y), sg.Recipe(epochs=3, lr=30.0, warmup=0.0, momentum=0.0))
    out = sg.report(net)
    assert np.isfinite(out.loss[-1]) and out.stopped == "diverged" and out.best == 0
    assert same(net, sg.build("mlp", 3, (1, 8, 8)))


def test_an_image_is_shifted_and_mirrored_by_its_own_draw() -> None:
    x = images(6, (2, 8, 8))
    ids = np.array([4, 9, 1, 0, 7, 2], dtype=np.uint64)
    whole = augmented(x, ("crop", "flip"), Stream(5, ids), 3)
    for i in range(6):
        alone = augmented(x[i : i + 1], ("crop", "flip"), Stream(5, ids[i : i + 1]), 3)
        assert torch.equal(whole[i : i + 1], alone)
        padded = nn.functional.pad(x[i], (1, 1, 1, 1))
        shifts = [padded[:, a : a + 8, b : b + 8] for a in range(3) for b in range(3)]
        assert any(torch.equal(whole[i], v) for s in shifts for v in (s, s.flip(2)))
    assert not torch.equal(whole, augmented(x, ("crop", "flip"), Stream(5, ids), 4))
    many = augmented(x[:1].expand(4000, -1, -1, -1), ("flip",), Stream(0, np.arange(4000, dtype=np.uint64)), 1)
    assert 0.46 < float((many == x[:1].flip(3)).flatten(1).all(1).float().mean()) < 0.54


def test_the_net_comes_back_contiguous_and_mixed_precision_needs_an_accelerator() -> None:
    net = fresh()
    loop = Loop(net, as_examples((X, Y)), None, sg.Recipe(epochs=1), sg.TrainReport(60, 0, 0, 0, False, 0))
    assert not net[0].weight.is_contiguous() or net[0].weight.shape[1] == 1
    assert not loop.autocast()._enabled
    wide = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3))
    sg.train(wide, (X.expand(-1, 3, -1, -1), Y), sg.Recipe(epochs=1))
    assert wide[0].weight.is_contiguous()


@pytest.mark.filterwarnings("ignore:This processor has no instructions for bfloat16")
def test_bfloat16_passes_still_learn() -> None:
    """On a CPU where it is asked for: its losses are not those of full precision, and its weights stay in float32."""
    full, net = (sg.build("mlp", 3, (1, 8, 8)) for _ in range(2))
    sg.train(full, (X, Y), sg.Recipe(epochs=20, lr=0.1))
    sg.train(net, (X, Y), sg.Recipe(epochs=20, lr=0.1, precision="bfloat16"))
    out = sg.report(net)
    assert out.loss[-1] < 0.5 * out.loss[0] and all(v.dtype == torch.float32 for v in net.state_dict().values())
    assert out.loss[0] != sg.report(full).loss[0]


def test_emulated_bfloat16_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for slow in (True, False):
        monkeypatch.setattr("surrogates.training.loop.slow_bfloat16", lambda slow=slow: slow)
        net = sg.build("mlp", 3, (1, 8, 8))
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            sg.train(net, (X, Y), sg.Recipe(epochs=1, precision="bfloat16"))
        assert [str(w.message) for w in heard] == sg.report(net).notes
        assert any("no instructions for bfloat16" in note for note in sg.report(net).notes) == slow


def test_a_top_k_list_is_completed_either_way() -> None:
    table = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]])
    oracle = Oracle(lambda x: table[x.flatten(1)[:, 0].round().long()], "topk", 4, k=2, returns="probabilities")
    x = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    spread, short = (sg.ask(oracle, x, 2, topk=kind) for kind in ("spread", "renormalised"))
    assert spread.probabilities is not None and short.probabilities is not None
    want = {0: [0.5, 0.3, 0.1, 0.1], 1: [0.15, 0.15, 0.3, 0.4]}, {0: [0.625, 0.375, 0, 0], 1: [0, 0, 3 / 7, 4 / 7]}
    for found, table_of in zip((spread, short), want, strict=True):
        expected = torch.tensor([table_of[int(i)] for i in found.index])
        torch.testing.assert_close(found.probabilities, expected)
    with pytest.raises(ValueError, match="spread, renormalised"):
        sg.ask(oracle, x, 2, topk="drop")


def test_a_resumed_run_remembers_how_good_the_best_epoch_was(tmp_path: Path) -> None:
    """The held-out images are mislabelled, so every epoch is worse than the first."""
    recipe, wrong = sg.Recipe(epochs=5, lr=0.1, schedule="constant", batch_size=16), (X[:30], (Y[:30] + 1) % 3)

    def once(**options: Any) -> nn.Module:
        return sg.train(fresh(), (X, Y), recipe, validation=wrong, **options)

    whole, path = once(), tmp_path / "run.pt"
    with pytest.raises(Stop):
        once(checkpoint=path, progress=stop_at(4))
    assert sg.report(whole).best < 4 and same(whole, once(checkpoint=path))

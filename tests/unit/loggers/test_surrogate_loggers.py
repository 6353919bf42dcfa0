"""What a logger is told of training: the report's own columns, epoch by epoch, and of `learn` the curve's own rates."""

from __future__ import annotations

from pathlib import Path

import pytest

import blackbox as bb
import surrogates as sg
from tests.unit.loggers.kept import Kept


@pytest.fixture(scope="module")
def own() -> sg.Dataset:
    return sg.split(sg.load("digits"), {"own": 96}, seed=0)["own"]


def net() -> object:
    return sg.build("mlp", 10, (1, 8, 8), seed=0)


def test_every_epoch_is_logged_and_true(own: sg.Dataset) -> None:
    kept = Kept()
    out = sg.report(sg.train(net(), own, sg.Recipe(epochs=3, held_out=0.25), log=kept))
    for name in ("loss", "accuracy", "held_out_loss", "held_out_accuracy"):
        assert kept.points(f"train/{name}") == list(enumerate(getattr(out, name), 1)), name
    assert kept.last("final/best_epoch") == out.best and kept.last("final/loss") == out.loss[out.best - 1]
    assert kept.calls[0][1]["recipe_epochs"] == "3" and kept.calls[-1] == ("end", "done")


def test_a_resumed_run_logs_the_epochs_before_it(own: sg.Dataset, tmp_path: Path) -> None:
    def stop(epoch: int, _: sg.TrainReport) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    first, second = Kept(), Kept()
    with pytest.raises(KeyboardInterrupt):
        sg.train(net(), own, sg.Recipe(epochs=3), checkpoint=tmp_path / "c", progress=stop, log=first)
    assert first.calls[-1] == ("end", "stopped") and len(first.points("train/loss")) == 2
    out = sg.report(sg.train(net(), own, sg.Recipe(epochs=3), checkpoint=tmp_path / "c", log=second))
    assert second.points("train/loss") == list(enumerate(out.loss, 1))


def test_answers_of_a_target_are_called_agreement_and_a_round_is_the_curves_own(own: sg.Dataset) -> None:
    target, kept = bb.Oracle(sg.build("mlp", 10, (1, 8, 8), seed=7).eval(), "labels"), Kept()
    got = sg.learn(net(), target, own, "random", queries=60, recipe=sg.Recipe(epochs=1), log=kept)
    rates = [r.value for r in got.curve.held_out]
    assert kept.points("agreement/held_out") == list(zip(got.curve.queries, rates, strict=True))
    assert kept.calls[0][1]["strategy"] == "random" and kept.calls[-1] == ("end", "done")
    again = Kept()
    sg.train(net(), own, sg.Recipe(epochs=1), teacher=target, queries=20, log=again)
    assert again.points("train/agreement") and not again.points("train/accuracy") and again.last("final/queries") == 20

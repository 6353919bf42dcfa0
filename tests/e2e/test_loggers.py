"""What TensorBoard, MLflow and W&B hold afterwards, read back by their own readers, is the result's own curve."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import blackbox as bb
from tests.unit.loggers.kept import CURVE, climb


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[bb.AttackResult, Path]:
    """One run, logged by all three at once."""
    from blackbox.loggers import MLflow, TensorBoard, WandB

    folder = tmp_path_factory.mktemp("logs")
    backends = [TensorBoard(folder / "tb"), MLflow(folder / "ml"), WandB("project", mode="offline", folder=folder / "wb")]
    result = climb(backends)
    assert [r.value for r in result.curve(list(CURVE))] == list(CURVE.values())
    return result, folder


def test_tensorboard(logged: tuple[bb.AttackResult, Path]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    events = EventAccumulator(str(logged[1] / "tb" / "Climb-seed0"), size_guidance={"tensors": 0, "images": 0})
    events.Reload()
    curve = {e.step: e.value for e in events.Scalars("curve/success_rate")}
    assert curve == CURVE and events.Scalars("final/success_rate")[0].value == 0.75
    assert events.Tags()["images"] == ["example/0", "example/1", "example/2"]
    told = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    settings = HParamsPluginData.FromString(told).session_start_info.hparams
    assert settings["eps"].number_value == 0.1 and settings["status"].string_value == "done"


def test_mlflow(logged: tuple[bb.AttackResult, Path]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(logged[1] / "ml").as_uri())
    number = client.get_experiment_by_name("blackbox").experiment_id
    (run,) = client.search_runs([number])
    assert {m.step: m.value for m in client.get_metric_history(run.info.run_id, "curve/success_rate")} == CURVE
    assert run.data.params["eps"] == "0.1" and run.info.status == "FINISHED"
    assert [f.path for f in client.list_artifacts(run.info.run_id, "example")] == [f"example/{i}.png" for i in range(3)]


def records(raw: bytes) -> Iterator[bytes]:
    """The records of an offline file of W&B: LevelDB's log format behind a head of 7 bytes."""
    at, parts = 7, b""
    while at + 7 <= len(raw):
        if 32768 - at % 32768 < 7:  # a block's end is filled up
            at += 32768 - at % 32768
            continue
        size, kind = struct.unpack("<HB", raw[at + 4 : at + 7])
        parts += raw[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # the whole record, or its last part
            yield parts
            parts = b""


def test_wandb_without_network_or_account(logged: tuple[bb.AttackResult, Path]) -> None:
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = (logged[1] / "wb").glob("wandb/offline-run-*/run-*.wandb")
    curve, settings = {}, {}
    for data in records(file.read_bytes()):
        record = Record.FromString(data)
        settings |= {u.key: json.loads(u.value_json) for u in record.run.config.update}
        row: dict[str, Any] = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
        if "curve/success_rate" in row:
            curve[row["curve/step"]] = row["curve/success_rate"]
    assert curve == CURVE and settings["eps"] == 0.1


def test_a_service_that_is_down_costs_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    from blackbox.loggers import MLflow

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.warns(RuntimeWarning, match="MLflow failed in start"):
        assert climb(MLflow("http://127.0.0.1:9")).success.sum() == 3

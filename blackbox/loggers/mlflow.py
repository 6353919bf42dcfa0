"""`MLflow`: a run of an MLflow experiment for each run, in a folder or on a tracking server."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.loggers.logger import need, pixels, plain

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 900  # metrics of a call; a server takes 1,000 at most
_WAIT = 1.0  # seconds that metrics wait for others: a call costs much more than a metric


class MLflow:
    """Writes with `mlflow.MlflowClient`, so that nothing of a session's own active run is touched.

    Args:
        where: a folder, or the address of a tracking server, https://… (or sqlite:///…, databricks …).
        experiment: where the runs are filed.

    Raises:
        ValueError: neither mlflow nor mlflow-skinny is installed.
    """

    def __init__(self, where: str | Path = "runs/mlruns", experiment: str = "blackbox") -> None:
        need("mlflow", "mlflow")
        text = str(where)
        self.local = "://" not in text and not text.startswith(("sqlite:", "databricks"))
        self.where, self.experiment, self.id = text, experiment, ""
        self.client: Any = None
        self.waiting: list[Any] = []
        self.sent = 0.0

    def start(self, settings: Mapping[str, Any]) -> None:
        if self.local:  # MLflow 3 asks for this consent before it writes a folder
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # by default a server that is down holds a run for minutes
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self.client = MlflowClient(tracking_uri=Path(self.where).resolve().as_uri() if self.local else self.where)
        found = self.client.get_experiment_by_name(self.experiment)
        number = found.experiment_id if found else self.client.create_experiment(self.experiment)
        self.waiting, self.sent = [], 0.0
        self.id = self.client.create_run(number, run_name=str(settings["run"])).info.run_id
        params = [Param(name, str(value)[:6000]) for name, value in plain(settings).items()]
        self.client.log_batch(self.id, params=params)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = time.time()
        self.waiting += [Metric(name, float(value), int(1000 * now), step) for name, value in values.items()]
        if now - self.sent > _WAIT or len(self.waiting) > _AT_ONCE:
            self._send()

    def _send(self) -> None:
        waiting, self.waiting, self.sent = self.waiting, [], time.time()
        for i in range(0, len(waiting), _AT_ONCE):
            self.client.log_batch(self.id, metrics=waiting[i : i + _AT_ONCE])

    def images(self, step: int, pictures: Mapping[str, Tensor]) -> None:
        from PIL import Image

        for name, picture in pictures.items():
            self.client.log_image(self.id, Image.fromarray(pixels(picture).squeeze()), f"{name}.png")

    def end(self, status: str) -> None:
        self._send()
        self.client.set_tag(self.id, "status", status)
        finished = {"done": "FINISHED", "incomplete": "FAILED", "stopped": "KILLED"}
        self.client.set_terminated(self.id, finished.get(status, "FAILED"))

"""Keras models as targets (extra ``[keras]``), on whatever backend Keras is set to."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.targets.batches import check_shape, in_batches
from blackbox.targets.info import Described, TargetInfo
from blackbox.targets.packages import need


class KerasTarget(Described):
    """Calls a Keras model on images in [0, 1], in the layout of its input: [m, height, width, channels] unless it says otherwise.

    What it returns is read from its last layer: softmax and sigmoid give probabilities, no activation gives logits. A single
    sigmoid becomes two columns.

    Args:
        model: a ``keras.Model``, or a ``.keras`` file, which is loaded in safe mode: a file that brings code is refused.
            Scaling belongs into it (a ``Rescaling`` layer).
        layout: "last" or "first", where its channels are; by default the one that the data format of its layers says.
        returns: "logits" or "probabilities", where the last layer does not say.

    Raises:
        ModuleNotFoundError: keras is not installed. FileNotFoundError: no such file.
        ValueError: it cannot be loaded, has several inputs or outputs, or gives several labels an image.
    """

    device = torch.device("cpu")

    def __init__(
        self, model: Any, *, layout: str | None = None, returns: str | None = None, name: str | None = None
    ) -> None:
        path = Path(model) if isinstance(model, (str, os.PathLike)) else None
        self._model = model if path is None else _loaded(path)
        what = str(path or self._model.name)
        given, out = self._model.input_shape, self._model.output_shape
        if isinstance(given, (list, dict)) or isinstance(out, (list, dict)):
            raise ValueError(f"Expected {what} to have one input and one output, but they have the shapes {given} and {out}.")
        if layout not in (None, "first", "last"):
            raise ValueError(f"Expected layout to be first or last, but it was {layout!r}.")
        batch, *dims = given
        self._batch = batch
        self._last = len(dims) == 3 and (layout or _layout(self._model)) == "last"
        shape = (dims[2], dims[0], dims[1]) if self._last else tuple(dims)
        self._single = int(out[-1]) == 1
        says = returns or _returns(self._model)
        if says == "sigmoid" and not self._single:
            raise ValueError(f"Expected one label an image, but {what} ends in {out[-1]} sigmoids, which gives several.")
        if self._single and says == "logits":
            raise ValueError(f"Expected {what} to end in a sigmoid or in one unit a class, but it ends in a single unit without one.")
        says = "probabilities" if says == "sigmoid" else says
        self.info = TargetInfo(name or (path.stem if path else self._model.name), says, classes=max(2, int(out[-1])), shape=shape)

    def predict(self, x: Tensor) -> Tensor:
        check_shape(x, self.shape, self.name)
        return in_batches(self._run, x, self._batch or 1, self._batch)

    def _run(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1) if self._last else x
        with torch.inference_mode():  # of use where Keras runs on torch
            found = self._model(np.ascontiguousarray(rows.numpy(force=True)), training=False)
        out = found.detach().clone() if isinstance(found, Tensor) else torch.from_numpy(np.array(found))
        return torch.cat([1 - out, out], 1) if self._single else out


def _loaded(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"Expected a .keras file at {path}, but there is none.")
    choose_backend()
    keras = need("keras", "keras", str(path))
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"Expected {path} to be a file that Keras {keras.__version__} saved, but it cannot be loaded: {said}") from error


def choose_backend() -> None:
    """Have Keras run on torch where its own default, TensorFlow, is not installed and nothing else was chosen."""
    if "KERAS_BACKEND" in os.environ or importlib.util.find_spec("tensorflow") is not None:
        return
    try:  # Keras writes this file when it is first imported, with its default
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        chosen = json.loads((home / "keras.json").read_text(encoding="utf-8")).get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        chosen = "tensorflow"
    if chosen == "tensorflow":
        os.environ["KERAS_BACKEND"] = "torch"


def _layout(model: Any) -> str:
    said = next((f for layer in model.layers if (f := getattr(layer, "data_format", None))), "channels_last")
    return "first" if said == "channels_first" else "last"


def _returns(model: Any) -> str | None:
    """"probabilities", "sigmoid" or "logits", by the last layer that has an activation; None where it has another."""
    last = model.layers[-1]
    while hasattr(last, "layers") and last.layers:  # a model inside a model
        last = last.layers[-1]
    activation = getattr(last, "activation", None)
    word = getattr(activation, "__name__", None) or type(last).__name__.lower()
    return {"softmax": "probabilities", "sigmoid": "sigmoid", "linear": "logits"}.get(word)

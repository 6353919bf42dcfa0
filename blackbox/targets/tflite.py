"""TensorFlow Lite files as targets, run by LiteRT (extra ``[tflite]``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.targets.batches import check_shape, in_batches
from blackbox.targets.info import Described, TargetInfo
from blackbox.targets.packages import need


class TfliteTarget(Described):
    """Runs a ``.tflite`` file on images in [0, 1]; a quantised input or output is converted by the file's own scale and zero.

    Calls are split and filled up to the file's number of images; the filling is never shown or charged.

    Args:
        path: the file, with one input of images [m, height, width, channels], and one output [m, C].
        mean, std: images are given to it as (x - mean) / std. By default what its input says: an input of bytes whose scale is
            1/255 takes images in [0, 1], and one whose scale is 1/128 and zero 128 images in [-1, 1]. Floats are given in [0, 1].
        layout: "last" or "first", where its channels are.
        returns: "logits" or "probabilities"; by default the oracle tells from the first answer, or the file's last operation
            is a softmax.

    Attributes:
        shape: of an image. classes: their number. probe: a step of a quantised input, below which it may see no change.

    Raises:
        ModuleNotFoundError: ai-edge-litert is not installed. FileNotFoundError: no such file.
        ValueError: it cannot be loaded, or has several inputs or outputs.
    """

    device = torch.device("cpu")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mean: float | None = None,
        std: float | None = None,
        layout: str = "last",
        returns: str | None = None,
        name: str | None = None,
    ) -> None:
        path = Path(path)
        if layout not in ("first", "last"):
            raise ValueError(f"Expected layout to be first or last, but it was {layout!r}.")
        self._net = _loaded(path)
        inputs, outputs = self._net.get_input_details(), self._net.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(f"Expected {path} to have one input and one output, but it has {len(inputs)} and {len(outputs)}.")
        self._in, self._out = inputs[0], outputs[0]
        free = self._in.get("shape_signature", self._in["shape"])[0] < 0
        batch, *dims = (int(n) for n in self._in["shape"])
        self._batch, self._last = None if free else batch, layout == "last" and len(dims) == 3
        shape = (dims[2], dims[0], dims[1]) if self._last else tuple(dims)
        low, high = _range(self._in)
        self._mean, self._std = (low / (low - high) if mean is None else mean), (1 / (high - low) if std is None else std)
        self.info = TargetInfo(
            name or path.stem, returns or _ends_in_softmax(self._net), classes=int(self._out["shape"][-1]), shape=shape,
            probe=_step(self._in) * self._std, resolution=_step(self._out),
        )  # fmt: skip

    def predict(self, x: Tensor) -> Tensor:
        check_shape(x, self.shape, self.name)
        return in_batches(self._run, x, self._batch or 1, self._batch)

    def _run(self, x: Tensor) -> Tensor:
        rows = np.ascontiguousarray((x.permute(0, 2, 3, 1) if self._last else x).numpy(force=True), dtype=np.float32)
        if len(rows) != self._in["shape"][0]:
            self._net.resize_tensor_input(self._in["index"], [len(rows), *self._in["shape"][1:]])
            self._net.allocate_tensors()
            self._in = self._net.get_input_details()[0]
        self._net.set_tensor(self._in["index"], _quantised((rows - self._mean) / self._std, self._in))
        self._net.invoke()
        out = self._net.get_tensor(self._out["index"])
        scale, zero = self._out["quantization"]
        real = out.astype(np.float32) if not scale else scale * (out.astype(np.float32) - zero)
        return torch.from_numpy(np.array(real.reshape(len(out), -1)))


def _loaded(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"Expected a .tflite file at {path}, but there is none.")
    library = need("ai_edge_litert.interpreter", "tflite", str(path))
    try:
        made = library.Interpreter(model_path=str(path), num_threads=torch.get_num_threads())
        made.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"Expected {path} to be a .tflite file that LiteRT can run, but: {said}") from error
    return made


def _range(tensor: dict[str, Any]) -> tuple[float, float]:
    """The least and the largest real number that an input can hold; 0 and 1 for floats."""
    scale, zero = tensor["quantization"]
    if not scale:
        return 0.0, 1.0
    kind = np.iinfo(tensor["dtype"])
    return scale * (kind.min - zero), scale * (kind.max - zero)


def _step(tensor: dict[str, Any]) -> float:
    return float(tensor["quantization"][0] or 0.0)


def _quantised(rows: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    scale, zero = tensor["quantization"]
    if not scale:
        return rows.astype(tensor["dtype"])
    kind = np.iinfo(tensor["dtype"])
    return np.clip(np.rint(rows / scale) + zero, kind.min, kind.max).astype(tensor["dtype"])


def _ends_in_softmax(net: Any) -> str | None:
    """"probabilities" where the last operation is a softmax; a quantised one no longer sums to one, so it cannot be told."""
    try:
        words = [each["op_name"] for each in net._get_ops_details()]
    except AttributeError:
        return None
    last = [word for word in words if word not in ("RESHAPE", "QUANTIZE", "DEQUANTIZE", "DELEGATE", "SQUEEZE")]
    return "probabilities" if last and last[-1] == "SOFTMAX" else None

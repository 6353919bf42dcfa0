"""An ONNX file as a target, run by onnxruntime (extra ``[onnx]``).

An ONNX file is data: a graph of operators that onnxruntime knows, and weights. Loading it runs no code from the file, and
custom operators would need a library, which is not registered here. Weights may be in a second file beside it
(``net.onnx.data``), which onnxruntime opens only below the folder of the first.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.targets.batches import check_shape, in_batches
from blackbox.targets.info import Described, TargetInfo, precision_of

CPU = "CPUExecutionProvider"
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class OnnxTarget(Described):
    """Runs an ONNX file on rows [m, \\*shape] of floats in [0, 1].

    A free batch dimension takes calls of any size; to a fixed one, calls are split and padded (the padding is never shown
    or charged).

    Args:
        path: the file. Its only input is the images, floats of 16, 32 or 64 bits.
        output: the name of the output to show, if there are several.
        provider: onnxruntime's execution provider; by default the CPU, whatever else is installed.
        threads: of one call; by default as many as torch uses.

    Attributes:
        shape: of an image, None where any size is accepted.
        classes: their number, None if the file does not say.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed. FileNotFoundError: no such file.
        ValueError: not an ONNX file, not exactly one input of floats with a batch axis, several outputs and none named, or
            a provider that is not installed.
    """

    device = torch.device("cpu")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        output: str | None = None,
        provider: str = CPU,
        threads: int | None = None,
        name: str | None = None,
    ) -> None:
        path = Path(path)
        if threads is not None and threads < 1:
            raise ValueError(f"Expected threads to be at least 1, but it was {threads}.")
        self._session = _session(path, provider, threads or torch.get_num_threads())
        self._input, dims, self._dtype = self._one_input(path)
        self._output = self._one_output(path, output)
        batch, *shape = dims
        self._batch = batch if isinstance(batch, int) else None
        sizes = tuple(n if isinstance(n, int) else None for n in shape)
        coarse = precision_of(torch.float16) if self._dtype is np.float16 else 0.0
        self.info = TargetInfo(name or path.stem, classes=self._classes(), shape=sizes, probe=coarse / 2, precision=coarse)

    def _one_input(self, path: Path) -> tuple[str, list[Any], Any]:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ValueError(
                f"Expected {path} to take images alone, but it has {len(inputs)} inputs: {', '.join(i.name for i in inputs)}. "
                "Export it with the others fixed."
            )
        only = inputs[0]
        if only.type not in _FLOATS:
            raise ValueError(
                f"Expected {path} to take floats in [0, 1], but its input {only.name} is a {only.type}. "
                "Export it with the conversion inside."
            )
        if len(only.shape) < 2:
            raise ValueError(
                f"Expected {path} to take rows of images, [m, channels, height, width] or [m, features], but its input "
                f"{only.name} has shape {only.shape}."
            )
        return only.name, list(only.shape), _FLOATS[only.type]

    def _one_output(self, path: Path, wanted: str | None) -> str:
        outputs = self._session.get_outputs()
        names = [o.name for o in outputs]
        if wanted is None and len(names) > 1:
            scores = [o.name for o in outputs if o.type in _FLOATS and len(o.shape) == 2] or [
                o.name for o in outputs if o.type.startswith("tensor")
            ]
            if not scores:
                raise ValueError(
                    f"Expected an output of {path} that is a tensor, but its outputs {', '.join(names)} are "
                    f"{', '.join(o.type for o in outputs)}. Export it without ZipMap: options={{'zipmap': False}}."
                )
            raise ValueError(
                f"Expected one output of {path}, but it has {len(names)}: {', '.join(names)}. Name the one that holds the scores: "
                f"{path}#output={scores[0]}, or output={scores[0]!r}."
            )
        if wanted is not None and wanted not in names:
            raise ValueError(f"Expected an output of {path}, {' or '.join(names)}, but it was {wanted!r}.")
        return wanted or names[0]

    def _classes(self) -> int | None:
        shape = next(o.shape for o in self._session.get_outputs() if o.name == self._output)
        return shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None

    def predict(self, x: Tensor) -> Tensor:
        check_shape(x, self.shape, self.name)
        return in_batches(self._run, x, self._batch or 1, self._batch)

    def _run(self, x: Tensor) -> Any:
        rows = np.ascontiguousarray(x.numpy(force=True), dtype=self._dtype)
        out = self._session.run([self._output], {self._input: rows})[0]
        if not isinstance(out, np.ndarray):  # a sequence of maps, as returned by converted scikit-learn pipelines
            raise ValueError(
                f"Expected the output {self._output} to be a tensor, but it was a {type(out).__name__}. Export it without ZipMap."
            )
        return torch.from_numpy(out)


def _session(path: Path, provider: str, threads: int) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"Expected an ONNX file at {path}, but there is none.")
    try:
        import onnxruntime as ort
    except ImportError:
        raise ModuleNotFoundError(
            f"Expected onnxruntime to be installed, which runs {path}, but it is not. Install it: "
            "pip install -e '.[onnx]'",
            name="onnxruntime",
        ) from None
    there = ort.get_available_providers()
    if provider not in there:
        raise ValueError(f"Expected a provider that is installed, {', '.join(there)}, but it was {provider!r}.")
    how = ort.SessionOptions()
    how.intra_op_num_threads, how.inter_op_num_threads = threads, 1
    # a thread that spins between two calls would take a core from the attack
    how.add_session_config_entry("session.intra_op.allow_spinning", "0")
    how.use_deterministic_compute = True
    how.log_severity_level = 4  # errors are raised; they need not be logged too
    try:
        made = ort.InferenceSession(str(path), how, providers=[provider])
    except Exception as error:
        raise ValueError(
            f"Expected {path} to be an ONNX file that onnxruntime {ort.__version__} can run, but: {_first_line(error)}"
        ) from error
    if provider not in made.get_providers():  # onnxruntime would go on with another, and say so in a log
        raise ValueError(f"Expected onnxruntime to run {path} with {provider}, but it fell back to {made.get_providers()}.")
    return made


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__

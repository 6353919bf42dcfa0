"""Saved torch programs as targets: TorchScript (``torch.jit.save``) and exported programs (``torch.export.save``).

Both are checked by `blackbox.targets.archives` first, which explains what is refused and why.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blackbox.targets import archives
from blackbox.targets.batches import check_shape, in_batches
from blackbox.targets.info import Described, TargetInfo, precision_of
from blackbox.targets.module import ModuleTarget


def load_script(path: str | os.PathLike[str], device: torch.device | str | None = None) -> torch.nn.Module:
    """Load the module of a TorchScript file, in eval mode, by default on the CPU. It is differentiable.

    Raises:
        FileNotFoundError: no such file. ValueError: it may not (`blackbox.targets.archives`) or cannot be loaded.
    """
    path = Path(path)
    archive = archives.script(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # meant for authors of programs, not for users
            module: torch.nn.Module = torch.jit.load(archive, map_location=device or "cpu")
    except Exception as error:
        raise _unloadable(path, error) from error
    return module.eval()


class ScriptTarget(ModuleTarget):
    """A TorchScript file.

    Args:
        path: the file, with any name. device: where it runs; the CPU by default. returns, batch: as in `FunctionTarget`.

    Raises:
        FileNotFoundError, ValueError: as `load_script`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: torch.device | str | None = None,
        name: str | None = None,
        *,
        returns: str | None = None,
        batch: int | None = None,
    ) -> None:
        super().__init__(load_script(path, device), device, name or Path(path).stem, returns=returns, batch=batch)


class ExportedTarget(Described):
    """An exported program, a ``.pt2`` file. Calls are split and padded to the numbers of rows that it was exported for.

    Args:
        path: the file. device: the one it was exported for, the CPU by default; its constants cannot be moved.

    Attributes:
        shape: of an image, None where any size is accepted.

    Raises:
        FileNotFoundError: no such file. ValueError: it may not (`blackbox.targets.archives`) or cannot be loaded.
    """

    def __init__(
        self, path: str | os.PathLike[str], device: torch.device | str | None = None, name: str | None = None
    ) -> None:
        path = Path(path)
        archive, rows = archives.exported(path)
        coarse = precision_of(rows.example.dtype)
        self.info = TargetInfo(name or path.stem, shape=rows.shape, probe=coarse / 2, precision=coarse)
        self._least, self._most = rows.least, rows.most
        try:
            program = torch.export.load(archive)
            if device is not None:
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, str(device))
            self._model = program.module()
        except Exception as error:
            raise _unloadable(path, error) from error
        weight = next((p for p in [*self._model.parameters(), *self._model.buffers()]), None)
        self.device = torch.device(device or ("cpu" if weight is None else weight.device))
        self._dtype = rows.example.dtype

    def predict(self, x: Tensor) -> Tensor:
        check_shape(x, self.shape, self.name)
        with torch.inference_mode():
            return in_batches(self._run, x.to(self._dtype, copy=True), self._least, self._most).clone()

    def _run(self, x: Tensor) -> Any:
        out = self._model(x)
        if not isinstance(out, Tensor):
            raise ValueError(f"Expected one tensor of scores, but the program returned a {type(out).__name__}.")
        return out


def _unloadable(path: Path, error: Exception) -> ValueError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ValueError(
        f"Expected a program in {path} that torch {torch.__version__} can load, but it raised {type(error).__name__}: "
        f"{lines[0][:200]} Export it again with this version."
    )

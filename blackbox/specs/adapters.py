"""Specs of models that are a file or an address: ``net.onnx``, ``net.pt2``, ``http://127.0.0.1:8765``.

Settings follow a ``#``, in studies and on the command line: ``net.onnx#output=scores,threads=2``,
``http://127.0.0.1:8765#rate=200,timeout=10,retries=4``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.specs import channels, parse
from blackbox.specs.options import Nets

if TYPE_CHECKING:
    from blackbox.targets.http import HttpTarget
    from surrogates import Dataset

SUFFIXES = (".onnx", ".pt2", ".ts", ".torchscript")
_NO_SETTING = ("path", "url", "name", "device", "headers", "own_endpoint")


@dataclass(frozen=True)
class Found:
    """An adapter and its spec. net: the same if it is differentiable, else None."""

    target: Any
    net: Any = None


def is_one(spec: str) -> bool:
    """Whether a spec is of this kind; a ``.pt`` file is if it holds a program, not only weights."""
    from blackbox.targets import archives

    path = Path(_parts(spec)[0])
    return is_address(spec) or path.suffix in SUFFIXES or (path.suffix == ".pt" and archives.kind(path) is not None)


def is_address(spec: str) -> bool:
    """Whether a spec is an endpoint's address."""
    return spec.lower().startswith(("http:", "https:"))


def _parts(spec: str) -> tuple[str, list[str]]:
    """Split ``net.onnx#threads=2`` into the file and its settings."""
    where, _, rest = spec.partition("#")
    return where, parse.words(rest)


def load(spec: str, data: Dataset | None, nets: Nets) -> Found:
    """Load the target of a spec.

    Args:
        data: the images it will be queried with, which must have the shape that it accepts.

    Raises:
        ValueError, FileNotFoundError, ModuleNotFoundError, ConnectionError: it cannot be loaded; the message says why.
    """
    from blackbox.targets import archives
    from blackbox.targets.batches import check_shape
    from blackbox.targets.info import info_of
    from blackbox.targets.module import ModuleTarget

    if nets.mean is not None or nets.std is not None:
        raise ValueError(f"Expected --mean and --std with nets that are loaded from weights, but {spec} normalises by itself.")
    where, words = _parts(spec)
    path = Path(where)
    if is_address(spec):
        from blackbox.channels.retrying import Retrying

        target, retries = _endpoint(where, words, nets.own_endpoint)
        found = Found(Retrying(target, tries=retries + 1) if retries else target)
    elif path.suffix == ".onnx":
        from blackbox.targets.onnx import OnnxTarget

        found = Found(OnnxTarget(where, **_settings(OnnxTarget, words, spec)))
    else:
        from blackbox.targets.programs import ExportedTarget, load_script

        if words:
            raise ValueError(f"Expected no settings after a torch program, but it was {spec!r}.")
        if path.suffix == ".pt2" or archives.kind(path) == archives.EXPORTED:
            found = Found(ExportedTarget(where, nets.device))
        else:
            net = load_script(where, nets.device)
            found = Found(ModuleTarget(net, nets.device, path.stem), net)
    if data is not None:
        check_shape(data.images[:1], info_of(found.target).shape, where)
    return found


def _settings(kind: type, words: list[str], spec: str, **more: tuple[Any, Any]) -> dict[str, Any]:
    known = {k: v for k, v in channels.settings(kind).items() if k not in _NO_SETTING}
    return parse.assign({**known, **more}, words, f"a setting of {spec.partition('#')[0]}", "NAME=VALUE after #")


def _endpoint(url: str, words: list[str], own_endpoint: bool) -> tuple[HttpTarget, int]:
    """The endpoint at an address, and how often a call to it may be repeated."""
    from blackbox.targets.http import HttpTarget

    chosen = _settings(HttpTarget, words, url, retries=(int, 0))
    retries = chosen.pop("retries", 0)
    if retries < 0:
        raise ValueError(f"Expected retries to be at least 0, but it was {retries}.")
    return HttpTarget(url, own_endpoint=own_endpoint, **chosen), retries


def fingerprint(spec: str, own_endpoint: bool = False) -> str | None:
    """A hash of the file that a spec of this kind names, or of what an endpoint announces; None for other specs.

    Raises:
        FileNotFoundError: no such file. ConnectionError: no answer.
    """
    if is_address(spec):
        target, _ = _endpoint(*_parts(spec), own_endpoint)
        return hashlib.sha256(json.dumps(target.announced, sort_keys=True).encode()).hexdigest()[:16]
    path = Path(_parts(spec)[0])
    if path.suffix not in (*SUFFIXES, ".pt") or ":" in spec.partition("#")[0]:
        return None
    if not path.is_file():
        raise FileNotFoundError(f"Expected the model {spec}, but there is no file {path}.")
    digest = hashlib.sha256()
    # the weights of an ONNX file may lie beside it: net.onnx.data, net.onnx_data
    beside = sorted(p for p in path.parent.glob("*") if p.name.startswith(path.name)) if path.suffix == ".onnx" else [path]
    for each in beside:
        digest.update(each.read_bytes())
    return digest.hexdigest()[:16]

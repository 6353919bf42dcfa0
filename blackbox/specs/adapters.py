"""Specs of models that are a file or an address: ``net.onnx``, ``net.pt2``, ``http://127.0.0.1:8765``, or a package's own.

Settings follow a ``#``, in studies and on the command line: ``net.onnx#output=scores,threads=2``,
``http://127.0.0.1:8765#rate=200,timeout=10,retries=4``. `blackbox.specs.loaders` says which spec comes here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.specs import channels, loaders
from blackbox.specs.loaders import Asked, Model

if TYPE_CHECKING:
    from blackbox.targets.http import HttpTarget

_IN_THE_FILE = ("headers", "query", "body", "aliases", "shape")  # settings of a service that are more than a word
_NO_SETTING = ("path", "url", "name", "device", "headers", "own_endpoint")


def is_address(spec: str) -> bool:
    """Whether a spec is an endpoint's address."""
    return spec.lower().startswith(("http:", "https:"))


def made(asked: Asked, target: Any, net: Any = None, name: str | None = None) -> list[Model]:
    """The model, checked to accept the images it will be queried with.

    Raises:
        ValueError: they have another shape, or a normalisation was given for a model that has its own.
    """
    from blackbox.targets.batches import check_shape
    from blackbox.targets.info import info_of

    if asked.nets.mean is not None or asked.nets.std is not None:
        raise ValueError(
            f"Expected --mean and --std with nets that are loaded from weights, but {asked.spec} normalises by itself."
        )
    if asked.data is not None:
        check_shape(asked.data.images[:1], info_of(target).shape, asked.spec.partition("#")[0])
    return [Model(name or target.name, asked.spec, target, net)]


def onnx(asked: Asked) -> list[Model]:
    """An ONNX file."""
    from blackbox.targets.onnx import OnnxTarget

    return made(asked, OnnxTarget(asked.rest, **_settings(OnnxTarget, asked)))


def program(asked: Asked) -> list[Model]:
    """TorchScript, which is differentiable, or an exported program, which is not."""
    from blackbox.targets import archives
    from blackbox.targets.module import ModuleTarget
    from blackbox.targets.programs import ExportedTarget, load_script

    if asked.words:
        raise ValueError(f"Expected no settings after a torch program, but it was {asked.spec!r}.")
    path, device = Path(asked.rest), asked.nets.device
    if path.suffix == ".pt2" or archives.kind(path) == archives.EXPORTED:
        return made(asked, ExportedTarget(asked.rest, device))
    net = load_script(asked.rest, device)
    return made(asked, ModuleTarget(net, device, path.stem), net)


def endpoint(asked: Asked) -> list[Model]:
    """The endpoint at an address; calls to it are repeated as often as ``retries`` says."""
    from blackbox.channels.retrying import Retrying

    target, retries = _endpoint(asked)
    return made(asked, Retrying(target, tries=retries + 1) if retries else target)


def service(asked: Asked) -> list[Model]:
    """A JSON service as a TOML file describes it. Where the file has no classes, they are the data's."""
    from blackbox.targets.rest import Rest, Settings

    fields = {name: field for name, field in Settings.model_fields.items() if name not in _IN_THE_FILE}
    known = {name: (str, MISSING if field.is_required() else field.default) for name, field in fields.items()}
    named = {"classes": asked.data.classes} if asked.data is not None else {}
    settings = Settings.load(asked.rest, named, **asked.settings(known))
    for i, name in enumerate(asked.data.classes if asked.data is not None else ()):
        if name in settings.classes and settings.classes.index(name) != i:
            raise ValueError(
                f"Expected the classes of the data in the order of {asked.rest}, but {name!r} is number {i} in the data and "
                f"{settings.classes.index(name)} there. Give both the same file of names: --class-names, and classes in the file."
            )
    return made(asked, Rest.of(settings, own_endpoint=asked.nets.own_endpoint))


def service_file(asked: Asked) -> str:
    """A hash of the file of a service, and of what was set after it."""
    return hashlib.sha256(f"{file_hash(asked)} {asked.words}".encode()).hexdigest()[:16]


def plugged(asked: Asked) -> list[Model]:
    """What the function of an installed package returns: anything that an Oracle takes."""
    import torch

    from blackbox import plugins
    from blackbox.targets.module import ModuleTarget
    from blackbox.targets.target import as_target

    prefix = asked.spec.partition(":")[0].lower()
    function = plugins.load(plugins.plugins(loaders.GROUP)[prefix])
    model = function(asked.rest, **asked.settings(loaders.keywords(function)))
    if isinstance(model, torch.nn.Module):
        return made(asked, ModuleTarget(model, asked.nets.device, asked.rest or prefix), model)
    return made(asked, as_target(model, asked.nets.device))


def _settings(kind: type, asked: Asked, **more: tuple[Any, Any]) -> dict[str, Any]:
    return asked.settings({**{k: v for k, v in channels.settings(kind).items() if k not in _NO_SETTING}, **more})


def _endpoint(asked: Asked) -> tuple[HttpTarget, int]:
    """The endpoint at an address, and how often a call to it may be repeated."""
    from blackbox.targets.http import HttpTarget

    chosen = _settings(HttpTarget, asked, retries=(int, 0))
    retries = chosen.pop("retries", 0)
    if retries < 0:
        raise ValueError(f"Expected retries to be at least 0, but it was {retries}.")
    return HttpTarget(asked.rest, own_endpoint=asked.nets.own_endpoint, **chosen), retries


def announced(asked: Asked) -> str:
    """A hash of what an endpoint says of itself."""
    target, _ = _endpoint(asked)
    return hashlib.sha256(json.dumps(target.announced, sort_keys=True).encode()).hexdigest()[:16]


def file_hash(asked: Asked) -> str:
    """A hash of a file; of an ONNX file with its weights, which may lie beside it (net.onnx.data, net.onnx_data).

    Raises:
        FileNotFoundError: no such file.
    """
    path = Path(asked.rest)
    if not path.is_file():
        raise FileNotFoundError(f"Expected the model {asked.spec}, but there is no file {path}.")
    digest = hashlib.sha256()
    beside = sorted(p for p in path.parent.glob("*") if p.name.startswith(path.name)) if path.suffix == ".onnx" else [path]
    for each in beside:
        digest.update(each.read_bytes())
    return digest.hexdigest()[:16]

"""Model specs: turn a text into models that can be attacked, and nets to attack with.

``digits:svm-rbf`` and ``digits:all`` (built in), ``resnet20:path.safetensors``, ``torchvision:resnet18:path``,
``path.safetensors`` (written by this package), ``runs/s1`` (a folder that ``blackbox surrogate`` wrote),
``file.py:function``, and those of `blackbox.specs.adapters`: ``net.onnx``, ``net.ts`` and ``net.pt`` (TorchScript),
``net.pt2`` (exported), ``http://127.0.0.1:8765``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.specs import adapters, parse, python_file
from blackbox.specs.options import Nets

if TYPE_CHECKING:
    from blackbox.specs.data import ImageSet
    from surrogates import Dataset

SURROGATE_FILE = "surrogate.safetensors"


@dataclass(frozen=True)
class Model:
    """A model and its spec. ``model``: what an Oracle takes. ``net``: the same if it is differentiable, else None."""

    name: str
    spec: str
    model: Any
    net: Any = None


def models(
    spec: str, data: Dataset, classes: int | None = None, nets: Nets | None = None, seed: int = 0
) -> list[Model]:
    """Load the models of one spec (several for ``digits:all`` or ``digits:svm-rbf,knn``).

    ``nets``: ``mean`` and ``std`` of the normalisation inside a net loaded from weights, ``"0.5"`` or one number a channel.

    Raises:
        ValueError: no such model, or one that does not fit the data. FileNotFoundError: no such file.
    """
    kind, _, rest = spec.partition(":")
    if kind == "digits":
        return [_digits(name, seed) for name in _digit_names(rest, data)]
    if Path(kind).suffix == ".py":
        return [Model(rest or Path(kind).stem, spec, *python_file.load(Path(kind), rest))]
    if adapters.is_one(spec):
        found = adapters.load(spec, data, nets or Nets())
        return [Model(found.target.name, spec, found.target, found.net)]
    import surrogates as sg

    if (Path(spec) / SURROGATE_FILE).is_file():
        net = sg.from_spec(str(Path(spec) / SURROGATE_FILE))
        return [Model(Path(spec).name, spec, net, net)]
    if Path(spec).is_dir():
        raise ValueError(f"Expected {spec} to hold a {SURROGATE_FILE}, written by blackbox surrogate, but it does not.")
    try:
        net = sg.from_spec(
            spec,
            classes,
            data.shape if ":" in spec or not Path(spec).suffix else None,
            seed,
            mean=_numbers(nets.mean if nets else None, "--mean"),
            std=_numbers(nets.std if nets else None, "--std"),
        )
    except ValueError as error:
        if not str(error).startswith("Expected the name of a net"):
            raise
        raise ValueError(
            f"{error} Other models are digits:NAME, file.py:function, files (.safetensors, .onnx, .pt, .ts, .pt2) and "
            "http://127.0.0.1:PORT."
        ) from None
    parts = spec.split(":")
    return [Model(parts[1] if parts[0] == "torchvision" else Path(parts[0]).stem, spec, net, net)]


def one_model(spec: str, data: Dataset, classes: int, nets: Nets) -> Model:
    """Load a single model; as `models`, for commands that take only one."""
    found = models(spec, data, classes, nets)
    if len(found) > 1:
        raise ValueError(f"Expected one target, but {spec} names {len(found)}. Choose one of them: {found[0].spec} …")
    return found[0]


def several(words: Sequence[str], images: ImageSet, classes: int, nets: Nets, seed: int = 0) -> list[Model]:
    """Load the models of several specs; ``--from a --from b`` and ``--from a,b`` mean the same, except for ``digits:a,b`` and
    settings after ``#``."""
    out = []
    for word in words:
        for part in [word] if word.startswith("digits:") or ".py:" in word or "#" in word else parse.words(word):
            out += models(part, images.data, classes, nets, seed)
    return out


def sources(
    words: Sequence[str], option: str, images: ImageSet, classes: int, nets: Nets, seed: int = 0
) -> dict[str, Any]:
    """Load the nets of several specs, with distinct names; ``option`` is the option that named them.

    Raises:
        ValueError: a model that is not differentiable.
    """
    out: dict[str, Any] = {}
    for model in several(words, images, classes, nets, seed):
        if model.net is None:
            raise ValueError(
                f"Expected a net on {option}, whose gradients craft the examples, but {model.spec} has none. Train one from "
                f"its answers: blackbox surrogate --target {model.spec}"
            )
        out[free(model.name, out)] = model.net.to(nets.device) if nets.device else model.net
    return out


def free(name: str, taken: dict[str, Any]) -> str:
    """A name for the table that no other model uses."""
    if name not in taken:
        return name
    return next(f"{name} ({i})" for i in range(2, len(taken) + 3) if f"{name} ({i})" not in taken)


def _numbers(text: str | None, name: str) -> list[float] | None:
    return None if text is None else [parse.number(word, name) for word in parse.words(text)]


def _digit_names(rest: str, data: Dataset) -> list[str]:
    from blackbox.specs import digits

    chosen = digits.names(rest)
    if data.shape != (1, 8, 8) or len(data.classes) != 10:
        raise ValueError(f"Expected --data digits for the built-in digit targets, but the data are {data}.")
    return chosen


def _digits(name: str, seed: int) -> Model:
    from blackbox.specs import digits

    return Model(name, f"digits:{name}", digits.target(name, seed), digits.fit(name, seed) if name in digits.NETS else None)


def file_print(spec: str, own_endpoint: bool = False) -> str:
    """A hash of the file (or folder of weights) that a model's spec names, or of what an endpoint announces; "" for others.

    Raises:
        FileNotFoundError: the file does not exist. ConnectionError: the endpoint does not answer.
    """
    if (found := adapters.fingerprint(spec, own_endpoint)) is not None:
        return found

    parts = [part for part in (spec, spec.partition(":")[0], spec.rpartition(":")[2]) if part]
    for part in parts:
        for path in (Path(part), Path(part) / SURROGATE_FILE):
            if path.is_file():
                return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    named = next((p for p in parts if Path(p).suffix in (".py", ".safetensors", ".pth", ".pt", ".onnx")), None)
    if named:
        raise FileNotFoundError(f"Expected the model {spec}, but there is no file {named}.")
    return ""

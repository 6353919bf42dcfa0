"""Model specs: turn a text into models that can be attacked, and nets to attack with.

`blackbox.specs.loaders` has the table of all kinds; here are ``digits:svm-rbf`` and ``digits:all`` (built in),
``resnet20:path.safetensors``, ``path.safetensors`` (written by this package), ``runs/s1`` (a folder that ``blackbox
surrogate`` wrote) and ``file.py:function``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.specs import loaders, parse, python_file
from blackbox.specs.loaders import SURROGATE_FILE, Asked, Model
from blackbox.specs.loaders import print_of as file_print
from blackbox.specs.options import Nets

if TYPE_CHECKING:
    from blackbox.specs.data import ImageSet
    from surrogates import Dataset

__all__ = ["SURROGATE_FILE", "Model", "file_print", "free", "models", "one_model", "several", "sources"]


def models(
    spec: str, data: Dataset, classes: int | None = None, nets: Nets | None = None, seed: int = 0
) -> list[Model]:
    """Load the models of one spec (several for ``digits:all`` or ``digits:svm-rbf,knn``).

    ``nets``: ``mean`` and ``std`` of the normalisation inside a net loaded from weights, ``"0.5"`` or one number a channel.

    Raises:
        ValueError: no such model, or one that does not fit the data. FileNotFoundError: no such file.
    """
    nets = nets or Nets()
    words = tuple(data.classes) if data is not None else ()
    if classes and len(words) < classes and not all(map(str.isdecimal, words)):
        raise ValueError(
            f"Expected the data to say where their classes {', '.join(words[:4])}{', ...' if len(words) > 4 else ''} stand among the "
            f"target's {classes}, but folder names say it only if they are numbers. Give the words of all {classes} in the target's "
            "order: --class-names FILE, one a line; folders are matched by their names."
        )
    known = words if len(words) == (classes or len(words)) else None
    found = loaders.load(spec, data, classes, nets, seed)
    return [replace(model, returns=nets.returns, batch=nets.batch, words=known or None) for model in found]


def own_file(asked: Asked) -> list[Model]:
    """``file.py:function``."""
    path, _, name = asked.rest.partition(":")
    return [Model(name or Path(path).stem, asked.spec, *python_file.load(Path(path), name))]


def folder(asked: Asked) -> list[Model]:
    """A folder that ``blackbox surrogate`` wrote."""
    import surrogates as sg

    path = Path(asked.spec)
    if not (path / SURROGATE_FILE).is_file():
        raise ValueError(f"Expected {path} to hold a {SURROGATE_FILE}, written by blackbox surrogate, but it does not.")
    net = sg.from_spec(str(path / SURROGATE_FILE))
    return [Model(path.name, asked.spec, net, net)]


def net(asked: Asked) -> list[Model]:
    """A net by its name, with weights from a file; or a file of weights that names its net."""
    import surrogates as sg

    spec = asked.spec
    if ":" not in spec and Path(spec).suffix in (".joblib", ".pkl", ".pickle"):  # a named net's may hold tensors alone
        raise ValueError(
            f"Expected a model in a format that holds no code, but {spec} is a pickle, which is not read. Write load.py: import joblib; "
            f'def load(): return joblib.load("{spec}"). Then give load.py:load.'
        )
    shape = asked.data.shape if asked.data is not None and (":" in spec or not Path(spec).suffix) else None
    mean, std = _numbers(asked.nets.mean, "--mean"), _numbers(asked.nets.std, "--std")
    try:
        made = sg.from_spec(spec, asked.classes, shape, asked.seed, mean=mean, std=std)
    except ValueError as error:
        if not str(error).startswith("Expected the name of a net"):
            raise
        raise ValueError(f"{error}{loaders.others(spec)}") from None
    if not Path(spec.removeprefix("torchvision:").partition(":")[2] or spec).suffix:
        raise ValueError(
            f"Expected the weights of {spec}, but no file was named, and a net with random weights says nothing of a trained one. "
            f"Write the file after it: {spec}:weights.safetensors."
        )
    parts = spec.split(":")
    return [Model(parts[1] if parts[0] == "torchvision" else Path(parts[0]).stem, spec, made, made)]


def one_model(spec: str, data: Dataset, classes: int, nets: Nets, seed: int = 0) -> Model:
    """Load a single model; as `models`, where only one is taken."""
    found = models(spec, data, classes, nets, seed)
    if len(found) > 1:
        raise ValueError(f"Expected one target, but {spec} names {len(found)}. Choose one of them: {found[0].spec} …")
    return found[0]


def several(words: Sequence[str], images: ImageSet, classes: int, nets: Nets, seed: int = 0) -> list[Model]:
    """Load the models of several specs; ``--from a --from b`` and ``--from a,b`` mean the same, except for ``digits:a,b`` and
    settings after ``#``."""
    out = []
    for word in words:
        for part in [word] if "#" in word or loaders.find(word).several else parse.words(word):
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


def _digit_names(rest: str, data: Dataset | None) -> list[str]:
    from blackbox.specs import digits

    chosen = digits.names(rest)
    if data is not None and (data.shape != (1, 8, 8) or len(data.classes) != 10):
        raise ValueError(f"Expected --data digits for the built-in digit targets, but the data are {data}.")
    return chosen


def digits(asked: Asked) -> list[Model]:
    """One of the built-in targets, some, or all."""
    return [_digits(name, asked.seed) for name in _digit_names(asked.rest, asked.data)]


def _digits(name: str, seed: int) -> Model:
    from blackbox.specs import digits

    return Model(name, f"digits:{name}", digits.target(name, seed), digits.fit(name, seed) if name in digits.NETS else None)

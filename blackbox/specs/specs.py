"""Model and data specs -> things that can be attacked and things to attack with.

Models: ``digits:svm-rbf`` and ``digits:all`` (built in), ``resnet20:path.safetensors``, ``torchvision:resnet18:path``,
``path.safetensors`` (written by this package), ``runs/s1`` (a folder that ``blackbox surrogate`` wrote),
``file.py:function``, and those of `blackbox.specs.adapters`: ``net.onnx``, ``net.ts`` and ``net.pt`` (TorchScript),
``net.pt2`` (exported), ``http://127.0.0.1:8765``. Data: ``digits``, ``folder:PATH``, ``npz:PATH``, ``cifar10:ROOT`` and kin.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.cli import options
from blackbox.specs import adapters, channels, parse

if TYPE_CHECKING:
    from blackbox.oracle import Oracle
    from surrogates import Dataset

SURROGATE_FILE = "surrogate.safetensors"
PICKS = ("spread", "first", "random")


@dataclass(frozen=True)
class Model:
    """A model behind its spec. ``model``: what an Oracle takes. ``net``: the same where gradients pass, else None."""

    name: str
    spec: str
    model: Any
    net: Any = None


@dataclass(frozen=True)
class Images:
    """Images to work on; ``index`` [N]: where each of them stood among the ``total`` of the data, its sample id."""

    data: Dataset
    index: np.ndarray
    spec: str
    total: int


def models(
    spec: str, data: Dataset, classes: int | None = None, nets: options.Nets | None = None, seed: int = 0
) -> list[Model]:
    """The models of one spec (several behind ``digits:all`` or ``digits:svm-rbf,knn``).

    ``nets``: ``mean`` and ``std`` of the normalisation inside a net that is loaded from weights, ``"0.5"`` or one number
    a channel.

    Raises:
        ValueError: no such model, or one that does not fit the data. FileNotFoundError: no such file.
    """
    kind, _, rest = spec.partition(":")
    if kind == "digits":
        return [_digits(name, seed) for name in _digit_names(rest, data)]
    if Path(kind).suffix == ".py":
        return [Model(rest or Path(kind).stem, spec, *_from_file(Path(kind), rest))]
    if adapters.is_one(spec):
        found = adapters.load(spec, data, nets or options.Nets())
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


def one_model(spec: str, data: Dataset, classes: int, nets: options.Nets) -> Model:
    """As `models`, for a verb that takes a single one."""
    found = models(spec, data, classes, nets)
    if len(found) > 1:
        raise ValueError(f"Expected one target, but {spec} names {len(found)}. Choose one of them: {found[0].spec} …")
    return found[0]


def several(words: Sequence[str], images: Images, classes: int, nets: options.Nets, seed: int = 0) -> list[Model]:
    """The models of several specs; ``--from a --from b`` and ``--from a,b`` mean the same, but for ``digits:a,b``
    and settings after ``#``."""
    out = []
    for word in words:
        for part in [word] if word.startswith("digits:") or ".py:" in word or "#" in word else parse.words(word):
            out += models(part, images.data, classes, nets, seed)
    return out


def sources(
    words: Sequence[str], option: str, images: Images, classes: int, nets: options.Nets, seed: int = 0
) -> dict[str, Any]:
    """The nets of several specs under names that differ; ``option`` is what they were given with.

    Raises:
        ValueError: a model that no gradient passes through.
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
    """A name for the table that no other model has."""
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
    from blackbox.targets.module import ModuleTarget
    from blackbox.targets.sklearn import SklearnTarget

    fitted = digits.fit(name, seed)
    if name in ("cnn", "mlp"):
        return Model(name, f"digits:{name}", ModuleTarget(fitted, name=name), fitted)
    return Model(name, f"digits:{name}", SklearnTarget(fitted, name=name))


def _from_file(path: Path, name: str) -> tuple[Any, Any]:
    """``file.py:name``: a model, a callable on images, or a function without arguments that returns one of them."""
    import torch

    if not path.is_file():
        raise FileNotFoundError(f"Expected a Python file at {path}, but there is none.")
    if not name:
        raise ValueError(f"Expected the name of a function after the file, {path}:function, but there was none.")
    loader = importlib.util.spec_from_file_location(f"blackbox_target_{path.stem}", path)
    assert loader is not None and loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    sys.modules[loader.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        loader.loader.exec_module(module)
        made = _named(module, name, path)
    except (ValueError, FileNotFoundError) as error:
        if str(error).startswith("Expected"):
            raise
        raise _broken(path, error) from error
    except Exception as error:
        raise _broken(path, error) from error
    finally:
        sys.path.pop(0)
    return made, made if isinstance(made, torch.nn.Module) else None


def _broken(path: Path, error: Exception) -> ValueError:
    return ValueError(f"Expected {path} to load, but it raised {type(error).__name__}: {' '.join(str(error).split())}")


def _named(module: Any, name: str, path: Path) -> Any:
    import torch

    if not hasattr(module, name):
        have = [k for k, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
        near = difflib.get_close_matches(name, have, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else f" It has {', '.join(have) or 'no functions'}."
        raise ValueError(f"Expected {path} to define {name!r}, but it does not.{hint}")
    found = getattr(module, name)
    if isinstance(found, torch.nn.Module) or not callable(found):
        return found
    required = [
        p
        for p in inspect.signature(found).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    return found if required else found()


def images(chosen: options.Images, seed: int = 0, default_split: str = "attack") -> Images:
    """Load data and choose ``n`` of it.

    Args:
        chosen: ``split`` is ``target``, ``surrogate`` or ``attack`` of the digits, ``test`` or ``train`` of torchvision's
            sets. ``pick``: ``first`` n in file order, ``spread`` evenly over the file order (a folder is sorted by class),
            or ``random``. ``size``, ``class_names``: as in `surrogates.data.loaders.folder`.
        default_split: the digits' part where no split is given.
    """
    spec, split, size, classes = chosen.data, chosen.split, chosen.size, chosen.class_names
    import surrogates as sg

    kind = spec.partition(":")[0].lower()
    more: dict[str, Any] = {}
    if size is not None:
        more["size"] = size
    if classes is not None:
        more["classes"] = classes
    if more and kind not in ("folder", "npz"):
        raise ValueError(f"Expected --size and --class-names with folder: or npz: data, but the data are {spec!r}.")
    if size is not None and kind == "npz":
        raise ValueError(
            "Expected --size with folder: data, but the data are an npz file, whose images have a size already."
        )
    if kind == "digits" and spec.lower() == "digits":
        from blackbox.specs import digits

        data = digits.parts().get(split or default_split)
        if data is None:
            raise ValueError(
                f"Expected --split to be one of {', '.join(digits.PARTS)} for the digits, but it was {split!r}."
            )
    else:
        if kind in ("folder", "npz"):
            if split is not None:
                raise ValueError(
                    f"Expected no --split with {kind}: data, which has no parts; name another path instead."
                )
        elif split not in (None, "train", "test"):
            raise ValueError(f"Expected --split to be train or test for {kind}, but it was {split!r}.")
        elif split == "train":
            more["train"] = True
        data = sg.load(spec, **more)
    index = _pick(len(data), chosen.n, chosen.pick, seed)
    return Images(data.take(index), index, spec, len(data))


def own(spec: str) -> Dataset:
    """The attacker's part of a data spec: of the digits the part for surrogates, of torchvision's sets the training part."""
    split = None if spec.partition(":")[0] in ("digits", "folder", "npz") else "train"
    return images(options.Images(spec, split=split), default_split="surrogate").data


def _pick(total: int, n: int | None, pick: str, seed: int) -> np.ndarray:
    if pick not in PICKS:
        raise ValueError(f"Expected --pick to be one of {', '.join(PICKS)}, but it was {pick!r}.")
    if n is None or n >= total:
        return np.arange(total)
    if n < 1:
        raise ValueError(f"Expected --n to be at least 1, but it was {n}.")
    if pick == "first":
        return np.arange(n)
    if pick == "spread":
        return np.arange(n) * total // n
    from blackbox.checks import as_seed

    return np.sort(np.random.Generator(np.random.Philox(as_seed(seed))).permutation(total)[:n])


def retrying(model: Model, retries: int, device: str | None = None) -> Model:
    """The model, asked again up to ``retries`` times where a call fails on the way.

    Raises:
        ValueError: a negative number.
    """
    if retries < 0:
        raise ValueError(f"Expected --retries to be at least 0, but it was {retries}.")
    if not retries:
        return model
    from blackbox.targets import Retrying

    return replace(model, model=Retrying(_named_as(model, device), tries=retries + 1))


def oracle(
    model: Model,
    access: str,
    classes: int,
    device: str | None = None,
    rows_per_call: int | None = None,
    stack: Sequence[channels.Chosen] = (),
    seed: int = 0,
    kind: type[Oracle] | None = None,
) -> Oracle:
    """A fresh Oracle before a model, under its spec's name, seen through the channels of ``stack``.

    ``access``: a level, ``topk:3`` for the three largest. ``seed``: of what the channels draw.
    ``kind``: a class of one's own that counts as an Oracle does.
    """
    import blackbox as bb

    level, _, k = access.partition(":")
    if k and level != "topk":
        raise ValueError(f"Expected a number of classes after topk only, as in --access topk:3, but it was {access!r}.")
    listed = parse.whole(k, "the number behind --access topk") if k else min(5, classes)
    made = channels.wrap(_named_as(model, device), stack, seed)
    return (kind or bb.Oracle)(made, access=level, classes=classes, k=listed, rows_per_call=rows_per_call)


def _named_as(model: Model, device: str | None) -> Any:
    """What an Oracle takes of a model, under its spec's name."""
    import torch

    from blackbox.targets import Target
    from blackbox.targets.function import FunctionTarget
    from blackbox.targets.module import ModuleTarget

    made = model.model
    if isinstance(made, torch.nn.Module):
        return ModuleTarget(made, device, name=model.name)
    if not isinstance(made, Target) and callable(made):
        return FunctionTarget(made, device, name=model.name)
    return made

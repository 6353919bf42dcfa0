"""Models by name: ``build("resnet20", classes=10, shape=(3, 32, 32), seed=0)``, and by spec: ``"resnet20:w.safetensors"``.

Every net built here takes images in [0, 1]: its normalisation is inside (`nets.Normalised`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from torch import nn

from blackbox.plain_text import did_you_mean
from surrogates.nets import architectures as nets
from surrogates.nets import libraries
from surrogates.nets.architectures import Normalised, Shape
from surrogates.nets.patches import Mixer, ViT
from surrogates.nets.seeded import seeded
from surrogates.nets.thin import DenseNet, MobileNet
from surrogates.nets.weights import load_weights, read_header, save_weights

__all__ = ["Normalised", "build", "from_spec", "load_weights", "names", "save_weights"]

# what torchvision's and the public CIFAR ResNet weights were trained with, in units of [0, 1] images
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class _Arch:
    make: Callable[[Shape, int], nn.Module]
    shape: Shape  # the default of `build`
    smallest: int = 1  # the least height and width
    init: Callable[[nn.Module], None] | None = nets.he_init  # None: the net does it itself


_ARCHS = {
    "mlp": _Arch(nets.MLP, (1, 28, 28)),
    "lenet": _Arch(nets.LeNet, (1, 28, 28), 4),
    "strided": _Arch(nets.Strided, (1, 28, 28), 8),
    "cnn": _Arch(nets.CNN, (1, 28, 28)),
    "vgg": _Arch(nets.VGG, (3, 32, 32)),
    **{f"resnet{d}": _Arch(partial(nets.ResNet, depth=d), (3, 32, 32)) for d in (20, 32, 44, 56)},
    "vit": _Arch(ViT, (3, 32, 32), 4, None),
    "mixer": _Arch(Mixer, (3, 32, 32), 4, None),
    "mobilenet": _Arch(MobileNet, (3, 32, 32)),
    "densenet": _Arch(DenseNet, (3, 32, 32)),
}
_PLAIN = ("mlp", "lenet", "strided", "cnn")  # nets that have no constants for colour images inside
_PREFIX = "torchvision:"


@lru_cache(maxsize=1)
def _torchvision_names() -> tuple[str, ...]:
    from torchvision import models as zoo

    return tuple(zoo.list_models(module=zoo))


def names() -> list[str]:
    """The names that `build` accepts: our own nets, then torchvision's as ``torchvision:NAME``."""
    return [*_ARCHS, *(_PREFIX + name for name in _torchvision_names())]


def build(
    name: str,
    classes: int = 10,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
) -> Normalised:
    """Build a net whose initial weights depend on ``seed`` alone; torch's global random state is not changed.

    Args:
        name: one of `names`: mlp, lenet, strided, cnn, vgg, resnet20, resnet32, resnet44, resnet56, vit, mixer, mobilenet, densenet, or
            ``torchvision:NAME``.
        classes: their number.
        shape: (C, H, W) of the images; by default that of the data set the net is known from (28x28 grey for mlp, lenet, strided
            and cnn, 224x224 colour for torchvision's, 32x32 colour for the others).
        seed: of the initial weights (He et al. 2015; Glorot & Bengio 2010 for vit and mixer; torchvision's nets keep torchvision's
            initialisation).
        mean, std: normalisation inside the net, a number or one a channel. By default none for mlp, lenet, strided, cnn and grey
            images, ImageNet's constants for the others (what the ResNets' and torchvision's public weights were trained with).

    Raises:
        ValueError: unknown name, fewer than two classes, or a shape that the net cannot take.
    """
    if classes < 2:
        raise ValueError(f"Expected at least 2 classes, but classes was {classes}.")
    if not isinstance(name, str):
        raise ValueError(f"Expected the name of a net, but it was {name!r:.80}. {_suggest('', list(_ARCHS))}")
    zoo = name.startswith(_PREFIX)
    if not zoo and name not in _ARCHS:
        raise ValueError(f"Expected the name of a net, but it was {name!r}. {_suggest(name, list(_ARCHS))}")
    size = _shape(name, (3, 224, 224) if zoo else _ARCHS[name].shape, shape)
    if zoo and size[0] != 3:
        raise ValueError(f"Expected 3 channels for {name}, but shape was {size}. Repeat the grey channel three times.")
    if not zoo and min(size[1:]) < _ARCHS[name].smallest:
        raise ValueError(
            f"Expected images of at least {_ARCHS[name].smallest} pixels a side for {name}, but shape was {size}."
        )
    with seeded(seed):
        net = _torchvision(name, classes) if zoo else _ARCHS[name].make(size, classes)
        if not zoo and (init := _ARCHS[name].init) is not None:
            init(net)
    photo = size[0] == 3 and name not in _PLAIN
    return Normalised(
        net,
        size,
        classes,
        _tuple(mean, IMAGENET_MEAN if photo else (0.0,)),
        _tuple(std, IMAGENET_STD if photo else (1.0,)),
        arch=name,
    ).eval()


def _torchvision(name: str, classes: int) -> nn.Module:
    from torchvision import models as zoo

    known, short = _torchvision_names(), name.removeprefix(_PREFIX)
    if short not in known:
        raise ValueError(
            f"Expected a classifier of torchvision after {_PREFIX!r}, but it was {short!r}. {_suggest(short, known)}"
        )
    slow = {"init_weights": True} if short in ("googlenet", "inception_v3") else {}
    return zoo.get_model(short, weights=None, num_classes=classes, **slow)


def _suggest(name: str, known: Sequence[str]) -> str:
    return did_you_mean(name, known).strip() or f"There are {', '.join(known)}."


def _tuple(value: float | Sequence[float] | None, default: tuple[float, ...]) -> tuple[float, ...]:
    if value is None:
        return default
    return (float(value),) if isinstance(value, (int, float)) else tuple(float(v) for v in value)


def _shape(name: str, default: Shape, given: Sequence[int] | None) -> Shape:
    shape = default if given is None else tuple(int(v) for v in given)
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"Expected shape to be (channels, height, width) for {name}, but it was {shape}.")
    return (shape[0], shape[1], shape[2])


def from_spec(
    spec: str,
    classes: int | None = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    **library: Any,
) -> Normalised:
    """Build a net from one string.

    ``resnet20`` (fresh weights), ``resnet20:path.safetensors``, ``torchvision:resnet18``,
    ``torchvision:squeezenet1_0:path.safetensors``, or just ``path.safetensors`` for a file that `save_weights` wrote
    (it stores the architecture, the shape, the classes and the normalisation). ``hf:DIR``, ``timm:NAME:path``,
    ``torchvision:NAME:IMAGENET1K_V1``, ``robustbench:NAME`` and ``clip:DIR`` are those libraries' own (`surrogates.nets.libraries`).

    Args:
        classes, shape, seed, mean, std: as for `build`; values given here override the file's, which override the
            defaults.
        library: settings of another library's net: ``resize=True``, ``prompts=...``.

    Raises:
        ValueError: unknown name, or weights that do not fit. FileNotFoundError: no such file of weights.
    """
    if (made := _of_a_library(spec, classes, shape, mean, std, library)) is not None:
        return made
    if library:
        raise ValueError(f"Expected {next(iter(library))}= with a net of another library, such as hf:DIR, but it was {spec!r}.")
    prefix, rest = (_PREFIX, spec.removeprefix(_PREFIX)) if spec.startswith(_PREFIX) else ("", spec)
    name, _, path = rest.partition(":")
    if not prefix and not path and Path(name).suffix in (".safetensors", ".pt", ".pth"):
        name, path = "", name
    if name and not prefix and name not in _ARCHS:  # before its file is missed
        raise ValueError(f"Expected the name of a net, but it was {name!r}. {_suggest(name, list(_ARCHS))}")
    known = read_header(Path(path)) if path else None
    if not name:
        if known is None:
            raise ValueError(
                f"Expected {path} to name its architecture, but it holds weights alone. Write it before them: resnet20:{path}."
            )
        name = known.arch
    if known is not None and known.arch == prefix + name:
        classes, shape = classes or known.classes, shape or known.shape
        mean, std = known.mean if mean is None else mean, known.std if std is None else std
    net = build(prefix + name, classes or (1000 if prefix else 10), shape, seed, mean=mean, std=std)
    if path:
        load_weights(net, path)
    return net


def _of_a_library(
    spec: str, classes: int | None, shape: Sequence[int] | None, mean: Any, std: Any, more: dict[str, Any]
) -> Normalised | None:
    """The net of another library, with its own preprocessing; None for other specs."""
    prefix, _, rest = spec.partition(":")
    name, _, weights = rest.partition(":")
    if prefix == "torchvision" and weights and not Path(weights).suffix:
        from surrogates.nets.libraries.torchvision import torchvision

        if name not in _torchvision_names():
            return None  # `build` says which there are
        return torchvision(name, weights, shape, **more)
    if (load := libraries.loader(prefix)) is None:
        return None
    known = inspect.signature(load).parameters
    if wrong := next((word for word in more if word not in known), None):
        have = ", ".join(list(known)[2:])
        raise ValueError(f"Expected a setting of {prefix}: ({have}), but it was {wrong!r}.{did_you_mean(wrong, known)}")
    given = {"classes": classes, "mean": mean, "std": std}
    for word in ("mean", "std"):
        if given[word] is not None and word not in known:
            raise ValueError(f"Expected no {word} with {spec}, which normalises by itself, but it was {given[word]}.")
    return load(rest, shape, **more, **{k: v for k, v in given.items() if v is not None and k in known and k not in more})

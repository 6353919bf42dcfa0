"""``torchvision:NAME:WEIGHTS``: torchvision's classifiers with the transforms that belong to their weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blackbox.plain_text import did_you_mean
from surrogates.nets.libraries.net import LibraryNet
from surrogates.nets.weights import load_weights


def entry(name: str, weights: str) -> Any:
    """The entry of torchvision's weights with this name (``IMAGENET1K_V1``), or with this file name; None if there is none."""
    from torchvision import models as zoo

    known = zoo.get_model_weights(name)
    if weights in known.__members__:
        return known[weights]
    return next((each for each in known if Path(each.url).name == Path(weights).name), None)


def torchvision(name: str, weights: str, images: Sequence[int] | None = None, *, resize: bool = False) -> LibraryNet:
    """Load a classifier with its published weights from torch's cache on disk, and their size, mean, std and class words.

    Args:
        name: of torchvision, without prefix. weights: the name of an entry, ``IMAGENET1K_V1``.
        images: the shape of the images it will be given. resize: resize them inside where it is another.

    Raises:
        ValueError: no such entry. FileNotFoundError: its file is not in the cache.
    """
    import torch
    from torchvision import models as zoo

    found = entry(name, weights)
    if found is None:
        names = list(zoo.get_model_weights(name).__members__)
        raise ValueError(
            f"Expected weights of torchvision:{name}, a file or one of {', '.join(names)}, but it was {weights!r}."
            + did_you_mean(weights, names)
        )
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(found.url).name
    if not file.is_file():
        raise FileNotFoundError(
            f"Expected the weights {weights} of torchvision:{name} at {file}, but they are not there; nothing is downloaded. Put "
            f"the file there, or name it: torchvision:{name}:{file.name}."
        )
    return made(name, found, file, images, resize)


def made(name: str, found: Any, file: Path, images: Sequence[int] | None, resize: bool) -> LibraryNet:
    """The net with an entry's weights from a file."""
    from torchvision import models as zoo

    words, how = found.meta["categories"], found.transforms()
    slow = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    # these two are published with the layers that help in training, and normalise by themselves if they are told to
    extra = {"aux_logits": True, "transform_input": False} if name in ("googlenet", "inception_v3") else {}
    net = zoo.get_model(name, weights=None, num_classes=len(words), **slow, **extra)
    load_weights(net, file)
    side = how.crop_size[0]
    return LibraryNet(
        net, (3, side, side), len(words), how.mean, how.std, name=name, words=words, images=images, resize=resize
    )

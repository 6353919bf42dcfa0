"""Specs of other libraries' classifiers: ``hf:DIR``, ``timm:NAME:path``, ``torchvision:NAME:IMAGENET1K_V1``,
``robustbench:NAME``, ``clip:DIR``, whose nets are differentiable; ``net.keras``, ``net.tflite``, XGBoost's and LightGBM's files.
"""

from __future__ import annotations

from typing import Any

from blackbox.specs import loaders, parse
from blackbox.specs.adapters import made
from blackbox.specs.loaders import Asked, Model


def net(asked: Asked) -> list[Model]:
    """A net with its library's own size, mean and std inside."""
    import surrogates as sg
    from surrogates.nets import libraries

    prefix = asked.spec.partition(":")[0].lower()
    load = libraries.loader(prefix)
    assert load is not None
    given: dict[str, Any] = asked.settings(loaders.keywords(load, skip=("mean", "std", "words", "classes")))
    shape = None if asked.data is None else asked.data.shape
    if prefix == "clip" and asked.data is not None:
        given["words"] = asked.data.classes
    numbers = {
        name: [parse.number(word, f"--{name}") for word in parse.words(text)]
        for name, text in (("mean", asked.nets.mean), ("std", asked.nets.std))
        if text is not None
    }
    found = sg.from_spec(f"{prefix}:{asked.rest}", None, shape, asked.seed, **numbers, **given)
    return _checked(asked, found)


def torchvision(asked: Asked) -> list[Model]:
    """A classifier of torchvision: the name of published weights brings their transforms, a file is loaded as any other net's."""
    from blackbox.specs import model
    from surrogates.nets.libraries import torchvision as zoo

    weights = asked.rest.partition(":")[2]
    if not weights or "." in weights:
        return model.net(asked)
    given = asked.settings(loaders.keywords(zoo.torchvision))
    import surrogates as sg

    shape = None if asked.data is None else asked.data.shape
    found = sg.from_spec(f"torchvision:{asked.rest}", None, shape, asked.seed, **given)
    return _checked(asked, found)


def keras(asked: Asked) -> list[Model]:
    """A ``.keras`` file."""
    from blackbox.targets.keras import KerasTarget

    return made(asked, KerasTarget(asked.rest, **asked.settings(loaders.keywords(KerasTarget.__init__, skip=("name",)))))


def tflite(asked: Asked) -> list[Model]:
    """A ``.tflite`` file."""
    from blackbox.targets.tflite import TfliteTarget

    return made(asked, TfliteTarget(asked.rest, **asked.settings(loaders.keywords(TfliteTarget.__init__, skip=("name",)))))


def boosted(asked: Asked) -> list[Model]:
    """A file of XGBoost or LightGBM."""
    from blackbox.targets.boosted import BoosterTarget

    asked.settings({})
    return made(asked, BoosterTarget(asked.rest))


def words(spec: str) -> tuple[str, ...]:
    """The class names of a model, in index order.

    Raises:
        ValueError: the model does not say them.
    """
    import surrogates as sg

    found = getattr(sg.from_spec(spec.partition("#")[0]), "words", None)
    if found is None:
        raise ValueError(f"Expected {spec} to name its classes, but it does not. Write them into a file, one a line, in its order.")
    return tuple(found)


def _checked(asked: Asked, found: Any) -> list[Model]:
    """The model, if labels of the data count its classes.

    Raises:
        ValueError: the data's class names are the model's, but not all of them or in another order; or their number is another.
    """
    words, names = found.words, () if asked.data is None else tuple(asked.data.classes)
    text = asked.spec.partition("#")[0]
    if words is not None and names and _elsewhere(names, words):
        raise ValueError(
            f"Expected the images' classes in the order of {text}, {len(words)} from {words[0]!r} to {words[-1]!r}, but they were "
            f"{', '.join(names[:5])}{' …' if len(names) > 5 else ''}, so labels would be counted wrongly. Say --class-names {text}."
        )
    if asked.classes not in (None, found.classes):
        mend = f"--class-names {text}" if words is not None else "a file of its class names with --class-names"
        raise ValueError(
            f"Expected {found.classes} classes, as {text} has, but there were {asked.classes}. Where the labels are its indices, say "
            f"--classes {found.classes}; for folders named by class, {mend}."
        )
    return [Model(found.name, asked.spec, found, found)]


def _elsewhere(names: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Whether the names, also as folders are matched (``n02106030_collie``), are among the words, but counted otherwise."""
    from surrogates.data.folders import folder_index

    try:
        return folder_index(names, words) != list(range(len(words)))
    except ValueError:  # they are no names of these classes, or may be several
        return names != words and set(names) <= set(words)


def robustbench_hash(asked: Asked) -> str:
    """A hash of a model's files in RobustBench's folder."""
    import hashlib
    from pathlib import Path

    given = asked.settings({"dataset": (str, ""), "threat": (str, ""), "folder": (str, ""), "resize": (bool, False)})
    place = Path(given.get("folder", "models")) / given.get("dataset", "cifar10") / given.get("threat", "Linf")
    digest = hashlib.sha256()
    for file in sorted(place.glob(f"{asked.rest}.pt*")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]

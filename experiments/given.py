"""What the sources' experiments are given: a model and images by the command line's own specs, settings, places to write to."""

from __future__ import annotations

import argparse
import re
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox import cli, specs
from blackbox.cli import options
from blackbox.specs import parse
from experiments.stored import RESULTS, store
from surrogates.nets.predict import chunk_rows, logits

DOCS = Path("docs")


def says(default: Any, text: str) -> Any:
    """A field of settings with the words of its help."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Named:
    """What the settings of every experiment have."""

    data: str = says("digits", "digits, folder:PATH, npz:PATH, cifar10:ROOT, …")
    name: str = says("", "the results are called EXPERIMENT_NAME [of the data: digits, or the file's name]")
    seed: int = says(0, "of every draw")

    @property
    def source(self) -> str:
        """Where the images are from."""
        return self.data.partition(":")[2] or self.data

    @property
    def called(self) -> str:
        """The name, or one made of what was given."""
        return self.name or re.sub(r"\W+", "_", Path(self.source).stem).strip("_").lower()


@dataclass(frozen=True)
class Subject(Named):
    """Which model, which images."""

    model: str = says("digits:cnn", "spec as of blackbox attack: digits:cnn, resnet20:w.safetensors, file.py:load, …")
    image: str | None = says(None, "an image file instead of the data")
    label: str | None = says(None, "its class, by name or number [what the model says]")
    size: int | None = says(None, "side that images are resized and cut to")
    class_names: str | None = says(None, "a file with a class name a line, in the model's index order")
    mean: str | None = says(None, "subtracted inside a net loaded from weights [the net's own]")
    std: str | None = says(None, "divided by, likewise")

    @property
    def source(self) -> str:
        return self.image or super().source


@dataclass(frozen=True)
class Seen:
    """A model and images [N, C, H, W] with their labels [N], and what the model says of them."""

    model: specs.Model
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    right: Tensor  # [N] bool
    file: bool = False  # one image file, not a data set

    def oracle(self, access: str = "scores") -> bb.Oracle:
        """A fresh one before the model."""
        rows = chunk_rows(tuple(self.images.shape[1:]), torch.device("cpu"))
        return specs.oracle(self.model, access, len(self.classes), rows_per_call=rows)

    def probabilities(self, images: Tensor) -> Tensor:
        """[m, C], of images [m, C, H, W]."""
        return self.oracle()(images).probabilities().cpu()

    def net(self, why: str) -> torch.nn.Module:
        """The model, which must be a net.

        Raises:
            ValueError: it has no gradients.
        """
        if self.model.net is None:
            raise ValueError(
                f"Expected a net, {why}, but {self.model.spec} has no gradients. Give --surrogate, or another --model."
            )
        return self.model.net

    def class_name(self, index: int) -> str:
        return short(self.classes[index])

    def where(self, keep: Tensor) -> Seen:
        """Some of the images, by [N] bool."""
        return Seen(self.model, self.images[keep], self.labels[keep], self.classes, self.right[keep], self.file)

    def take(self, count: int) -> Seen:
        """The first ``count`` images that the model has right.

        Raises:
            ValueError: there are fewer.
        """
        found = self.right.nonzero()[:count, 0]
        if len(found) < count:
            raise ValueError(f"Expected {count} images that {self.model.name} has right, but there are {len(found)}.")
        return Seen(self.model, self.images[found], self.labels[found], self.classes, self.right[found])

    def one(self, index: int) -> Seen:
        """The ``index``-th image that the model has right; an image file as it is.

        Raises:
            ValueError: there is none.
        """
        if self.file:
            return self
        if index < 0:
            raise ValueError(f"Expected --index from 0, but it was {index}.")
        some = self.take(index + 1)
        return Seen(self.model, some.images[index:], some.labels[index:], self.classes, some.right[index:])


def short(name: str) -> str:
    """``"n02099712 Labrador_retriever"`` -> ``"Labrador retriever"``."""
    return re.sub(r"^n\d{8}\W*", "", name).replace("_", " ").strip() or name


def see(settings: Subject) -> Seen:
    """The model and the images that the settings name.

    Raises:
        ValueError, FileNotFoundError: what is not there, cannot be read, or does not fit the rest.
    """
    data = _photograph(settings) if settings.image else specs.images(
        options.Images(settings.data, size=settings.size, class_names=settings.class_names), settings.seed
    ).data  # fmt: skip
    nets = options.Nets(mean=settings.mean, std=settings.std)
    model = specs.one_model(settings.model, data, None if settings.image else len(data.classes), nets)
    classes, labels = data.classes, data.labels
    said: Tensor | None = None
    if settings.image and model.net is not None:
        scores = logits(model.net, data.images)
        said, count = scores.argmax(1), scores.shape[1]
        if settings.class_names and count != len(classes):
            raise ValueError(
                f"Expected --class-names with {count} names, as many as {settings.model} has classes, but there are {len(classes)}."
            )
        classes = classes if settings.class_names else tuple(str(i) for i in range(count))
    if settings.label is not None:
        labels = torch.full_like(labels, class_index(settings.label, classes))
    elif settings.image and said is not None:
        labels = said
    if said is None:
        said = specs.oracle(model, "labels", len(classes))(data.images).label.cpu()
    return Seen(model, data.images, labels, classes, said == labels, bool(settings.image))


def _photograph(settings: Subject) -> sg.Dataset:
    from surrogates.data.dataset import class_names
    from surrogates.data.loaders import photograph

    image = photograph(str(settings.image), settings.size)
    names = class_names(settings.class_names) if settings.class_names else tuple("0123456789")
    return sg.Dataset(image, torch.zeros(1, dtype=torch.int64), names, Path(str(settings.image)).stem)


def class_index(word: str, classes: tuple[str, ...]) -> int:
    """A class by its number or name.

    Raises:
        ValueError: there is none of that name, or several.
    """
    if word.isdigit():
        if int(word) < len(classes):
            return int(word)
        raise ValueError(f"Expected a class from 0 to {len(classes) - 1}, but it was {word}.")
    same = [
        i for i, name in enumerate(classes) if word.lower().replace("_", " ") in (name.lower(), short(name).lower())
    ]
    if len(same) > 1:
        raise ValueError(
            f"Expected one class called {word!r}, but numbers {', '.join(map(str, same))} are. Give the number."
        )
    if not same:
        parse.one_of(word, [short(name) for name in classes] if len(classes) <= 20 else _near(word, classes), "a class")
    return same[0]


def _near(word: str, classes: tuple[str, ...]) -> list[str]:
    import difflib

    names = [short(name) for name in classes]
    return [*difflib.get_close_matches(word, names, n=3, cutoff=0.5), f"… ({len(names)} names)"]


Kind = TypeVar("Kind")


def read(kind: type[Kind], about: str, argv: list[str] | None = None) -> Kind:
    """Settings from the command line: each field of the dataclass is an option.

    Raises:
        ValueError: a value that is none of the field's type.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    hints = get_type_hints(kind)
    for f in fields(kind):  # type: ignore[arg-type]
        default = (
            ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in f.default)
            if isinstance(f.default, tuple)
            else f.default
        )
        text = f.metadata.get("help", "").replace("%", "%%")
        shown = "" if f.default in (None, "") else f" [{default}]"
        parser.add_argument("--" + f.name.replace("_", "-"), default=argparse.SUPPRESS, metavar="…", help=text + shown)
    words = vars(parser.parse_args(argv))
    return kind(**{name: _value(text, hints[name], "--" + name.replace("_", "-")) for name, text in words.items()})


def _value(text: str, hint: Any, name: str) -> Any:
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return tuple(_value(word, inner, name) for word in parse.words(text))
    options_of = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if int in options_of:
        return parse.whole(text, name)
    return parse.number(text, name) if float in options_of else text


Found = tuple[dict[str, Any], Any]


def run(
    experiment: str,
    kind: type[Any],
    about: str,
    measure: Callable[[Any], Found],
    draw: Callable[[dict[str, Any], Any, Path], Path],
) -> None:
    """The whole of an experiment's command; an error is one sentence.

    ``measure`` gives what goes to the JSON and what only the figure shows; ``draw`` writes the figure.
    """
    try:
        settings = read(kind, about)
        begun = time.perf_counter()
        found, shown = measure(settings)
        name = f"{experiment}_{settings.called}"
        where = store(RESULTS / f"{name}.json", settings, found, time.perf_counter() - begun)
        print(f"wrote {where} and {draw(found, shown, DOCS / f'{name}.png')}")
    except (ValueError, OSError, bb.TargetError) as error:
        sys.exit(cli.explain(error))

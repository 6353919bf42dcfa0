"""What the lectures' experiments are given: a model and images by the command line's own specs."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox import specs
from experiments.runner import says
from surrogates.nets import logits


@dataclass(frozen=True)
class Named:
    """What the settings of every lecture's experiment have."""

    data: str = says("digits", "digits, folder:PATH, npz:PATH, cifar10:ROOT, …")
    name: str = says("", "the results are called EXPERIMENT_NAME [of the data: digits, or the file's name]")
    seed: int = says(0, "of every draw")

    @property
    def called(self) -> str:
        """The name, or one made of what was given."""
        source = getattr(self, "image", None) or self.data.partition(":")[2] or self.data
        return self.name or re.sub(r"\W+", "_", Path(source).stem).strip("_").lower()


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

    def one_model(self, spec: str, data: sg.Dataset, classes: int | None) -> specs.Model:
        return specs.one_model(spec, data, classes, specs.Nets(mean=self.mean, std=self.std))  # type: ignore[arg-type]


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
        return specs.oracle(self.model, access, len(self.classes))

    def probabilities(self, images: Tensor) -> Tensor:
        """[m, C], of images [m, C, H, W]."""
        return self.oracle()(images).probabilities().cpu()

    def net(self) -> nn.Module:
        """The model, which must be a net. Raises ValueError: it has no gradients."""
        if self.model.net is None:
            raise ValueError(
                f"Expected a net, to take the gradient of, but {self.model.spec} has no gradients. Give another --model, "
                "or --surrogate where there is one."
            )
        return self.model.net  # type: ignore[no-any-return]

    def class_name(self, index: int) -> str:
        return short(self.classes[index])

    def where(self, keep: Tensor) -> Seen:
        """Some of the images, by [N] bool or indices."""
        return replace(self, images=self.images[keep], labels=self.labels[keep], right=self.right[keep])

    def take(self, count: int) -> Seen:
        """The first ``count`` images that the model has right. Raises ValueError: there are fewer."""
        found = self.right.nonzero()[:count, 0]
        if len(found) < count:
            raise ValueError(f"Expected {count} images that {self.model.name} has right, but there are {len(found)}.")
        return self.where(found)

    def one(self, index: int) -> Seen:
        """The ``index``-th image that the model has right; an image file as it is. Raises ValueError: there is none."""
        if index < 0:
            raise ValueError(f"Expected --index from 0, but it was {index}.")
        return self if self.file else self.take(index + 1).where(torch.tensor([index]))


def see(settings: Subject) -> Seen:
    """The model and the images that the settings name.

    Raises:
        ValueError, FileNotFoundError: what is not there, cannot be read, or does not fit the rest.
    """
    if settings.image:
        names = sg.data.class_names(settings.class_names) if settings.class_names else tuple("0123456789")
        image = sg.data.photograph(settings.image, settings.size)
        data = sg.Dataset(image, torch.zeros(1, dtype=torch.int64), names, Path(settings.image).stem)
    else:
        chosen = specs.Images(settings.data, size=settings.size, class_names=settings.class_names)
        data = specs.images(chosen, settings.seed).data
    model = settings.one_model(settings.model, data, None if settings.image else len(data.classes))
    classes, labels, said = data.classes, data.labels, None
    if settings.image and model.net is not None:
        scores = logits(model.net, data.images)
        said, count = scores.argmax(1), scores.shape[1]
        if settings.class_names and count != len(classes):
            raise ValueError(
                f"Expected --class-names with {count} names, as many as {settings.model} has classes, but there are {len(classes)}."
            )
        classes = classes if settings.class_names else tuple(map(str, range(count)))
        labels = said
    if settings.label is not None:
        labels = torch.full_like(labels, class_index(settings.label, classes))
    if said is None:
        said = specs.oracle(model, "labels", len(classes))(data.images).label.cpu()
    return Seen(model, data.images, labels, classes, said == labels, bool(settings.image))


def surrogate(settings: Subject, spec: str | None, seen: Seen) -> specs.Model | None:
    """The net of ``--surrogate``; of the digits digits:mlp where none is given, else None. Raises ValueError: it is no net."""
    spec = spec or ("digits:mlp" if settings.data == "digits" and not seen.file else None)
    if spec is None:
        return None
    model = settings.one_model(spec, sg.Dataset(seen.images, seen.labels, seen.classes), len(seen.classes))
    if model.net is None:
        raise ValueError(f"Expected --surrogate to be a net, but {spec} has no gradients.")
    return model


def short(name: str) -> str:
    """``"n02099712 Labrador_retriever"`` -> ``"Labrador retriever"``."""
    return re.sub(r"^n\d{8}\W*", "", name).replace("_", " ").strip() or name


def class_index(word: str, classes: tuple[str, ...]) -> int:
    """A class by its number or name. Raises ValueError: there is none of that name, or several."""
    if word.isdigit():
        if int(word) < len(classes):
            return int(word)
        raise ValueError(f"Expected a class from 0 to {len(classes) - 1}, but it was {word}.")
    asked, names = word.lower().replace("_", " "), [short(name) for name in classes]
    same = [i for i, name in enumerate(classes) if asked in (name.lower(), names[i].lower())]
    if len(same) > 1:
        raise ValueError(f"Expected one class called {word!r}, but numbers {', '.join(map(str, same))} are. Give the number.")
    if not same:
        near = names if len(names) <= 20 else [*difflib.get_close_matches(word, names, cutoff=0.5), f"… ({len(names)} names)"]
        raise ValueError(f"Expected a class to be one of {', '.join(near)}, but it was {word!r}.")
    return same[0]

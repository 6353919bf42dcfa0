"""How far do examples carry that are crafted on 1, 2, 4, 8 and 16 surrogates, all made of one net within one budget of training?

The net is a VGG of one's own, on 3,993 CIFAR images that were never JPEG or on the second half of MNIST's test set, and targets are
nets of others, of other families; in the small task it is a CNN on 500 of scikit-learn's digits, and targets are a multilayer
perceptron and a ViT of one's own, on other images. `sg.many` makes fifteen more of it: snapshots, sub-networks, and nets narrower,
shallower or trained on changed images. Each ensemble is attacked by MI-FGSM in ten steps, by the mean of the logits. Beside them: four
nets of one kind alone; all sixteen weighed by a held-out net of one's own, or by one answer of the target to each of some images that
are attacked nowhere, crafted on the sixteen (`sg.weigh`); that held-out net joined to the first, two families; and noise of the same
length. One training of each, one seed: the intervals are about images alone.

    python -m experiments.studies.many_surrogates

Run it on nets that are yours or that you may test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from experiments import ground, nets
from experiments.cases import spread_over
from experiments.runner import Book, Real, each, run, says

SIZES = (1, 2, 4, 8, 16)
TASKS: dict[str, dict[str, Any]] = {
    "cifar": {"own": nets.VGG, "held": nets.CNN, "data": "raw", "images": "raw", "others": "raw-filtered", "eps": 8 / 255,
              "targets": ("densenet", "resnet8")},
    "digits": {"own": nets.DIGITS[0], "held": nets.DIGITS[1], "data": "mnist", "images": "digits", "others": "digits-second", "eps": 0.15,
               "targets": ("lenet",)},
    "small digits": {"eps": 0.2},
}  # fmt: skip
SMALL = {"target": 800, "own": 500, "attacked": 250, "others": 150}  # scikit-learn's digits, 8 x 8 pixels
GROWING, NOISE, FAMILIES = "growing", "noise", "two families"
HELD, ANSWERS = "weighed by a held-out net", "weighed by answers"


@dataclass(frozen=True)
class Settings(Real):
    tasks: tuple[str, ...] = says(tuple(TASKS), "what to measure", TASKS)
    images: int = says(120, "attacked, spread over all")
    answers: int = says(100, "of the target, to weigh nets by")
    epochs: int = says(12, "passes over the training set, for all nets together")
    seed: int = 0


@dataclass(frozen=True)
class Case:
    """What is attacked, on what, and from which nets."""

    x: Tensor
    y: Tensor
    ids: Tensor
    threat: bb.Threat
    oracles: dict[str, bb.Oracle]
    own: nn.Module
    held: nn.Module
    others: sg.Dataset
    data: sg.Dataset

    @cached_property
    def right(self) -> dict[str, Tensor]:
        """Which images each target has right."""
        return {t: oracle(self.x).label.cpu() == self.y for t, oracle in self.oracles.items()}


def small(s: Settings) -> Case:
    """All nets are trained here: a CNN and a LeNet of one's own, a multilayer perceptron and a ViT on other images as targets."""
    part = sg.split(sg.load("digits"), SMALL, seed=s.seed)

    def trained(arch: str, of: str, recipe: sg.Recipe, seed: int) -> nn.Module:
        return sg.train(sg.build(arch, 10, (1, 8, 8), seed=seed), part[of], recipe, seed=seed)

    plain, adam = sg.Recipe(epochs=10), sg.Recipe(epochs=15, optimiser="adam")
    hidden = {arch: trained(arch, "target", recipe, s.seed + 1) for arch, recipe in (("mlp", plain), ("vit", adam))}
    oracles = {arch: bb.Oracle(net, "scores", 10) for arch, net in hidden.items()}
    x, y = part["attacked"].images, part["attacked"].labels
    own, held = (trained(arch, "own", plain, s.seed) for arch in ("cnn", "lenet"))
    threat = bb.Linf(TASKS["small digits"]["eps"])
    return Case(x, y, torch.arange(len(x)), threat, oracles, own, held, part["others"], part["own"])


def case(s: Settings, name: str) -> Case:
    if name == "small digits":
        return small(s)
    about = TASKS[name]
    data, ids = ground.images(about["images"], s.root)
    kept = spread_over(len(data), s.images)
    oracles = {t: bb.Oracle(ground.net(t, s.root), "scores", 10) for t in about["targets"]}
    x, y = data.images[kept], data.labels[kept]
    own, held = (nets.trained(s.root, replace(about[which], data=about["data"])) for which in ("own", "held"))
    others = ground.images(about["others"], s.root)[0]
    return Case(x, y, ids[kept], bb.Linf(about["eps"]), oracles, own, held, others, nets.images(s.root, about["data"]))


def preset(weights: Sequence[float] | None = None) -> Any:
    plain = sg.presets.get("mi-fgsm")
    return plain if weights is None else plain | sg.parts.LogitFusion(tuple(weights))


def ensembles(s: Settings, c: Case, made: sg.Many) -> Iterator[tuple[str, list[nn.Module], Any, dict[str, Any]]]:
    """(way, nets, preset, what else the row says) of each cell but noise."""
    for size in SIZES:
        yield GROWING, made.nets[:size], preset(), {"seconds": round(sum(made.seconds[:size]), 2)}
    yield FAMILIES, [c.own, c.held], preset(), {}
    x, y = c.others.images[: s.answers], c.others.labels[: s.answers]
    weights = sg.weigh(made.nets, c.held, x)
    yield HELD, made.nets, preset(weights), {"weights": [round(w, 4) for w in weights]}
    asked = sg.craft(made.nets, x, y, preset(), threat=c.threat, seed=s.seed)
    for target, oracle in c.oracles.items():
        weights = sg.weigh(made.nets, sg.ask(oracle, asked, len(asked), purpose="weigh"))
        yield f"{ANSWERS} of {target}", made.nets, preset(weights), {"weights": [round(w, 4) for w in weights], "asked": len(asked)}
    for kind in dict.fromkeys(made.kinds[1:]):
        yield kind, [made.nets[0], *(n for n, k in zip(made.nets, made.kinds, strict=True) if k == kind)][:4], preset(), {}


def shown(c: Case, made: Tensor) -> dict[str, Any]:
    """What the targets make of changed images, image by image; 1 fooled, 0 not, - wrong as it is."""
    return {"fooled": {t: each(oracle(made).label.cpu() != c.y, c.right[t]) for t, oracle in c.oracles.items()}}


def crafted(s: Settings, c: Case, members: list[nn.Module], recipe: Any) -> Tensor:
    return sg.craft(members, c.x, c.y, recipe, threat=c.threat, seed=s.seed, ids=c.ids)


def cell(s: Settings, c: Case, members: list[nn.Module], recipe: Any, more: dict[str, Any]) -> dict[str, Any]:
    """A row: what the targets make of examples from these nets."""
    return {**more, "gradients": recipe.cost(nets=len(members)), **shown(c, crafted(s, c, members, recipe))}


def noise(s: Settings, c: Case, members: list[nn.Module], recipe: Any) -> dict[str, Any]:
    """A row: what they make of noise as long as the examples from these nets."""
    return shown(c, sg.same_length_noise(crafted(s, c, members, recipe), c.x, c.threat, seed=s.seed))


def measure(s: Settings) -> None:
    book = Book("many_surrogates", s, same=("images", "epochs", "answers", "seed"))
    for name in s.tasks:
        c = case(s, name)
        made = sg.many(c.own, c.data, SIZES[-1], epochs=s.epochs, seed=s.seed)
        print(made.summary(), flush=True)
        about = {"kinds": made.kinds, "seconds": [round(v, 2) for v in made.seconds], "epochs": made.epochs}
        book.row(partial(dict, about), among="made", task=name, eps=c.threat.eps)
        for way, members, recipe, more in ensembles(s, c, made):
            book.row(partial(cell, s, c, members, recipe, more), task=name, way=way, nets=len(members))
        book.row(partial(noise, s, c, members, recipe), task=name, way=NOISE, nets=0)


if __name__ == "__main__":
    run(Settings, measure)

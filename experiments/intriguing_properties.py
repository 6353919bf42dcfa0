"""Szegedy et al. 2013, "Intriguing properties of neural networks" (arXiv:1312.6199), asked again on MNIST.

    python -m experiments.intriguing_properties --data ../shared/data --images 100

Trains small nets on disjoint halves P1 and P2 of 8,000 of MNIST's test images (the training set is not in the data folder) and
looks at the other 2,000:

1. Units against random directions (section 3): the 8 images that excite a unit, or a random direction, of the last hidden
   layer most: how many bear the commonest label? Beside it, 8 images drawn at random.
2. Smallest distortions (table 1): box-constrained L-BFGS on every net, RMS of the change.
3. Across models (table 2): the images crafted on one net, shown to all, with Gaussian noise as long as each change.
4. Across training sets (table 4): the same for nets that saw disjoint halves, also with every change amplified to RMS 0.1.

A cell: of the images that both nets have right clean, those the second gets wrong; 95 % Wilson interval. The paper counts
errors of all images; these are in the JSON. Departs from the paper: no autoencoder net; softmax nets trained by Adam; one
weight decay for all layers of the deep nets. Writes experiments/results/intriguing_properties.json and
docs/intriguing_properties.png.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from surrogates.crafting.minimum_norm import amplify, lbfgs

Label = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    images: int = 100
    half: int = 4000
    test: int = 2000
    epochs: int = 60
    rms: float = 0.1  # of the amplified changes (table 4)
    top: int = 8
    directions: int = 100
    bisections: int = 5  # of L-BFGS: c to 7 %, half the price of 10 for a distortion 1 % longer
    candidates: int = 1  # classes tried an image: the nearest to first order (for a linear net the nearest in fact)
    seed: int = 0
    cache: str | None = None  # a folder for the trained nets


@dataclass(frozen=True)
class Kind:
    """A net: widths of the hidden layers, weight decay of the recipe, half of the data, seed of the weights."""

    name: str
    widths: tuple[int, ...]
    decay: float
    half: str = "P1"
    seed: int = 0


# FC10(lambda): the paper adds lambda sum(w^2) / k for k = 10 units, whose gradient is that of a decay of lambda / 5
KINDS = (
    Kind("FC10(1e-4)", (), 2e-5), Kind("FC10(1e-2)", (), 2e-3), Kind("FC10(1)", (), 2e-1), Kind("FC100-100-10", (100, 100), 1e-5),
    Kind("FC200-200-10", (200, 200), 1e-5), Kind("FC123-456-10", (123, 456), 1e-5), Kind("FC100-100-10'", (100, 100), 1e-5, "P2", 1),
)  # fmt: skip
ACROSS_MODELS = ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)", "FC100-100-10", "FC200-200-10")
ACROSS_SETS = ("FC100-100-10", "FC123-456-10", "FC100-100-10'")


def build(kind: Kind) -> nn.Sequential:
    """Fully connected layers of sigmoids, as the paper's; weights by torch's own rule, from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(kind.seed)
        layers: list[nn.Module] = [nn.Flatten()]
        before = 784
        for width in kind.widths:
            layers += [nn.Linear(before, width), nn.Sigmoid()]
            before = width
        return nn.Sequential(*layers, nn.Linear(before, 10))


def train(
    settings: Settings, parts: dict[str, sg.Dataset], names: tuple[str, ...] = tuple(k.name for k in KINDS)
) -> dict[str, nn.Sequential]:
    """The nets of these names."""
    nets = {}
    for i, kind in enumerate(KINDS):
        if kind.name not in names:
            continue
        recipe = sg.Recipe(epochs=settings.epochs, optimiser="adam", weight_decay=kind.decay)
        nets[kind.name] = sg.train(build(kind), parts[kind.half], recipe, seed=settings.seed + i, cache=settings.cache)
    return nets


def purity(features: np.ndarray, directions: np.ndarray, labels: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """[k] share of the commonest label among the ``top`` images along each direction [k, d], and their numbers [k, top]."""
    best = np.argsort(-(features @ directions.T), axis=0, kind="stable")[:top].T
    return np.array([np.bincount(labels[row]).max() / top for row in best]), best


def units(settings: Settings, net: nn.Sequential, test: sg.Dataset) -> dict[str, Any]:
    """Part 1, on the last hidden layer of ``net``."""
    with torch.no_grad():
        features = net[:-1](test.images).numpy()
    labels, rng = test.labels.numpy(), np.random.default_rng(settings.seed)
    random = rng.standard_normal((settings.directions, features.shape[1]))
    found: dict[str, Any] = {}
    for name, directions in (("units", np.eye(features.shape[1])), ("random directions", random)):
        share, best = purity(features, directions, labels, settings.top)
        found[name] = {"purity": share, "best": best}
    drawn = rng.integers(0, len(labels), (settings.directions, settings.top))
    found["random images"] = {
        "purity": np.array([np.bincount(labels[r]).max() / settings.top for r in drawn]),
        "best": drawn,
    }
    for row in found.values():
        row["mean"] = sg.two_level(row["purity"])
    return found


@dataclass(frozen=True)
class Crafted:
    """One source's images: as found, amplified, and noise of the same length as each."""

    minimal: Tensor
    minimal_noise: Tensor
    amplified: Tensor
    amplified_noise: Tensor
    found: Tensor  # [n] bool
    rms: np.ndarray  # [n] of those found


def craft(settings: Settings, net: nn.Module, x: Tensor, y: Tensor) -> Crafted:
    """Part 2."""
    made = lbfgs(net, x, y, bisections=settings.bisections, candidates=settings.candidates)
    found = made.success & ~made.already
    larger = amplify(made.x_adv, x, settings.rms)
    minimal_noise, amplified_noise = (sg.same_length_noise(v, x, seed=settings.seed) for v in (made.x_adv, larger))
    return Crafted(made.x_adv, minimal_noise, larger, amplified_noise, found, made.rms(x)[found].numpy())


def cell(source: nn.Module, target: nn.Module, x: Tensor, y: Tensor, shown: Tensor, found: Tensor) -> Label:
    """Of the images both have right and for which there is a change, those the target gets wrong; and the paper's count."""
    wrong = sg.predict(target, shown) != y
    both = (sg.predict(source, x) == y) & (sg.predict(target, x) == y) & found
    rate, error = bb.Rate.of(wrong.numpy(), both.numpy()), bb.Rate.of(wrong.numpy())
    return {"k": rate.k, "n": rate.n, "low": rate.low, "high": rate.high, "all": [error.k, error.n]}


def table(
    names: tuple[str, ...], nets: dict[str, nn.Sequential], made: dict[str, Crafted], x: Tensor, y: Tensor, size: str
) -> list[dict[str, Any]]:
    """Parts 3 and 4: a row for each source, one of its noise beneath."""
    rows = []
    for source in names:
        for what in (size, f"{size}_noise"):
            shown, own = getattr(made[source], what), nets[source]
            cells = {t: cell(own, nets[t], x, y, shown, made[source].found) for t in names}
            moved = (shown - x)[made[source].found].flatten(1).square().mean(1).sqrt()
            rows.append({"source": source, "what": what, "rms": float(moved.mean()), "cells": cells})
            shares = "  ".join(f"{t} {100 * c['k'] / max(c['n'], 1):5.1f}" for t, c in cells.items())
            print(f"{what:16} rms {rows[-1]['rms']:.3f}  {source:14} -> {shares}", flush=True)
    return rows


def halves(settings: Settings) -> dict[str, sg.Dataset]:
    """P1, P2 and the test images."""
    data = sg.load(f"npz:{Path(settings.data) / 'mnist_test.npz'}")
    return sg.split(data, {"P1": settings.half, "P2": settings.half, "test": settings.test}, seed=settings.seed)


def measure(settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """The numbers."""
    parts = halves(settings)
    nets, test = train(settings, parts), parts["test"]
    accuracy = {name: sg.accuracy(net, test) for name, net in nets.items()}
    for name, rate in accuracy.items():
        say(f"{name:15} right on {rate}")
    coherent = units(settings, nets["FC100-100-10"], test)
    for name, row in coherent.items():
        say(f"{name:18} share of the commonest label among the top {settings.top}: {row['mean']}")
    x, y = test.images[: settings.images], test.labels[: settings.images]
    made = {}
    for name, net in nets.items():
        made[name] = craft(settings, net, x, y)
        say(f"{name:15} found {int(made[name].found.sum())}, RMS {sg.two_level(made[name].rms)}")
    smallest = {name: sg.two_level(c.rms) for name, c in made.items()}
    return {
        "settings": asdict(settings),
        "accuracy": {name: [r.k, r.n] for name, r in accuracy.items()},
        "train accuracy": {k.name: [(r := sg.accuracy(nets[k.name], parts[k.half])).k, r.n] for k in KINDS},
        "units": {name: {"purity": row["purity"].tolist(), **_estimate(row["mean"])} for name, row in coherent.items()},
        "smallest distortion": {name: _estimate(e) for name, e in smallest.items()},
        "across models": table(ACROSS_MODELS, nets, made, x, y, "minimal"),
        "across training sets": table(ACROSS_SETS, nets, made, x, y, "minimal"),
        "across training sets, amplified": table(ACROSS_SETS, nets, made, x, y, "amplified"),
    }


def pictures(settings: Settings, count: int = 16) -> dict[str, Any]:
    """What the figure shows of the images: those that units and directions like, and the first crafted ones."""
    parts = halves(settings)
    net, test = train(settings, parts, ("FC100-100-10",))["FC100-100-10"], parts["test"]
    x, y = test.images[: count + 4], test.labels[: count + 4]
    return {"units": units(settings, net, test), "images": test.images, "x": x, "made": craft(settings, net, x, y)}


def _estimate(e: Any) -> dict[str, float]:
    return {"mean": e.value, "low": e.low, "high": e.high, "n": e.n}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    parser.add_argument("--images", type=int, default=Settings.images)
    parser.add_argument("--cache", default=Settings.cache)
    parser.add_argument("--figure", action="store_true", help="only draw again, from the JSON and the cached nets")
    given = parser.parse_args()
    out = Path("experiments/results/intriguing_properties.json")
    settings = Settings(data=given.data, images=given.images, cache=given.cache)
    if not given.figure:
        numbers = measure(settings, lambda line: print(line, flush=True))
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(numbers, indent=1) + "\n")
    from experiments.intriguing_figure import draw

    path = draw(json.loads(out.read_text()), pictures(settings), Path("docs/intriguing_properties.png"))
    print(f"wrote {out} and {path}")


if __name__ == "__main__":
    main()

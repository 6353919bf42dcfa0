"""Szegedy et al. 2013, "Intriguing properties of neural networks" (arXiv:1312.6199), asked again on MNIST.

Trains small nets on disjoint halves P1 and P2 of 8,000 of MNIST's test images (the training set is not in the data folder) and
looks at the other 2,000:

1. Units against random directions (section 3): the 8 images that excite a unit, or a random direction, of the last hidden
   layer most: how many bear the commonest label? Beside it, 8 images drawn at random.
2. Smallest distortions (table 1): box-constrained L-BFGS on every net, RMS of the change.
3. Across models (table 2): the images crafted on one net, shown to all, with Gaussian noise as long as each change.
4. Across training sets (table 4): the same for nets that saw disjoint halves, also with every change amplified to RMS 0.1.

A cell: of the images that both nets have right clean, those the second gets wrong; 95 % Wilson interval. The paper counts
errors of all images; these are in the JSON. Departs from the paper: no autoencoder net; softmax nets trained by Adam; one
weight decay for all layers of the deep nets.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.report import style
from experiments.figures import sheet
from experiments.runner import Found, Real, count, counted, each, run, says, tell


@dataclass(frozen=True)
class Settings(Real):
    images: int = says(100, "crafted on every net")
    half: int = says(4000, "images of P1, and of P2")
    test: int = says(2000, "images looked at")
    epochs: int = says(60, "of each net")
    rms: float = says(0.1, "of the amplified changes (table 4)")
    cache: str | None = says(None, "a folder for the trained nets")
    top: int = 8
    directions: int = 100
    bisections: int = 5  # of L-BFGS: c to 7 %, half the price of 10 for a distortion 1 % longer
    candidates: int = 1  # classes tried an image: the nearest to first order (for a linear net the nearest in fact)
    seed: int = 0


@dataclass(frozen=True)
class Kind:
    """A net: widths of the hidden layers, weight decay of the recipe, half of the data, seed of the weights."""

    widths: tuple[int, ...]
    decay: float
    half: str = "P1"
    seed: int = 0


# FC10(lambda): the paper adds lambda sum(w^2) / k for k = 10 units, whose gradient is that of a decay of lambda / 5
KINDS = {
    "FC10(1e-4)": Kind((), 2e-5), "FC10(1e-2)": Kind((), 2e-3), "FC10(1)": Kind((), 2e-1),
    "FC100-100-10": Kind((100, 100), 1e-5), "FC200-200-10": Kind((200, 200), 1e-5), "FC123-456-10": Kind((123, 456), 1e-5),
    "FC100-100-10'": Kind((100, 100), 1e-5, "P2", 1),
}  # fmt: skip
ACROSS_MODELS = ("FC10(1e-4)", "FC10(1e-2)", "FC10(1)", "FC100-100-10", "FC200-200-10")
ACROSS_SETS = ("FC100-100-10", "FC123-456-10", "FC100-100-10'")
SHOWN = "FC100-100-10"


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


def trained(s: Settings, parts: dict[str, sg.Dataset]) -> dict[str, nn.Sequential]:
    """The nets by name."""
    out = {}
    for i, (name, kind) in enumerate(KINDS.items()):
        recipe = sg.Recipe(epochs=s.epochs, optimiser="adam", weight_decay=kind.decay)
        out[name] = sg.train(build(kind), parts[kind.half], recipe, seed=s.seed + i, cache=s.cache)
    return out


def units(s: Settings, net: nn.Sequential, test: sg.Dataset) -> dict[str, Any]:
    """Part 1, on the last hidden layer of ``net``: the share of the commonest label among the ``top`` images along each unit or
    direction, and these images' numbers [k, top]."""
    with torch.no_grad():
        features = net[:-1](test.images).numpy()
    labels, rng = test.labels.numpy(), np.random.default_rng(s.seed)
    random = rng.standard_normal((s.directions, features.shape[1]))
    best = {
        name: np.argsort(-(features @ along.T), axis=0, kind="stable")[: s.top].T
        for name, along in (("units", np.eye(features.shape[1])), ("random directions", random))
    }
    best["random images"] = rng.integers(0, len(labels), (s.directions, s.top))
    purity = {name: np.array([np.bincount(labels[row]).max() / s.top for row in rows]) for name, rows in best.items()}
    return {name: {"purity": purity[name], "best": best[name], "mean": sg.two_level(purity[name])} for name in best}


def craft(s: Settings, net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Part 2: images as found and amplified, with noise of the same length as each; of which there is one [n]; their RMS."""
    made = sg.minimum_norm.lbfgs(net, x, y, bisections=s.bisections, candidates=s.candidates)
    out: dict[str, Any] = {"minimal": made.x_adv, "amplified": sg.minimum_norm.amplify(made.x_adv, x, s.rms)}
    out |= {f"{name}_noise": sg.same_length_noise(images, x, seed=s.seed) for name, images in out.items()}
    found = made.success & ~made.already
    return out | {"found": found, "rms": made.rms(x)[found].numpy()}


def table(names: tuple[str, ...], nets: dict[str, Any], made: dict[str, Any], x: Tensor, y: Tensor, size: str) -> list[Any]:
    """Parts 3 and 4: a row for each source, one of its noise beneath.

    A cell: of the images both nets have right and for which there is a change, those the target gets wrong; and the paper's count.
    """
    rows = []
    right = {name: sg.predict(nets[name], x) == y for name in names}
    for source in names:
        found = made[source]["found"]
        for what in (size, f"{size}_noise"):
            shown, cells = made[source][what], {}
            for target in names:
                wrong = sg.predict(nets[target], shown) != y
                cells[target] = {"fooled": each(wrong, right[source] & right[target] & found), "all": count(wrong)}
            moved = (shown - x)[found].flatten(1).square().mean(1).sqrt()
            rows.append({"source": source, "what": what, "rms": float(moved.mean()), "cells": cells})
            shares = "  ".join(f"{t} {bb.Rate(*counted(c['fooled']))}" for t, c in cells.items())
            print(f"{what:16} rms {rows[-1]['rms']:.3f}  {source:14} -> {shares}", flush=True)
    return rows


def _estimate(e: Any) -> dict[str, float]:
    return {"mean": e.value, "low": e.low, "high": e.high, "n": e.n}


def measure(s: Settings) -> Found:
    """The numbers."""
    data = sg.load(f"npz:{s.root / 'mnist_test.npz'}")
    parts = sg.split(data, {"P1": s.half, "P2": s.half, "test": s.test}, seed=s.seed)
    nets, test = trained(s, parts), parts["test"]
    coherent = units(s, nets[SHOWN], test)
    accuracy = {name: sg.accuracy(net, test) for name, net in nets.items()}
    tell({"right on": "", **accuracy})
    tell({"share of the commonest label": "", **{name: row["mean"] for name, row in coherent.items()}})
    x, y = test.images[: s.images], test.labels[: s.images]
    made = {name: craft(s, net, x, y) for name, net in nets.items()}
    smallest = {name: sg.two_level(c["rms"]) for name, c in made.items()}
    tell({"RMS": "", **smallest})
    learned = {name: sg.accuracy(nets[name], parts[kind.half]) for name, kind in KINDS.items()}
    return {
        "accuracy": {name: [r.k, r.n] for name, r in accuracy.items()},
        "train accuracy": {name: [r.k, r.n] for name, r in learned.items()},
        "units": {name: {"purity": row["purity"].tolist(), **_estimate(row["mean"])} for name, row in coherent.items()},
        "smallest distortion": {name: _estimate(e) for name, e in smallest.items()},
        "across models": table(ACROSS_MODELS, nets, made, x, y, "minimal"),
        "across training sets": table(ACROSS_SETS, nets, made, x, y, "minimal"),
        "across training sets, amplified": table(ACROSS_SETS, nets, made, x, y, "amplified"),
        "drawn": {"images": s.images, "half": s.half, "rms": s.rms, "top": s.top},
    }, {"units": coherent, "images": test.images, "x": x, "made": made[SHOWN]}  # fmt: skip


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """Units and directions, distortions, the tables, and examples."""
    s = found["drawn"]
    under = (
        f"MNIST, nets trained on {s['half']:,} images each · tables: {s['images']} images; of those both nets have right, the share "
        "the column's net gets wrong · 95 % intervals"
    )
    title = "Intriguing properties of neural networks, asked again"
    with sheet(path, title, under, 13, 13.6, 3, 2, height_ratios=(1, 1.5, 1.1), width_ratios=(1.12, 1)) as (made, axes):
        places = axes[0, 0].get_gridspec()
        for one in (axes[0, 0], axes[1, 1], *axes[2]):
            one.remove()
        strips = [(f"{name.removesuffix('s')} {i}", [shown["images"][j, 0] for j in shown["units"][name]["best"][i]], colour)
                  for name, colour in (("units", 1), ("random directions", 0)) for i in range(4)]  # fmt: skip
        _strips(made, places[0, 0], strips, "What excites a unit, or a random direction, most")
        _purity(axes[0, 1], found, s["top"])
        _table(axes[1, 0], found["across models"], "Across models: smallest changes, and noise as long")
        right = places[1, 1].subgridspec(2, 1)
        _table(made.add_subplot(right[0]), found["across training sets"], "Across training sets (P1, P1, P2): smallest changes")
        _table(made.add_subplot(right[1]), found["across training sets, amplified"], f"The same, amplified to RMS {s['rms']:g}")
        images = shown["made"]
        pick = images["found"].nonzero()[:16, 0].tolist()
        rows = {"clean": shown["x"], "smallest change": images["minimal"], "amplified": images["amplified"],
                "noise as long": images["amplified_noise"]}  # fmt: skip
        strips = [(name, [some[i, 0] for i in pick], 1) for name, some in rows.items()]
        _strips(made, places[2, :], strips, f"Crafted on {SHOWN}")
    return path


def _strips(made: Any, place: Any, strips: list[tuple[str, list[Tensor], int]], title: str) -> None:
    """Rows of images beside one another, each with its name."""
    inner = place.subgridspec(len(strips), 1, hspace=0.02)
    for r, (name, images, colour) in enumerate(strips):
        axes = made.add_subplot(inner[r])
        axes.imshow(np.concatenate([image.numpy() for image in images], 1), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        axes.set_axis_off()
        axes.text(-4, 14, name, ha="right", va="center", fontsize=8.5, color=style.COLOURS[colour])
        if r == 0:
            axes.set_title(title, weight="bold")


def _purity(axes: Any, found: dict[str, Any], top: int) -> None:
    edges = (np.arange(1, top + 2) - 0.5) / top
    for i, (name, row) in enumerate(found["units"].items()):
        share = np.histogram(row["purity"], edges)[0] / len(row["purity"])
        text = f"{name}: mean {row['mean']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
        axes.bar(np.arange(1, top + 1) + 0.27 * (i - 1), share, 0.26, color=style.COLOURS[(1, 0, 5)[i]], label=text)
    axes.set(xticks=range(1, top + 1), xlabel=f"images of the commonest label among the top {top}", ylabel="share")
    axes.set_title("Do units mean more than directions?", weight="bold")
    axes.set_ylim(top=1.45 * axes.get_ylim()[1])  # room for the legend above the bars
    axes.legend(loc="upper left")


def _table(axes: Any, rows: list[dict[str, Any]], title: str) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("transfer", ["#f6f4ef", "#f3cf9b", "#e2804f", "#b23a48", "#5a1846"])
    rates = [[bb.Rate(*counted(c["fooled"])) for c in row["cells"].values()] for row in rows]
    value = np.array([[rate.value for rate in line] for line in rates])
    axes.imshow(np.ma.masked_invalid(value), cmap=shades, vmin=0, vmax=1, aspect="auto")
    for i in range(len(rows)):
        for j, rate in enumerate(rates[i]):
            text = f"{100 * rate.value:.0f} %  [{100 * rate.low:.0f}, {100 * rate.high:.0f}]" if rate.n else "–"
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if value[i, j] > 0.52 else style.INK)
    named = [f"{'noise' if i % 2 else row['source']}  {row['rms']:.3f}" for i, row in enumerate(rows)]
    axes.set_yticks(range(len(rows)), named)
    axes.set_xticks(range(len(rows[0]["cells"])), list(rows[0]["cells"]), fontsize=8)
    axes.grid(False)
    axes.tick_params(length=0)
    axes.set_title(title, weight="bold")


if __name__ == "__main__":
    run(Settings, measure, draw)

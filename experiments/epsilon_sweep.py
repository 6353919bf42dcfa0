"""One photograph, one perturbation, many epsilons: what does the model say as the image is pushed along the ray?

    python -m experiments.epsilon_sweep                     # a digit and the built-in convolutional net
    python -m experiments.epsilon_sweep --model digits:svm-rbf --direction numerical
    python -m experiments.epsilon_sweep --image dog.jpg --model torchvision:squeezenet1_0:w.safetensors --size 224 \\
        --class-names classes.txt --mean 0 --std 1

Draws the perturbation pattern, the image at each epsilon with the model's label and confidence, and the geometry: which
decision regions the ray x + eps * pattern crosses, and at which eps (borders by bisection). The pattern is the sign of the
loss's gradient (FGSM, Goodfellow et al. 2015, arXiv:1412.6572): the model's own; a surrogate's (--surrogate, for a model that
has none, or to look at a transferred ray); estimated from the model's scores, two queries an entry (--direction numerical); or
random signs, to compare with (--direction random). the ray leads away from the label.
"""

from __future__ import annotations

import textwrap
import types
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox import specs
from blackbox.cli import options
from blackbox.rng import Stream
from blackbox.specs import parse
from experiments import given, picture
from experiments.given import Seen, says
from surrogates.analysis.ray import Line, fgsm_direction, regions
from surrogates.crafting.queried import Queried

DIRECTIONS = ("gradient", "numerical", "random")


@dataclass(frozen=True)
class Settings(given.Subject):
    index: int = says(0, "which of the data's images that the model has right, from 0")
    eps: tuple[float, ...] = says((0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5), "radii that are shown")
    direction: str = says("gradient", f"one of {', '.join(DIRECTIONS)}")
    surrogate: str | None = says(None, "spec of a net whose gradient gives the pattern")
    loss: str = says("cross-entropy", "whose gradient it is: cross-entropy, margin, …")
    points: int = says(150, "radii at which the ray is looked at before borders are closed in")


def pattern(settings: Settings, seen: Seen, x: Tensor, y: Tensor) -> tuple[Tensor, str]:
    """[1, C, H, W] of -1, 0 and 1, and where it is from."""
    parse.one_of(settings.direction, DIRECTIONS, "--direction")
    if settings.direction == "random":
        return Stream(settings.seed, np.zeros(1, np.uint64)).signs(
            0, "random ray", tuple(x.shape[1:])
        ).float(), "random signs"
    if settings.direction == "numerical":
        oracle = seen.oracle()
        source = Queried(oracle, bb.estimators.Coordinates(), bb.Linf(1.0), tuple(x.shape[1:]), settings.loss)
        g = source(x, y, Stream(settings.seed, np.zeros(1, np.uint64)), 0)
        return g.sign().float(), f"sign of a gradient estimated by {oracle.rows:,} queries"
    if settings.surrogate:
        data = sg.Dataset(x, y, seen.classes)
        net = specs.one_model(
            settings.surrogate, data, len(seen.classes), options.Nets(mean=settings.mean, std=settings.std)
        ).net
        return fgsm_direction(
            net, x, y, settings.loss
        ), f"sign of the gradient of {settings.surrogate.partition(':')[0]}, a surrogate"
    net = seen.net("to take the gradient of")
    return fgsm_direction(net, x, y, settings.loss), "sign of the gradient"


def measure(settings: Settings) -> given.Found:
    """Labels and confidences at the epsilons, and the regions between them."""
    radii = np.unique(np.asarray(settings.eps))
    if len(radii) < 2 or radii[0] < 0 or not np.isfinite(radii).all():
        raise ValueError(f"Expected --eps to be at least two different radii from 0 up, but they were {settings.eps}.")
    seen = given.see(settings).one(settings.index)
    x, y = seen.images, seen.labels
    along, what = pattern(settings, seen, x, y)
    line, oracle = Line(x, along), seen.oracle()
    # closer together near 0, where regions are thin
    fine = np.union1d(radii[-1] * np.linspace(0, 1, settings.points) ** 2, radii)
    p = oracle(line.at(np.zeros(len(fine), int), fine)).probabilities().cpu().numpy()
    ray: Any = types.SimpleNamespace(line=line, epsilons=fine)
    crossed = regions(ray, lambda points: oracle(points).label, label=p.argmax(1)[None], tolerance=1e-4 * radii[-1])[0]
    at = np.searchsorted(fine, radii)
    rows = [
        {"eps": float(fine[i]), "label": int(p[i].argmax()), "name": seen.class_name(int(p[i].argmax())),
         "confidence": float(p[i].max()), "confidence in the class left": float(p[i, int(y)])} for i in at
    ]  # fmt: skip
    for row in rows:
        print(f"eps {row['eps']:<8g}{100 * row['confidence']:5.1f} %  {row['name']}")
    found = {
        "model": seen.model.name,
        "leaves": {"label": int(y), "name": seen.class_name(int(y))},
        "pattern": what,
        "queries": oracle.rows,
        "rows": rows,
        "regions": [{**asdict(r), "name": seen.class_name(r.label)} for r in crossed],
    }
    print("regions:", " → ".join(f"{r['name']} to {r['stop']:.3g}" for r in found["regions"]))
    images = line.at(np.zeros(len(at), int), fine[at])
    return found, {"images": images, "pattern": along[0], "radii": fine, "p": p}


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """Pattern and images above, confidence and regions along the ray below."""
    from blackbox.report import style

    rows, home = found["rows"], found["leaves"]
    across = len(rows) + 1
    width = max(1.2 * across + 0.3, 8.0)
    cell = (width - 0.3) / across
    tall = (cell - 0.1) * shown["pattern"].shape[1] / shown["pattern"].shape[2]
    height = 4.3 + tall
    made = style.figure(width, height)
    for i in range(across):
        left, bottom = 0.15 + i * cell + 0.05, height - 0.88 - tall
        axes = made.add_axes((left / width, bottom / height, (cell - 0.1) / width, tall / height))
        picture.place(axes, shown["pattern"] if i == 0 else shown["images"][i - 1], difference=i == 0)
        if i == 0:
            axes.set_title("pattern", fontsize=9, color=style.INK, pad=4)
            axes.set_xlabel(textwrap.fill(found["pattern"], 17), fontsize=7.5, color=style.PALE, labelpad=4)
            continue
        row = rows[i - 1]
        good = row["label"] == home["label"]
        axes.set_title(f"ε = {row['eps']:g}", fontsize=9, color=style.INK, pad=4)
        words = f"{textwrap.shorten(row['name'], 30, placeholder='…')}"
        axes.set_xlabel(
            f"{textwrap.fill(words, 15)}\n{100 * row['confidence']:.0f} %", fontsize=8,
            color=style.COLOURS[1] if good else style.COLOURS[0], labelpad=4,
        )  # fmt: skip
    _geometry(made.add_axes((0.55 / width, 0.55 / height, (width - 0.75) / width, 1.95 / height)), found, shown)
    under = f"{found['model']}; x + ε · pattern leads away from {home['name']} (blue); pixels are kept in [0, 1]"
    style.heading(made, "What the model says as epsilon grows", under, height)
    return picture.save(made, path)


def _geometry(axes: Any, found: dict[str, Any], shown: Any) -> None:
    from blackbox.report import style

    radii, p = shown["radii"], shown["p"]
    home = found["leaves"]["label"]
    named = list(dict.fromkeys(r["label"] for r in found["regions"]))
    colours = {home: style.COLOURS[1]}
    other = [c for c in (*style.COLOURS, "#6b8e23", "#c06090", "#3a5a98", "#a0522d") if c != style.COLOURS[1]]
    for i, k in enumerate(k for k in named if k != home):
        colours[k] = other[i % len(other)]
    scale = (lambda v: np.sqrt(np.clip(v, 0, None)), lambda v: np.square(v))
    axes.set_xscale("function", functions=scale)
    for k in named:
        axes.plot(radii, 100 * p[:, k], color=colours[k], linewidth=1.8)
    last, free = radii[-1], -1.0
    for region in found["regions"]:
        a, b = np.sqrt(region["start"] / last), np.sqrt(region["stop"] / last)
        axes.axvspan(region["start"], region["stop"], color=colours[region["label"]], alpha=0.13, linewidth=0)
        name = textwrap.shorten(region["name"], 24, placeholder="…")
        middle, room = ((a + b) / 2) ** 2 * last, 0.0085 * len(name)
        look = {"ha": "center", "fontsize": 8, "color": colours[region["label"]]}
        if b - a > room and (a + b) / 2 - room / 2 > free:
            axes.text(middle, 103, name, va="bottom", **look)
            free = (a + b) / 2 + room / 2
        elif b - a > 0.012:
            axes.text(middle, 98, name, va="top", rotation=90, **look)
    for row in found["rows"]:
        axes.axvline(row["eps"], color=style.PALE, linewidth=0.6, linestyle=(0, (2, 3)))
    axes.set_xlim(0, last)
    axes.set_ylim(0, 101)
    axes.set_xticks([row["eps"] for row in found["rows"]], [f"{row['eps']:g}" for row in found["rows"]])
    style.clean(axes)
    axes.set_xlabel(
        f"ε (square-root scale); shaded: the {len(found['regions'])} decision regions that the ray crosses",
        fontsize=9,
        color=style.INK,
    )
    axes.set_ylabel("confidence, %", fontsize=9, color=style.INK)


if __name__ == "__main__":
    given.run("epsilon_sweep", Settings, str(__doc__), measure, draw)

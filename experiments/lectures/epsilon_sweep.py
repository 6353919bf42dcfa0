"""One photograph, one perturbation, many epsilons: what does the model say as the image is pushed along the ray?

Draws the perturbation pattern, the image at each epsilon with the model's label and confidence, and the geometry: which
decision regions the ray x + eps * pattern crosses, and at which eps (borders by bisection). The pattern is the sign of the
loss's gradient (FGSM, Goodfellow et al. 2015, arXiv:1412.6572): the model's own; a surrogate's (--surrogate, for a model that
has none, or to look at a transferred ray); estimated from the model's scores, two queries an entry (--direction numerical); or
random signs, to compare with (--direction random). The ray leads away from the label.
"""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor

import blackbox as bb
from blackbox.report import style
from blackbox.rng import Stream
from experiments.figures import place, sheet
from experiments.lectures.given import Seen, Subject, see, surrogate
from experiments.runner import Found, run, says
from surrogates.analysis import Line, fgsm_direction, regions
from surrogates.crafting import Queried

MOST_ACROSS = 5  # images in a row of the figure


@dataclass(frozen=True)
class Settings(Subject):
    index: int = says(0, "which of the data's images that the model has right, from 0")
    eps: tuple[float, ...] = says((0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5), "radii that are shown")
    direction: str = says("gradient", "of the pattern: gradient, numerical, random", ("gradient", "numerical", "random"))
    surrogate: str | None = says(None, "spec of a net whose gradient gives the pattern")
    loss: str = says("cross-entropy", "whose gradient it is: cross-entropy, margin, …")
    points: int = says(150, "radii at which the ray is looked at before borders are closed in")


def pattern(s: Settings, seen: Seen) -> tuple[Tensor, str]:
    """[1, C, H, W] of -1, 0 and 1, and where it is from."""
    x, y, rng = seen.images, seen.labels, Stream(s.seed, np.zeros(1, np.uint64))
    shape = tuple(x.shape[1:])
    if s.direction == "random":
        return rng.signs(0, "random ray", shape).float(), "random signs"
    if s.direction == "numerical":
        oracle = seen.oracle()
        g = Queried(oracle, bb.estimators.Coordinates(), bb.Linf(1.0), shape, s.loss)(x, y, rng, 0)
        return g.sign().float(), f"sign of a gradient estimated by {oracle.rows:,} queries"
    if s.surrogate:
        net = surrogate(s, s.surrogate, seen).net  # type: ignore[union-attr]
        name = s.surrogate.partition(":")[0]
        return fgsm_direction(net, x, y, s.loss), f"sign of the gradient of {name}, a surrogate"
    return fgsm_direction(seen.net(), x, y, s.loss), "sign of the gradient"


def measure(s: Settings) -> Found:
    """Labels and confidences at the epsilons, and the regions between them."""
    radii = np.unique(np.asarray(s.eps))
    if len(radii) < 2 or radii[0] < 0 or not np.isfinite(radii).all():
        raise ValueError(f"Expected --eps to be at least two different radii from 0 up, but they were {s.eps}.")
    seen = see(s).one(s.index)
    home = int(seen.labels)
    along, what = pattern(s, seen)
    line, oracle = Line(seen.images, along), seen.oracle()
    fine = np.union1d(radii[-1] * np.linspace(0, 1, s.points) ** 2, radii)  # closer together near 0, where regions are thin
    p = oracle(line.at(np.zeros(len(fine), int), fine)).probabilities().cpu().numpy()
    ray: Any = SimpleNamespace(line=line, epsilons=fine)
    crossed = regions(ray, lambda points: oracle(points).label, label=p.argmax(1)[None], tolerance=1e-4 * radii[-1])[0]
    at = np.searchsorted(fine, radii)
    rows = [
        {"eps": float(fine[i]), "label": int(p[i].argmax()), "name": seen.class_name(int(p[i].argmax())),
         "confidence": float(p[i].max()), "confidence in the class left": float(p[i, home])} for i in at
    ]  # fmt: skip
    for row in rows:
        print(f"eps {row['eps']:<8g}{100 * row['confidence']:5.1f} %  {row['name']}")
    found = {
        "model": seen.model.name, "leaves": {"label": home, "name": seen.class_name(home)}, "pattern": what,
        "queries": oracle.rows, "rows": rows,
        "regions": [{**asdict(r), "name": seen.class_name(r.label)} for r in crossed],
    }  # fmt: skip
    print("regions:", " → ".join(f"{r['name']} to {r['stop']:.3g}" for r in found["regions"]))
    images = line.at(np.zeros(len(at), int), fine[at])
    return found, {"images": images, "pattern": along[0], "radii": fine, "p": p}


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """Pattern and images above, confidence and regions along the ray below."""
    rows, home = found["rows"], found["leaves"]
    count = len(rows) + 1
    down = -(-count // MOST_ACROSS)
    across = -(-count // down)
    tall = (7.2 / across * shown["pattern"].shape[1] / shown["pattern"].shape[2] + 0.95) * down
    under = f"{found['model']}; x + ε · pattern leads away from\n{home['name']} (blue); pixels are kept in [0, 1]"
    title, ratios = "What the model says as epsilon grows", (tall, 3.3)
    with sheet(path, title, under, 7.6, tall + 4.2, rows=2, height_ratios=ratios) as (made, axes):
        made.get_layout_engine().set(rect=(0.005, 0, 0.99, 1 - 0.8 / (tall + 4.2)), hspace=0.06)
        top = axes[0, 0].get_subplotspec().subgridspec(down, across)
        axes[0, 0].remove()
        for i in range(count):
            one = made.add_subplot(top[i // across, i % across])
            place(one, shown["pattern"] if i == 0 else shown["images"][i - 1], difference=i == 0)
            words, colour = textwrap.fill(found["pattern"], 17), style.PALE
            if i:
                row = rows[i - 1]
                name = textwrap.fill(textwrap.shorten(row["name"], 30, placeholder="…"), 15)
                words, colour = f"{name}\n{100 * row['confidence']:.0f} %", style.COLOURS[int(row["label"] == home["label"])]
            one.set_title(f"ε = {rows[i - 1]['eps']:g}" if i else "pattern", loc="center")
            one.set_xlabel(words, fontsize=9, color=colour)
        _geometry(axes[1, 0], found, shown)
    return path


def _geometry(axes: Any, found: dict[str, Any], shown: Any) -> None:
    radii, home = shown["radii"], found["leaves"]["label"]
    named = dict.fromkeys([home, *(r["label"] for r in found["regions"])])
    others = [style.COLOURS[0], *style.COLOURS[2:], "#6b8e23", "#c06090", "#3a5a98", "#a0522d"]
    colours = {k: style.COLOURS[1] if k == home else others[(i - 1) % len(others)] for i, k in enumerate(named)}
    axes.set_xscale("function", functions=(lambda v: np.sqrt(np.clip(v, 0, None)), np.square))
    for k in {r["label"] for r in found["regions"]}:
        axes.plot(radii, 100 * shown["p"][:, k], color=colours[k])
    last, free = radii[-1], -1.0
    for region in found["regions"]:
        colour = colours[region["label"]]
        a, b = np.sqrt(region["start"] / last), np.sqrt(region["stop"] / last)
        axes.axvspan(region["start"], region["stop"], color=colour, alpha=0.13, linewidth=0)
        name = textwrap.shorten(region["name"], 24, placeholder="…")
        place_at, room = ((a + b) / 2) ** 2 * last, 0.0088 * len(name)
        if b - a > room and (a + b) / 2 - room / 2 > free:
            axes.text(place_at, 103, name, va="bottom", ha="center", fontsize=8, color=colour)
            free = (a + b) / 2 + room / 2
        elif b - a > 0.012:
            axes.text(place_at, 98, name, va="top", ha="center", rotation=90, fontsize=8, color=colour)
    eps = [row["eps"] for row in found["rows"]]
    axes.set(xlim=(0, last), ylim=(0, 101), ylabel="confidence, %",
             xlabel=f"ε (square-root scale); shaded: the {len(found['regions'])} decision regions crossed")  # fmt: skip
    shown_at = [v for i, v in enumerate(eps) if not i or np.sqrt(v / last) - np.sqrt(eps[i - 1] / last) > 0.038]
    axes.set_xticks(shown_at, [f"{v:g}" for v in shown_at])


if __name__ == "__main__":
    run(Settings, measure, draw)

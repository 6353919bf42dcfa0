"""Why are there adversarial examples? Linear models: the effect of eps * sign(w) against the dimension, beside theory.

Goodfellow, Shlens & Szegedy 2015 (arXiv:1412.6572, section 3): a linear model w.x answers eps * sign(w) with eps |w|_1, which
grows with the dimension d, while no pixel moves by more than eps. Three questions, each beside its closed form:

1. Random weights, w ~ N(0, 1): the effect eps |w|_1 ~ eps d sqrt(2/pi), measured by running the model at x + eps sign(w); and
   of random signs, whose root mean square is eps |w|_2 ~ eps sqrt(d).
2. A task that is equally easy at every d: x ~ N(+-mu, I), mu_i = s / sqrt(d). The best linear model has w = mu and is right with
   Phi(s), whatever d; changed by eps against the label with Phi(s - eps sqrt(d)); under random signs with
   Phi(s / sqrt(1 + eps^2)) at large d. Beside it a model trained on samples.
3. Real images, averaged down to smaller sides: trained linear classifiers. For each image the eps that changes the label is
   min_j (z_y - z_j) / |w_y - w_j|_1 exactly (no clipping); measured with FGSM just below and just above it. It need not fall
   with d: neighbouring pixels tell the same, so their weights are shared out, and finer images have wider margins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

import surrogates as sg
from blackbox.report import style
from blackbox.statistics import median
from experiments.figures import percent, sheet
from experiments.lectures.given import Named
from experiments.runner import Found, count, run, says, tell
from surrogates.analysis import fgsm_direction


@dataclass(frozen=True)
class Settings(Named):
    sides: tuple[int, ...] = says((2, 4, 8), "sides that they are averaged down to; those that do not divide are refused")
    dimensions: tuple[int, ...] = says((4, 16, 64, 256, 1024, 4096, 16384), "d of parts 1 and 2")
    models: int = says(20, "random models a dimension, part 1")
    eps: float = says(0.05, "of parts 1 and 2")
    strength: float = says(2.0, "s of part 2: clean accuracy is Phi(s)")
    samples: int = says(2000, "test points of part 2, and training points of its trained model")
    epochs: int = says(20, "of the classifiers of part 3")


def random_models(s: Settings, d: int) -> dict[str, Any]:
    """Part 1: effects of ``models`` random models of dimension d, and what theory says of them."""
    rng = np.random.default_rng((s.seed, 1, d))
    w, x = rng.standard_normal((2, s.models, d))
    signs = rng.choice([-1.0, 1.0], (s.models, d))
    answer = np.einsum("md,md->m", w, x)
    effect, noise = (np.einsum("md,md->m", w, x + s.eps * move) - answer for move in (np.sign(w), signs))
    return {
        "d": d, "effect": effect.tolist(), "eps |w|_1": (s.eps * np.abs(w).sum(1)).tolist(),
        "expected": s.eps * d * math.sqrt(2 / math.pi), "noise": np.abs(noise).tolist(), "expected noise": s.eps * math.sqrt(d),
    }  # fmt: skip


def theory(strength: float, eps: float, d: Any) -> dict[str, Any]:
    """Accuracy of the best linear model of part 2."""
    return {"clean": norm.cdf(strength), "random signs": norm.cdf(strength / math.sqrt(1 + eps**2)),
            "adversarial": norm.cdf(strength - eps * np.sqrt(d))}  # fmt: skip


def equally_easy(s: Settings, d: int) -> dict[str, Any]:
    """Part 2 at dimension d: [k, n] right of the best and of a trained model, clean, under random signs, changed; theory."""
    n, rng = s.samples, np.random.default_rng((s.seed, 2, d))
    mu = np.full(d, s.strength / math.sqrt(d), np.float32)
    y, learned_y = rng.choice(np.array([-1, 1], np.float32), (2, n))
    x = y[:, None] * mu + rng.standard_normal((n, d), np.float32)
    learned = (learned_y[:, None] * (learned_y[:, None] * mu + rng.standard_normal((n, d), np.float32))).mean(0)
    signs = rng.choice(np.array([-1, 1], np.float32), (n, d))
    row: dict[str, Any] = {"d": d, "theory": {k: float(v) for k, v in theory(s.strength, s.eps, d).items()}}
    for name, w in (("best", mu), ("trained", learned)):
        moved = {"clean": x, "random signs": x + s.eps * signs, "adversarial": x - s.eps * y[:, None] * np.sign(w)}
        row[name] = {what: [int((y * (points @ w) > 0).sum()), n] for what, points in moved.items()}
    return row


def smallest_eps(net: nn.Sequential, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """[N] the eps at which a linear net's label changes along eps * sign(w_j - w_y), for the nearest class j [N]."""
    with torch.no_grad():
        z, w = net(x).double(), net[-1].weight.double()
        far = (z.gather(1, y[:, None]) - z) / (w[y][:, None] - w[None]).abs().sum(2).clamp_min(1e-12)
        least, j = far.scatter(1, y[:, None], math.inf).min(1)
    return least.float(), j


def real(s: Settings, data: sg.Dataset, side: int) -> dict[str, Any]:
    """Part 3 at one side."""
    images = nn.functional.adaptive_avg_pool2d(data.images, side)
    smaller = sg.Dataset(images, data.labels, data.classes, data.name)
    parts = sg.split(smaller, {"train": 0.6, "test": 0.4}, seed=s.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(s.seed)
        linear = nn.Sequential(nn.Flatten(), nn.Linear(images[0].numel(), len(data.classes)))
    recipe = sg.Recipe(epochs=s.epochs, optimiser="adam", lr=1e-2, weight_decay=1e-4)
    net = sg.train(linear, parts["train"], recipe, seed=s.seed)
    x, y = parts["test"].images, parts["test"].labels
    right = sg.predict(net, x) == y
    x, y = x[right], y[right]
    least, j = smallest_eps(net, x, y)
    w = net[-1].weight.detach()
    step = (w[j] - w[y]).sign().view_as(x)

    def changed(scale: float, direction: Tensor) -> list[int]:
        with torch.no_grad():  # outside [0, 1] too, which is no matter to a linear model
            return count(net(x + (scale * least).view(-1, 1, 1, 1) * direction).argmax(1) != y)

    row = {
        "side": side, "d": images[0].numel(), "accuracy": count(right),
        "smallest eps": [float(v) for v in least], "median": median(least.numpy()).value,
        "changed just below": changed(0.999, step), "changed just above": changed(1.001, step),
        # FGSM's gradient is the cross-entropy's, which weighs all classes: it is never better than the nearest class's sign
        "FGSM changes it just above": changed(1.001, fgsm_direction(net, x, y)),
        "median |w_y - w_j|_1": float((w[j] - w[y]).abs().sum(1).median()), "mean |w| a pixel": float((w[j] - w[y]).abs().mean()),
    }  # fmt: skip
    tell(row)
    return row


def measure(s: Settings) -> Found:
    """All three parts."""
    if not s.eps > 0 or min(s.dimensions, default=0) < 1 or min(s.sides, default=0) < 1:
        raise ValueError(f"Expected eps above 0 and dimensions and sides of at least 1, but they were {s.eps:g}, {s.dimensions} "
                         f"and {s.sides}.")  # fmt: skip
    data = sg.load(s.data)
    if max(s.sides) > min(data.shape[1:]):
        raise ValueError(f"Expected sides of at most {min(data.shape[1:])}, as the images have, but there was {max(s.sides)}.")
    first, second = [random_models(s, d) for d in s.dimensions], [equally_easy(s, d) for d in s.dimensions]
    for one, two in zip(first, second, strict=True):
        noise = float(np.sqrt(np.square(one["noise"]).mean()))
        tell({**one, "effect": float(np.mean(one["effect"])), "noise": noise, **two["best"]})
        tell({"theory": "", **two["theory"]})
    rows = [real(s, data, side) for side in s.sides]
    return {"random models": first, "equally easy": second, "real images": {"data": data.name, "rows": rows},
            "eps": s.eps, "strength": s.strength}, None  # fmt: skip


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """A panel a part."""
    under = "Points: measured. Lines: closed form. No pixel moves by more than ε, yet the effect on a linear model adds up over d."
    with sheet(path, "Linearity and dimension", under, 12.4, 4.5, columns=3) as (_, (axes,)):
        _effects(axes[0], found)
        _accuracies(axes[1], found)
        _real(axes[2], found["real images"])
        for panel in axes[:2]:
            d = [r["d"] for r in found["random models"]]
            panel.set_xscale("log", base=2)
            panel.set_xticks(d, [f"{v:,}" for v in d], fontsize=8)
        for panel in axes:
            panel.legend(fontsize=8)
    return path


def _effects(axes: Any, found: dict[str, Any]) -> None:
    rows = found["random models"]
    for i, (key, expected, name) in enumerate((
        ("effect", "expected", "ε · sign(w): ε|w|₁ ≈ ε d √(2/π)"), ("noise", "expected noise", "random signs: ε|w|₂ ≈ ε √d")
    )):  # fmt: skip
        d, colour = [r["d"] for r in rows], style.COLOURS[i]
        axes.plot(d, [r[expected] for r in rows], color=colour, linewidth=1.4, label=name)
        axes.plot(d, [np.sqrt(np.square(r[key]).mean()) for r in rows], "o", color=colour)
    axes.set_yscale("log")
    axes.set(ylim=(None, axes.get_ylim()[1] * 12), xlabel="dimension d",
             title=f"1  change of the activation, random w, ε = {found['eps']:g}")  # fmt: skip


def _accuracies(axes: Any, found: dict[str, Any]) -> None:
    rows = found["equally easy"]
    d = [r["d"] for r in rows]
    fine = np.geomspace(d[0], d[-1], 200)
    for (what, right), i in zip(theory(found["strength"], found["eps"], fine).items(), (1, 2, 0), strict=True):
        colour = style.COLOURS[i]
        axes.plot(fine, np.broadcast_to(100 * right, 200), color=colour, linewidth=1.4, ls="--" if what == "random signs" else "-")
        for model, mark, face in (("best", "o", colour), ("trained", "D", "white")):
            label = what if model == "best" else None
            values = [percent(r[model][what])[0] for r in rows]
            axes.plot(d, values, mark, color=colour, markerfacecolor=face, label=label)
    axes.set(ylim=(-3, 104), xlabel="dimension d (filled: best model, white: trained)",
             title="2  right, %: a task equally easy at every d")  # fmt: skip


def _real(axes: Any, part: dict[str, Any]) -> None:
    for i, row in enumerate(part["rows"]):
        colour, dash = style.line(i)
        values = np.sort(row["smallest eps"])
        name = f"{row['side']}×{row['side']}: {percent(row['accuracy'])[0]:.0f} % right clean"
        axes.plot(values, 100 * np.arange(1, len(values) + 1) / len(values), color=colour, linestyle=dash, label=name)
    axes.axhline(50, color=style.PALE, linewidth=0.8, linestyle=(0, (3, 3)))
    most = max(np.quantile(r["smallest eps"], 0.98) for r in part["rows"])
    axes.set(xlim=(0, most), ylim=(0, 102), xlabel="ε: margin / |w_y − w_j|₁, exact",
             title=f"3  fooled, %, {part['data']}: trained linear classifiers")  # fmt: skip


if __name__ == "__main__":
    run(Settings, measure, draw)

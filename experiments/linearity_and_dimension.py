"""Why are there adversarial examples? Linear models: the effect of eps * sign(w) against the dimension, beside theory.

    python -m experiments.linearity_and_dimension
    python -m experiments.linearity_and_dimension --data npz:../shared/data/mnist_test.npz --sides 4,7,14,28

Goodfellow, Shlens & Szegedy 2015 (arXiv:1412.6572, section 3): a linear model w.x answers eps * sign(w) with eps |w|_1, which
grows with the dimension d, while no pixel moves by more than eps. Three questions, each beside its closed form:

1. Random weights, w ~ N(0, 1): the effect eps |w|_1 ~ eps d sqrt(2/pi), measured by running the model at x + eps sign(w); and
   of random signs, whose root mean square is eps |w|_2 ~ eps sqrt(d).
2. A task that is equally easy at every d: x ~ N(+-mu, I), mu_i = s / sqrt(d). The best linear model has w = mu and is right with
   Phi(s), whatever d; changed by eps against the label with Phi(s - eps sqrt(d)); under random signs with
   Phi(s / sqrt(1 + eps^2)) at large d. Beside it a model trained on samples.
3. Real images, averaged down to smaller sides: trained linear classifiers. For each image the eps that changes the label is
   min_j (z_y - z_j) / |w_y - w_j|_1 exactly (no clipping); measured with FGSM just below and just above it. Does it fall with
   d? It need not: neighbouring pixels tell the same, so their weights are shared out, and finer images are told apart by wider
   margins. On the digits it rises.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.statistics import median
from experiments import given, picture
from experiments.given import says
from surrogates.analysis.ray import fgsm_direction


@dataclass(frozen=True)
class Settings(given.Named):
    sides: tuple[int, ...] = says(
        (2, 4, 8), "sides that they are averaged down to; those that do not divide are refused"
    )
    dimensions: tuple[int, ...] = says((4, 16, 64, 256, 1024, 4096, 16384), "d of parts 1 and 2")
    models: int = says(20, "random models a dimension, part 1")
    eps: float = says(0.05, "of parts 1 and 2")
    strength: float = says(2.0, "s of part 2: clean accuracy is Phi(s)")
    samples: int = says(2000, "test points of part 2, and training points of its trained model")
    epochs: int = says(20, "of the classifiers of part 3")


def random_models(settings: Settings, d: int) -> dict[str, Any]:
    """Part 1: effects of ``models`` random models of dimension d, and what theory says of them."""
    rng = np.random.default_rng((settings.seed, 1, d))
    w, x = rng.standard_normal((2, settings.models, d))
    signs = rng.choice([-1.0, 1.0], (settings.models, d))
    answer = np.einsum("md,md->m", w, x)
    effect = np.einsum("md,md->m", w, x + settings.eps * np.sign(w)) - answer
    noise = np.einsum("md,md->m", w, x + settings.eps * signs) - answer
    return {
        "d": d,
        "effect": effect.tolist(),
        "eps |w|_1": (settings.eps * np.abs(w).sum(1)).tolist(),
        "expected": settings.eps * d * math.sqrt(2 / math.pi),
        "noise": np.abs(noise).tolist(),
        "expected noise": settings.eps * math.sqrt(d),
    }


def equally_easy(settings: Settings, d: int) -> dict[str, Any]:
    """Part 2 at dimension d: [k, n] right of the best and of a trained model, clean, under random signs, changed; theory."""
    from scipy.stats import norm

    s, eps, n = settings.strength, settings.eps, settings.samples
    rng = np.random.default_rng((settings.seed, 2, d))
    mu = np.full(d, s / math.sqrt(d), np.float32)
    y, learned_y = rng.choice(np.array([-1, 1], np.float32), (2, n))
    x = y[:, None] * mu + rng.standard_normal((n, d), np.float32)
    learned = (learned_y[:, None] * (learned_y[:, None] * mu + rng.standard_normal((n, d), np.float32))).mean(0)
    signs = rng.choice(np.array([-1, 1], np.float32), (n, d))
    row: dict[str, Any] = {"d": d}
    for name, w in (("best", mu), ("trained", learned)):
        row[name] = {
            what: [int((y * (points @ w) > 0).sum()), n]
            for what, points in (
                ("clean", x),
                ("random signs", x + eps * signs),
                ("adversarial", x - eps * y[:, None] * np.sign(w)),
            )
        }
    row["theory"] = {
        "clean": norm.cdf(s), "random signs": norm.cdf(s / math.sqrt(1 + eps**2)), "adversarial": norm.cdf(s - eps * math.sqrt(d)),
    }  # fmt: skip
    return row


def smallest_eps(net: nn.Sequential, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """[N] the eps at which a linear net's label changes along eps * sign(w_j - w_y), for the nearest class j [N]."""
    linear = net[-1]
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        z, w = net(x).double(), linear.weight.double()
        gap = z.gather(1, y[:, None]) - z
        far = gap / (w[y][:, None] - w[None]).abs().sum(2).clamp_min(1e-12)
        far.scatter_(1, y[:, None], math.inf)
    least, j = far.min(1)
    return least.float(), j


def real(settings: Settings, data: sg.Dataset, side: int) -> dict[str, Any]:
    """Part 3 at one side."""
    images = nn.functional.adaptive_avg_pool2d(data.images, side)
    parts = sg.split(
        sg.Dataset(images, data.labels, data.classes, data.name), {"train": 0.6, "test": 0.4}, seed=settings.seed
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        linear = nn.Sequential(nn.Flatten(), nn.Linear(images[0].numel(), len(data.classes)))
    net = sg.train(
        linear,
        parts["train"],
        sg.Recipe(epochs=settings.epochs, optimiser="adam", lr=1e-2, weight_decay=1e-4),
        seed=settings.seed,
    )
    x, y = parts["test"].images, parts["test"].labels
    right = sg.predict(net, x) == y
    x, y = x[right], y[right]
    least, j = smallest_eps(net, x, y)
    w = net[-1].weight.detach()
    step = (w[j] - w[y]).sign().view_as(x)

    def changed(scale: float, direction: Tensor) -> Tensor:
        with torch.no_grad():  # outside [0, 1] too, which is no matter to a linear model
            return net(x + (scale * least).view(-1, 1, 1, 1) * direction).argmax(1) != y

    below, above = changed(0.999, step), changed(1.001, step)
    # FGSM's gradient is the cross-entropy's, which weighs all classes: it is never better than the nearest class's sign
    fgsm = changed(1.001, fgsm_direction(net, x, y))
    length = (w[j] - w[y]).abs().sum(1)
    row = {
        "side": side, "d": images[0].numel(), "accuracy": [int(right.sum()), len(right)],
        "smallest eps": [float(v) for v in least], "median": median(least.numpy()).value,
        "changed just below": [int(below.sum()), len(below)], "changed just above": [int(above.sum()), len(above)],
        "FGSM changes it just above": [int(fgsm.sum()), len(fgsm)], "median |w_y - w_j|_1": float(length.median()),
        "mean |w| a pixel": float((w[j] - w[y]).abs().mean()),
    }  # fmt: skip
    print(f"{side}x{side}: {bb.Rate(*row['accuracy'])} right, half are fooled from eps {row['median']:.4f}; labels changed just below "
          f"{bb.Rate(*row['changed just below'])}, just above {bb.Rate(*row['changed just above'])}", flush=True)  # fmt: skip
    return row


def measure(settings: Settings) -> given.Found:
    """All three parts."""
    if not settings.eps > 0 or min(settings.dimensions, default=0) < 1 or min(settings.sides, default=0) < 1:
        raise ValueError("Expected eps above 0 and dimensions and sides of at least 1, but they were "
                         f"{settings.eps:g}, {settings.dimensions} and {settings.sides}.")  # fmt: skip
    data = sg.load(settings.data)
    if wrong := [s for s in settings.sides if s > min(data.shape[1:])]:
        raise ValueError(
            f"Expected sides of at most {min(data.shape[1:])}, as the images have, but there was {wrong[0]}."
        )
    first = [random_models(settings, d) for d in settings.dimensions]
    for row in first:
        print(f"d {row['d']:6}: effect {np.mean(row['effect']):10.3f}, eps |w|_1 {np.mean(row['eps |w|_1']):10.3f}, "
              f"expected {row['expected']:10.3f}; noise {np.sqrt(np.square(row['noise']).mean()):.3f}, "
              f"expected {row['expected noise']:.3f}")  # fmt: skip
    second = [equally_easy(settings, d) for d in settings.dimensions]
    for row in second:
        print(
            f"d {row['d']:6}: "
            + "; ".join(f"{k} {bb.Rate(*v)}, theory {100 * row['theory'][k]:.1f} %" for k, v in row["best"].items())
        )
    return {
        "random models": first,
        "equally easy": second,
        "real images": {"data": data.name, "rows": [real(settings, data, side) for side in settings.sides]},
        "eps": settings.eps,
        "strength": settings.strength,
    }, None


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """A panel a part."""
    from blackbox.report import style

    width, height = 12.4, 4.5
    made = style.figure(width, height)
    panels = [
        made.add_axes(((0.68 + i * 4.15) / width, 0.6 / height, 3.3 / width, (height - 1.75) / height))
        for i in range(3)
    ]
    _effects(panels[0], found)
    _accuracies(panels[1], found)
    _real(panels[2], found)
    for axes in panels:
        style.clean(axes)
    under = "Points: measured. Lines: closed form. No pixel moves by more than ε, yet the effect on a linear model adds up over d."
    style.heading(made, "Linearity and dimension", under, height)
    return picture.save(made, path)


def _effects(axes: Any, found: dict[str, Any]) -> None:
    from blackbox.report import style

    rows = found["random models"]
    d = np.array([r["d"] for r in rows])
    for key, expected, name, i in (
        ("effect", "expected", "ε · sign(w): ε|w|₁ ≈ ε d √(2/π)", 0),
        ("noise", "expected noise", "random signs: ε|w|₂ ≈ ε √d", 1),
    ):
        colour = style.COLOURS[i]
        axes.plot(d, [r[expected] for r in rows], color=colour, linewidth=1.4, label=name)
        size = [np.sqrt(np.square(r[key]).mean()) for r in rows]
        axes.plot(d, size, "o", color=colour, markersize=6)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(d, [f"{v:,}" for v in d], rotation=0, fontsize=8)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    axes.set_ylim(top=axes.get_ylim()[1] * 12)
    axes.set_xlabel("dimension d", fontsize=9, color=style.INK)
    axes.set_title(
        f"1  change of the activation, random w, ε = {found['eps']:g}", fontsize=9.5, color=style.INK, loc="left"
    )


def _accuracies(axes: Any, found: dict[str, Any]) -> None:
    from scipy.stats import norm

    from blackbox.report import style

    rows, eps, s = found["equally easy"], found["eps"], found["strength"]
    d = np.array([r["d"] for r in rows])
    fine = np.geomspace(d[0], d[-1], 200)
    lines = {
        "clean": np.full(200, norm.cdf(s)),
        "random signs": np.full(200, norm.cdf(s / math.sqrt(1 + eps**2))),
        "adversarial": norm.cdf(s - eps * np.sqrt(fine)),
    }
    for (what, theory), i in zip(lines.items(), (1, 2, 0), strict=True):
        colour = style.COLOURS[i]
        axes.plot(fine, 100 * theory, color=colour, linewidth=1.4, linestyle="-" if what != "random signs" else "--")
        for model, mark in (("best", "o"), ("trained", "D")):
            rates = [bb.Rate(*r[model][what]) for r in rows]
            axes.plot(d, [100 * r.value for r in rates], mark, color=colour, markersize=6 if mark == "o" else 5,
                      markerfacecolor=colour if mark == "o" else "white", label=what if mark == "o" else None)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(d, [f"{v:,}" for v in d], fontsize=8)
    axes.set_ylim(-3, 104)
    axes.legend(loc="lower left", fontsize=8, frameon=False)
    axes.set_xlabel("dimension d (filled: best model, white: trained)", fontsize=9, color=style.INK)
    axes.set_title("2  right, %: a task equally easy at every d", fontsize=9.5, color=style.INK, loc="left")


def _real(axes: Any, found: dict[str, Any]) -> None:
    from blackbox.report import style

    part = found["real images"]
    for i, row in enumerate(part["rows"]):
        colour, dash = style.line(i)
        values = np.sort(row["smallest eps"])
        axes.plot(values, 100 * np.arange(1, len(values) + 1) / len(values), color=colour, linestyle=dash, linewidth=2,
                  label=f"{row['side']}×{row['side']}: {100 * row['accuracy'][0] / row['accuracy'][1]:.0f} % right clean")  # fmt: skip
    axes.axhline(50, color=style.PALE, linewidth=0.8, linestyle=(0, (3, 3)))
    axes.set_xlim(left=0, right=max(np.quantile(r["smallest eps"], 0.98) for r in part["rows"]))
    axes.set_ylim(0, 102)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    axes.set_xlabel("ε: margin / |w_y − w_j|₁, exact", fontsize=9, color=style.INK)
    axes.set_title(
        f"3  fooled, %, {part['data']}: trained linear classifiers", fontsize=9.5, color=style.INK, loc="left"
    )


if __name__ == "__main__":
    given.run("linearity_and_dimension", Settings, str(__doc__), measure, draw)

"""How far is the loss as straight as FGSM takes it to be? The true loss along the ray against its first-order Taylor tangent.

    python -m experiments.taylor                            # digits and the built-in convolutional net
    python -m experiments.taylor --image dog.jpg --model torchvision:squeezenet1_0:w.safetensors --class-names classes.txt

FGSM (Goodfellow et al. 2015, arXiv:1412.6572) moves by eps * sign(g), because to first order that raises the loss most:
J(x + eps sign(g)) = J(x) + eps |g|_1 + ... Left: the loss of one image along the ray beside that tangent and beside a ray of
random signs. Middle: the same for the margin (best other logit minus the label's), which has no curved top. Right: the radius of
linearity, the largest eps up to which the loss stays within a share (--share) of the rise that the tangent foretells, over all
images; and for how many of them the label changes within it: there FGSM's reasoning holds, beyond it FGSM succeeds for
other reasons. Pixels are kept in [0, 1], for the tangent too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import blackbox as bb
from blackbox.rng import Stream
from blackbox.statistics import median
from experiments import given, picture
from experiments.given import says
from surrogates.analysis.ray import walk

LOSSES = ("cross-entropy", "margin")


@dataclass(frozen=True)
class Settings(given.Subject):
    index: int = says(0, "which of the data's images that the model has right is drawn, from 0")
    images: int = says(100, "how many of them the radii are measured on")
    most: float = says(0.3, "the largest eps")
    points: int = says(121, "radii measured, closer together near 0")
    share: float = says(0.1, "of the foretold rise: how far off the tangent may be within the radius of linearity")


def measure(settings: Settings) -> given.Found:
    """Loss, tangent, random ray, radii."""
    if settings.points < 2 or not settings.most > 0 or not 0 < settings.share < 1:
        raise ValueError(
            f"Expected at least 2 points, most above 0 and a share between 0 and 1, but they were {settings.points}, "
            f"{settings.most:g} and {settings.share:g}."
        )
    everything = given.see(settings)
    net, one = everything.net("to take the gradient of"), everything.one(settings.index)
    seen = one if everything.file else everything.take(min(settings.images, int(everything.right.sum())))
    at = 0 if everything.file else settings.index
    if at >= len(seen.labels):
        seen = everything.take(at + 1)
    radii = settings.most * np.linspace(0, 1, settings.points) ** 2
    found: dict[str, Any] = {
        "model": seen.model.name,
        "leaves": seen.class_name(int(one.labels)),
        "images": len(seen.labels),
        "losses": {},
    }
    noise = Stream(settings.seed, np.arange(len(seen.labels), dtype=np.uint64)).signs(
        0, "random ray", tuple(seen.images.shape[1:])
    )
    for loss in LOSSES:
        ray = walk(net, seen.images, seen.labels, radii, loss=loss)
        random = walk(
            net, seen.images[at : at + 1], seen.labels[at : at + 1], radii, noise[at : at + 1].float(), loss=loss
        )
        linear = ray.linear_radius(settings.share)
        left = ray.label != seen.labels.numpy()[:, None]
        first = np.where(left.any(1), radii[left.argmax(1)], np.inf)
        row = {
            "radius of linearity": _estimate(median(linear)),
            "fooled within it": _rate(bb.Rate.of(first <= linear)),
            "fooled at any eps": _rate(bb.Rate.of(left.any(1))),
            "first eps that fools": _estimate(median(first)),
            "each": {"radius of linearity": linear.tolist(), "first eps that fools": [None if np.isinf(v) else v for v in first]},
            "drawn": {"loss": ray.loss[at].tolist(), "tangent": ray.tangent[at].tolist(), "random": random.loss[0].tolist(),
                      "slope": float(ray.slope[at]), "radius": float(linear[at]), "fooled from": float(first[at])},
        }  # fmt: skip
        found["losses"][loss] = row
        print(f"{loss:14} radius of linearity {median(linear)}, label left from {median(first)}, "
              f"within the radius {bb.Rate.of(first <= linear)}")  # fmt: skip
    return found | {"epsilons": radii.tolist(), "share": settings.share}, one.images[0]


def _estimate(e: Any) -> dict[str, Any]:
    return {k: None if np.isinf(v) else float(v) for k, v in (("value", e.value), ("low", e.low), ("high", e.high))} | {
        "n": e.n
    }


def _rate(r: bb.Rate) -> list[int]:
    return [r.k, r.n]


def draw(found: dict[str, Any], shown: torch.Tensor, path: Path) -> Path:
    """The two diagrams, and the radii of all images."""
    from blackbox.report import style

    radii = np.asarray(found["epsilons"])
    many = found["images"] > 1
    width, height = (11.6 if many else 9.0), 4.3
    made = style.figure(width, height)
    panel = 3.1 if many else 3.6
    for i, (loss, row) in enumerate(found["losses"].items()):
        left = 0.62 + i * (panel + 0.62)
        axes = made.add_axes((left / width, 0.56 / height, panel / width, (height - 1.65) / height))
        _diagram(axes, radii, row["drawn"], loss, found["leaves"], i == 0)
    if many:
        axes = made.add_axes((8.5 / width, 0.56 / height, 2.9 / width, (height - 1.65) / height))
        _radii(axes, found, radii)
    small = made.add_axes(((width - 0.95) / width, (height - 0.92) / height, 0.8 / width, 0.8 / height))
    picture.place(small, shown)
    under = (
        f"{found['model']}, {found['leaves']}; x + ε sign(gradient), pixels kept in [0, 1]; "
        f"shaded: the tangent is off by at most {100 * found['share']:g} %"
    )
    style.heading(made, "The loss along the FGSM ray and its first-order Taylor tangent", under, height)
    return picture.save(made, path)


def _diagram(axes: Any, radii: np.ndarray, drawn: dict[str, Any], loss: str, name: str, legend: bool) -> None:
    from blackbox.report import style

    true, tangent, random = (np.asarray(drawn[k]) for k in ("loss", "tangent", "random"))
    low, high = min(true.min(), random.min()), max(true.max(), random.max())
    axes.axvspan(0, drawn["radius"], color=style.COLOURS[4], alpha=0.16, linewidth=0)
    axes.plot(radii, tangent, color=style.COLOURS[2], linewidth=1.8, linestyle="--", label="tangent: J(x) + ε · |g|₁")
    axes.plot(radii, true, color=style.COLOURS[1], linewidth=2.2, label="true loss J(x + ε sign g)")
    axes.plot(radii, random, color=style.COLOURS[5], linewidth=1.6, linestyle=":", label="along random signs")
    axes.plot([0], true[:1], "o", color=style.INK, markersize=4)
    if np.isfinite(drawn["fooled from"]):
        at = int(np.searchsorted(radii, drawn["fooled from"]))
        axes.plot(
            radii[at : at + 1], true[at : at + 1], "X", color=style.COLOURS[0], markersize=8, label="the label changes"
        )
    axes.set_xlim(0, radii[-1])
    axes.set_ylim(low - 0.06 * (high - low), high + 0.34 * (high - low))
    style.clean(axes)
    axes.set_xlabel("ε (Linf)", fontsize=9, color=style.INK)
    axes.set_title(loss, fontsize=9.5, color=style.INK, loc="left")
    axes.locator_params(axis="x", nbins=5)
    if legend:
        axes.legend(loc="best", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")


def _radii(axes: Any, found: dict[str, Any], radii: np.ndarray) -> None:
    from blackbox.report import style

    for i, (loss, row) in enumerate(found["losses"].items()):
        colour, dash = style.line(i)
        values = np.sort(row["each"]["radius of linearity"])
        share = 100 * (1 - np.searchsorted(values, radii, side="left") / len(values))
        axes.step(radii, share, where="post", color=colour, linestyle=dash, linewidth=2, label=f"{loss} still linear")
    first = np.array(
        [np.inf if v is None else v for v in found["losses"]["cross-entropy"]["each"]["first eps that fools"]]
    )
    axes.step(radii, [100 * float((first > e).mean()) for e in radii], where="post", color=style.INK, linewidth=1.4,
              linestyle="-", label="label still right")  # fmt: skip
    axes.set_xlim(0, radii[-1])
    axes.set_ylim(0, 102)
    style.clean(axes)
    axes.set_xlabel("ε (Linf)", fontsize=9, color=style.INK)
    axes.set_title(f"all {found['images']} images, %", fontsize=9.5, color=style.INK, loc="left")
    axes.legend(loc="upper right", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")


if __name__ == "__main__":
    given.run("taylor", Settings, str(__doc__), measure, draw)

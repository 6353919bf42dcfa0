"""How far is the loss as straight as FGSM takes it to be? The true loss along the ray against its first-order Taylor tangent.

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

from blackbox.report import style
from blackbox.rng import Stream
from blackbox.statistics import median
from experiments.figures import place, sheet
from experiments.lectures.given import Subject, see
from experiments.runner import Found, count, run, says, tell
from surrogates.analysis import walk

LOSSES = ("cross-entropy", "margin")


@dataclass(frozen=True)
class Settings(Subject):
    index: int = says(0, "which of the data's images that the model has right is drawn, from 0")
    images: int = says(100, "how many of them the radii are measured on")
    most: float = says(0.3, "the largest eps")
    points: int = says(121, "radii measured, closer together near 0")
    share: float = says(0.1, "of the foretold rise: how far off the tangent may be within the radius of linearity")


def measure(s: Settings) -> Found:
    """Loss, tangent, random ray, radii."""
    if s.points < 2 or not s.most > 0 or not 0 < s.share < 1:
        raise ValueError(
            f"Expected at least 2 points, most above 0 and a share between 0 and 1, but they were {s.points}, "
            f"{s.most:g} and {s.share:g}."
        )
    everything = see(s)
    net, one = everything.net(), everything.one(s.index)
    at = 0 if everything.file else s.index
    wanted = max(min(s.images, int(everything.right.sum())), at + 1 if s.images <= at else 0)
    seen = one if everything.file else everything.take(wanted)
    radii = s.most * np.linspace(0, 1, s.points) ** 2
    noise = Stream(s.seed, np.arange(len(seen.labels), dtype=np.uint64)).signs(0, "random ray", tuple(seen.images.shape[1:]))
    losses = {}
    for loss in LOSSES:
        ray = walk(net, seen.images, seen.labels, radii, loss=loss)
        drawn = slice(at, at + 1)
        random = walk(net, seen.images[drawn], seen.labels[drawn], radii, noise[drawn].float(), loss=loss)
        linear = ray.linear_radius(s.share)
        left = ray.label != seen.labels.numpy()[:, None]
        first = np.where(left.any(1), radii[left.argmax(1)], np.inf)
        losses[loss] = {
            "radius of linearity": _estimate(median(linear)), "first eps that fools": _estimate(median(first)),
            "fooled within it": count(first <= linear), "fooled at any eps": count(left.any(1)),
            "each": {"radius of linearity": linear.tolist(), "first eps that fools": [_finite(v) for v in first]},
            "drawn": {"loss": ray.loss[at].tolist(), "tangent": ray.tangent[at].tolist(), "random": random.loss[0].tolist(),
                      "slope": float(ray.slope[at]), "radius": float(linear[at]), "fooled from": _finite(first[at])},
        }  # fmt: skip
        tell({"loss": loss, "radius of linearity": median(linear), "label left from": median(first), "within it": count(first <= linear)})
    return {
        "model": seen.model.name, "leaves": seen.class_name(int(one.labels)), "images": len(seen.labels), "losses": losses,
        "epsilons": radii.tolist(), "share": s.share,
    }, one.images[0]  # fmt: skip


def _finite(value: float) -> float | None:
    return None if np.isinf(value) else float(value)


def _estimate(e: Any) -> dict[str, Any]:
    return {"value": _finite(e.value), "low": _finite(e.low), "high": _finite(e.high), "n": e.n}


def draw(found: dict[str, Any], shown: torch.Tensor, path: Path) -> Path:
    """The two diagrams, and the radii of all images."""
    radii, many = np.asarray(found["epsilons"]), found["images"] > 1
    under = (
        f"{found['model']}, {found['leaves']}; x + ε sign(gradient), pixels kept in [0, 1]; "
        f"shaded: the tangent is off by at most {100 * found['share']:g} %"
    )
    title = "The loss along the FGSM ray and its first-order Taylor tangent"
    with sheet(path, title, under, 11.6 if many else 9.0, 4.3, columns=2 + many) as (made, (axes,)):
        for one, (loss, row) in zip(axes, found["losses"].items(), strict=False):
            _diagram(one, radii, row["drawn"])
            one.set_title(loss)
        axes[0].legend(loc="best", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
        if many:
            _radii(axes[2], found, radii)
            axes[2].set_title(f"all {found['images']} images, %")
        for one in axes:
            one.set(xlabel="ε (Linf)", xlim=(0, radii[-1]))
        small = made.add_axes((0.91, 0.87, 0.09, 0.12), in_layout=False)
        place(small, shown)
    return path


def _diagram(axes: Any, radii: np.ndarray, drawn: dict[str, Any]) -> None:
    true, random = np.asarray(drawn["loss"]), np.asarray(drawn["random"])
    low, high = min(true.min(), random.min()), max(true.max(), random.max())
    axes.axvspan(0, drawn["radius"], color=style.COLOURS[4], alpha=0.16, linewidth=0)
    axes.plot(radii, drawn["tangent"], color=style.COLOURS[2], linestyle="--", label="tangent: J(x) + ε · |g|₁")
    axes.plot(radii, true, color=style.COLOURS[1], linewidth=2.2, label="true loss J(x + ε sign g)")
    axes.plot(radii, random, color=style.COLOURS[5], linestyle=":", label="along random signs")
    axes.plot([0], true[:1], "o", color=style.INK)
    if drawn["fooled from"] is not None:
        at = int(np.searchsorted(radii, drawn["fooled from"]))
        axes.plot(radii[at], true[at], "X", color=style.COLOURS[0], markersize=8, label="the label changes")
    axes.set_ylim(low - 0.06 * (high - low), high + 0.34 * (high - low))
    axes.locator_params(axis="x", nbins=5)


def _radii(axes: Any, found: dict[str, Any], radii: np.ndarray) -> None:
    for i, (loss, row) in enumerate(found["losses"].items()):
        colour, dash = style.line(i)
        values = np.sort(row["each"]["radius of linearity"])
        share = 100 * (1 - np.searchsorted(values, radii, side="left") / len(values))
        axes.step(radii, share, where="post", color=colour, linestyle=dash, label=f"{loss} still linear")
    each = found["losses"]["cross-entropy"]["each"]["first eps that fools"]
    first = np.array([np.inf if v is None else v for v in each])
    still = [100 * float((first > e).mean()) for e in radii]
    axes.step(radii, still, where="post", color=style.INK, linewidth=1.4, label="label still right")
    axes.set_ylim(0, 102)
    axes.legend(loc="upper right", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")


if __name__ == "__main__":
    run(Settings, measure, draw)

"""The figures of `experiments.studies.ripples`: the proposals on a photograph, answers by wavelength, spectra.

    python -m experiments.studies.ripples --draw
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox import statistics
from blackbox.report import style
from experiments import ground
from experiments.figures import MARKS, place, sheet
from experiments.runner import DOCS, Real, load
from experiments.studies.ripples import BINS, DIRECTIONS, HALVES, wave

WIDTH = 5.4  # of a figure, in inches, so that it can be read on a telephone
PANELS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "CIFAR-10, standard nets": lambda f: f["images"]["data"] == "cifar" and not f["target"]["robust"],
    "CIFAR-10, adversarially trained nets": lambda f: f["images"]["data"] == "cifar" and f["target"]["robust"],
    "MNIST": lambda f: f["images"]["data"] == "mnist",
    "ImageNet": lambda f: f["images"]["data"] == "imagenet",
}
SHORT = {
    "resnet2b_adv": "ResNet, adv. trained", "vit_adv": "ViT, adv. trained", "poolcnn": "pooled CNN", "densenet": "DenseNet",
    "lenet": "LeNet", "mnist_adv": "CNN, adv. trained", "effnet": "EfficientNet-Lite0", "mobilenet": "MobileNetV1",
}  # fmt: skip


def kept(panel: str) -> list[dict[str, Any]]:
    """What has been measured of the targets of a panel."""
    found = [load(f"ripples/{name}") for name in ground.targets("reporting")]
    return [f for f in found if f and "makers" in f and PANELS[panel](f)]


def named(found: dict[str, Any]) -> str:
    return SHORT.get(found["target"]["name"], found["target"]["title"])


def answer(found: dict[str, Any], waves: Iterable[str], half: int) -> statistics.Estimate:
    """The mean share of the margin that these waves took, each image's averaged over them."""
    taken = [w["taken"] for w in found["waves"] if w["wave"] in waves and w["half"] == half and w["sign"] > 0]
    return statistics.mean_estimate(100 * np.array(taken), bounds=(0.0, 100.0))


def responses(path: Path) -> None:
    others = {"noise": 22, "stripes": 34}
    under = "Share of the margin that one query takes, over four directions; right: controls."
    with sheet(path, "How long a wave must be to disturb a net", under, WIDTH, 9.4, len(PANELS), sharex=True) as (_, axes):
        for panel, ax in zip(PANELS, axes[:, 0], strict=True):
            for i, found in enumerate(kept(panel)):
                colour, dashes = style.line(i)
                points = [answer(found, DIRECTIONS, half) for half in HALVES]
                ax.fill_between(HALVES, [p.low for p in points], [p.high for p in points], color=colour, alpha=0.12, linewidth=0)
                ax.plot(HALVES, [p.value for p in points], color=colour, linestyle=dashes, marker=MARKS[i], label=named(found))
                for name, at in others.items():
                    p = answer(found, (name,), 0)
                    at *= 1.06 ** (i - 1.5)  # beside each other
                    ax.plot([at, at], [p.low, p.high], color=colour, linewidth=1.2)
                    ax.plot([at], [p.value], MARKS[i], color=colour)
            ax.axvline(18.6, color=style.PALE, linewidth=0.8)
            ax.set_xscale("log", base=2)
            ax.set(title=panel, ylim=(0, 100), xlim=(0.9, 42))
            ax.set_yticks([0, 50, 100], ["0 %", "50 %", "100 %"])
            ax.set_xticks([*HALVES, *others.values()], [*map(str, HALVES), *others], minor=False)
            ax.minorticks_off()
            if ax.get_legend_handles_labels()[0]:
                ax.legend(loc="upper right", bbox_to_anchor=(0.78, 1.02))
        axes[-1, 0].set_xlabel("pixels in half a wave")


def spectra(path: Path) -> None:
    at = (np.arange(BINS) + 1) / 32
    panels = {**dict.fromkeys(list(PANELS)[:2]), "ImageNet": None}
    with sheet(
        path, "What nets react to, and what images hold", "Power by frequency, median over images; white noise would lie at 1.",
        WIDTH, 8.2, len(panels), sharex=True,
    ) as (_, axes):  # fmt: skip
        for panel, ax in zip(panels, axes[:, 0], strict=True):
            some = kept(panel)
            if some:
                ax.plot(at, median(some[0]["spectrum"]["images"]), color=style.INK, linewidth=2.6, label="the images")
            for i, found in enumerate(some):
                colour, dashes = style.line(i)
                power = median(found["spectrum"]["gradient"])
                ax.plot(at, power, color=colour, linestyle=dashes, marker=MARKS[i], markersize=4, label=named(found))
            ax.axhline(1, color=style.PALE, linewidth=1)
            ax.set_yscale("log")
            ax.set(title=panel + ": margin's gradient", xlim=(0, 0.53), ylim=(3e-3, 800))
            if some:
                ax.legend(loc="upper right", ncols=2)
        axes[-1, 0].set_xlabel("cycles a pixel (0.5: lines one pixel wide)")


def median(each: list[list[float]]) -> np.ndarray:
    return np.median(np.array(each), axis=0)  # type: ignore[no-any-return]


def pictures(path: Path, root: Path) -> None:
    """A photograph, and beside it what the attack shows the target first, and a window of waves; below, the differences."""
    case = ground.case("resnet32", root, use="reporting")
    image, eps = case.images[PHOTO], case.threat.eps
    h, w = image.shape[-2:]
    window = torch.zeros(h, w)
    window[6:26, 10:30] = 1
    rng = np.random.default_rng(1)
    columns = torch.from_numpy(rng.choice([-1.0, 1.0], (3, 1, w))).float().expand(3, h, w)
    shown: dict[str, Tensor] = {
        "the photograph": torch.zeros(3, h, w),
        "chequerboard, 1 pixel": wave("both", 1, h, w).expand(3, h, w),
        "columns, 1 pixel": wave("columns", 1, h, w).expand(3, h, w),
        "diagonal, 2 pixels": wave("diagonal", 2, h, w).expand(3, h, w),
        "a window of waves": (window * wave("both", 2, h, w)).expand(3, h, w),
        "Square's stripes": columns,
    }
    under = "As the target is shown them, eps = 8/255; below each the difference, stretched."
    with sheet(path, "Ripples on a photograph", under, WIDTH, 8.6, 4, 3) as (_, axes):
        for i, (name, signs) in enumerate(shown.items()):
            changed = (image + eps * signs).clamp(0, 1)
            row, column = 2 * (i // 3), i % 3
            place(axes[row, column], changed)
            axes[row, column].set_title(name, fontsize=8.5, loc="center")
            place(axes[row + 1, column], signs, difference=True)


PHOTO = 3


def draw(s: Real) -> None:
    responses(DOCS / "ripples_response.png")
    spectra(DOCS / "ripples_spectra.png")
    pictures(DOCS / "ripples.png", s.root)

"""How far do examples carry on ImageNet photographs, from a SqueezeNet and a MobileNet to an EfficientNet-Lite? Linf 16/255.

The comparison of `experiments.studies.families`, with public nets: their training images are not there, so no source is refined but by
the scaling of weights that SASD-WS ends with (`scaled`), which needs none. Compared are recipes, and two nets together with each alone.

choosing   which recipe, and whether weights are scaled, carries furthest from the MobileNet to the SqueezeNet, on other photographs and
           at half of G, so that a recipe has the steps and copies that it has on two nets: by the share of images, and where that is
           the same by the mean logarithm of the target's probability.
reporting  that choice on both nets together and on each alone, torchattacks at its defaults on both together (averaged logits), noise.

A recipe has as many steps and copies as G gradients an image buy, over all nets; torchattacks has its own number. Reported on: the
photographs that all three nets have right. The MobileNet sees 192 pixels: images are resized inside it, and gradients come back through
that. One seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import surrogates as sg
from experiments import ground
from experiments.figures import dots, sheet
from experiments.published_families import mean_rate
from experiments.runner import DOCS, Book, Real, counted, run, says
from experiments.studies import families

EPS, SIDE = 16, 224  # in 255ths; pixels
NETS = {"SqueezeNet": "squeezenet", "MobileNet": "mobilenet"}
SOURCES = {"both": tuple(NETS), **{name: (name,) for name in NETS}}
TARGETS = {"choosing": "squeezenet", "reporting": "effnet"}
SETS = {"choosing": "photographs-first", "reporting": "photographs"}
RECIPES = tuple(name for name in families.RECIPES if name != "p2fa")  # which takes one net
TARGETED = ("logit", "margin")
SCALE = 0.9  # as in `surrogates.refine.sasd_ws`
ALIKE = ("mi-fgsm", "di-fgsm")  # what torchattacks has too, with the steps of our presets and as many gradients as the choice
DEAR = tuple(f"torchattacks {kind}" for kind in ("VMIFGSM", "SINIFGSM"))  # five times the gradients of the others, and more


@dataclass(frozen=True)
class Settings(Real):
    use: tuple[str, ...] = says(ground.USES, "of the ground", ground.USES)
    gradients: int = says(40, "G, an image, over all nets")
    best: int = says(2, "recipes that are tried along the logit of a class, too")
    seed: int = 0


class Resized(nn.Module):
    """A net that sees images of another size."""

    def __init__(self, inner: nn.Module, side: int) -> None:
        super().__init__()
        self.inner, self.side = inner, side

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False))  # type: ignore[no-any-return]


def scaled(net: nn.Module) -> nn.Module:
    """The net with all weights but the last layer's times `SCALE`; biases stay."""
    with torch.no_grad():
        for weight in [p for p in net.parameters() if p.ndim > 1][:-1]:
            weight *= SCALE
    return net


def net_of(name: str, root: Path) -> nn.Module:
    """A net for images of 224 pixels; laid out so that convolutions on a processor are faster."""
    side = ground.entry("targets", name)["side"]
    net = ground.net(name, root).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net if side == SIDE else Resized(net, side).eval()


def source(name: str, root: Path) -> list[nn.Module]:
    """The nets of a source; ``…, scaled``: with scaled weights."""
    plain, _, more = name.partition(", ")
    made = [net_of(NETS[one], root) for one in SOURCES[plain]]
    return [scaled(net) for net in made] if more else made


class Photographs(families.On):
    """The photographs of a use that its target and all sources have right."""

    @classmethod
    def of(cls, s: Settings, use: str) -> Photographs:  # type: ignore[override]
        data, ids = ground.images(SETS[use], s.root, SIDE)
        pool, _ = ground.images(SETS["choosing"], s.root, SIDE)
        target = net_of(TARGETS[use], s.root)
        kept = sg.predict(target, data.images) == data.labels
        for name in NETS.values():
            kept &= sg.predict(net_of(name, s.root), data.images) == data.labels
        seed = ground.seeds("choosing")[0] if use == "choosing" else s.seed
        return cls(
            data.images[kept], data.labels[kept], ids[kept].numpy(), {TARGETS[use]: target}, {TARGETS[use]: kept[kept]},
            (pool.images, pool.labels), seed,
        )  # fmt: skip

    @property
    def wanted(self) -> Tensor:
        """A class to reach for each image, never its own; neighbours among the thousand are alike, so a far one."""
        return (self.y + 1 + torch.from_numpy(self.ids.astype(np.int64)) * 389 % 999) % 1000

    def shown(self, made: Tensor, goal: str) -> dict[str, Any]:
        """The outcome, and the mean logarithm of the target's probability: of the wanted class, or of all others than the image's."""
        found = super().shown(made, goal)
        (net,) = self.targets.values()
        with torch.no_grad():
            said = torch.cat([net(some) for some in made.split(8)]).double().log_softmax(1)
        if goal == "targeted":
            value = said.gather(1, self.wanted[:, None])
        else:
            value = said.scatter(1, self.y[:, None], -torch.inf).logsumexp(1)
        return {**found, "log probability": round(float(value.mean()), 3)}


def measure(s: Settings) -> None:
    book = Book("family_photographs", s, same=("gradients", "seed"))
    for use in s.use:
        on = Photographs.of(s, use)
        print(f"{use}: {len(on.x)} photographs", flush=True)
        (choose if use == "choosing" else report)(s, book, on)


def one(s: Settings, book: Book, on: Photographs, use: str, goal: str, name: str, recipe: str) -> dict[str, Any]:
    """A row, kept."""
    key = {"goal": goal, "eps": EPS, "source": name, "recipe": recipe}
    gradients = s.gradients // 2 if use == "choosing" else s.gradients
    return book.row(lambda: families.carried(on, source(name, s.root), recipe, EPS, goal, gradients), among=use, **key)


def merit(row: dict[str, Any]) -> tuple[float, float]:
    return mean_rate(row), row["log probability"]


def choose(s: Settings, book: Book, on: Photographs) -> None:
    best, names = {}, RECIPES
    for goal in families.GOALS:
        rows = [one(s, book, on, "choosing", goal, "MobileNet", recipe) for recipe in names]
        ranked = [row["recipe"] for row in sorted(rows, key=merit, reverse=True)]
        rows.append(one(s, book, on, "choosing", goal, "MobileNet, scaled", ranked[0]))
        first = max(rows, key=merit)
        best[goal] = {"source": first["source"].replace("MobileNet", "both"), "recipe": first["recipe"]}
        if goal == "untargeted":
            names = (*TARGETED, *(f"{name} + logit" for name in ranked[: s.best]))
    book.put(chosen=best)


def asked(best: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What is reported: (goal, source, recipe), what matters most first."""
    out: list[tuple[str, str, str]] = []
    for goal, first in best.items():
        out += [(goal, first["source"], first["recipe"]), (goal, "both", first["recipe"]), (goal, "both", "noise")]
        out += [(goal, "both", name) for kind in families.PEERS if (name := f"torchattacks {kind}") not in DEAR]
    for goal, first in best.items():
        out += [(goal, "both", DEAR[0]), *((goal, name, first["recipe"]) for name in reversed(NETS))]
        out += [(goal, "both", name) for name in ALIKE if goal == "untargeted"]
    return list(dict.fromkeys([*out, *((goal, "both", DEAR[1]) for goal in best)]))


def report(s: Settings, book: Book, on: Photographs) -> None:
    if "chosen" not in book.found:
        raise ValueError("Expected a choice made on the ground for choosing, but there is none. Run with --use choosing first.")
    book.put(ids=on.ids.tolist())
    for goal, name, recipe in asked(book.found["chosen"]):
        one(s, book, on, "reporting", goal, name, recipe)
    draw(book.found, DOCS / "family_photographs.png")


def draw(found: dict[str, Any], path: Path) -> Path:
    """Rates with their intervals, a line a source and recipe, untargeted and targeted."""
    rows = {(r["source"], r["recipe"], r["goal"]): counted(r["fooled"]["effnet"]) for r in found["reporting"]}
    order = sorted({key[:2] for key in rows}, key=lambda key: -rows.get((*key, "untargeted"), [0, 1])[0])
    under = f"% of {len(found['ids'])} photographs that all three nets have right; Linf {EPS}/255; 95 % Wilson"
    with sheet(path, "From SqueezeNet and MobileNet to EfficientNet-Lite0", under, 6.6, 1.5 + 0.34 * len(order)) as (_, axes):
        groups = {goal: [rows.get((*key, goal)) for key in order] for goal in families.GOALS}
        dots(axes[0, 0], [f"{recipe}, {name}" if recipe != "noise" else recipe for name, recipe in order], groups)
        axes[0, 0].set_xlim(-2, 102)
        axes[0, 0].legend(loc="lower right")
    return path


if __name__ == "__main__":
    run(Settings, measure)

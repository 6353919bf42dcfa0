"""What does training on adversarial examples buy, and what does it cost?

    python -m experiments.adversarial_training              # digits
    python -m experiments.adversarial_training --data npz:../shared/data/mnist_test.npz --parts 5000,4000,300 --arch lenet

Four nets of one architecture, data and seed: standard; *retrained* on the images and on adversarial examples of the standard net,
made once (the "safety set"); the *mixed loss* of Goodfellow et al. 2015 (arXiv:1412.6572, section 6), half on the images, half on
FGSM examples of the net as it stands; and PGD training (Madry et al. 2018, arXiv:1706.06083). For each: accuracy on the images as
they are; under noise; under white-box FGSM and PGD; under examples transferred from a net of the attacker's own; under a query
attack that sees scores and one that sees labels; robust accuracy under PGD against eps; gradients an image an epoch and time of
training over those of standard training. `experiments.defences` asks the same of other recipes from the attacker's side.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from experiments import given, picture
from experiments.given import says
from surrogates.training.adversarial import Adversarial


@dataclass(frozen=True)
class Settings(given.Named):
    arch: str = says("cnn", "of all nets")
    parts: tuple[int, ...] = says((900, 400, 300), "images for the target, for the attacker, and attacked")
    eps: float = says(0.15, "Linf, of training and attacks")
    radii: tuple[float, ...] = says((0.05, 0.1, 0.15, 0.2, 0.25), "at which PGD attacks, for the curve")
    epochs: int = says(12, "of each net")
    steps: int = says(20, "of PGD")
    budget: int = says(500, "queries an image")
    queried: int = says(100, "images that the query attacks attack")


def net_of(settings: Settings, data: sg.Dataset, seed: int, **other: Any) -> nn.Module:
    """A net trained by the common recipe, but for ``other``."""
    recipe = sg.Recipe(**{"epochs": settings.epochs, "optimiser": "adam", "lr": 3e-3, "held_out": 0.1, **other})
    return sg.train(sg.build(settings.arch, len(data.classes), data.shape, settings.seed + 1), data, recipe, seed=seed)


def targets(settings: Settings, data: sg.Dataset) -> dict[str, tuple[nn.Module, float, float]]:
    """Name -> net, gradients an image an epoch, CPU seconds of training (with making the examples)."""
    threat, seed = bb.Linf(settings.eps), settings.seed
    out: dict[str, tuple[nn.Module, float, float]] = {}

    def add(name: str, cost: float, make: Any) -> nn.Module:
        begun = time.process_time()  # of this process: what else the machine does is left out
        net = make()
        out[name] = (net, cost, time.process_time() - begun)
        return net

    standard = add("standard", 1, lambda: net_of(settings, data, seed))

    def retrained() -> nn.Module:
        made = sg.craft(standard, data.images, data.labels, "pgd", threat=threat, seed=seed)
        both = sg.Dataset(torch.cat([data.images, made]), torch.cat([data.labels] * 2), data.classes, data.name)
        return net_of(settings, both, seed)

    add("retrained", 2 + 20 / settings.epochs, retrained)
    add("mixed loss", 3, lambda: net_of(settings, data, seed, update=Adversarial(threat, attack="fgsm", clean=0.5)))
    add("PGD training", 8, lambda: net_of(settings, data, seed, update=Adversarial(threat)))
    return out


def right(net: nn.Module, x: Tensor, y: Tensor, clean: Tensor) -> list[int]:
    """[k, n] images right clean and when changed, of all."""
    rate = bb.Rate.of(((sg.predict(net, x) == y) & clean).numpy())
    return [rate.k, rate.n]


def measure(settings: Settings) -> given.Found:
    """Accuracies under each attack, the curve, the cost."""
    if len(settings.parts) != 3:
        raise ValueError(f"Expected --parts with three numbers of images, but it was {settings.parts}.")
    data = sg.split(
        sg.load(settings.data), dict(zip(("target", "own", "attack"), settings.parts, strict=True)), seed=settings.seed
    )
    x, y, threat, seed = data["attack"].images, data["attack"].labels, bb.Linf(settings.eps), settings.seed
    own = net_of(settings, data["own"], seed + 10)
    transferred = sg.craft(own, x, y, "mi-fgsm", threat=threat, seed=seed)
    noise = (x + settings.eps * (2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) - 1)).clamp(
        0, 1
    )
    n = min(settings.queried, len(x))
    nets: dict[str, Any] = {}
    made = targets(settings, data["target"])
    base = made["standard"][2]
    for name, (net, cost, seconds) in made.items():
        clean = sg.predict(net, x) == y
        rows = {"clean": right(net, x, y, clean), "uniform noise": right(net, noise, y, clean)}
        rows["white box: FGSM"] = right(net, sg.craft(net, x, y, "fgsm", threat=threat, seed=seed), y, clean)
        curve = []
        for eps in sorted({*settings.radii, settings.eps}):
            hit = right(net, sg.craft(net, x, y, "pgd", threat=bb.Linf(eps), steps=settings.steps, seed=seed), y, clean)
            curve.append([eps, hit])
            if eps == settings.eps:
                rows[f"white box: PGD, {settings.steps} steps"] = hit
        rows["transfer: MI-FGSM on own net"] = right(net, transferred, y, clean)
        for attack, access in (("square", "scores"), ("rays", "labels")):
            result = bb.attack(
                bb.Oracle(net, access, len(data["own"].classes)),
                x[:n],
                y[:n],
                attack,
                threat,
                settings.budget,
                seed=seed,
            )
            rows[f"{access}: {attack}, {settings.budget:,} queries"] = [
                result.robust_accuracy.k,
                result.robust_accuracy.n,
            ]
        nets[name] = {"accuracy": rows, "curve": curve, "gradients": cost, "time": seconds / base}
        print(f"{name}: {cost:g} gradients an image an epoch, time x {seconds / base:.1f}; "
              + "  ".join(f"{k} {bb.Rate(*v)}" for k, v in rows.items()), flush=True)  # fmt: skip
    return {
        "nets": nets,
        "data": data["attack"].name.partition("/")[0],
        "arch": settings.arch,
        "eps": settings.eps,
    }, None


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """Left: a line of dots an attack. Right: accuracy under PGD against eps."""
    from blackbox.report import style

    nets = found["nets"]
    attacks = list(next(iter(nets.values()))["accuracy"])
    width, height = 11.6, 1.85 + 0.4 * len(attacks)
    made = style.figure(width, height)
    axes = made.add_axes((2.5 / width, 0.85 / height, 4.5 / width, (height - 1.6) / height))
    right = made.add_axes((7.7 / width, 0.85 / height, 3.7 / width, (height - 1.6) / height))
    for i, (name, net) in enumerate(nets.items()):
        colour, dash = style.line(i)
        label = (
            f"{name}: {net['gradients']:.0f} gradient{'s' if net['gradients'] != 1 else ''}, time × {net['time']:.1f}"
        )
        for j, attack in enumerate(attacks):
            rate, at = bb.Rate(*net["accuracy"][attack]), len(attacks) - 1 - j + 0.17 * (1.5 - i)
            axes.plot([100 * rate.low, 100 * rate.high], [at, at], color=colour, linewidth=1.4)
            axes.plot(
                [100 * rate.value], [at], "os^D"[i % 4], color=colour, markersize=5, label=label if j == 0 else None
            )
        points = [(0.0, net["accuracy"]["clean"]), *((eps, hit) for eps, hit in net["curve"])]
        rates = [bb.Rate(*hit) for _, hit in points]
        right.fill_between(
            [e for e, _ in points],
            [100 * r.low for r in rates],
            [100 * r.high for r in rates],
            color=colour,
            alpha=0.12,
            linewidth=0,
        )
        right.plot(
            [e for e, _ in points],
            [100 * r.value for r in rates],
            color=colour,
            linestyle=dash,
            marker="os^D"[i % 4],
            markersize=4,
            linewidth=1.8,
        )
    style.clean(axes)
    style.clean(right)
    axes.set_yticks(range(len(attacks)), list(reversed(attacks)))
    axes.set_xlim(-2, 102)
    axes.set_xlabel(f"right, and right when changed by ε = {found['eps']:g}, %", fontsize=9, color=style.INK)
    right.axvline(found["eps"], color=style.PALE, linewidth=0.8, linestyle=(0, (3, 3)))
    right.set_xlim(left=0)
    right.set_ylim(0, 102)
    right.set_xlabel("ε of white-box PGD (dashed line: ε of training)", fontsize=9, color=style.INK)
    handles = axes.get_legend_handles_labels()
    made.legend(
        *handles, loc="lower center", bbox_to_anchor=(0.5, 0.0), ncols=4, frameon=False, fontsize=8.5, columnspacing=1.4
    )
    what = f"{found['data']}, {found['arch']}; 95 % Wilson intervals"
    under = f"{what}; cost: gradients an image an epoch, CPU time over that of standard training"
    style.heading(made, "Adversarial training: what it buys and what it costs", under, height)
    return picture.save(made, path)


if __name__ == "__main__":
    given.run("adversarial_training", Settings, str(__doc__), measure, draw)

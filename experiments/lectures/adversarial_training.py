"""What does training on adversarial examples buy, what does it protect from, and what does it cost?

Nets of one architecture, data and seed: standard; *retrained* on the images and on adversarial examples of the standard net, made
once (the "safety set"); the *mixed loss* of Goodfellow et al. 2015 (arXiv:1412.6572, section 6), half on the images, half on FGSM
examples of the net as it stands; "fast" FGSM training (Wong et al. 2020, arXiv:2001.03994); PGD training (Madry et al. 2018,
arXiv:1706.06083); "free" training (Shafahi et al. 2019, arXiv:1904.12843). Against each: noise of the same size; white-box FGSM
and PGD; examples transferred from an attacker's nets, a plain one and a slightly robust one (eps / 4, Springer et al. 2021); query
attacks that see scores and labels. ``accuracy``: right clean and when changed, of all; ``wrong``: of the images that the net has
right, those it gets wrong. Where queries do better than PGD on the net's own gradients, its steps were too few.
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
from blackbox.report import style
from experiments.figures import curve, dots, sheet
from experiments.lectures.given import Named
from experiments.runner import Found, counted, each, run, says, tell


@dataclass(frozen=True)
class Settings(Named):
    arch: str = says("cnn", "of all nets")
    parts: tuple[int, ...] = says((900, 400, 300), "images for the target, for the attacker, and attacked")
    eps: float = says(0.15, "Linf, of training and attacks")
    radii: tuple[float, ...] = says((0.05, 0.1, 0.15, 0.2, 0.25), "at which PGD attacks, for the curve")
    epochs: int = says(12, "of each net")
    steps: int = says(20, "of PGD")
    starts: int = says(3, "of PGD, with each loss, for the ceiling")
    budgets: tuple[int, ...] = says((100, 500), "queries an image, the largest last")
    queried: int = says(100, "images that the query attacks attack")


REPLAYS = 4  # of free training, which takes so many times fewer epochs


def parted(s: Any, *names: str) -> dict[str, sg.Dataset]:
    """The data in parts of the sizes of ``--parts``."""
    if len(s.parts) != len(names):
        raise ValueError(f"Expected --parts with {len(names)} numbers of images, but it was {s.parts}.")
    return sg.split(sg.load(s.data), dict(zip(names, s.parts, strict=True)), seed=s.seed)


def noised(x: Tensor, eps: float, seed: int) -> Tensor:
    """Uniform noise in the Linf ball around x."""
    return (x + eps * (2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) - 1)).clamp(0, 1)


def net_of(s: Settings, data: sg.Dataset, seed: int, **other: Any) -> nn.Module:
    """A net trained by the common recipe, but for ``other``."""
    recipe = sg.Recipe(**{"epochs": s.epochs, "optimiser": "adam", "lr": 3e-3, "held_out": 0.1, **other})
    return sg.train(sg.build(s.arch, len(data.classes), data.shape, s.seed + 1), data, recipe, seed=seed)


def targets(s: Settings, data: sg.Dataset) -> dict[str, tuple[nn.Module, float, float]]:
    """Name -> net, gradients an image for each epoch of standard training, CPU seconds of training (with making the examples)."""
    threat, out = bb.Linf(s.eps), {}

    def updated(update: Any, epochs: int = s.epochs) -> nn.Module:
        return net_of(s, data, s.seed, update=update, epochs=epochs)

    def retrained() -> nn.Module:
        made = sg.craft(out["standard"][0], data.images, data.labels, "pgd", threat=threat, seed=s.seed)
        both = sg.Dataset(torch.cat([data.images, made]), torch.cat([data.labels] * 2), data.classes, data.name)
        return net_of(s, both, s.seed)

    shorter = max(1, s.epochs // REPLAYS)
    for name, cost, make in (
        ("standard", 1.0, lambda: net_of(s, data, s.seed)),
        ("retrained", 2 + 20 / s.epochs, retrained),
        ("mixed loss", 3.0, lambda: updated(sg.robust.Adversarial(threat, attack="fgsm", clean=0.5))),
        ("fast", 2.0, lambda: updated(sg.robust.Adversarial(threat, attack="fgsm"))),
        ("PGD training", 8.0, lambda: updated(sg.robust.Adversarial(threat))),
        ("free", REPLAYS * shorter / s.epochs, lambda: updated(sg.robust.Free(threat, REPLAYS), shorter)),
    ):
        begun = time.process_time()  # of this process: what else the machine does is left out
        net = make()
        out[name] = (net, cost, time.process_time() - begun)
    return out


def measure(s: Settings) -> Found:
    """Each net under each attack, the curve, the cost."""
    data = parted(s, "target", "own", "attack")
    x, y, threat = data["attack"].images, data["attack"].labels, bb.Linf(s.eps)
    slightly = sg.robust.Adversarial(bb.Linf(s.eps / 4))
    sources = {
        "plain": net_of(s, data["own"], s.seed + 10),
        "slightly robust": net_of(s, data["own"], s.seed + 10, update=slightly),
    }
    blind = {"uniform noise": noised(x, s.eps, s.seed)} | {
        f"transfer: {attack}, {name} net": sg.craft(net, x, y, attack, threat=threat, seed=s.seed)
        for name, net in sources.items() for attack in ("fgsm", "mi-fgsm")
    }  # fmt: skip
    made, nets = targets(s, data["target"]), {}
    for name, (net, cost, seconds) in made.items():
        clean = sg.predict(net, x) == y
        wrong = {what: sg.predict(net, images) != y for what, images in blind.items()} | white_box(s, net, x, y)
        found = {"clean": each(~clean)} | {what: each(hit, clean) for what, hit in wrong.items()}
        pgd = {eps: sg.craft(net, x, y, "pgd", threat=bb.Linf(eps), steps=s.steps, seed=s.seed) for eps in s.radii}
        curve = [[eps, each(sg.predict(net, images) != y, clean)] for eps, images in pgd.items()]
        for attack, access in (("square", "scores"), ("rays", "labels")):
            oracle, some = bb.Oracle(net, access, len(data["own"].classes)), slice(0, s.queried)
            result = bb.attack(oracle, x[some], y[some], attack, threat, s.budgets[-1], seed=s.seed)
            for budget in s.budgets:
                hit = result.success & (result.queries <= budget)
                found[f"{access}: {attack}, {budget:,} queries"] = each(hit, clean[some])
        ratio = seconds / made["standard"][2]
        nets[name] = {"wrong": found, "curve": curve, "gradients": cost, "time": ratio}
        tell({"net": name, "gradients": cost, "time": ratio, **{what: counted(hit) for what, hit in found.items()}})
    return {"nets": nets, "data": data["attack"].name.partition("/")[0], "arch": s.arch, "eps": s.eps}, None


def white_box(s: Settings, net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """[N] whether the net is wrong of its own adversarial examples: FGSM's, PGD's, and any of those that make the ceiling."""

    def wrong(attack: str, seed: int = s.seed, **more: Any) -> Tensor:
        return sg.predict(net, sg.craft(net, x, y, attack, threat=bb.Linf(s.eps), seed=seed, **more)) != y

    fgsm = wrong("fgsm")
    pgd = [wrong("pgd", s.seed + i, steps=s.steps, loss=loss) for loss in ("cross-entropy", "margin") for i in range(s.starts)]
    return {
        "white box: FGSM": fgsm, f"white box: PGD, {s.steps} steps": pgd[0],
        "white box: any of FGSM and PGD": torch.stack([fgsm, *pgd]).any(0),
    }  # fmt: skip


def still_right(outcomes: str) -> list[int]:
    """[k, n]: right clean and when changed, of all images."""
    return [outcomes.count("0"), len(outcomes)]


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """Left: a line of dots an attack. Right: accuracy under PGD against eps."""
    nets, eps = found["nets"], found["eps"]
    attacks = list(next(iter(nets.values()))["wrong"])
    under = (
        f"{found['data']}, {found['arch']}; 95 % Wilson intervals; cost: gradients an image an epoch, CPU time over that of "
        "standard training"
    )
    title, height = "Adversarial training: what it buys and what it costs", 2.3 + 0.5 * len(attacks)
    with sheet(path, title, under, 11.6, height, columns=2) as (made, ((left, right),)):
        names = {f"{n}: gradients {v['gradients']:.0f}, time × {v['time']:.1f}": v for n, v in nets.items()}
        dots(left, attacks, {name: [still_right(hit) for hit in net["wrong"].values()] for name, net in names.items()}, 0.13)
        for i, net in enumerate(nets.values()):
            at = {0.0: net["wrong"]["clean"], **dict(net["curve"])}
            curve(right, list(at), [still_right(hit) for hit in at.values()], i)
        right.axvline(eps, color=style.PALE, linewidth=0.8, linestyle=(0, (3, 3)))
        left.set(xlim=(-2, 102), xlabel=f"right, and right when changed by ε = {eps:g}, %")
        right.set(xlim=(0, None), ylim=(0, 102), xlabel="ε of white-box PGD (dashed line: ε of training)")
        made.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return path


if __name__ == "__main__":
    run(Settings, measure, draw)

"""What does adversarial training protect from? Standard and robust targets against surrogates, queries and their own gradients.

    python -m experiments.studies.defences                          # scikit-learn's digits, embedded, a minute or two
    python -m experiments.studies.defences --data ../shared/data    # MNIST from the data folder, LeNets

Targets of one architecture, trained alike but for the update: plain; "fast" FGSM training (Wong et al. 2020); PGD training
(Madry et al. 2018); "free" training (Shafahi et al. 2019), at the eps they are attacked with. The attacker trains on images of
one's own and asks nothing: a plain net, and one made slightly robust (eps / 4, after Springer et al. 2021). Against each target:
noise of the same size, examples transferred from both nets, Square through scores and RayS through labels, and PGD on the
target's own gradients; where queries do better than these, its 20 steps were too few. Every entry: of the attacked images
that the target has right, those it gets wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import blackbox as bb
import surrogates as sg
from experiments.figures import dots, sheet
from experiments.runner import Found, run, says


@dataclass(frozen=True)
class Settings:
    data: str = says("digits", "the data folder, for MNIST; without it the embedded digits")
    parts: tuple[int, ...] = says((900, 400, 200), "images for the target, for the attacker, and attacked")
    epochs: int = says(30, "of each net; of free training as many times fewer as it replays")
    at: tuple[int, ...] = says((100, 1000), "queries")
    name: str = "digits"
    arch: str = "cnn"
    eps: float = 0.2
    replays: int = 4
    attacks: tuple[str, ...] = ("fgsm", "mi-fgsm")
    seed: int = 0

    @property
    def called(self) -> str:
        return "digits" if self.data == "digits" else "mnist"


def trained(s: Settings, data: sg.Dataset, seed: int, **other: Any) -> torch.nn.Module:
    """One net; a tenth is held out, so that a robust epoch is kept (see `surrogates.robust`)."""
    recipe = sg.Recipe(**{"epochs": s.epochs, "optimiser": "adam", "held_out": 0.1, **other})
    return sg.train(sg.build(s.arch, shape=data.shape, seed=seed), data, recipe, seed=seed)


def measure(s: Settings) -> Found:
    threat, seed, source = bb.Linf(s.eps), s.seed, s.data
    if s.called == "mnist":
        more = {"parts": (5000, 4000, 200), "epochs": 12} if s.parts == Settings.parts else {}
        s, source = replace(s, name="mnist", arch="lenet", **more), f"npz:{Path(s.data) / 'mnist_test.npz'}"  # type: ignore[arg-type]
    data = sg.split(sg.load(source), dict(zip(("target", "own", "attack"), s.parts, strict=True)), seed=seed)
    x, y = data["attack"].images, data["attack"].labels
    slightly = sg.robust.Adversarial(bb.Linf(s.eps / 4))
    sources = {
        "plain net": trained(s, data["own"], seed + 10),
        "slightly robust net": trained(s, data["own"], seed + 10, update=slightly),
    }
    rows: dict[str, dict[str, bb.Rate]] = {}
    for kind, other in {
        "standard": {},
        "fast": {"update": sg.robust.Adversarial(threat, attack="fgsm")},
        "pgd": {"update": sg.robust.Adversarial(threat)},
        "free": {"update": sg.robust.Free(threat, s.replays), "epochs": max(1, s.epochs // s.replays)},
    }.items():
        net = trained(s, data["target"], seed + 1, **other)
        matrix = sg.transfer_matrix(sources, {kind: bb.Oracle(net, "labels", 10)}, x, y, s.attacks, [threat], seed=seed)
        right = sg.predict(net, x) == y
        row = rows[kind] = {"clean error": bb.Rate.of((~right).numpy()), "noise": matrix.noise_rate(kind, threat)}
        for name in sources:
            row |= {f"{attack}, {name}": matrix.rate(name, kind, attack, threat) for attack in s.attacks}
        for name, shows in (("square", "scores"), ("rays", "labels")):
            found = bb.attack(bb.Oracle(net, shows, 10), x, y, name, threat, s.at[-1], seed=seed)
            row |= {f"{name}, {at:,} queries": rate for at, rate in zip(s.at, found.curve(s.at), strict=True)}
        wrong = sg.predict(net, sg.craft(net, x, y, "pgd", threat=threat, seed=seed)) != y
        row["pgd on the target"] = bb.Rate.of(wrong.numpy(), right.numpy())
        print(kind, "  ".join(f"{what}: {rate}" for what, rate in row.items()), flush=True)
    told = {"name": s.name, "arch": s.arch, "eps": s.eps, "images": s.parts[2]}
    return {"of": told, "rows": {k: {w: [r.k, r.n] for w, r in row.items()} for k, row in rows.items()}}, None


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """A line of dots an attack, a colour a target."""
    of, rows = found["of"], found["rows"]
    attacks = list(next(iter(rows.values())))
    if of["name"] == "digits":
        path = path.with_name("defences.png")
    under = f"{of['name']}, {of['arch']}, Linf {of['eps']:g}, {of['images']} images, 95 % Wilson intervals; training by colour"
    with sheet(path, "What adversarial training protects from", under, 8.4, 1.5 + 0.36 * len(attacks)) as (_, ((axes,),)):
        dots(axes, attacks, {target: list(row.values()) for target, row in rows.items()})
        axes.set(xlim=(-2, 102), xlabel="wrong when changed, of the images a target has right, %")
        axes.legend(loc="upper right")
    return path


if __name__ == "__main__":
    run(Settings, measure, draw)

"""What does adversarial training protect from? Standard and robust targets against surrogates, queries and their own gradients.

    python -m experiments.defences                                  # scikit-learn's digits, embedded, a minute or two
    python -m experiments.defences --data ../shared/data            # MNIST from the data folder, LeNets

Targets of one architecture, trained alike but for the update: plain; "fast" FGSM training (Wong et al. 2020); PGD training
(Madry et al. 2018); "free" training (Shafahi et al. 2019), at the eps they are attacked with. The attacker trains on images of
one's own and asks nothing: a plain net, and one made slightly robust (eps / 4, after Springer et al. 2021). Against each target:
noise of the same size, examples transferred from both nets, Square through scores and RayS through labels, and PGD on the
target's own gradients; where queries do better than these, its 20 steps were too few. Every entry: of the attacked images
that the target has right, those it gets wrong. Writes experiments/results/defences_<data>.json and .txt, and a figure:
docs/defences.png for the digits, experiments/results/defences_mnist.png.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import blackbox as bb
import surrogates as sg
from surrogates.training.adversarial import Adversarial, Free

OUT = Path("experiments/results")


@dataclass(frozen=True)
class Settings:
    """parts: images for the target, for the attacker, and attacked. replays: of free training, whose epochs are as many
    times fewer. at: queries."""

    name: str = "digits"
    data: str = "digits"
    arch: str = "cnn"
    parts: tuple[int, int, int] = (900, 400, 200)
    eps: float = 0.2
    epochs: int = 30
    replays: int = 4
    at: tuple[int, ...] = (100, 1000)
    attacks: tuple[str, ...] = ("fgsm", "mi-fgsm")
    seed: int = 0


def mnist(root: str) -> Settings:
    return Settings("mnist", f"npz:{Path(root) / 'mnist_test.npz'}", "lenet", (5000, 4000, 200), 0.2, 12)


def kinds(settings: Settings) -> dict[str, dict[str, Any]]:
    """What the recipes of the targets differ in."""
    threat = bb.Linf(settings.eps)
    return {
        "standard": {},
        "fast": {"update": Adversarial(threat, attack="fgsm")},
        "pgd": {"update": Adversarial(threat)},
        "free": {"update": Free(threat, settings.replays), "epochs": max(1, settings.epochs // settings.replays)},
    }


def trained(settings: Settings, data: sg.Dataset, seed: int, **other: Any) -> torch.nn.Module:
    """One net; a tenth is held out, so that a robust epoch is kept (see `surrogates.robust`)."""
    recipe = sg.Recipe(**{"epochs": settings.epochs, "optimiser": "adam", "held_out": 0.1, **other})
    return sg.train(sg.build(settings.arch, shape=data.shape, seed=seed), data, recipe, seed=seed)


def measure(settings: Settings) -> dict[str, Any]:
    sizes = dict(zip(("target", "own", "attack"), settings.parts, strict=True))
    data = sg.split(sg.load(settings.data), sizes, seed=settings.seed)
    x, y = data["attack"].images, data["attack"].labels
    threat, seed = bb.Linf(settings.eps), settings.seed
    sources = {
        "plain net": trained(settings, data["own"], seed + 10),
        "slightly robust net": trained(settings, data["own"], seed + 10, update=Adversarial(bb.Linf(settings.eps / 4))),
    }
    rows: dict[str, dict[str, bb.Rate]] = {}
    for kind, other in kinds(settings).items():
        net = trained(settings, data["target"], seed + 1, **other)
        matrix = sg.transfer_matrix(
            sources, {kind: bb.Oracle(net, "labels", 10)}, x, y, settings.attacks, [threat], seed=seed
        )
        row = {"clean error": bb.Rate(int((sg.predict(net, x) != y).sum()), len(x))}
        row["noise"] = matrix.noise_rate(kind, threat)
        for source in sources:
            for attack in settings.attacks:
                row[f"{attack}, {source}"] = matrix.rate(source, kind, attack, threat)
        for name, shows in (("square", "scores"), ("rays", "labels")):
            found = bb.attack(bb.Oracle(net, shows, 10), x, y, name, threat, settings.at[-1], seed=seed)
            for at, rate in zip(settings.at, found.curve(settings.at), strict=True):
                row[f"{name}, {at:,} queries"] = rate
        right = sg.predict(net, x) == y
        wrong = sg.predict(net, sg.craft(net, x, y, "pgd", threat=threat, seed=seed)) != y
        row["pgd on the target"] = bb.Rate(int((wrong & right).sum()), int(right.sum()))
        rows[kind] = row
        print(kind, "  ".join(f"{what}: {rate}" for what, rate in row.items()), flush=True)
    return {
        "settings": asdict(settings),
        "rows": {k: {w: [r.k, r.n] for w, r in row.items()} for k, row in rows.items()},
    }


def table(found: dict[str, Any]) -> str:
    """Attacks down, targets across."""
    targets = list(found["rows"])
    attacks = list(found["rows"][targets[0]])
    s = found["settings"]
    wide = max(map(len, attacks)) + 2
    lines = [
        f"{s['name']}, {s['arch']}, Linf {s['eps']:g}; wrong when changed, of the images a target has right, % [95 % Wilson]",
        " " * wide + "".join(f"{t:>16}" for t in targets),
    ]
    for attack in attacks:
        rates = (bb.Rate(*found["rows"][t][attack]) for t in targets)
        lines.append(
            f"{attack:{wide}}"
            + "".join(f"{100 * r.value:7.0f} [{100 * r.low:2.0f}, {100 * r.high:3.0f}]" for r in rates)
        )
    return "\n".join(lines)


def figure(found: dict[str, Any], path: Path) -> None:
    """A line of dots an attack, a colour a target."""
    from blackbox.report import style

    targets = list(found["rows"])
    attacks = list(found["rows"][targets[0]])
    height = 1.5 + 0.36 * len(attacks)
    made = style.figure(8.4, height)
    axes = made.add_axes((0.28, 0.62 / height, 0.68, (height - 1.5) / height))
    for i, target in enumerate(targets):
        colour, _ = style.line(i)
        for j, attack in enumerate(attacks):
            rate, y = (
                bb.Rate(*found["rows"][target][attack]),
                len(attacks) - 1 - j + 0.16 * (len(targets) / 2 - 0.5 - i),
            )
            axes.plot([100 * rate.low, 100 * rate.high], [y, y], color=colour, linewidth=1.4)
            axes.plot([100 * rate.value], [y], "o", color=colour, markersize=5, label=target if j == 0 else None)
    style.clean(axes)
    axes.set_yticks(range(len(attacks)), list(reversed(attacks)))
    axes.set_xlim(-2, 102)
    axes.set_xlabel("wrong when changed, of the images a target has right, %", fontsize=9, color=style.INK)
    axes.legend(loc="upper right", frameon=False, fontsize=9)
    s = found["settings"]
    under = f"{s['name']}, {s['arch']}, Linf {s['eps']:g}, {s['parts'][2]} images, 95 % Wilson intervals; training of the target by colour"
    style.heading(made, "What adversarial training protects from", under, height)
    style.save(made, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=None, help="the data folder, for MNIST; without it the embedded digits")
    given = parser.parse_args()
    found = measure(mnist(given.data) if given.data else Settings())
    out = OUT / f"defences_{found['settings']['name']}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n")
    out.with_suffix(".txt").write_text(table(found) + "\n")
    figure(found, Path("docs/defences.png" if found["settings"]["name"] == "digits" else f"{out.with_suffix('')}.png"))
    print(table(found))


if __name__ == "__main__":
    main()

"""Which surrogates are worth training for a hidden CIFAR target?

    python -m experiments.surrogate_choice --data ../shared/data

Every net is trained on cifar10/train, then examples are crafted on it, and on pairs, as `hybrid` crafts its first query
(ten plain steps of 3 eps / 10 along the cross-entropy, Linf 8/255), and shown to the public ResNet-20: on test images that
the ResNet-32, on which `experiments.hybrid` reports, is not attacked with there. Accuracy is on a quarter of those; of a net
with snapshots, its own. Writes experiments/results/surrogate_choice.json, row by row; a killed run goes on where it was, and
trained nets are kept in runs/own.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

import surrogates as sg
from experiments.own import CNN, CNNS, RESNET20, VGG, VGGS, Plan, family
from experiments.real import attacked, cifar
from experiments.stored import RESULTS, load, store


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    nets: tuple[Plan, ...] = (
        Plan("cnn", 60, 1e-4), CNN, Plan("vgg", 45, 1e-4), VGG, Plan("resnet20", 15, 1e-4), RESNET20,
    )  # fmt: skip
    families: tuple[Plan, ...] = (VGGS, CNNS)
    images: int = 200
    reported: tuple[int, ...] = (100, 200)  # images in runs of `experiments.hybrid`, left out here
    eps: float = 8 / 255
    steps: int = 10
    seed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    settings = Settings(data=parser.parse_args().data)
    root, begin, before = (
        Path(settings.data),
        time.perf_counter(),
        load("surrogate_choice") or {"rows": [], "seconds": 0.0},
    )
    taken = {i for count in settings.reported for i in attacked(root, count, 32)}
    data = sg.load(f"folder:{root / 'cifar10' / 'test'}")
    rest = data.take(torch.tensor([i for i in range(len(data)) if i not in taken]))
    held = rest.take(slice(0, None, 4))
    case = cifar(root, settings.images, 20, settings.eps, spread=True, among=rest)
    rows: list[dict[str, Any]] = before["rows"]
    asked = [
        plans for kind in (settings.nets, settings.families) for count in (1, 2) for plans in combinations(kind, count)
    ]
    for plans in asked:
        names = [str(plan) for plan in plans]
        if any(row["nets"] == names for row in rows):
            continue
        nets = [net for plan in plans for net in family(root, plan, settings.seed)]
        crafted = sg.craft(
            nets, case.images, case.labels, "i-fgsm", threat=case.threat, steps=settings.steps,
            step=3 * settings.eps / 10, seed=settings.seed,
        )  # fmt: skip
        fooled = int((sg.predict(case.net, crafted) != case.labels).sum())
        row: dict[str, Any] = {"nets": names, "fooled": [fooled, len(crafted)]}
        if len(plans) == 1:
            right = sg.predict(nets[0], held.images) == held.labels
            row["accuracy"] = [int(right.sum()), len(held)]
        rows.append(row)
        print(f"{' and '.join(names)}: {row}", flush=True)
        seconds = before["seconds"] + time.perf_counter() - begin
        store(RESULTS / "surrogate_choice.json", settings, {"target": case.name, "rows": rows}, seconds)


if __name__ == "__main__":
    main()

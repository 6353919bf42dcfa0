"""Surrogates and queries in one budget: what does the hybrid save on a hidden CIFAR ResNet-32?

    python -m experiments.hybrid --data ../shared/data [--target mnist]

Two surrogates, a small VGG and a small all-convolutional net (chosen by `experiments.surrogate_choice`), are trained on
cifar10/train (600 images a class, none of them attacked, no answer of the target among the labels). Then 200 correctly
classified test images, spread evenly over the classes (in file order the first are all aeroplanes), Linf 8/255, budget
1,000, seeds 0 to 2, failures charged at the budget: square (no prior), transfer-start, hybrid and auto with scores;
sign-flip, transfer-start with RayS, and hybrid with labels; hybrid with surrogates that know nothing (random weights) and
that mislead (negated gradients); square and hybrid towards a class (the next one). Wall times include the crafts.
``--target mnist``: the same on the MNIST LeNet, Linf 0.3, the first images in file order that it has right.
Writes experiments/results/hybrid.json (hybrid_mnist.json) row by row; a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import blackbox as bb
import surrogates as sg
from experiments import own
from experiments.real import Case, cifar, mnist

NETS = {"cifar": (own.VGG, own.CNN), "mnist": own.DIGITS}


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    images: int = 200
    budget: int = 1000
    seeds: tuple[int, ...] = (0, 1, 2)
    depth: int = 32
    target: str = "cifar"

    @property
    def out(self) -> Path:
        return Path("experiments/results/hybrid.json" if self.target == "cifar" else f"experiments/results/hybrid_{self.target}.json")


def surrogates(settings: Settings) -> list[torch.nn.Module]:
    """The two nets."""
    return [own.trained(settings.data, plan) for plan in NETS[settings.target]]


class Misled:
    """A prior whose gradients point the wrong way, and whose logits are honest: poisoned surrogates."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.classes, self.members, self.gradients, self.passes = inner.classes, inner.members, 0, 0

    def __repr__(self) -> str:
        return f"negated {self.inner!r}"

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        out = self.inner.logits(x)
        self.passes = self.inner.passes
        return out

    def gradient(self, x: torch.Tensor, pull: Any) -> torch.Tensor:
        out = -self.inner.gradient(x, pull)
        self.gradients = self.inner.gradients
        return out

    def check(self, shape: tuple[int, ...], classes: int) -> None:
        self.inner.check(shape, classes)
        self.classes = classes


def plan(settings: Settings) -> dict[str, tuple[str, bool, Callable[[], Any]]]:
    """Row -> (access, targeted, the attack)."""
    build = bb.attacks.build

    def nets() -> Any:
        return sg.prior(surrogates(settings))

    def first() -> Any:
        return sg.prior(surrogates(settings)[:1])

    def blank() -> Any:
        shape = (3, 32, 32) if settings.target == "cifar" else (1, 28, 28)
        return sg.prior([sg.build(net.arch, 10, shape, seed=100 + i) for i, net in enumerate(NETS[settings.target])])

    return {
        "square": ("scores", False, lambda: build("square")),
        "hybrid": ("scores", False, lambda: build("hybrid", prior=nets())),
        "transfer-start": ("scores", False, lambda: build("transfer-start", prior=nets())),
        "auto": ("scores", False, lambda: build("auto", prior=nets())),
        "hybrid, one net": ("scores", False, lambda: build("hybrid", prior=first())),
        "hybrid, random weights": ("scores", False, lambda: build("hybrid", prior=blank())),
        "hybrid, misled": ("scores", False, lambda: build("hybrid", prior=Misled(nets()))),
        "labels: sign-flip": ("labels", False, lambda: build("sign-flip")),
        "labels: transfer-start, rays": ("labels", False, lambda: build("transfer-start", attack="rays", prior=nets())),
        "labels: hybrid": ("labels", False, lambda: build("hybrid", prior=nets())),
        "targeted: square": ("scores", True, lambda: build("square")),
        "targeted: hybrid": ("scores", True, lambda: build("hybrid", prior=nets())),
        "gfcs": ("scores", False, lambda: build("gfcs", prior=nets())),
        "simba-ods": ("scores", False, lambda: build("simba-ods", prior=nets())),
        "bases": ("scores", False, lambda: build("bases", prior=nets())),
        "p-rgf": ("scores", False, lambda: build("p-rgf", prior=nets())),
    }


def measure(case: Case, name: str, settings: Settings, seed: int) -> dict[str, Any]:
    """One row of the table: one attack, one seed."""
    access, targeted, attack = plan(settings)[name]
    goal = (case.labels + 1) % 10 if targeted else None
    oracle, made = bb.Oracle(case.net, access), attack()
    begin = time.perf_counter()
    result = bb.attack(oracle, case.images, case.labels, made, case.threat, settings.budget, target=goal, seed=seed)
    seconds = time.perf_counter() - begin
    spent = np.where(result.success.numpy(), result.queries.numpy() - 1, settings.budget)  # without the clean check
    return {
        "attack": name, "seed": seed, "target": case.name, "threat": str(case.threat), "images": len(case.images),
        "budget": settings.budget, "access": access, "targeted": targeted,
        "success": [int(result.success.sum()), len(spent)],
        "mean": result.mean_queries, "mean without the clean check": float(spent.mean()),
        "standard error": float(spent.std(ddof=1) / len(spent) ** 0.5) if len(spent) > 1 else None,
        "median": result.median_queries, "seconds": seconds, "prior": result.config["prior"],
        "parts": result.config["parts"], "queries": result.queries.tolist(), "found": result.success.tolist(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    parser.add_argument("--images", type=int, default=Settings.images)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(Settings.seeds))
    parser.add_argument("--only", action="append", choices=list(plan(Settings())), help="one row; may be repeated")
    parser.add_argument("--target", choices=list(NETS), default=Settings.target)
    given = parser.parse_args()
    settings = Settings(data=given.data, images=given.images, seeds=tuple(given.seeds), target=given.target)
    out = settings.out
    done = json.loads(out.read_text())["rows"] if out.exists() else []
    root = Path(settings.data)
    spread = settings.target == "cifar"  # MNIST's file order has all classes mixed
    case = cifar(root, settings.images, settings.depth, spread=True) if spread else mnist(root, settings.images)
    for name in given.only or plan(settings):
        for seed in settings.seeds:
            if any((r["attack"], r["seed"], r["images"]) == (name, seed, settings.images) for r in done):
                continue
            done.append(row := measure(case, name, settings, seed))
            out.parent.mkdir(parents=True, exist_ok=True)
            new = out.with_suffix(".new")
            used = asdict(settings) | {"nets": list(map(str, NETS[settings.target]))}
            new.write_text(json.dumps({"settings": used, "rows": done}, indent=1) + "\n")
            new.replace(out)
            success, rate = row["success"], f"{row['mean']:.1f} queries, median {row['median']:g}"
            print(f"{name}, seed {seed}: {rate}, {success[0]}/{success[1]}, {row['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()

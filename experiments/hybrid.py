"""Surrogates and queries in one budget: what does the hybrid save on a hidden CIFAR ResNet-32?

    python -m experiments.hybrid --data ../shared/data [--target mnist]
    python -m experiments.hybrid --target squeezenet --images 50 --only square --only auto

Surrogates of two architectures, a small VGG and a small all-convolutional net, each with two snapshots of it at a high
learning rate (chosen by `experiments.surrogate_choice`), are trained on cifar10/train (600 images a class, none attacked, no
answer of the target among the labels). Then 200 correctly classified test images, spread evenly over the classes (in file
order the first are all aeroplanes), Linf 8/255, budget 1,000, seeds 0 to 2, failures charged at the budget: square (no
prior), transfer-start, hybrid and auto with scores; sign-flip, transfer-start with RayS, and hybrid with labels; hybrid with
surrogates that know nothing (random weights) and that mislead (negated gradients); square and hybrid towards a class (the
next one). Wall times include the crafts. On CIFAR also hybrid with surrogates that learned from the target's answers to 300 images
not attacked; the 300 are in no row.
``--target mnist``: the same on the MNIST LeNet, Linf 0.3, the first images in file order that it has right.
``--target squeezenet``: on ImageNet photographs, with the surrogate of a user who has no others than those not attacked: a small
VGG of images shrunk to 32 x 32, taught with the target's scores for these (70, paid for, in no row): can auto do without it?
Writes experiments/results/hybrid.json (hybrid_mnist.json ...) row by row; a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import blackbox as bb
import surrogates as sg
from blackbox.prior import view
from experiments import own
from experiments.real import Case, cifar, mnist, photographs
from experiments.stored import RESULTS, load, store

NETS: dict[str, tuple[own.Plan, ...]] = {"cifar": (own.VGGS, own.CNNS), "mnist": own.DIGITS, "squeezenet": ()}


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    images: int = 200
    budget: int = 1000
    seeds: tuple[int, ...] = (0, 1, 2)
    depth: int = 32
    target: str = "cifar"

    @property
    def name(self) -> str:
        return "hybrid" if self.target == "cifar" else f"hybrid_{self.target}"


def given(settings: Settings) -> Case:
    """The target, and the images attacked."""
    root = Path(settings.data)
    if settings.target == "cifar":
        return cifar(root, settings.images, settings.depth, spread=True)
    if settings.target == "squeezenet":
        return photographs(root, settings.images)
    return mnist(root, settings.images)  # all classes are mixed in its file order


def untrained(settings: Settings) -> list[torch.nn.Module]:
    """As many nets as there are surrogates, with random weights."""
    if settings.target == "squeezenet":
        return [torch.nn.Sequential(torch.nn.AvgPool2d(7), sg.build("vgg", 1000, (3, 32, 32), seed=100))]
    shape = (3, 32, 32) if settings.target == "cifar" else (1, 28, 28)
    return [sg.build(net.arch, 10, shape, seed=100 + i) for i, net in enumerate(NETS[settings.target])]


def surrogates(settings: Settings) -> list[torch.nn.Module]:
    """The nets that a user would train; fresh ones at each call, for whoever trains them on."""
    if settings.target == "squeezenet":
        return [copy.deepcopy(taught(settings))]
    return [net for plan in NETS[settings.target] for net in own.family(settings.data, plan)]


@lru_cache(maxsize=1)
def taught(settings: Settings) -> torch.nn.Module:
    """The net that learned from the target's scores for the images not attacked."""
    case, (net,) = given(settings), untrained(settings)
    teacher = bb.Oracle(case.net, "scores", classes=1000)
    return sg.train(net, (case.own, None), sg.Recipe(epochs=60), teacher=teacher, queries=len(case.own))


def told(settings: Settings) -> str:
    """Where the surrogates come from."""
    if settings.target == "squeezenet":
        return (
            "a small VGG of images shrunk to 32 x 32, taught with the target's scores for the photographs not attacked"
        )
    nets = "; ".join(map(str, NETS[settings.target]))
    return f"{nets}; trained on other images with their true labels, without an answer of the target"


@lru_cache(maxsize=1)
def bought(settings: Settings, answers: int) -> tuple[torch.nn.Module, ...]:
    """The surrogates, trained on with so many answers of the target to images not attacked; the same for every seed."""
    case, images = given(settings), own.images(settings.data)
    teacher = bb.Oracle(case.net, "scores", classes=10)
    gentle = sg.Recipe(epochs=4, lr=0.005, weight_decay=4e-3)  # the snapshots' differences are to stay
    return tuple(sg.teach(surrogates(settings), images, teacher, answers, gentle))


class Misled:
    """A prior whose gradients point the wrong way, and whose logits are honest: poisoned surrogates."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.classes, self.members = inner, inner.classes, inner.members

    gradients = property(lambda self: self.inner.gradients)
    passes = property(lambda self: self.inner.passes)

    def __repr__(self) -> str:
        return f"negated {self.inner!r}"

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner.logits(x)
        return out

    def view(self, members: Any = None, few: bool = False) -> Misled:
        return Misled(view(self.inner, members, few))

    def gradient(self, x: torch.Tensor, pull: Any) -> torch.Tensor:
        out: torch.Tensor = -self.inner.gradient(x, pull)
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
        return sg.prior(untrained(settings))

    rows: dict[str, tuple[str, bool, Callable[[], Any]]] = {
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
    if settings.target == "cifar":
        rows["hybrid, 300 answers"] = ("scores", False, lambda: build("hybrid", prior=sg.prior(bought(settings, 300))))
    return rows


def measure(case: Case, name: str, settings: Settings, seed: int) -> dict[str, Any]:
    """One row of the table: one attack, one seed."""
    access, targeted, attack = plan(settings)[name]
    classes = 1000 if settings.target == "squeezenet" else 10
    goal = (case.labels + 1) % classes if targeted else None
    oracle, made = bb.Oracle(case.net, access, classes), attack()
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
    said = parser.parse_args()
    settings = Settings(data=said.data, images=said.images, seeds=tuple(said.seeds), target=said.target)
    names = plan(settings)
    if absent := [name for name in said.only or () if name not in names]:
        parser.error(f"Expected rows of {settings.target} ({'; '.join(names)}), but --only named {'; '.join(absent)}.")
    begin, before = time.perf_counter(), load(settings.name) or {"rows": [], "seconds": 0.0}
    done, case = before["rows"], given(settings)
    for name in said.only or names:
        for seed in settings.seeds:
            if any((r["attack"], r["seed"], r["images"]) == (name, seed, settings.images) for r in done):
                continue
            done.append(row := measure(case, name, settings, seed))
            found = {"surrogates": told(settings), "rows": done}
            store(
                RESULTS / f"{settings.name}.json",
                settings,
                found,
                before.get("seconds", 0.0) + time.perf_counter() - begin,
            )
            success, rate = row["success"], f"{row['mean']:.1f} queries, median {row['median']:g}"
            print(f"{name}, seed {seed}: {rate}, {success[0]}/{success[1]}, {row['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()

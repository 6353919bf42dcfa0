"""Surrogates and queries in one budget: what does the hybrid save on a hidden CIFAR ResNet-32?

Surrogates of two architectures, each with two snapshots, are trained on cifar10/train (none attacked, no answer of the target among
the labels). Then test images that the target has right, spread evenly over the classes, failures charged at the budget: a row of
`ROWS` each, also with surrogates that know nothing (random weights), that mislead (negated gradients), and that learned from the
target's answers to 300 images not attacked; the 300 are in no row. Wall times include the crafting.
``--target mnist``: the same on the MNIST LeNet, Linf 0.3, the first images in file order that it has right.
``--target squeezenet``: on ImageNet photographs, with the surrogate of a user who has no others than those not attacked: a small
VGG of images shrunk to 32 x 32, taught with the target's scores for these (paid for, in no row): can auto do without it?
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

import blackbox as bb
import surrogates as sg
from experiments import nets
from experiments.cases import Case, cifar, mnist, photographs
from experiments.runner import Book, Real, run, says

NETS: dict[str, tuple[nets.Plan, ...]] = {"cifar": (nets.VGGS, nets.CNNS), "mnist": nets.DIGITS, "squeezenet": ()}

# row -> access, towards a class?, the attack, whose gradients it has
ROWS: dict[str, tuple[str, bool, str, str]] = {
    "square": ("scores", False, "square", ""),
    "hybrid": ("scores", False, "hybrid", "all"),
    "transfer-start": ("scores", False, "transfer-start", "all"),
    "auto": ("scores", False, "auto", "all"),
    "hybrid, one net": ("scores", False, "hybrid", "first"),
    "hybrid, random weights": ("scores", False, "hybrid", "untrained"),
    "hybrid, misled": ("scores", False, "hybrid", "misled"),
    "labels: sign-flip": ("labels", False, "sign-flip", ""),
    "labels: transfer-start, rays": ("labels", False, "transfer-start", "all"),
    "labels: hybrid": ("labels", False, "hybrid", "all"),
    "targeted: square": ("scores", True, "square", ""),
    "targeted: hybrid": ("scores", True, "hybrid", "all"),
    "gfcs": ("scores", False, "gfcs", "all"),
    "simba-ods": ("scores", False, "simba-ods", "all"),
    "bases": ("scores", False, "bases", "all"),
    "p-rgf": ("scores", False, "p-rgf", "all"),
    "hybrid, 300 answers": ("scores", False, "hybrid", "bought"),
}


@dataclass(frozen=True)
class Settings(Real):
    images: int = says(200, "attacked")
    budget: int = says(1000, "queries an image")
    seeds: tuple[int, ...] = says((0, 1, 2), "of the attacks")
    target: str = says("cifar", "cifar, mnist or squeezenet", NETS)
    only: tuple[str, ...] = says((), "rows, without the commas in their names: square,hybrid misled [all]")
    depth: int = 32


def case_of(s: Settings) -> Case:
    """The target, and the images attacked."""
    if s.target == "cifar":
        return cifar(s.root, s.images, s.depth, spread=True)
    return (photographs if s.target == "squeezenet" else mnist)(s.root, s.images)  # MNIST's file order mixes all classes


def untrained(s: Settings) -> list[nn.Module]:
    """As many nets as there are surrogates, with random weights."""
    if s.target == "squeezenet":
        return [nn.Sequential(nn.AvgPool2d(7), sg.build("vgg", 1000, (3, 32, 32), seed=100))]
    shape = (3, 32, 32) if s.target == "cifar" else (1, 28, 28)
    return [sg.build(net.arch, 10, shape, seed=100 + i) for i, net in enumerate(NETS[s.target])]


def surrogates(s: Settings) -> list[nn.Module]:
    """The nets that a user would train; fresh ones at each call, for whoever trains them on."""
    if s.target == "squeezenet":
        return [copy.deepcopy(taught(s))]
    return [net for plan in NETS[s.target] for net in nets.family(s.root, plan)]


@lru_cache(maxsize=1)
def taught(s: Settings) -> nn.Module:
    """The SqueezeNet's surrogate."""
    case, (net,) = case_of(s), untrained(s)
    teacher = bb.Oracle(case.net, "scores", classes=1000)
    return sg.train(net, (case.own, None), sg.Recipe(epochs=60), teacher=teacher, queries=len(case.own))


@lru_cache(maxsize=1)
def bought(s: Settings) -> tuple[nn.Module, ...]:
    """The surrogates, trained on with 300 answers of the target to images not attacked; the same for every seed."""
    teacher = bb.Oracle(case_of(s).net, "scores", classes=10)
    gentle = sg.Recipe(epochs=4, lr=0.005, weight_decay=4e-3)  # the snapshots' differences are to stay
    return tuple(sg.teach(surrogates(s), nets.images(s.root), teacher, 300, gentle))


class Misled:
    """A prior whose gradients point the wrong way, and whose logits are honest: poisoned surrogates."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __repr__(self) -> str:
        return f"negated {self.inner!r}"

    def view(self, members: Any = None, few: bool = False) -> Misled:
        return Misled(self.inner.view(members, few))

    def gradient(self, x: torch.Tensor, pull: Any) -> torch.Tensor:
        return -self.inner.gradient(x, pull)


def build(s: Settings, name: str) -> Any:
    """The attack of a row."""
    _, _, attack, whose = ROWS[name]
    more = {"attack": "rays"} if name.endswith("rays") else {}
    if not whose:
        return bb.attacks.build(attack)
    if whose == "misled":
        return bb.attacks.build(attack, prior=Misled(sg.prior(surrogates(s))))
    found = {"untrained": untrained, "bought": bought}.get(whose, surrogates)(s)  # type: ignore[operator]
    return bb.attacks.build(attack, prior=sg.prior(found[:1] if whose == "first" else found), **more)


def attacked(s: Settings, case: Case, name: str, seed: int) -> dict[str, Any]:
    """One row of the table: one attack, one seed."""
    access, targeted, *_ = ROWS[name]
    classes = 1000 if s.target == "squeezenet" else 10
    goal = (case.labels + 1) % classes if targeted else None
    oracle, attack = bb.Oracle(case.net, access, classes), build(s, name)
    begin = time.perf_counter()
    result = bb.attack(oracle, case.images, case.labels, attack, case.threat, s.budget, target=goal, seed=seed)
    seconds = time.perf_counter() - begin
    spent = np.where(result.success.numpy(), result.queries.numpy() - 1, s.budget)  # without the clean check
    return {
        "target": case.name, "threat": str(case.threat), "budget": s.budget, "access": access, "targeted": targeted,
        "success": [int(result.success.sum()), len(spent)], "mean": result.mean_queries,
        "mean without the clean check": float(spent.mean()),
        "standard error": float(spent.std(ddof=1) / len(spent) ** 0.5) if len(spent) > 1 else None,
        "median": result.median_queries, "seconds": seconds, "prior": result.config["prior"],
        "parts": result.config["parts"], "queries": result.queries.tolist(), "found": result.success.tolist(),
    }  # fmt: skip


def measure(s: Settings) -> None:
    rows = [name for name in ROWS if s.target == "cifar" or name != "hybrid, 300 answers"]
    asked = {name.replace(",", ""): name for name in rows}
    if absent := [name for name in s.only if name not in asked]:
        raise ValueError(f"Expected --only to be of the rows of {s.target} ({'; '.join(asked)}), but it named {'; '.join(absent)}.")
    case, book = case_of(s), Book("hybrid" if s.target == "cifar" else f"hybrid_{s.target}", s, same=("budget", "depth"))
    book.put(surrogates="; ".join(map(str, NETS[s.target])) + "; trained on other images with their true labels, without an "
             "answer of the target" if NETS[s.target] else
             "a small VGG of images shrunk to 32 x 32, taught with the target's scores for the photographs not attacked")  # fmt: skip
    for name in [asked[word] for word in s.only] or rows:
        for seed in s.seeds:
            book.row(lambda name=name, seed=seed: attacked(s, case, name, seed), attack=name, seed=seed, images=s.images)


if __name__ == "__main__":
    run(Settings, measure)

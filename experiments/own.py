"""Nets that the attacker trains, with true labels and not one answer of a target: from cifar10/train (600 images a class), or
from the second half of the MNIST test set (5,000 images; targets are attacked on the first).

Trained once and kept in runs/own (not committed: they can be made again). On one slow core, beside other
work, the VGG took 11 minutes, the cnn 7, the ResNet-20 18.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import torch

import surrogates as sg


class Plan(NamedTuple):
    """A net and how long it learns; epochs and weight decay were chosen by `experiments.surrogate_choice`."""

    arch: str
    epochs: int
    weight_decay: float
    data: str = "cifar"

    def __str__(self) -> str:
        return f"{self.arch}, {self.epochs} epochs, weight decay {self.weight_decay:g}"


VGG = Plan("vgg", 45, 4e-3)
CNN = Plan("cnn", 60, 4e-3)
RESNET20 = Plan("resnet20", 36, 1e-4)
DIGITS = (Plan("vgg", 10, 4e-3, "mnist"), Plan("cnn", 10, 4e-3, "mnist"))


def images(root: str | Path, data: str = "cifar") -> sg.Dataset:
    """What the attacker owns."""
    if data == "cifar":
        return sg.load(f"folder:{Path(root) / 'cifar10' / 'train'}")
    digits = sg.load(f"npz:{Path(root) / 'mnist_test.npz'}")
    return digits.take(slice(len(digits) // 2, len(digits)))


def trained(root: str | Path, plan: Plan, seed: int = 0) -> torch.nn.Module:
    """One net of one's own."""
    path = Path("runs/own") / f"{plan.arch}-{plan.epochs}-{plan.weight_decay:g}-{seed}.safetensors"
    if plan.data != "cifar":
        path = path.with_name(f"{plan.data}-{path.name}")
    shape = (3, 32, 32) if plan.data == "cifar" else (1, 28, 28)
    if not path.exists():
        begin = time.perf_counter()
        recipe = sg.Recipe(epochs=plan.epochs, weight_decay=plan.weight_decay)
        net = sg.train(sg.build(plan.arch, 10, shape, seed=seed), images(root, plan.data), recipe, seed=seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        sg.save_weights(net, path)
        print(f"trained {plan} in {time.perf_counter() - begin:.0f} s", flush=True)
    return sg.from_spec(f"{plan.arch}:{path}", shape=shape)

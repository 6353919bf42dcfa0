"""Nets that the attacker trains, with true labels and not one answer of a target, from one of four sets (`SETS`).

The first two are images on which the CIFAR targets were trained too, and MNIST's second half may be like that; ``unseen`` is not:
test images, none of them attacked.

Trained once and kept in runs/own (not committed: they can be made again).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

import surrogates as sg
from experiments import cases


@dataclass(frozen=True)
class Plan:
    """A net and how long it learns; epochs and weight decay were chosen by `experiments.studies.settings --study surrogates`.

    snapshots: taken of it afterwards, one every fourth epoch at a high rate (LGV: Gubri et al. 2022, arXiv:2207.13129).
    """

    arch: str
    epochs: int
    weight_decay: float
    data: str = "cifar"
    snapshots: int = 0

    def __str__(self) -> str:
        text = f"{self.arch}, {self.epochs} epochs, weight decay {self.weight_decay:g}"
        return f"{text}, and {self.snapshots} snapshots" if self.snapshots else text


VGG = Plan("vgg", 45, 4e-3)
CNN = Plan("cnn", 60, 4e-3)
VGGS, CNNS = replace(VGG, snapshots=2), replace(CNN, snapshots=2)
RESNET20 = Plan("resnet20", 36, 1e-4)
DIGITS = (Plan("vgg", 10, 4e-3, "mnist"), Plan("cnn", 10, 4e-3, "mnist"))


def unseen(root: Path) -> sg.Dataset:
    """CIFAR-10 test images (once JPEG) that are none of the raw test images, which are attacked."""
    data, raw = cases.photos(root), cases.raw(root)
    apart = torch.cdist(data.images.flatten(1), raw.images.flatten(1)).amin(1)
    return data.take(apart > 5)  # the same image, once JPEG, is at most 3 away; the nearest other one more than 5


SETS: dict[str, Callable[[Path], sg.Dataset]] = {
    "cifar": lambda root: cases.photos(root, "train"),  # 6,000 training images, once JPEG
    "raw": lambda root: sg.load(f"npz:{root / 'cifar10_raw_train.npz'}"),  # 3,993 training images as they were published
    "unseen": unseen,
    "mnist": lambda root: cases.digits(root)[1],  # the second half of the test set; targets are attacked on the first
}


def images(root: Path, data: str = "cifar") -> sg.Dataset:
    """What the attacker owns."""
    return SETS[data](root)


def trained(root: Path, plan: Plan, seed: int = 0) -> nn.Module:
    """One net of one's own."""
    return family(root, replace(plan, snapshots=0), seed)[0]


def family(root: Path, plan: Plan, seed: int = 0) -> list[nn.Module]:
    """The net of a plan, and its snapshots."""
    name = f"{plan.arch}-{plan.epochs}-{plan.weight_decay:g}-{seed}"
    name = name if plan.data == "cifar" else f"{plan.data}-{name}"
    shape = (1, 28, 28) if plan.data == "mnist" else (3, 32, 32)
    recipe = sg.Recipe(epochs=plan.epochs, weight_decay=plan.weight_decay)
    tags = [name, *(f"{name}-{plan.snapshots}-{i}" for i in range(plan.snapshots))]
    paths = [Path("runs/own") / f"{tag}.safetensors" for tag in tags]
    if not all(path.exists() for path in paths):
        data = images(root, plan.data)
        if paths[0].exists():
            made = [sg.from_spec(f"{plan.arch}:{paths[0]}", shape=shape)]
        else:
            made = [sg.train(sg.build(plan.arch, 10, shape, seed=seed), data, recipe, seed=seed)]
        if plan.snapshots:
            again = replace(recipe, epochs=4 * plan.snapshots, schedule="constant", warmup=0.0)
            made += sg.refine.lgv(made[0], data, again, per_epoch=1, seed=seed)[2::4]
        for path, net in zip(paths, made, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            sg.save_weights(net, path)
    return [sg.from_spec(f"{plan.arch}:{path}", shape=shape) for path in paths]

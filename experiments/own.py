"""Nets that the attacker trains, with true labels and not one answer of a target: from cifar10/train (600 images a class), or
from the second half of the MNIST test set (5,000 images; targets are attacked on the first).

Trained once and kept in runs/own (not committed: they can be made again). On one slow core, beside other work, the plain
VGG took 11 minutes, the cnn 7, the ResNet-20 18. A family, which is a net and two snapshots of it at a high learning rate
(LGV: Gubri et al. 2022, arXiv:2207.13129), took 174 seconds of processor time (VGG) and 153 (cnn) in bfloat16 on a processor
that has it; in floats on a Zen 3 without AVX-512, beside other work, 1,085 and 851.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import torch

import surrogates as sg


class Plan(NamedTuple):
    """A net and how long it learns; epochs and weight decay were chosen by `experiments.surrogate_choice`. snapshots: taken of
    it afterwards, one every fourth epoch at a high rate (trained against FGSM of 1/255 there, cnn, they carried no better:
    68.5 for 67 % of 200 images not reported on, 21 for 21 % towards a class). precision: as in `surrogates.Recipe`."""

    arch: str
    epochs: int
    weight_decay: float
    data: str = "cifar"
    snapshots: int = 0
    precision: str = "auto"

    def __str__(self) -> str:
        text = f"{self.arch}, {self.epochs} epochs, weight decay {self.weight_decay:g}"
        text = text if self.precision == "auto" else f"{text}, {self.precision}"
        return f"{text}, and {self.snapshots} snapshots" if self.snapshots else text


VGG = Plan("vgg", 45, 4e-3)
CNN = Plan("cnn", 60, 4e-3)
VGGS = VGG._replace(snapshots=2)
CNNS = CNN._replace(snapshots=2)
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
    return family(root, plan._replace(snapshots=0), seed)[0]


def family(root: str | Path, plan: Plan, seed: int = 0) -> list[torch.nn.Module]:
    """The net of a plan, and its snapshots."""
    name = f"{plan.arch}-{plan.epochs}-{plan.weight_decay:g}-{seed}"
    name = name if plan.precision == "auto" else f"{name}-{plan.precision}"
    name = name if plan.data == "cifar" else f"{plan.data}-{name}"
    shape = (3, 32, 32) if plan.data == "cifar" else (1, 28, 28)
    recipe = sg.Recipe(epochs=plan.epochs, weight_decay=plan.weight_decay, precision=plan.precision)

    def kept(tag: str, make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
        path = Path("runs/own") / f"{name}{tag}.safetensors"
        if not path.exists():
            begin, used = time.perf_counter(), time.process_time()
            net = make()
            path.parent.mkdir(parents=True, exist_ok=True)
            sg.save_weights(net, path)
            wall, cpu = time.perf_counter() - begin, time.process_time() - used
            print(f"{path.stem}: {wall:.0f} s, {cpu:.0f} s of processor time", flush=True)
        return sg.from_spec(f"{plan.arch}:{path}", shape=shape)

    def fresh() -> torch.nn.Module:
        return sg.train(sg.build(plan.arch, 10, shape, seed=seed), images(root, plan.data), recipe, seed=seed)

    first = kept("", fresh)

    @cache
    def taken() -> list[torch.nn.Module]:
        again = replace(recipe, epochs=4 * plan.snapshots, schedule="constant", warmup=0.0)
        return sg.refine.lgv(first, images(root, plan.data), again, per_epoch=1, seed=seed)[2::4]

    def snapshot(i: int) -> torch.nn.Module:
        return taken()[i]

    return [first, *(kept(f"-{plan.snapshots}-{i}", partial(snapshot, i)) for i in range(plan.snapshots))]

"""Nets that the attacker trains, with true labels and not one answer of a target, from one of five sets (`SETS`).

``cifar``, ``raw`` and ``both`` are images on which the CIFAR targets were trained too, and MNIST's second half may be like that; ``unseen``
is not: test images, none of them attacked.

Trained once and kept in runs/own (not committed: they can be made again).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

import blackbox as bb
import surrogates as sg
from experiments import cases


@dataclass(frozen=True)
class Plan:
    """A net and how long it learns; epochs and weight decay were chosen by an earlier program, which
    `experiments.studies.settings --study surrogates` repeats.

    snapshots: taken of it afterwards, one every fourth epoch at a high rate (LGV: Gubri et al. 2022, arXiv:2207.13129).
    adversarial: steps of PGD with which each batch is attacked within the targets' radius (`surrogates.robust.Adversarial`); 1 is
    "fast" training with one large step; 0 none.
    refined: how the trained net is then made a better surrogate, on the same images (`refine`): one of `REFINERS`.
    """

    arch: str
    epochs: int
    weight_decay: float
    data: str = "cifar"
    snapshots: int = 0
    adversarial: int = 0
    refined: str = ""

    def __str__(self) -> str:
        text = f"{self.arch}, {self.epochs} epochs, weight decay {self.weight_decay:g}"
        if self.adversarial:
            text += f", adversarially trained with {self.adversarial} step{'s' * (self.adversarial > 1)}"
        if self.refined:
            text += f", refined by {self.refined}"
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


def joined(one: sg.Dataset, other: sg.Dataset) -> sg.Dataset:
    """The images of both."""
    return replace(one, images=torch.cat([one.images, other.images]), labels=torch.cat([one.labels, other.labels]))


def robustly(plan: Plan) -> sg.Recipe:
    """How a net is trained adversarially: a few epochs with Adam, chosen for minutes on two cores and otherwise untuned."""
    threat = bb.Linf(0.3 if plan.data == "mnist" else 8 / 255)
    steps = plan.adversarial
    update = sg.robust.Adversarial(threat, "fgsm") if steps == 1 else sg.robust.Adversarial(threat, "pgd", steps, 1.5 * threat.eps / steps)
    return sg.Recipe(epochs=plan.epochs, weight_decay=plan.weight_decay, optimiser="adam", update=update)


AFTER = sg.Recipe(epochs=6, warmup=0.0, lr=0.05, weight_decay=5e-4)  # of refining: short, and half the rate of training from scratch


def _robust(eps: int) -> Callable[[nn.Module, sg.Dataset], nn.Module]:
    """Further training on adversarial examples of a small radius, in 255ths: a slightly robust net carries further (Springer et al.
    2021, arXiv:2106.02105)."""
    recipe = replace(AFTER, update=sg.robust.Adversarial(bb.Linf(eps / 255), "fgsm"))
    return lambda net, data: sg.train(copy.deepcopy(net), data, recipe)


REFINERS: dict[str, Callable[[nn.Module, sg.Dataset], nn.Module]] = {
    "sasd-ws": lambda net, data: sg.refine.sasd_ws(net, data, AFTER),
    "robust-4": _robust(4),
}

SETS: dict[str, Callable[[Path], sg.Dataset]] = {
    "cifar": lambda root: cases.photos(root, "train"),  # 6,000 training images, once JPEG
    "raw": lambda root: sg.load(f"npz:{root / 'cifar10_raw_train.npz'}"),  # 3,993 training images as they were published
    "both": lambda root: joined(images(root), images(root, "raw")),  # for nets that need many images: those trained robustly
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
    recipe = robustly(plan) if plan.adversarial else sg.Recipe(epochs=plan.epochs, weight_decay=plan.weight_decay)
    if plan.arch in ("vit", "mixer"):
        recipe = replace(recipe, optimiser="adam")
    name = f"{name}-adversarial{plan.adversarial}" if plan.adversarial else name
    name = f"{name}-{plan.refined}" if plan.refined else name
    tags = [name, *(f"{name}-{plan.snapshots}-{i}" for i in range(plan.snapshots))]
    paths = [Path("runs/own") / f"{tag}.safetensors" for tag in tags]
    if not all(path.exists() for path in paths):
        data = images(root, plan.data)
        if paths[0].exists():
            made = [sg.from_spec(f"{plan.arch}:{paths[0]}", shape=shape)]
        elif plan.refined:
            made = [REFINERS[plan.refined](trained(root, replace(plan, refined=""), seed), data)]
        else:
            made = [sg.train(sg.build(plan.arch, 10, shape, seed=seed), data, recipe, seed=seed)]
        if plan.snapshots:
            again = replace(recipe, epochs=4 * plan.snapshots, schedule="constant", warmup=0.0)
            made += sg.refine.lgv(made[0], data, again, per_epoch=1, seed=seed)[2::4]
        for path, net in zip(paths, made, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            sg.save_weights(net, path)
    return [sg.from_spec(f"{plan.arch}:{path}", shape=shape) for path in paths]

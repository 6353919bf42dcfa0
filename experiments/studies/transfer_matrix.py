"""How often do examples crafted on one net fool another? The matrix of the README.

Targets: the public CIFAR-10 ResNet-20 and ResNet-32 of the data folder, behind an oracle that shows labels. Sources: the same
ResNet-20 (on itself this is the white-box ceiling), and nets that the attacker trains without a single answer of a target
(`experiments.nets`): a ResNet-20, a small VGG, and this with a small convolutional net. Attacked: test images in an order drawn
once. Besides the results: every outcome (transfer_matrix/), the table as text, and docs/transfer_cifar.png.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

import blackbox as bb
import surrogates as sg
from experiments import nets
from experiments.cases import photos, resnet
from experiments.runner import DOCS, RESULTS, Found, Real, run, says


@dataclass(frozen=True)
class Settings(Real):
    images: int = says(200, "attacked")
    eps: tuple[int, ...] = says((4, 8), "in 255ths")
    attacks: tuple[str, ...] = says(("fgsm", "mi-fgsm", "mi-di-ti-fgsm"), "presets")
    seed: int = 0


def measure(s: Settings) -> Found:
    hidden = {depth: resnet(s.root, depth) for depth in (20, 32)}
    mine = {plan.arch: nets.trained(s.root, plan) for plan in (nets.RESNET20, nets.VGG, nets.CNN)}
    sources = {
        "public resnet20": hidden[20], "own resnet20": mine["resnet20"], "own vgg": mine["vgg"],
        "own vgg and cnn": [mine["vgg"], mine["cnn"]],
    }  # fmt: skip
    test = photos(s.root)
    some = test.take(torch.randperm(len(test), generator=torch.Generator().manual_seed(s.seed))[: s.images])
    for name, net in mine.items():
        print(f"own {name}: {sg.accuracy(net, test)} accurate", flush=True)
    targets = {f"resnet{depth}": bb.Oracle(net, "labels", 10) for depth, net in hidden.items()}
    threats = [bb.Linf(e / 255) for e in s.eps]
    matrix = sg.transfer_matrix(sources, targets, some.images, some.labels, s.attacks, threats, seed=s.seed, progress=print)
    text = matrix.table()
    print(text)
    matrix.save(RESULTS / "transfer_matrix")
    matrix.plot(DOCS / "transfer_cifar.png")
    (RESULTS / "transfer_matrix.txt").write_text(text + "\n")
    return {"records": matrix.records()}, None


if __name__ == "__main__":
    run(Settings, measure)

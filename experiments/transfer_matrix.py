"""How often do examples crafted on one net fool another? The matrix of the README.

    python -m experiments.transfer_matrix --data ../shared/data

Targets: the public CIFAR-10 ResNet-20 and ResNet-32 of the data folder, behind an oracle that shows labels. Sources: the same
ResNet-20 (its gradients in the attacker's hands; on itself this is the white-box ceiling), and nets that the attacker trains
on 6,000 images of one's own, without a single answer of a target (`experiments.own`): a ResNet-20, a small VGG, and this
with a small convolutional net. Attacked: test images in an order drawn once.
Writes experiments/results/transfer_matrix/ (every outcome), transfer_matrix.json and .txt, and docs/transfer_cifar.png.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import blackbox as bb
import surrogates as sg
from experiments import own
from experiments.real import resnet

OUT = Path("experiments/results")
DEPTHS = (20, 32)


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    images: int = 200
    eps: tuple[int, ...] = (4, 8)  # in 255ths
    attacks: tuple[str, ...] = ("fgsm", "mi-fgsm", "mi-di-ti-fgsm")
    seed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    parser.add_argument("--images", type=int, default=Settings.images)
    given = parser.parse_args()
    settings = Settings(data=given.data, images=given.images)
    root = Path(settings.data)
    hidden = {depth: resnet(root, depth) for depth in DEPTHS}
    mine = {plan.arch: own.trained(root, plan) for plan in (own.RESNET20, own.VGG, own.CNN)}
    sources = {
        "public resnet20": hidden[20],
        "own resnet20": mine["resnet20"],
        "own vgg": mine["vgg"],
        "own vgg and cnn": [mine["vgg"], mine["cnn"]],
    }
    targets = {f"resnet{depth}": bb.Oracle(net, "labels", 10) for depth, net in hidden.items()}
    test = sg.load(f"folder:{root / 'cifar10' / 'test'}")
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(settings.seed))[: settings.images]
    some = test.take(order)
    for name, net in mine.items():
        print(
            f"own {name}: {bb.Rate(int((sg.predict(net, test.images) == test.labels).sum()), len(test))} accurate",
            flush=True,
        )
    matrix = sg.transfer_matrix(
        sources, targets, some.images, some.labels, settings.attacks, [bb.Linf(e / 255) for e in settings.eps],
        seed=settings.seed, progress=lambda line: print(line, flush=True),
    )  # fmt: skip
    text = matrix.table()
    print(text)
    matrix.save(OUT / "transfer_matrix")
    matrix.plot(Path("docs/transfer_cifar.png"))
    (OUT / "transfer_matrix.txt").write_text(text + "\n")
    rows = {"settings": asdict(settings), "records": matrix.records()}
    (OUT / "transfer_matrix.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Which share of the pixels should Square's first squares cover when the budget is 1,000?

    python -m experiments.square_p_init --data ../shared/data

Restricted mean queries on images and a net that no other experiment reports on: the LeNet on MNIST images 3,000 to
3,399, the ResNet-32 on a random draw of the CIFAR test folder. The paper's 0.05 and 0.8 are among the values.
Writes experiments/results/square_p_init.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import blackbox as bb
import surrogates as sg
from experiments.real import cifar, mnist, right


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    values: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
    seeds: tuple[int, ...] = (0, 1)
    budget: int = 1000
    mnist_images: int = 300
    cifar_images: int = 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    settings = Settings(data=parser.parse_args().data)
    root = Path(settings.data)
    digits = mnist(root, 1)
    photos = cifar(root, 1, depth=32)
    pool = sg.load(f"folder:{root / 'cifar10' / 'test'}")
    shuffled = pool.take(torch.randperm(len(pool), generator=torch.Generator().manual_seed(5)))
    cases = (
        (
            digits,
            *right(
                digits.net, sg.load(f"npz:{root / 'mnist_test.npz'}").take(slice(3000, 3400)), settings.mnist_images
            ),
        ),
        (photos, *right(photos.net, shuffled, settings.cifar_images)),
    )
    rows = []
    for case, x, y in cases:
        for value in settings.values:
            runs = [
                bb.attack(bb.Oracle(case.net), x, y, bb.attacks.Square(value), case.threat, settings.budget, seed=seed)
                for seed in settings.seeds
            ]
            means = [r.mean_queries for r in runs]
            rows.append({"target": case.name, "p_init": value, "means": means, "success": str(runs[0].success_rate)})
            print(
                f"{case.name:16} p_init {value:<5} mean queries {[round(m, 1) for m in means]}  {runs[0].success_rate}",
                flush=True,
            )
    out = Path("experiments/results/square_p_init.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"settings": asdict(settings), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

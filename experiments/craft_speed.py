"""How near to the bare forward and backward pass does crafting run, and how fast are the peers at equal G?

    python -m experiments.craft_speed --data ../shared/data

CIFAR ResNet-20, Linf 8/255, ten steps (G = 10). *Bare*: gradients of the summed cross-entropy with respect to the images, of
as many images as the attack takes, at the best of several batch sizes. Ours finds its call size by itself; torchattacks is
given all images at once, and in batches of the size that is best for the bare net. Everything in turn, ``repeats`` times;
ratios are taken within a turn. Writes experiments/results/craft_speed.json; without torchattacks the peers are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import surrogates as sg
from experiments.real import cifar

OUT = Path("experiments/results/craft_speed.json")
KINDS = {"i-fgsm": "BIM", "mi-fgsm": "MIFGSM", "ni-fgsm": "NIFGSM"}


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    images: int = 512
    steps: int = 10
    repeats: int = 3
    sizes: tuple[int, ...] = (8, 16, 32, 64, 128, 256)


def bare(net: torch.nn.Module, x: Tensor, y: Tensor, size: int, passes: int = 1) -> float:
    """Seconds of the net's forward and backward passes over all images in batches of ``size``."""
    begin = time.perf_counter()
    for _ in range(passes):
        for start in range(0, len(x), size):
            given = x[start : start + size].clone().requires_grad_()
            loss = torch.nn.functional.cross_entropy(net(given), y[start : start + size], reduction="sum")
            torch.autograd.grad(loss, given)
    return time.perf_counter() - begin


def timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def peer(kind: str, net: torch.nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, size: int) -> None:
    import torchattacks

    attack = getattr(torchattacks, kind)(net, eps=eps, alpha=eps / steps, steps=steps)
    for start in range(0, len(x), size):
        attack(x[start : start + size], y[start : start + size])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    parser.add_argument("--repeats", type=int, default=Settings.repeats)
    settings = Settings(**vars(parser.parse_args()))
    case = cifar(Path(settings.data), settings.images)
    net, x, y, steps = case.net.requires_grad_(False), case.images, case.labels, settings.steps
    took = {size: min(bare(net, x[:256], y[:256], size) for _ in range(3)) for size in settings.sizes}
    best = min(took, key=lambda size: took[size])
    found: dict[str, list[float]] = {}
    for _ in range(settings.repeats):
        for name, kind in KINDS.items():
            calls: dict[str, Callable[[], Any]] = {
                f"ours, {name}": lambda name=name: sg.craft(net, x, y, name, threat=case.threat, steps=steps)
            }
            if importlib.util.find_spec("torchattacks"):
                for size in (best, len(x)):
                    calls[f"torchattacks {kind}, batch {size}"] = lambda kind=kind, size=size: peer(
                        kind, net, x, y, case.threat.eps, steps, size
                    )
            floor = bare(net, x, y, best, steps)
            for label, call in calls.items():
                found.setdefault(label, []).append(floor / timed(call))
    rows = [{"what": label, "share": statistics.median(shares), "all": shares} for label, shares in found.items()]
    for row in rows:
        print(f"{row['what']:34} {row['share']:.3f} of the bare rate  {[round(s, 3) for s in row['all']]}")
    machine = {"threads": torch.get_num_threads(), "torch": torch.__version__}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(
        json.dumps({"settings": asdict(settings), "machine": machine, "best": best, "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()

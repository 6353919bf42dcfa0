"""How near to the bare forward and backward pass does crafting run, and how fast are the peers at equal G?

    python -m experiments.craft_speed --data ../shared/data

CIFAR ResNet-20, Linf 8/255, ten steps (G = 10). *Bare*: gradients of the summed cross-entropy with respect to the images, through
the net as it is (no gradients of weights), of as many images as the attack takes, at the best of several batch sizes. Ours finds
its call size by itself and folds batch norms (`surrogates.nets.fold`), so it may be above 1; how far the folded net alone is, is a row
of its own. torchattacks is given all images at once, and in batches of the size that is best for the bare net. One thread and
processor time, which other work on the machine disturbs less than the clock; each call has a bare pass before it, and ratios are
taken within such a pair, ``repeats`` times. Writes experiments/results/craft_speed.json; without torchattacks the peers are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import surrogates as sg
from experiments.real import cifar
from experiments.stored import store
from surrogates.nets.fold import folded

OUT = Path("experiments/results/craft_speed.json")
KINDS = {"i-fgsm": "BIM", "mi-fgsm": "MIFGSM", "ni-fgsm": "NIFGSM"}


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    images: int = 256
    steps: int = 10
    repeats: int = 9
    threads: int = 1
    sizes: tuple[int, ...] = (8, 16, 32, 64, 128, 256)


def bare(net: torch.nn.Module, x: Tensor, y: Tensor, size: int, passes: int = 1) -> float:
    """Seconds of processor time of the net's forward and backward passes over all images in batches of ``size``."""
    begin = time.process_time()
    for _ in range(passes):
        for start in range(0, len(x), size):
            given = x[start : start + size].clone().requires_grad_()
            loss = torch.nn.functional.cross_entropy(net(given), y[start : start + size], reduction="sum")
            torch.autograd.grad(loss, given)
    return time.process_time() - begin


def timed(call: Callable[[], Any]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


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
    begin = time.perf_counter()
    torch.set_num_threads(settings.threads)
    case = cifar(Path(settings.data), settings.images)
    net, x, y, steps = case.net.requires_grad_(False), case.images, case.labels, settings.steps
    took = {size: min(bare(net, x, y, size) for _ in range(5)) for size in settings.sizes}
    best = min(took, key=lambda size: took[size])
    small = folded(net, tuple(x.shape[1:]))
    calls: dict[str, Callable[[], Any]] = {"bare, batch norms folded": lambda: bare(small, x, y, best, steps)}
    for name, kind in KINDS.items():
        calls[f"ours, {name}"] = lambda name=name: sg.craft(net, x, y, name, threat=case.threat, steps=steps)
        for size in (best, len(x)) if importlib.util.find_spec("torchattacks") else ():
            calls[f"torchattacks {kind}, batch {size}"] = lambda kind=kind, size=size: peer(
                kind, net, x, y, case.threat.eps, steps, size
            )
    found: dict[str, list[float]] = {label: [] for label in calls}
    for _ in range(settings.repeats):
        for label, call in calls.items():
            found[label].append(bare(net, x, y, best, steps) / timed(call))
    rows = [{"what": label, "share": statistics.median(shares), "all": shares} for label, shares in found.items()]
    for row in rows:
        print(f"{row['what']:34} {row['share']:.3f} of the bare rate  {[round(s, 3) for s in row['all']]}")
    store(OUT, settings, {"best": best, "rows": rows}, time.perf_counter() - begin)


if __name__ == "__main__":
    main()

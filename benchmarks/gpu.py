"""Ten minutes on a GPU: how much of an accelerator's speed is left to an attack and to crafting?

    python -m benchmarks.gpu [--minutes 10] [--device cuda]
    python -m benchmarks.gpu --quick            # on the CPU, small nets: shows that it runs

A ResNet-50 and a ViT-B/16 with random weights, images of 224 x 224, batches from 1 upwards. For each batch size: images a second of
the bare forward pass; rows a second of Square (behind an oracle, eps so small that nothing succeeds, so every image spends its
budget) on that many images; images a second of the bare forward and backward pass; gradients a second of MI-FGSM; the ratios, and
the largest memory allocated meanwhile. The time is shared out evenly; what does not fit into memory is said and left out.
Writes experiments/results/gpu.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from benchmarks.clock import now
from experiments.runner import Book, run, says

NETS: dict[str, Callable[[], nn.Module]] = {
    "ResNet-50": lambda: torchvision.models.resnet50(weights=None),
    "ViT-B/16": lambda: torchvision.models.vit_b_16(weights=None),
}
SMALL: dict[str, Callable[[], nn.Module]] = {
    "ResNet-18": lambda: torchvision.models.resnet18(weights=None),
    "ViT, 2 layers": lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 32, 64),
}
EPS = bb.Linf(1e-6)


@dataclass(frozen=True)
class Settings:
    device: str = says("cuda", "the accelerator")
    minutes: float = says(10.0, "in all")
    batches: tuple[int, ...] = says((1, 8, 32, 128, 512), "images at once")
    steps: int = says(10, "of crafting")
    quick: bool = says(False, "small nets and batches, on the CPU where there is no accelerator")
    seed: int = 0


def rate(call: Callable[[], int], device: torch.device, most: float) -> float:
    """What ``call`` gets through a second, once warm, over ``most`` seconds or a single call."""
    call()
    begin, done = now(device), 0
    while now(device) - begin < most or not done:
        done += call()
    return done / (now(device) - begin)


def measures(net: nn.Module, x: Tensor, y: Tensor, s: Settings) -> dict[str, Callable[[], int]]:
    """Name -> what is timed; each says how many images, rows or gradients it got through."""

    def forward() -> int:
        with torch.inference_mode():
            net(x)
        return len(x)

    def backward() -> int:
        given = x.clone().requires_grad_()
        torch.autograd.grad(nn.functional.cross_entropy(net(given), y, reduction="sum"), given)
        return len(x)

    def attack() -> int:
        oracle = bb.Oracle(net, "scores", 1000)
        bb.attack(oracle, x, y, "square", EPS, 6 if s.quick else 50, seed=s.seed)
        return oracle.rows

    def craft() -> int:
        sg.craft(net, x, y, "mi-fgsm", threat=EPS, steps=s.steps, seed=s.seed)
        return len(x) * s.steps

    return {"forward": forward, "attack": attack, "backward": backward, "craft": craft}


def row(net: nn.Module, batch: int, side: int, device: torch.device, s: Settings, most: float) -> dict[str, Any]:
    x = torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(s.seed)).to(device)
    with torch.no_grad():
        y = net(x).argmax(1)
    found: dict[str, Any] = {}
    for name, call in measures(net, x, y, s).items():
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            found[f"{name} a second"] = rate(call, device, most)
        except torch.cuda.OutOfMemoryError:
            found["left out"] = f"{name}: out of memory"
            torch.cuda.empty_cache()
            continue
        if device.type == "cuda":
            found[f"{name} GB"] = torch.cuda.max_memory_allocated() / 1e9
    for ratio, above, below in (("attack over forward", "attack", "forward"), ("craft over backward", "craft", "backward")):
        if {f"{above} a second", f"{below} a second"} <= set(found):
            found[ratio] = found[f"{above} a second"] / found[f"{below} a second"]
    return found


def measure(s: Settings) -> None:
    there = torch.cuda.is_available() if s.device.startswith("cuda") else True
    if not there and not s.quick:
        raise ValueError(f"Expected an accelerator at --device {s.device}, but torch finds none. Try --quick, or --device cpu.")
    device = torch.device(s.device if there else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device}, no accelerator: these rates say nothing of one"
    print(name, flush=True)
    nets, side, batches = (SMALL, 32, (1, 4)) if s.quick else (NETS, 224, s.batches)
    begin, book = time.perf_counter(), Book("gpu" if not s.quick else "gpu_quick", s)
    book.found.clear()
    most = 0.05 if s.quick else 60 * s.minutes / (len(nets) * len(batches) * 4) / 2  # half of it is for warming up
    for label, make in nets.items():
        torch.manual_seed(s.seed)
        net = make().eval().to(device).requires_grad_(False)
        for batch in batches:
            if time.perf_counter() - begin > 60 * s.minutes:
                print(f"{label}, {batch} images: left out, the {s.minutes:g} minutes are over", flush=True)
                continue
            book.row(lambda net=net, batch=batch: row(net, batch, side, device, s, most), device=name, net=label, batch=batch)


if __name__ == "__main__":
    run(Settings, measure)

"""Is memory bounded by cohort and micro-batch, whatever the number of images and directions?

    python -m experiments.memory

10,000 images of 3x32x32, NES with 50 directions, shared and own, behind a cheap net: the peak of the process's
resident memory during the attack, over what it was before the images were made. Writes experiments/results/memory.json.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import blackbox as bb


@dataclass(frozen=True)
class Settings:
    images: int = 10_000
    directions: int = 50
    budget: int = 110  # two steps
    seed: int = 0


def peak() -> float:
    """The largest resident size so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(own: bool, settings: Settings) -> float:
    """GB on top of the interpreter with the packages loaded."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
    warm = torch.rand(4, 3, 32, 32)
    nes = bb.attacks.NES(samples=settings.directions, own=own)
    labels = net(warm).argmax(1)
    bb.attack(bb.Oracle(net), warm, labels, nes, bb.Linf(1e-4), settings.budget)
    before = peak()
    x = torch.rand(settings.images, 3, 32, 32, generator=torch.Generator().manual_seed(settings.seed))
    with torch.inference_mode():
        y = net(x).argmax(1)
    result = bb.attack(bb.Oracle(net), x, y, nes, bb.Linf(1e-4), settings.budget)
    assert int(result.queries.sum()) > settings.images * settings.directions
    return peak() - before


def main() -> None:
    settings = Settings()
    if sys.argv[1:]:
        print(measure(sys.argv[1] == "own", settings))
        return
    rows = {}
    for kind in ("shared", "own"):  # a process each: the peak never falls
        command = [sys.executable, "-m", "experiments.memory", kind]
        rows[kind] = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{kind:7} directions: {rows[kind]:.2f} GB on top of the interpreter", flush=True)
    out = Path("experiments/results/memory.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"settings": asdict(settings), "gigabytes": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

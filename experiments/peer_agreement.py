"""Do our presets compute what the peers' do, where those follow the paper? The same net, images and draws, entry by entry.

    pip install torchattacks torchattack
    python -m experiments.peer_agreement --data ../shared/data

torchattacks (Harry24k) has MI, NI, DI, TI, SI and VMI; torchattack (spencerwooo) has Admix. Random draws are ours, put in
the place of the peer's. Both count in float64, for in float32 an entry of the gradient that is zero to its rounding has
anybody's sign, and ten sign steps make another image of that. ``apart`` counts the entries that differ by more than 1e-9
after ten steps, ``largest`` is the largest difference of all.

How the peers were set up to do what the papers say: their own defaults differ (DI shrinks to 0.9 instead of enlarging to
1.1 and has no momentum; TI applies DI as well; VMI takes 5 neighbours instead of 20; Admix mixes in the current examples
of any class of the batch, where the paper mixes in images of another class). Writes experiments/results/peer_agreement.json.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

import surrogates as sg
from blackbox.rng import Stream
from experiments.real import Case, cifar
from surrogates.crafting import parts
from surrogates.crafting.ball import random_point
from surrogates.crafting.goal import Pool
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts.resize import sizes
from surrogates.crafting.parts.views import fork

OUT = Path("experiments/results/peer_agreement.json")


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    images: int = 50
    steps: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Pairing:
    """Ours, and how to run the peer with our draws: (case, settings) -> examples [N, *shape]."""

    name: str
    ours: str | sg.presets.Preset | parts.Parts
    peer: Callable[[Case, Settings], Tensor]


def peer(kind: str, case: Case, settings: Settings, **options: Any) -> Any:
    """torchattacks' attack at the papers' step."""
    import torchattacks

    eps = case.threat.eps
    attack = getattr(torchattacks, kind)(case.net, eps=eps, alpha=eps / settings.steps, steps=settings.steps, **options)
    if kind == "TIFGSM":  # its kernel is float32 whatever the net
        attack.stacked_kernel = torch.from_numpy(attack.gkern(15, 3)).expand(3, 1, 15, 15)
    return attack


def plain(kind: str, **options: Any) -> Callable[[Case, Settings], Tensor]:
    """No draws to be put in."""
    return lambda case, settings: peer(kind, case, settings, **options)(case.images.double(), case.labels)


def diverse(case: Case, settings: Settings) -> Tensor:
    """DI draws one size and place for a batch: one image at a time, with our draws for that image."""
    side, out = case.images.shape[-1], []
    for i in range(len(case.images)):
        rng, queue = Stream(settings.seed, np.array([i], np.uint64)), deque[int]()
        for k in range(settings.steps):
            _, size, top, left = fork(rng, "0 0").uniform(k, "resize", (4,))[0].tolist()
            full, inner, down = sizes(side, 1.1, size, top)
            queue.extend([inner, down, sizes(side, 1.1, size, left)[2]])
            assert full == int(side * 1.1)
        attack = peer("DIFGSM", case, settings, decay=1.0, resize_rate=1.1, diversity_prob=1.1)
        with mock.patch(
            "torch.randint", lambda *a, queue=queue, **b: torch.tensor([queue.popleft()], dtype=torch.int32)
        ):
            out.append(attack(case.images[i : i + 1].double(), case.labels[i : i + 1]))
        assert not queue
    return torch.cat(out)


@contextmanager
def neighbours(case: Case, settings: Settings, count: int, beta: float) -> Iterator[None]:
    """Our neighbours where the peer fills a tensor with uniform numbers."""
    rng = Stream(settings.seed, np.arange(len(case.images), dtype=np.uint64))
    shape = tuple(case.images.shape[1:])
    made = iter(
        random_point(case.threat, rng, shape, k, f"neighbour {j}") * beta
        for k in range(settings.steps)
        for j in range(count)
    )
    with mock.patch.object(torch.Tensor, "uniform_", lambda self, *a: self.copy_(next(made))):
        yield


def tuned(case: Case, settings: Settings) -> Tensor:
    with neighbours(case, settings, 20, 1.5):
        return peer("VMIFGSM", case, settings, N=20, beta=1.5)(case.images.double(), case.labels)


def mixed(case: Case, settings: Settings) -> Tensor:
    """Admix with our partners where the peer shuffles the batch."""
    import torchattack

    n = len(case.images)
    rng, pool = Stream(settings.seed, np.arange(n, dtype=np.uint64)), case.images.double()
    step = iter(range(settings.steps))

    class Ours(torchattack.Admix):
        def admix(self, x: Tensor) -> Tensor:
            k = next(step)
            return torch.cat([x + 0.2 * pool[partners(case, rng, k, c)] for c in range(3)])

    attack = Ours(case.net, eps=case.threat.eps, steps=settings.steps, num_classes=10)
    return attack(case.images.double(), case.labels)


def partners(case: Case, rng: Stream, k: int, copy: int) -> Tensor:
    """Straight from the definition: the u-th of all images of another class."""
    u, out = fork(rng, f"0 {copy}").uniform(k, "partner", 1)[:, 0], []
    for i in range(len(case.images)):
        others = (case.labels != case.labels[i]).nonzero()[:, 0]
        out.append(others[int(u[i] * len(others))])
    return torch.stack(out)


PAIRINGS = (
    Pairing("MI, torchattacks", "mi-fgsm", plain("MIFGSM")),
    Pairing("NI, torchattacks", "ni-fgsm", plain("NIFGSM")),
    Pairing("DI, torchattacks", parts.Momentum() | parts.DI(1.0, back=False), diverse),
    Pairing("TI, torchattacks", parts.Momentum() | parts.TI(15), plain("TIFGSM", decay=1.0, diversity_prob=0.0)),
    Pairing("SI, torchattacks", sg.presets.get("si-fgsm") | parts.LookAhead(), plain("SINIFGSM")),
    Pairing("VMI, torchattacks", "vmi-fgsm", tuned),
    Pairing("Admix, torchattack", "admix", mixed),
)


def spread(case: Case, count: int) -> Case:
    """``count`` images evenly over the case's, which come class by class."""
    at = torch.linspace(0, len(case.images) - 1, count).long()
    return replace(case, images=case.images[at], labels=case.labels[at])


def run(case: Case, attack: str | sg.presets.Preset | parts.Parts, settings: Settings) -> Tensor:
    """Ours in float64: the loop that `craft` runs, on images of that kind."""
    images, ids = case.images.double(), np.arange(len(case.images), dtype=np.uint64)
    source, composed, out = Autograd(case.net, images), sg.presets.get(attack).parts, []
    pool, step = Pool(images, case.labels), case.threat.eps / settings.steps
    with source.open():
        for at in torch.arange(len(images)).split(source.chunk):
            rng = Stream(settings.seed, ids[at.numpy()])
            out.append(
                sg.ascend(
                    source, images[at], case.labels[at], case.threat, composed, settings.steps, step, rng, pool=pool
                )
            )
    return torch.cat(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    parser.add_argument("--images", type=int, default=Settings.images)
    parser.add_argument("--only", default="", help="part of a pairing's name")
    given = parser.parse_args()
    settings, rows = Settings(data=given.data, images=given.images), []
    case = spread(cifar(Path(given.data), 2400), given.images)
    case.net.double().eval()
    for pairing in PAIRINGS:
        if given.only.lower() not in pairing.name.lower():
            continue
        ours = run(case, pairing.ours, settings)
        theirs = pairing.peer(case, settings).detach()
        gap = (ours - theirs).abs()
        near = gap < 1e-9
        row = {
            "pairing": pairing.name,
            "ours": pairing.ours if isinstance(pairing.ours, str) else str(getattr(pairing.ours, "name", pairing.ours)),
            "images": len(gap),
            "apart": int((~near).sum()),
            "entries": gap.numel(),
            "images identical": int(near.flatten(1).all(1).sum()),
            "largest": float(gap.max()),
        }
        rows.append(row)
        print(row, flush=True)
    if not given.only:
        OUT.write_text(json.dumps({"settings": asdict(settings), "rows": rows}, indent=1) + "\n")
        print("wrote", OUT)


if __name__ == "__main__":
    main()

"""Do our presets compute what the peers' do, where those follow the paper? The same net, images and draws, entry by entry.

torchattacks (Harry24k) has MI, NI, DI, TI, SI and VMI; torchattack (spencerwooo) has Admix. Random draws are ours, put in
the place of the peer's. Both count in float64, for in float32 an entry of the gradient that is zero to its rounding has
anybody's sign, and ten sign steps make another image of that. The peers are set up to do what the papers say; their own defaults
differ (DI shrinks to 0.9 instead of enlarging to 1.1 and has no momentum; TI applies DI as well; VMI takes 5 neighbours instead of
20; Admix mixes in the current examples of any class of the batch, where the paper mixes in images of another class).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

import surrogates as sg
from blackbox.rng import Stream
from experiments import ground
from experiments.cases import Case
from experiments.runner import Found, Real, run, says, tell
from surrogates.crafting import Pool

RESULT = "peer_agreement"


@dataclass(frozen=True)
class Settings(Real):
    images: int = says(30, "of the choosing ground, that the net has right: whether two programs agree does not hang on the images")
    only: str = says("", "part of a pairing's name")
    steps: int = 10
    seed: int = 0


Draws = dict[str, list[Tensor]]


@contextmanager
def recorded() -> Iterator[Draws]:
    """What is drawn meanwhile: tag -> the draws in their order."""
    drawn: Draws = {}
    given = Stream.uniform

    def uniform(self: Stream, step: int, tag: str, shape: tuple[int, ...] | int) -> Tensor:
        drawn.setdefault(tag, []).append(given(self, step, tag, shape))
        return drawn[tag][-1]

    with mock.patch.object(Stream, "uniform", uniform):
        yield drawn


Peer = Callable[[Case, Settings, Draws], Tensor]  # -> examples [N, *shape]


def peer(kind: str, case: Case, s: Settings, **options: Any) -> Any:
    """torchattacks' attack at the papers' step."""
    import torchattacks

    eps = case.threat.eps
    attack = getattr(torchattacks, kind)(case.net, eps=eps, alpha=eps / s.steps, steps=s.steps, **options)
    if kind == "TIFGSM":  # its kernel is float32 whatever the net
        side = attack.len_kernel
        attack.stacked_kernel = torch.from_numpy(attack.gkern(side, 3)).expand(3, 1, side, side)
    return attack


def plain(kind: str, **options: Any) -> Peer:
    """No draws to be put in."""
    return lambda case, s, drawn: peer(kind, case, s, **options)(case.images, case.labels)


def diverse(case: Case, s: Settings, drawn: Draws) -> Tensor:
    """DI draws one size and place for a batch: one image at a time, with our draws for that image."""
    side, out = case.images.shape[-1], []
    full = int(side * 1.1)
    for i in range(len(case.images)):
        queue = deque[int]()
        for one in drawn["resize"]:
            _, size, top, left = one[i].tolist()
            inner = side + int(size * (full - side))
            queue.extend([inner, *(min(int(place * (full - inner + 1)), full - inner) for place in (top, left))])
        attack = peer("DIFGSM", case, s, decay=1.0, resize_rate=1.1, diversity_prob=1.1)
        with mock.patch("torch.randint", lambda *a, queue=queue, **b: torch.tensor([queue.popleft()], dtype=torch.int32)):
            out.append(attack(case.images[i : i + 1], case.labels[i : i + 1]))
        assert not queue
    return torch.cat(out)


def tuned(case: Case, s: Settings, drawn: Draws) -> Tensor:
    """Our neighbours where the peer fills a tensor with uniform numbers."""
    names = [f"neighbour {j}" for j in range(20)]
    made = ((2 * drawn[name][k] - 1) * case.threat.eps * 1.5 for k in range(s.steps - 1) for name in names)
    made = chain(made, repeat(torch.zeros(())))  # of the last step nobody sees the variance: ours draws nothing there
    with mock.patch.object(torch.Tensor, "uniform_", lambda self, *a: self.copy_(next(made))):
        return peer("VMIFGSM", case, s, N=20, beta=1.5)(case.images, case.labels)  # type: ignore[no-any-return]


def mixed(case: Case, s: Settings, drawn: Draws) -> Tensor:
    """Admix with our partners where the peer shuffles the batch: the u-th of all images of another class."""
    import torchattack

    others = [(case.labels != label).nonzero()[:, 0] for label in case.labels]
    # a draw a step, partner and scale, the same for all five scales
    draws = iter(torch.cat(drawn["partner"]).view(s.steps, 3, 5, len(others))[:, :, 0].flatten(0, 1))

    class Ours(torchattack.Admix):  # type: ignore[misc]
        def admix(self, x: Tensor) -> Tensor:
            partners = [
                torch.stack([some[int(v * len(some))] for some, v in zip(others, next(draws), strict=True)]) for _ in range(3)
            ]
            return torch.cat([x + 0.2 * case.images[some] for some in partners])

    return Ours(case.net, eps=case.threat.eps, steps=s.steps, num_classes=10)(case.images, case.labels)  # type: ignore[no-any-return]


P = sg.parts
PAIRINGS: dict[str, tuple[str | sg.presets.Preset | P.Parts, Peer]] = {
    "MI, torchattacks": ("mi-fgsm", plain("MIFGSM")),
    "NI, torchattacks": ("ni-fgsm", plain("NIFGSM")),
    "DI, torchattacks": (P.Momentum() | P.DI(1.0, back=False), diverse),
    "TI of 15 pixels, torchattacks": (P.Momentum() | P.TI(15), plain("TIFGSM", decay=1.0, diversity_prob=0.0)),
    "TI of 3 pixels, torchattacks": (P.Momentum() | P.TI(3), plain("TIFGSM", decay=1.0, diversity_prob=0.0, len_kernel=3)),
    "SI with look-ahead, torchattacks": (sg.presets.get("si-fgsm") | P.LookAhead(), plain("SINIFGSM")),
    "VMI, torchattacks": ("vmi-fgsm", tuned),
    "Admix, torchattack": ("admix", mixed),
}


def ours(case: Case, attack: str | sg.presets.Preset | P.Parts, s: Settings) -> tuple[Tensor, Draws]:
    """The loop that `craft` runs, on images in float64; and what it drew."""
    source = sg.gradients.Autograd(case.net, case.images, chunk=len(case.images))
    rng, step = Stream(s.seed, np.arange(len(case.images), dtype=np.uint64)), case.threat.eps / s.steps
    pool, parts = Pool(case.images, case.labels), sg.presets.get(attack).parts
    with source.open(), recorded() as drawn:
        made = sg.ascend(source, case.images, case.labels, case.threat, parts, s.steps, step, rng, pool=pool)
    return made, drawn


def measure(s: Settings) -> Found | None:
    case = ground.case("resnet20", s.root, count=s.images)
    case = replace(case, net=case.net.double().eval(), images=case.images.double())
    rows = []
    for name, (attack, theirs) in PAIRINGS.items():
        if s.only.lower() not in name.lower():
            continue
        made, drawn = ours(case, attack, s)
        gap = (made - theirs(case, s, drawn).detach()).abs()
        near = gap < 1e-9
        rows.append({
            "pairing": name, "ours": attack if isinstance(attack, str) else str(getattr(attack, "name", attack)),
            "images": len(gap), "apart": int((~near).sum()), "entries": gap.numel(),
            "images identical": int(near.flatten(1).all(1).sum()), "largest": float(gap.max()),
        })  # fmt: skip
        tell(rows[-1])
    return None if s.only else ({"rows": rows}, None)


if __name__ == "__main__":
    run(Settings, measure)

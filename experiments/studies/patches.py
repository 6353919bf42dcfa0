"""How many images does a patch fool that may hold anything, and what is it worth to search its content and its place?

choose     `patch-rs` with other settings, on the target for choosing.
measure    A patch of 5 x 5 pixels (2.4 % of the image), on targets that are reported on and on a net for traffic signs:
           `patch-rs` with a free place and with a place drawn for each image, `square` in that place, and as a floor random patches:
           another random content and place with every query. Every image's queries are kept, the clean check charged.
pictures   Some of the first examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
from experiments import ground
from experiments.cases import spread_over
from experiments.rows import code, commit
from experiments.runner import DOCS, Book, Real, each, run, says

SIDE, EARLY = 5, 1000  # pixels; queries of the first rate
SIGNS = "signs"
COUNT = 100
GRID: tuple[dict[str, Any], ...] = ({}, {"alpha_init": 0.2}, {"alpha_init": 0.8}, {"every": 3}, {"every": 10})


@dataclass(frozen=True)
class RandomPatches(bb.Attack):
    """Corner colours in each pixel of a patch at a random place, anew with every query."""

    access: ClassVar[bb.Access] = bb.Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("L0",)
    searches_place: ClassVar[bool] = True

    def init(self, t: bb.Task) -> Tensor:
        return torch.zeros(t.n, device=t.x0.device)

    def step(self, t: bb.Task, s: Tensor, k: int) -> bb.Steps[Tensor]:
        c, height, width = t.shape
        corner = t.rng.uniform(k, "place", 2)
        top = (corner[:, 0] * (height - SIDE + 1)).long()[:, None]
        left = (corner[:, 1] * (width - SIDE + 1)).long()[:, None]
        down, across = torch.arange(height)[None], torch.arange(width)[None]
        inside = ((down >= top) & (down < top + SIDE))[:, None, :, None] & ((across >= left) & (across < left + SIDE))[:, None, None, :]
        colour = (t.rng.signs(k, "colour", (c, height, width)) > 0).float()
        yield bb.Ask(torch.where(inside, colour, t.x0))
        return s


@dataclass(frozen=True)
class Settings(Real):
    study: str = says("measure", "measure, choose or pictures", ("measure", "choose", "pictures"))
    targets: tuple[str, ...] = says(("poolcnn", "resnet2b_adv", SIGNS), f"of experiments/ground.toml, or {SIGNS}")
    budget: int = says(10_000, "queries an image")
    floor: int = says(1000, "queries of the floor and of searches in a given place")
    seed: int = says(ground.seeds("reporting")[0], "of all draws")


FREE, GIVEN = bb.Patch(SIDE), bb.Patch(SIDE, location="random")
WAYS: dict[str, tuple[Any, bb.Threat]] = {
    "patch-rs": ("patch-rs", FREE),
    "patch-rs, place given": ("patch-rs", GIVEN),
    "square, place given": ("square", GIVEN),
    "random patches": (RandomPatches(), FREE),
}


@lru_cache(maxsize=2)
def inputs(target: str, s: Settings) -> tuple[nn.Module, Tensor, Tensor, list[int], str]:
    """The net, images that it has right, their labels and places in their file, and the file."""
    if target != SIGNS:
        case = ground.case(target, s.root, use="choosing" if s.study == "choose" else "reporting")
        keep = spread_over(len(case.images), COUNT)
        ids = torch.arange(len(case.images)) if case.ids is None else case.ids
        return case.net, case.images[keep], case.labels[keep], ids[keep].tolist(), case.among
    net = ground.loader("small_cnn", s.root).load(str(s.root / "weights" / "gtsrb_mmr.safetensors")).eval()
    with np.load(s.root / "gtsrb.npz") as file:
        images = torch.from_numpy(file["images32"]).permute(0, 3, 1, 2).float() / 255
        labels = torch.from_numpy(file["labels"])
    with torch.no_grad():
        right = (net(images).argmax(1) == labels).nonzero()[:, 0]
    keep = right[spread_over(len(right), COUNT)]
    return net, images[keep], labels[keep], keep.tolist(), "gtsrb.npz"


def oracle(net: nn.Module, target: str) -> bb.Oracle:
    return bb.Oracle(net, access="scores", classes=43 if target == SIGNS else 10, returns="logits")


def attacked(attack: Any, threat: bb.Threat, target: str, budget: int, seed: int, s: Settings) -> dict[str, Any]:
    """A row: each image's queries, and whether it was fooled within the first of them and within all."""
    net, x, y, ids, among = inputs(target, s)
    out = bb.attack(oracle(net, target), x, y, attack, threat, budget, seed=seed, ids=ids)
    early = (out.first_success_query > 0) & (out.first_success_query <= EARLY)
    return {
        "images": among, "ids": ids, "commit": commit(), "code": code("patch-rs"), "queries": out.queries.tolist(),
        f"fooled_{EARLY}": each(early), "fooled": each(out.success),
    }  # fmt: skip


def measure(s: Settings) -> None:
    if s.study == "pictures":
        print("wrote", pictures(s))
        return
    book = Book("patches" if s.study == "measure" else "patches_choosing", s)
    book.put(command=f"python -m experiments.studies.patches --study {s.study}", patch=str(FREE))
    if s.study == "choose":
        for options in GRID:
            name = "patch-rs" + "".join(f", {k} {v:g}" for k, v in options.items())
            built = bb.attacks.get("patch-rs")(**options)
            book.row(partial(attacked, built, FREE, "cnna_adv", s.floor, ground.seeds("choosing")[0], s), name=name, target="cnna_adv")
        return
    for target in s.targets:
        for way, (attack, threat) in WAYS.items():
            budget = s.budget if way == "patch-rs" else s.floor
            make = partial(attacked, attack, threat, target, budget, s.seed, s)
            book.row(make, name=f"{target}: {way}", target=target, way=way, budget=budget, seed=s.seed)


def pictures(s: Settings) -> Any:
    """Draw some of the first examples of each target."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(len(s.targets), 6, figsize=(9, 1.7 * len(s.targets)), layout="constrained", squeeze=False)
    for line, target in zip(axes, s.targets, strict=True):
        net, x, y, ids, _ = inputs(target, s)
        x, y = x[:40], y[:40]
        out = bb.attack(oracle(net, target), x, y, "patch-rs", FREE, EARLY, seed=s.seed, ids=ids[:40])
        found = out.success.nonzero()[:, 0][: len(line)].tolist()
        for ax in line:
            ax.axis("off")
        for ax, i in zip(line, found, strict=False):
            ax.imshow(out.x_adv[i].permute(1, 2, 0).numpy(), interpolation="nearest")
            ax.set_title(f"{int(out.y[i])} → {int(out.adv_label[i])}, {int(out.first_success_query[i])} queries", fontsize=8)
        line[0].text(-0.1, 0.5, target, transform=line[0].transAxes, rotation=90, va="center", ha="right", fontsize=8)
    path = DOCS / "patches.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    return path


if __name__ == "__main__":
    run(Settings, measure)

"""Do the objects that a detector finds vanish, or get other names, under a small change?

NanoDet, trained on COCO, on photographs in which it finds something at a score of 0.35, where its authors draw boxes. *Vanish*: at none
of those places a box is found, of whatever label (overlap of a half). *Mislabel*: at every place one of another label, and none of its own.

    python -m experiments.studies.goal_detector
    python -m experiments.studies.goal_detector --tasks detector_vanish --attacks square

Run it on nets that are yours or that you may test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights as Weights
from torchvision.ops import batched_nms

import blackbox as bb
from experiments import ground, tasks
from experiments.cases import spread_over
from experiments.runner import run, says
from experiments.tasks import Line, Ready, fast

VANISH, MISLABEL = "detector_vanish", "detector_mislabel"
SIDE, BINS = 416, 11  # of the image; of the distribution over the distance of each side
STRIDES = (8, 16, 32)
SCORE, IOU, LEAST, SUPPRESS = 0.35, 0.5, 0.05, 0.6  # LEAST: boxes with less are not answered. SUPPRESS: overlap of two of one label
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # of blue, green and red, from 0 to 255
COCO = [name for name in Weights.COCO_V1.meta["categories"] if name not in ("__background__", "N/A")]  # 80


@dataclass(frozen=True)
class Settings(tasks.Settings):
    tasks: tuple[str, ...] = says((VANISH, MISLABEL), "what to measure", (VANISH, MISLABEL))
    photographs: int = says(30, "with something in them, spread over all; 0: all")


class Raw(nn.Module):
    """An image [1, 3, 416, 416] in [0, 1] -> scores and distances of all cells side by side, [1, cells, 80 + 44]."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.graph = ground.loader("tfjs_graph", root).load(str(root / "tfjs" / "nanodet.json"))

    def forward(self, x: Tensor) -> Tensor:
        x = (255 * x.flip(1) - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
        found = sorted(self.graph(x).values(), key=lambda o: -o.shape[1])  # larger maps first, scores and distances of each
        pairs = [sorted(found[i : i + 2], key=lambda o: -o.shape[2]) for i in (0, 2, 4)]
        return torch.cat([torch.cat(pair, 2) for pair in pairs], 1)


def boxes(raw: np.ndarray) -> dict[str, Any]:
    """What the detector answers: boxes with their scores and labels, the best of those that overlap."""
    values = torch.from_numpy(raw)
    scores, labels = values[:, :80].max(1)
    kept = scores >= LEAST
    centres = torch.cat([
        torch.cartesian_prod(*2 * [stride * (torch.arange(SIDE // stride) + 0.5)]).flip(1).repeat(1, 2) for stride in STRIDES
    ])  # fmt: skip
    steps = torch.cat([torch.full(((SIDE // stride) ** 2, 1), float(stride)) for stride in STRIDES])
    sides = values[kept, 80:].view(-1, 4, BINS).softmax(2) @ torch.arange(float(BINS)) * steps[kept]
    corners = (centres[kept] + sides * torch.tensor([-1.0, -1.0, 1.0, 1.0])).clamp(0, SIDE)
    best = batched_nms(corners, scores[kept], labels[kept], SUPPRESS)[:100]
    names = [COCO[i] for i in labels[kept][best].tolist()]
    return {"boxes": corners[best].numpy(), "scores": scores[kept][best].numpy(), "labels": names}


def detector(root: Path) -> Callable[[Tensor], list[dict[str, Any]]]:
    net = fast(Raw(root), torch.rand(1, 3, SIDE, SIDE))
    return lambda x: [boxes(net(row[None])[0]) for row in x]


def found(answer: dict[str, Any]) -> int:
    return int((answer["scores"] >= SCORE).sum())


def task(root: Path, name: str, photographs: int) -> tuple[Ready, Iterator[Line]]:
    """photographs: so many of those with something in them, spread over all; 0: all."""
    data, ids = ground.images("photographs", root, SIDE)
    net = detector(root)
    clean = net(data.images)
    some = torch.tensor([i for i, answer in enumerate(clean) if found(answer)])
    kept = some[spread_over(len(some), photographs)]
    references = [clean[i] for i in kept.tolist()]
    more = {"photographs": [len(some), len(data)], "objects": [found(answer) for answer in references]}
    mode = "vanish" if name == VANISH else "mislabel"

    def oracle() -> bb.Oracle:
        return bb.Oracle(net, access="answers")

    def goal(places: Tensor) -> bb.goals.Goal:
        return bb.goals.Detection([references[i] for i in places.tolist()], mode=mode, score=SCORE, iou=IOU)

    attacks = ("ripples", "square", tasks.NOISE) if name == VANISH else ("ripples",)
    return Ready(name, data.images[kept], ids[kept], more), (Line(attack, "boxes", oracle, goal) for attack in attacks)


def measure(s: Settings) -> None:
    for name in s.tasks:
        tasks.measure(s, *task(s.root, name, s.photographs))


if __name__ == "__main__":
    run(Settings, measure)

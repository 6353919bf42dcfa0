"""What are surrogates worth for a goal other than a class? The true class out of the first three of a ResNet-8, with and without them.

The surrogates are two nets of one's own (`experiments.nets`), a CNN and a VGG, trained on other images than those attacked; under the goal
each shows whether it is reached, as the target does (`blackbox.prior.Aimed`). *Start alone* is the first example crafted on them, and
squares from there on.

    python -m experiments.studies.goal_surrogates

Run it on nets that are yours or that you may test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from experiments import ground, nets, tasks
from experiments.cases import spread_over
from experiments.runner import run, says
from experiments.tasks import Line, Ready, outside

TASK, FIRST = "top_three", 3


@dataclass(frozen=True)
class Settings(tasks.Settings):
    images: int = says(60, "images, spread over all; 0: all")
    budget: int = says(200, "queries an image")


def lines(s: Settings) -> tuple[Ready, Iterator[Line]]:
    data, ids = ground.images("raw", s.root)
    hidden = ground.net("resnet8", s.root)
    with torch.inference_mode():
        first = torch.cat([hidden(part) for part in data.images.split(32)]).topk(FIRST, dim=1).indices
    kept = outside(~(first == data.labels[:, None]).any(1).numpy())
    kept = kept[spread_over(len(kept), s.images)]
    labels = data.labels[kept]
    own = [nets.trained(s.root, replace(plan, data="raw")) for plan in (nets.CNN, nets.VGG)]

    def goal(places: Tensor) -> bb.goals.Goal:
        return bb.goals.NoneOf(labels[places][:, None], k=FIRST)

    def oracle() -> bb.Oracle:
        return bb.Oracle(hidden, access="scores", classes=10)

    def made() -> Iterator[Line]:
        for attack in ("ripples", "square", tasks.NOISE):
            yield Line(attack, "scores", oracle, goal)
        for attack in ("hybrid", "transfer-start"):
            yield Line(attack, "scores, two surrogates", oracle, goal, prior=sg.prior(own))

    return Ready(TASK, data.images[kept], ids[kept], {}), made()


def measure(s: Settings) -> None:
    tasks.measure(s, *lines(s))


if __name__ == "__main__":
    run(Settings, measure)

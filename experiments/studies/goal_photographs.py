"""Is a photograph's class driven out of the first five, and is a harmless photograph banned?

*Top five*: a MobileNet that lists its five best of a thousand ImageNet classes, as a shop or a search does; the true one is to be none
of them.
*Moderation*: nsfwjs, a net of five classes, behind an HTTP service that takes a PNG and answers with words and scores of two decimals.
Of its words two are safe; the goal is that a harmless photograph gets another (`bb.goals.NoneOf` with names). Beside it the same net as
a function that shows all its digits, and the service with its words alone. No image of the other kind is used, nor is one needed: what
can be pushed out of *safe* is no boundary to rely on, whichever side one comes from.

    python -m experiments.studies.goal_photographs --tasks top_five
    python -m experiments.studies.goal_photographs --tasks moderation

What must lie in ``--packages`` is told in experiments/packaged.py. Run it on nets that are yours or that you may test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
from blackbox.testing import Moderation
from experiments import ground, packaged, tasks
from experiments.cases import spread_over
from experiments.runner import run, says
from experiments.tasks import Line, Ready, fast, outside

TOP_FIVE, MODERATION = "top_five", "moderation"
LISTED, DECIMALS = 5, 2
TOKEN = "secret"  # of a service on this machine


@dataclass(frozen=True)
class Settings(tasks.Settings):
    tasks: tuple[str, ...] = says((TOP_FIVE, MODERATION), "what to measure", (TOP_FIVE, MODERATION))
    photographs: int = says(40, "that are moderated, spread over all; 0: all")


def top_five(s: Settings) -> tuple[Ready, Iterator[Line]]:
    data, ids = ground.images("photographs", s.root, 192)
    hidden = ground.net("mobilenet", s.root)
    net = fast(nn.Sequential(getattr(hidden, "inner", hidden), nn.Softmax(1)), data.images)
    first = np.argsort(-net(data.images), axis=1)[:, :LISTED]
    kept = outside(~(first == data.labels.numpy()[:, None]).any(1))
    labels = data.labels[kept]

    def goal(places: Tensor) -> bb.goals.Goal:
        return bb.goals.NoneOf(labels[places][:, None], k=LISTED)

    def oracle() -> bb.Oracle:
        return bb.Oracle(lambda x: torch.from_numpy(net(x)), access="topk", classes=1000, k=LISTED)

    lines = (Line(attack, "the first five", oracle, goal) for attack in ("ripples", "square", tasks.NOISE))
    return Ready(TOP_FIVE, data.images[kept], ids[kept], {}), lines


def moderated(s: Settings) -> Callable[[Tensor], np.ndarray]:
    """The moderation net: images -> a probability for each of its words."""
    return fast(nn.Sequential(packaged.moderation(s.unpacked), nn.Softmax(1)), torch.zeros(2, 3, 224, 224))


def service(s: Settings) -> Moderation:
    """The net as others run it: on its own port, one image a request, words and rounded scores."""
    net = moderated(s)
    return Moderation(lambda x: net(torch.from_numpy(x)).round(DECIMALS), packaged.MODERATION, token=TOKEN, top=len(packaged.MODERATION))


def client(url: str) -> bb.targets.Rest:
    return bb.targets.Rest(
        url, headers={"Authorization": f"Bearer {TOKEN}"}, body={"image": "$image"}, words="predictions[*].label",
        scores="predictions[*].score", classes=list(packaged.MODERATION), decimals=DECIMALS,
    )  # fmt: skip


def moderation(s: Settings, url: str) -> tuple[Ready, Iterator[Line]]:
    data, ids = ground.images("photographs", s.root, 224)
    images = (255 * data.images).round() / 255  # a PNG holds no other
    net = moderated(s)
    safe = [packaged.MODERATION.index(word) for word in packaged.SAFE]
    kept = outside(~np.isin(net(images).round(DECIMALS).argmax(1), safe))
    some = kept[spread_over(len(kept), s.photographs)]
    words = list(packaged.MODERATION)

    def goal(places: Tensor) -> bb.goals.Goal:
        return bb.goals.NoneOf(list(packaged.SAFE))

    def asked(access: str) -> bb.Oracle:
        return bb.Oracle(client(url), access=access, classes=words)

    def whole() -> bb.Oracle:
        return bb.Oracle(bb.targets.EightBit(lambda x: torch.from_numpy(net(x))), access="scores", classes=words)

    def lines() -> Iterator[Line]:
        for attack in ("ripples", "square", tasks.NOISE):
            yield Line(attack, "words and two decimals", lambda: asked("scores"), goal)
        yield Line("ripples", "words and all digits", whole, goal)
        yield Line("square", "words and all digits", whole, goal)
        yield Line("ripples", "a word", lambda: asked("labels"), goal)

    return Ready(MODERATION, images[some], ids[some], {"photographs": [len(kept), len(data)]}), lines()


def measure(s: Settings) -> None:
    if TOP_FIVE in s.tasks:
        tasks.measure(s, *top_five(s))
    if MODERATION in s.tasks:
        running = service(s).start()
        try:
            tasks.measure(s, *moderation(s, running.url))
        finally:
            running.stop()


if __name__ == "__main__":
    run(Settings, measure)

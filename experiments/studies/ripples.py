"""Why do waves a few pixels long fool a net in one query, and which nets do they not fool?

Of the targets of `experiments.ground`, image by image:

    waves     what one query does that shows a wave over the whole image: is it fooled, what share of its margin goes, what would the
              net's tangent have foretold; by direction and by half the wave's length, beside controls with entries of the same size
    moves     what a query of each of the attack's makers gains behind the first queries, where all are drawn equally often
    spectrum  the power of the margin's gradient and of the images, by radial frequency; 1 is white noise
    jpeg      of one target: waves and searches where images pass through JPEG, and where they were JPEG before (``--jpeg``)

Every target has a file, results/ripples/TARGET.json; ``--draw`` makes the figures of what is there.

    python -m experiments.studies.ripples --targets resnet32 --jpeg 75
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import blackbox as bb
from blackbox.candidates import without_prior
from experiments import ground
from experiments.cases import Case, spread_over
from experiments.rows import Job, commit, measured, ours
from experiments.runner import Book, Real, each, run, says
from experiments.studies.queries import described

HALVES = (1, 2, 3, 4, 6, 8, 16)
DIRECTIONS = ("rows", "columns", "both", "diagonal")
OPPOSITE = tuple((direction, half) for direction in ("columns", "both") for half in (1, 2, 4))
CONTROLS = ("stripes", "noise", "flat")
COUNT = {"imagenet": 24}
DEAR = {"densenet": 40, "effnet": 12}
BINS = 16  # of radial frequency, as wide as a cycle in 32 pixels
EVEN = 1e6  # makers credited with so many successes and failures are drawn equally often, whatever comes


@dataclass(frozen=True)
class Settings(Real):
    targets: tuple[str, ...] = says((), "of experiments/ground.toml [all that are reported on]")
    jpeg: int = says(0, "quality: measure JPEG on these targets, instead of the rest")
    images: int = says(60, "of a target, at most; of large ones fewer")
    moves: int = says(40, "queries an image for the moves, the first ones included")
    budget: int = says(1000, "queries an image, where JPEG is searched")
    draw: bool = says(False, "measure nothing, draw the figures")


# -- waves ---------------------------------------------------------------------------------------------------------


def wave(direction: str, half: int, height: int, width: int) -> Tensor:
    """[height, width] of +1 and -1: each half of the wave so many pixels long."""
    down, across = torch.arange(height)[:, None], torch.arange(width)[None]
    at = {"rows": down // half + 0 * across, "columns": across // half + 0 * down, "diagonal": (down + across) // half}
    return 1.0 - 2.0 * ((at[direction] if direction in at else down // half + across // half) % 2)


def controls(case: Case, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Signs [N, C, h, w] drawn for each image by its id: columns of one colour as Square begins with, noise, one colour."""
    n, c, h, w = case.images.shape
    assert case.ids is not None
    for i, name in enumerate(CONTROLS):
        rngs = [np.random.default_rng([seed, i, int(k)]) for k in case.ids]
        shape = {"stripes": (c, 1, w), "noise": (c, h, w), "flat": (c, 1, 1)}[name]
        drawn = np.stack([rng.choice([-1.0, 1.0], shape) for rng in rngs])
        yield name, torch.from_numpy(drawn).float().expand(n, c, h, w)


def margins(net: Any, x: Tensor, y: Tensor) -> Tensor:
    """[n]: the logit of the label over the largest other one."""
    out = net(x)
    own = out.gather(1, y[:, None])[:, 0]
    return own - out.scatter(1, y[:, None], -torch.inf).amax(1)  # type: ignore[no-any-return]


def margin(net: Any, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([margins(net, *some) for some in zip(x.split(50), y.split(50), strict=True)])


def gradient(net: Any, x: Tensor, y: Tensor) -> Tensor:
    """[n, C, h, w] of the margin."""
    out = []
    for part, label in zip(x.split(20), y.split(20), strict=True):
        part = part.clone().requires_grad_()
        out.append(torch.autograd.grad(margins(net, part, label).sum(), part)[0])
    return torch.cat(out)


def waves(case: Case, seed: int, slope: Tensor | None, net: Any = None) -> list[dict[str, Any]]:
    """One query of each wave and control. slope: the gradient, where there is one. net: what stands in front of the target's."""
    net = net or case.net
    h, w = case.images.shape[-2:]
    asked = [(d, half, 1.0, wave(d, half, h, w).expand_as(case.images)) for d in DIRECTIONS for half in HALVES]
    asked += [(d, half, -1.0, -wave(d, half, h, w).expand_as(case.images)) for d, half in OPPOSITE]
    asked += [(name, 0, 1.0, signs) for name, signs in controls(case, seed)]
    clean, out = margin(net, case.images, case.labels), []
    for direction, half, sign, signs in asked:
        x = (case.images + case.threat.eps * signs).clamp(0, 1)
        now = margin(net, x, case.labels)
        row = {"wave": direction, "half": half, "sign": sign, "seed": seed, "fooled": each(now < 0), "taken": share(clean - now, clean)}
        if slope is not None:
            row["foretold"] = share(-(slope * (x - case.images)).flatten(1).sum(1), clean)
        out.append(row)
    return out


def share(lost: Tensor, clean: Tensor) -> list[float]:
    return [round(v, 4) for v in (lost / clean.clamp_min(1e-6)).clamp(0, 1).tolist()]


# -- moves ---------------------------------------------------------------------------------------------------------


def watched(log: list[tuple[int, int, float, bool]]) -> Any:
    """`ripples` with makers that are drawn equally often on any image; told to the log: id, maker, share of the margin, kept?"""
    base: Any = bb.attacks.get("ripples")

    class Watched(base):  # type: ignore[misc]
        def init(self, t: bb.Task) -> Any:
            s = yield from super().init(t)
            even = torch.full_like(s.counts.a, EVEN)
            return replace(s, counts=s.counts._replace(a=even, b=even))

        def step(self, t: bb.Task, s: Any, k: int) -> Any:
            steps = super().step(t, s, k)
            ask = next(steps)
            tell = yield ask
            gain = ((tell.loss - s.loss) / t.loss0.abs().clamp_min(1e-6)).clamp(0, 1)
            for i in (tell.paid & s.loss.isfinite()).nonzero()[:, 0].tolist():
                log.append((int(t.ids[i]), int(ask.part[i]) - 2, float(gain[i]), bool(tell.loss[i] > s.loss[i])))
            try:
                steps.send(tell)
            except StopIteration as end:
                return end.value
            raise RuntimeError("Expected one query a step.")

    return Watched()


def moves(s: Settings, case: Case, seed: int) -> list[dict[str, Any]]:
    """Of each maker, image by image: how often it was tried and kept, and the sum of what it gained."""
    log: list[tuple[int, int, float, bool]] = []
    assert case.ids is not None
    bb.attack(
        bb.Oracle(case.net, "scores", case.classes), case.images, case.labels, watched(log), case.threat, s.moves, seed=seed, ids=case.ids
    )
    place = {int(k): i for i, k in enumerate(case.ids)}
    names = [maker.name for maker in without_prior()]
    tried, kept, gained = np.zeros((3, len(names), len(place)))
    for who, maker, gain, better in log:
        at = maker, place[who]
        tried[at], kept[at], gained[at] = tried[at] + 1, kept[at] + better, gained[at] + gain
    return [
        {"maker": name, "seed": seed, "tried": tried[i].astype(int).tolist(), "kept": kept[i].astype(int).tolist(),
         "gained": gained[i].round(4).tolist()} for i, name in enumerate(names)
    ]  # fmt: skip


# -- spectrum ------------------------------------------------------------------------------------------------------


def spectrum(x: Tensor) -> list[list[float]]:
    """[n, BINS]: power by radial frequency, of all channels together; each image's mean over frequencies is 1. None of a bin that has
    no frequency, or of an image without any power."""
    power = torch.fft.fft2(x.sum(1)).abs().square()
    down, across = (torch.fft.fftfreq(side) for side in x.shape[-2:])
    ring = ((down[:, None] ** 2 + across[None] ** 2).sqrt() * 32 - 0.5).floor().long()
    ring[0, 0] = -1  # what is alike everywhere is no wave
    power = power / power[:, ring >= 0].mean(1)[:, None, None].clamp_min(1e-20)
    return [[round(float(v), 5) for v in row] for row in torch.stack([power[:, ring == i].mean(1) for i in range(BINS)], 1)]


# -- JPEG ----------------------------------------------------------------------------------------------------------


def jpeg(s: Settings, target: str) -> None:
    """Three files: images that were never JPEG, the same behind a channel, and photographs that were JPEG before."""
    count, seed = min(s.images, 60), ground.seeds("reporting")[0]
    whole = ground.case(target, s.root, use="reporting")
    channel = bb.targets.JPEG(whole.net, s.jpeg)
    seen = behind(channel, whole.net)
    right = margin(seen, whole.images, whole.labels) > 0
    some = right.nonzero()[:, 0]
    some = some[spread_over(len(some), count)]
    case = replace(whole, images=whole.images[some], labels=whole.labels[some], ids=whole.ids[some] if whole.ids is not None else None)
    before = ground.case(target, s.root, among="jpeg-pairs", use="reporting")
    if len(before.images) > count:
        before = ground.case(target, s.root, among="jpeg-pairs", count=count, use="reporting")
    cases = {"never": case, f"channel-{s.jpeg}": replace(case, net=channel), "before": before}
    for name, one in cases.items():
        book = Book(f"ripples/{target}-jpeg-{name}", s, same=("budget",))
        if "rows" not in book.found:  # those of the other two do not depend on the quality
            book.put(command=command(s, target), **described(target, one))
        if name.startswith("channel"):
            book.put(right=each(right), waves=waves(one, seed, None, seen))
        for attack in ("square", "ripples"):
            job = Job(one, "scores", None, s.budget, seed, s.root)
            book.row(partial(measured, ours(attack), job), attack=attack, seed=seed, budget=s.budget)


def behind(channel: Any, net: Any) -> Any:
    """The net as it answers behind a channel that changes images."""
    return lambda x: net(channel.before(x, np.arange(len(x))))


# -- the whole -----------------------------------------------------------------------------------------------------


def command(s: Settings, target: str) -> str:
    return f"python -m experiments.studies.ripples --targets {target}" + (f" --jpeg {s.jpeg}" if s.jpeg else "")


def measure(s: Settings) -> None:
    if s.draw:
        from experiments.studies import ripples_figures

        return ripples_figures.draw(s)
    for target in s.targets or ground.targets("reporting"):
        if s.jpeg:
            jpeg(s, target)
            continue
        use = ground.entry("targets", target)["use"]
        seed = ground.seeds(use)[0]
        case = ground.case(target, s.root, use=use)
        count = min(len(case.images), s.images, COUNT.get(case.data, s.images), DEAR.get(target, s.images))
        some = spread_over(len(case.images), count)
        case = replace(case, images=case.images[some], labels=case.labels[some], ids=case.ids[some] if case.ids is not None else None)
        book = Book(f"ripples/{target}", s, same=("moves", "images"))
        book.put(command=command(s, target), commit=commit(), **described(target, case))
        slope = gradient(case.net, case.images, case.labels)
        book.put(spectrum={"gradient": spectrum(slope), "images": spectrum(case.images)})
        if "waves" not in book.found:
            book.put(waves=waves(case, seed, slope))
        if "makers" not in book.found:
            book.put(makers=moves(s, case, seed))
        print("wrote", book.name, flush=True)


if __name__ == "__main__":
    run(Settings, measure)

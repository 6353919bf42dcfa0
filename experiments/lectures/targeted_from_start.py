"""Reach a class from any start image while staying near a reference: with gradients, a surrogate's gradients, and labels alone.

Five starts: the reference itself, grey, noise, an image of another class, an image of the target class. From each (`reach`):
minimise cross-entropy to the target + lambda |x - reference|^2, with the model's own gradients, for every
lambda of --weights. With lambda 0 the start keeps its looks and the model sees the target in anything; with a large one all
starts end at about the same image beside the reference. The same walk on a surrogate's gradients, then shown to the model: one
query an image. With labels alone (HopSkipJump, Chen et al. 2020, arXiv:1904.02144) one must begin where the model sees the
target already; the image then walks to the reference, every query counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.report import figures
from blackbox.rng import Stream
from experiments.figures import shrink
from experiments.lectures.given import Seen, Subject, class_index, see, surrogate
from experiments.runner import Found, run, says


@dataclass(frozen=True)
class Settings(Subject):
    index: int = says(0, "which of the data's images that the model has right is the reference, from 0")
    target: str = says("8", "the class to reach, by name or number")
    start: str | None = says(None, "an image file of the target class [the first of the data that the model has right]")
    other: str | None = says(None, "an image file of another class, likewise")
    weights: tuple[float, ...] = says((0.0, 0.1, 1.0), "lambda")
    steps: int = says(200, "gradients a walk")
    rate: float = says(0.02, "of Adam")
    surrogate: str | None = says(None, "spec of a net in whose gradients to walk as well [digits:mlp for digits]")
    attack: str = says("hop-skip-jump", "query attack that knows labels alone and takes a start")
    budgets: tuple[int, ...] = says((100, 300, 1000, 3000), "queries at which its image is shown")


NAMES = ("the reference", "grey", "noise", "another class", "the target class")


def reach(
    net: nn.Module, start: Tensor, reference: Tensor, goal: int, weight: float, steps: int, rate: float
) -> tuple[Tensor, Tensor]:
    """Minimise CE(f(x), goal) + weight * |x - reference|_2^2 over [0, 1], by Adam from ``start`` [N, C, H, W].

    Its rate falls to 0 along a cosine, so that the walk comes to rest. Returns of the points passed that the net gives the
    class the nearest to the reference (without a weight: the one with the largest probability), where there is none the
    last point; and [N] their L2 distances. Weight 0 asks for the class alone, so the start stays what it looks like (Nguyen et
    al. 2015, arXiv:1412.1897, from noise).
    """
    if steps < 1 or not rate > 0 or not 0 <= weight < math.inf:
        raise ValueError(f"Expected steps and rate above 0 and weights of at least 0, but they were {steps}, {rate:g}, {weight:g}.")
    x, classes = start.clone(), torch.full((len(start),), goal)
    adam = torch.optim.Adam([x], lr=rate)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    best, value = x.clone(), torch.full((len(x),), math.inf)
    for step in range(steps + 1):
        x.requires_grad_()
        scores = net.eval()(x)
        loss = nn.functional.cross_entropy(scores, classes, reduction="sum") + weight * (x - reference).square().sum()
        (x.grad,) = torch.autograd.grad(loss, x)
        with torch.no_grad():
            now = (x - reference).flatten(1).norm(dim=1) if weight else -scores.softmax(1)[:, goal]
            there = scores.argmax(1) == goal
            take = (there & (now < value)) | ((step == steps) & ~there & value.isinf())
            best = torch.where(take.view(-1, 1, 1, 1), x, best)
            value = torch.where(there & take, now, value)
        x.requires_grad_(False)
        if step < steps:
            adam.step()
            fall.step()
            x.clamp_(0, 1)
    return best.detach(), (best.detach() - reference).flatten(1).norm(dim=1)


def starts(s: Settings, seen: Seen, one: Seen, goal: int) -> dict[str, Tensor]:
    """Name -> [1, C, H, W]."""
    x, y = one.images, int(one.labels)
    noise = Stream(s.seed, np.zeros(1, np.uint64)).uniform(0, "start", tuple(x.shape[1:])).float()
    found = {"the reference": x, "grey": torch.full_like(x, 0.5), "noise": noise}
    for name, file, fits in (
        ("another class", s.other, (seen.labels != y) & (seen.labels != goal)),
        ("the target class", s.start, seen.labels == goal),
    ):
        if file is not None:
            image = sg.data.photograph(file)
            if image.shape[1] != x.shape[1]:
                raise ValueError(f"Expected {file} to have {x.shape[1]} channels like the reference, but it has {image.shape[1]}.")
            found[name] = nn.functional.interpolate(image, x.shape[2:], mode="bilinear", antialias=True).clamp(0, 1)
        elif bool((fits & seen.right).any()) and not seen.file:
            found[name] = seen.images[(fits & seen.right).nonzero()[0]]
    return found


def walks(s: Settings, net: nn.Module, seen: Seen, begin: Tensor, one: Seen, goal: int) -> dict[str, Any]:
    """All starts at once, for every weight, and what the model says of the ends."""
    out: dict[str, Any] = {}
    for weight in s.weights:
        x, distance = reach(net, begin, one.images.expand_as(begin), goal, weight, s.steps, s.rate)
        p = seen.probabilities(x)
        out[f"{weight:g}"] = {
            "images": x, "success": (p.argmax(1) == goal).tolist(), "probability": p[:, goal].tolist(),
            "distance": distance.tolist(), "distance from the start": (x - begin).flatten(1).norm(dim=1).tolist(),
            "gradients": s.steps,
        }  # fmt: skip
    return out


def by_labels(s: Settings, seen: Seen, start: Tensor, one: Seen, goal: int) -> list[dict[str, Any]]:
    """The label attack's nearest image at each budget, each from a run of its own with the same draws."""
    rows = []
    for budget in s.budgets:
        found = bb.attack(
            seen.oracle("labels"), one.images, one.labels, s.attack, bb.L2(math.inf), budget, target=goal, start=start, seed=s.seed
        )
        good = bool(found.success[0])
        rows.append({
            "budget": budget, "queries": int(found.queries[0]), "success": good, "status": found.status[0].value,
            "distance": float(found.distance[0]) if good else None, "image": found.x_adv[0] if good else start[0],
        })  # fmt: skip
    return rows


def measure(s: Settings) -> Found:
    """Walks by gradient, by a surrogate's gradient, by labels."""
    seen = see(s)
    goal = class_index(s.target, seen.classes)
    one = (seen if seen.file else seen.where(seen.labels != goal)).one(s.index)
    if goal == int(one.labels):
        raise ValueError(f"Expected a --target other than the reference's class, but both are {seen.class_name(goal)}.")
    begin = starts(s, seen, one, goal)
    stack = torch.cat(list(begin.values()))
    other = surrogate(s, s.surrogate, seen)
    nets = {"own gradients": seen.model.net, f"gradients of {other.name}" if other else "": other and other.net}
    ways = {way: walks(s, net, seen, stack, one, goal) for way, net in nets.items() if net is not None}
    if not ways and "the target class" not in begin:
        raise ValueError("Expected gradients, a --surrogate or a --start image of the target class, but there were none.")
    walk = by_labels(s, seen, begin["the target class"], one, goal) if "the target class" in begin else []
    for way, by in ways.items():
        for weight, row in by.items():
            ends = zip(begin, row["probability"], row["distance"], strict=True)
            print(f"{way}, lambda {weight}: " + "  ".join(f"{n}: {100 * p:.0f} %, L2 {d:.2f}" for n, p, d in ends))
    told = "  ".join(f"{r['queries']:,} queries L2 {r['distance'] or math.nan:.2f}" for r in walk)
    print(f"labels alone: {told or 'no start'}")

    def without(row: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in row.items() if k not in ("image", "images")}

    found = {
        "model": seen.model.name, "reference": seen.class_name(int(one.labels)), "target": seen.class_name(goal),
        "attack": s.attack, "starts": list(begin), "labels alone": [without(row) for row in walk],
        "ways": {way: {w: without(row) for w, row in by.items()} for way, by in ways.items()},
    }  # fmt: skip
    ends = {way: {w: row["images"] for w, row in by.items()} for way, by in ways.items()}
    return found, {"begin": stack, "reference": one.images[0], "ways": ends, "labels": [row["image"] for row in walk]}


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """Starts across; under them where each walk ended, and the walk by labels."""
    begin, reference = shown["begin"], shown["reference"]
    nothing = ["" for _ in begin]
    rows: list[tuple[str, Any, list[str]]] = [("start", list(begin), nothing)]
    for way, by in found["ways"].items():
        own = way == "own gradients"
        weights = list(by) if own else [list(by)[len(by) // 2]]
        for weight in weights:
            ends = zip(by[weight]["probability"], by[weight]["distance"], strict=True)
            rows.append((f"{way},\nλ = {weight}", list(shown["ways"][way][weight]),
                         [f"{100 * p:.0f} %, L2 {d:.3g}" for p, d in ends]))  # fmt: skip
        if own:
            change = [v - reference for v in shown["ways"][way][weights[-1]]]
            rows.append(("difference from\nthe reference", change, nothing))
    if shown["labels"]:
        told = ["start", *(f"{r['queries']:,} q, L2 {r['distance'] or math.nan:.3g}" for r in found["labels alone"])]
        walk = [begin[-1], *shown["labels"]]
        rows.append(("labels alone,\n" + found["attack"], walk[: len(begin)], told[: len(begin)]))
    under = f"{found['model']}: from each start to '{found['target']}'; below: confidence in it, L2 distance from the first image"
    images = [(name, some) for name, some, _ in rows]
    return shrink(figures.gallery(images, found["starts"], [note for *_, note in rows], "A class from any start", under, path))


if __name__ == "__main__":
    run(Settings, measure, draw)

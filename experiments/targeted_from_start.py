"""Reach a class from any start image while staying near a reference: with gradients, a surrogate's gradients, and labels alone.

    python -m experiments.targeted_from_start               # digits
    python -m experiments.targeted_from_start --image dog.jpg --start fruit.jpg --target pineapple \\
        --model torchvision:squeezenet1_0:w.safetensors --class-names classes.txt --mean 0 --std 1

Five starts: the reference itself, grey, noise, an image of another class, an image of the target class. From each
(`experiments.studies.reach`): minimise cross-entropy to the target + lambda |x - reference|^2, with the model's own gradients, for every
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
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox import specs
from blackbox.cli import options
from blackbox.rng import Stream
from experiments import given, picture
from experiments.given import Seen, says


@dataclass(frozen=True)
class Settings(given.Subject):
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


def starts(settings: Settings, seen: Seen, one: Seen, goal: int) -> dict[str, Tensor]:
    """Name -> [1, C, H, W]."""
    x, y = one.images, int(one.labels)
    noise = Stream(settings.seed, np.zeros(1, np.uint64)).uniform(0, "start", tuple(x.shape[1:])).float()
    found = {"the reference": x, "grey": torch.full_like(x, 0.5), "noise": noise}
    for name, file, fits in (
        ("another class", settings.other, (seen.labels != y) & (seen.labels != goal)),
        ("the target class", settings.start, seen.labels == goal),
    ):
        if file is not None:
            found[name] = _fitted(file, x)
        elif bool((fits & seen.right).any()) and not seen.file:
            found[name] = seen.images[(fits & seen.right).nonzero()[0]]
    return found


def _fitted(file: str, like: Tensor) -> Tensor:
    from surrogates.data.loaders import photograph

    image = photograph(file)
    if image.shape[1] != like.shape[1]:
        raise ValueError(
            f"Expected {file} to have {like.shape[1]} channels like the reference, but it has {image.shape[1]}."
        )
    return torch.nn.functional.interpolate(image, like.shape[2:], mode="bilinear", antialias=True).clamp(0, 1)


def walks(settings: Settings, net: torch.nn.Module, seen: Seen, begin: Tensor, one: Seen, goal: int) -> dict[str, Any]:
    """All starts at once, for every weight, and what the model says of the ends."""
    x, y = one.images.expand_as(begin), one.labels.expand(len(begin))
    out: dict[str, Any] = {}
    for weight in settings.weights:
        made = sg.reach(net, begin, x, y, goal, weight=weight, steps=settings.steps, rate=settings.rate)
        p = seen.probabilities(made.x)
        out[f"{weight:g}"] = {
            "images": made.x,
            "success": (p.argmax(1) == goal).tolist(),
            "probability": p[:, goal].tolist(),
            "distance": made.distance.tolist(),
            "distance from the start": (made.x - begin).flatten(1).norm(dim=1).tolist(),
            "gradients": made.gradients,
        }
    return out


def by_labels(settings: Settings, seen: Seen, start: Tensor, one: Seen, goal: int) -> list[dict[str, Any]]:
    """The label attack's nearest image at each budget, each from a run of its own with the same draws."""
    rows = []
    for budget in settings.budgets:
        found = bb.attack(
            seen.oracle("labels"), one.images, one.labels, settings.attack, bb.L2(math.inf), budget, target=goal, start=start,
            seed=settings.seed,
        )  # fmt: skip
        good = bool(found.success[0])
        rows.append({
            "budget": budget, "queries": int(found.queries[0]), "success": good, "status": found.status[0].value,
            "distance": float(found.distance[0]) if good else None, "image": found.x_adv[0] if good else start[0],
        })  # fmt: skip
    return rows


def measure(settings: Settings) -> given.Found:
    """Walks by gradient, by a surrogate's gradient, by labels."""
    seen = given.see(settings)
    goal = given.class_index(settings.target, seen.classes)
    rightly = seen if seen.file else seen.where(seen.labels != goal)
    one = rightly.one(settings.index)
    if goal == int(one.labels):
        raise ValueError(f"Expected a --target other than the reference's class, but both are {seen.class_name(goal)}.")
    begin = starts(settings, seen, one, goal)
    stack = torch.cat(list(begin.values()))
    spec = settings.surrogate or ("digits:mlp" if settings.data == "digits" and not seen.file else None)
    ways: dict[str, Any] = {}
    if seen.model.net is not None:
        ways["own gradients"] = walks(settings, seen.model.net, seen, stack, one, goal)
    if spec:
        nets = options.Nets(mean=settings.mean, std=settings.std)
        other = specs.one_model(spec, sg.Dataset(one.images, one.labels, seen.classes), len(seen.classes), nets)
        if other.net is None:
            raise ValueError(f"Expected --surrogate to be a net, but {spec} has no gradients.")
        ways[f"gradients of {other.name}"] = walks(settings, other.net, seen, stack, one, goal)
    if not ways and "the target class" not in begin:
        raise ValueError(
            "Expected gradients, a --surrogate or a --start image of the target class, but there were none."
        )
    walk = by_labels(settings, seen, begin["the target class"], one, goal) if "the target class" in begin else []
    for way, by in ways.items():
        for weight, row in by.items():
            told = "  ".join(
                f"{n}: {100 * p:.0f} %, L2 {d:.2f}"
                for n, p, d in zip(begin, row["probability"], row["distance"], strict=True)
            )
            print(f"{way}, lambda {weight}: {told}")
    print(
        "labels alone: "
        + ("  ".join(f"{r['queries']:,} queries L2 {r['distance'] or math.nan:.2f}" for r in walk) or "no start")
    )
    found = {
        "model": seen.model.name,
        "reference": seen.class_name(int(one.labels)),
        "target": seen.class_name(goal),
        "attack": settings.attack,
        "starts": list(begin),
        "ways": {
            way: {w: {k: v for k, v in row.items() if k != "images"} for w, row in by.items()}
            for way, by in ways.items()
        },
        "labels alone": [{k: v for k, v in row.items() if k != "image"} for row in walk],
    }
    shown = {
        "begin": stack,
        "reference": one.images[0],
        "ways": {w: {k: r["images"] for k, r in by.items()} for w, by in ways.items()},
    }
    return found, shown | {"labels": [row["image"] for row in walk]}


def draw(found: dict[str, Any], shown: Any, path: Path) -> Path:
    """Starts across; under them where each walk ended, and the walk by labels."""
    from blackbox.report import figures

    begin, reference = shown["begin"], shown["reference"]
    rows: list[tuple[str, Any]] = [("start", list(begin))]
    notes: list[list[str]] = [["" for _ in begin]]
    for way, by in found["ways"].items():
        weights = list(by) if way == "own gradients" else [list(by)[len(by) // 2]]
        for weight in weights:
            row = by[weight]
            rows.append((f"{way},\nλ = {weight}", list(shown["ways"][way][weight])))
            notes.append(
                [f"{100 * p:.0f} %, L2 {d:.3g}" for p, d in zip(row["probability"], row["distance"], strict=True)]
            )
        if way == "own gradients":
            rows.append(("difference from\nthe reference", [v - reference for v in shown["ways"][way][weights[-1]]]))
            notes.append(["" for _ in begin])
    if shown["labels"]:
        across = len(begin)
        walk = [begin[-1], *shown["labels"]][:across]
        told = ["start", *(f"{r['queries']:,} q, L2 {r['distance'] or math.nan:.3g}" for r in found["labels alone"])][
            :across
        ]
        rows.append(("labels alone,\n" + found["attack"], walk))
        notes.append(told)
    name = found["target"]
    under = f"{found['model']}: from each start to '{name}'; below: confidence in it, L2 distance from the first image"
    return picture.shrink(figures.gallery(rows, found["starts"], notes, "A class from any start", under, path))


if __name__ == "__main__":
    given.run("targeted_from_start", Settings, str(__doc__), measure, draw)

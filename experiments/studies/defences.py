"""What defences that answer back leave: Square and HopSkipJump as they are, and as attackers who know the defence.

Detectors that reject (Blacklight, PIHA, QPA), with one account for all images together: Square on scores, HopSkipJump on labels,
alone and inside `oars`; with --attacks others beside them, such as ripples, whose first queries are far apart anyway. Noise in
the features (random features), in the input, and scores that bend the loss (AAA): Square, alone
and inside `averaged` or `both-ways`. Beside each its cost to those who attack nobody: the share of benign queries that are
flagged (`blackbox.evaluation.benign`), or the clean accuracy. The defender sets noise on the images for choosing: the largest
of some sizes that costs at most two points of clean accuracy there; and so AAA's temperature.

Kept for each image: queries, its clean check charged, whether it was fooled, and how many of the queries were flagged or rejected.
Every target has a file, results/defences/TARGET.json.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import blackbox as bb
from blackbox.evaluation import benign
from blackbox.targets import AAA, PIHA, QPA, Blacklight, InputNoise, RandomFeatures
from experiments import ground
from experiments.cases import Case
from experiments.rows import commit
from experiments.runner import Book, Real, run, says
from experiments.studies.queries import described

DETECTORS = {"none": None, "blacklight": Blacklight, "piha": PIHA, "qpa": QPA}
SCALES = {"random features": (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0), "input noise": (0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12)}
POINTS = 0.02  # of clean accuracy that noise may cost on the images for choosing
KNOWING = {
    "blacklight": "oars", "aaa": "both-ways", "random features": "averaged", "input noise": "averaged", "piha": "oars", "qpa": "oars",
}  # fmt: skip
LEFT = {"cifar": "raw-filtered", "mnist": "digits-second"}  # images for choosing


@dataclass(frozen=True)
class Settings(Real):
    targets: tuple[str, ...] = says(("poolcnn", "resnet2b_adv"), "of experiments/ground.toml")
    defences: tuple[str, ...] = says(("none", *KNOWING), "which")
    attacks: tuple[str, ...] = says(("square", "hop-skip-jump"), "registered names; all but square meet detectors alone")
    budget: int = says(1000, "queries an image")
    images: int = says(100, "so many of a target's")
    seed: int = says(0, "of attacks and defences")


def put(text: str, made: nn.Module, scale: float, seed: int) -> Any:
    """Noise of this size in the features, or in the input."""
    return RandomFeatures(made, scale, seed=seed) if text == "random features" else InputNoise(made, scale, seed)


def right(target: Any, x: Tensor, y: Tensor, classes: int) -> float:
    return float((bb.Oracle(target, "labels", classes)(x).label == y).float().mean())


def largest(text: str, net: nn.Module, x: Tensor, y: Tensor, classes: int, seed: int) -> float:
    """The largest size of the noise that costs at most `POINTS` of clean accuracy, over three draws."""
    clean, fits = right(net, x, y, classes), SCALES[text][0]
    for scale in SCALES[text]:
        if sum(right(put(text, net, scale, seed + i), x, y, classes) for i in range(3)) / 3 < clean - POINTS:
            break
        fits = scale
    return fits


class Defended:
    """A target's defences, made afresh for each row."""

    def __init__(self, s: Settings, target: str, case: Case) -> None:
        self.s, self.case = s, case
        data, _ = ground.images(LEFT[case.data], s.root)
        self.x, self.y = data.images[:400], data.labels[:400]
        self.chosen: dict[str, float] = {}

    def made(self, name: str) -> Any:
        net, seed, classes = self.case.net, self.s.seed, self.case.classes
        if name in DETECTORS:
            kind: Any = DETECTORS[name]
            return net if kind is None else kind(net, action="reject")
        if name not in self.chosen:
            shown = bb.Oracle(net, "scores", classes)(self.x).probabilities().clamp_min(1e-30).log()
            fitted = AAA.temperature_of(shown, self.y) if name == "aaa" else largest(name, net, self.x, self.y, classes, seed)
            self.chosen[name] = round(fitted, 4)
        value = self.chosen[name]
        return AAA(net, temperature=value) if name == "aaa" else put(name, net, value, seed)

    def attacked(self, name: str, attack: str, knowing: bool) -> dict[str, Any]:
        """The outcomes of one attack on one defence, image by image."""
        case, s, begin = self.case, self.s, time.process_time()
        target = self.made(name)
        oracle = bb.Oracle(target, "labels" if attack == "hop-skip-jump" else "scores", case.classes)
        search = bb.attacks.build(attack)
        if knowing:
            search = bb.attacks.build(KNOWING[name], attack=search)
        r = bb.attack(oracle, case.images, case.labels, search, case.threat, s.budget, seed=s.seed, ids=case.ids)
        return {
            "commit": commit(), "settings": repr(search), "defence": str(target) if name != "none" else "", "value": self.chosen.get(name),
            "seconds": round(time.process_time() - begin, 1), "queries": r.queries.tolist(), "found": r.success.int().tolist(),
            "known": r.known.int().tolist(), "right": r.attacked.int().tolist(), "flagged": r.flagged.tolist(),
        }  # fmt: skip

    def cost(self, name: str) -> dict[str, Any]:
        """What it costs those who attack nobody: flags of benign queries, clean images that it gets wrong (all images that are
        reported on, not only those that the net has right)."""
        every, _ = ground.images("raw" if self.case.data == "cifar" else "digits", self.s.root)
        out: dict[str, Any] = {"commit": commit()}
        if name in ("blacklight", "piha", "qpa"):
            for stream, images in benign(every.images, self.s.seed).items():
                guard = self.made(name)
                guard.predict(images)
                out[stream] = "".join(str(int(flag)) for flag in guard.flags)
        else:
            named = bb.Oracle(self.made(name), "labels", self.case.classes)(every.images).label
            out["clean"] = "".join(str(int(hit)) for hit in named == every.labels)
            out["value"] = self.chosen.get(name)
        return out


def measure(s: Settings) -> None:
    torch.set_num_threads(1)
    for target in s.targets:
        case = ground.case(target, s.root, count=s.images, use="reporting")
        book = Book(f"defences/{target}", s, same=("budget", "images", "seed"))
        book.put(command=f"python -m experiments.studies.defences --targets {target}", **described(target, case))
        defended = Defended(s, target, case)
        for name in s.defences:
            book.row(partial(defended.cost, name), among="benign", defence_name=name)
        for attack in s.attacks:
            for name in s.defences if attack == "square" else [n for n in s.defences if n in DETECTORS]:
                for knowing in (False, True) if KNOWING.get(name) in bb.attacks.names() else (False,):
                    key = {"defence_name": name, "attack": attack, "knowing": knowing, "budget": s.budget, "seed": s.seed}
                    book.row(partial(defended.attacked, name, attack, knowing), **key)


if __name__ == "__main__":
    run(Settings, measure)

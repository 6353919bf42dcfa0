"""Other toolkits' query attacks behind a counter of our own: torchattacks, foolbox, adversarial-robustness-toolbox.

A peer attacks one image at a time behind a `Meter`, which counts each row, looks at every answer (so that a peer need
not notice its own success) and stops the attack when the budget is out. Peers keep their defaults but for what the
comparison fixes: threat, budget, seed. The extra ``[peers]`` installs them.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

import blackbox as bb


class Spent(Exception):
    """The budget is out, or the image is fooled and the attack has nothing left to do."""


class Meter(torch.nn.Module):
    """Counts rows, looks at every answer, stops at the budget.

    first: the number of the row that first was adversarial inside the threat, 0 where none was. reached: (row,
    distance) whenever an adversarial row came nearer than those before.
    """

    def __init__(self, net: torch.nn.Module, x: Tensor, y: int, threat: bb.Threat, budget: int) -> None:
        super().__init__()
        self.net, self.x, self.y, self.threat, self.budget = net, x, y, threat, budget
        self.rows, self.first = 0, 0
        self.reached: list[tuple[int, float]] = []

    def forward(self, z: Tensor) -> Tensor:
        z = z.to(self.x.dtype)  # ART's HopSkipJump sends float64
        room = self.budget - self.rows
        if room <= 0:
            raise Spent
        with torch.no_grad():
            out = self.net(z)
        for i in (out.argmax(1) != self.y)[:room].nonzero()[:, 0].tolist():
            distance = float(self.threat.distance(z[i : i + 1], self.x))
            if not self.reached or distance < self.reached[-1][1]:
                self.reached.append((self.rows + i + 1, distance))
            if distance <= self.threat.eps + self.threat.tolerance and not self.first:
                self.first = self.rows + i + 1
        self.rows += min(len(z), room)
        if (self.first and self.threat.eps < math.inf) or len(z) > room:
            raise Spent
        return out

    def distance_at(self, queries: int) -> float:
        """The smallest distance among adversarial rows within so many queries; inf where there is none."""
        return min((d for at, d in self.reached if at <= queries), default=math.inf)


def art_classifier(net: torch.nn.Module, x: Tensor) -> Any:
    """A net as ART takes it."""
    from art.estimators.classification import PyTorchClassifier

    loss, shape = torch.nn.CrossEntropyLoss(), tuple(x.shape[1:])
    return PyTorchClassifier(net, loss, shape, 10, clip_values=(0.0, 1.0), device_type="cpu")


Peer = Callable[[Meter, Tensor, Tensor, bb.Threat, int, int], Any]  # meter, x [1, ...], y [1], threat, budget, seed


def peer(toolkit: str, kind: str, **options: Any) -> Peer:
    """An attack of a toolkit; ``"$eps"``, ``"$pixels"``, ``"$budget"`` and ``"$seed"`` stand for those of the run."""

    def run(meter: Meter, x: Tensor, y: Tensor, threat: bb.Threat, budget: int, seed: int) -> None:
        pixels = int(threat.eps) if threat.eps < math.inf else 1
        known = {"$eps": threat.eps, "$pixels": pixels, "$budget": budget, "$seed": seed}
        given = {key: known.get(value, value) if isinstance(value, str) else value for key, value in options.items()}
        torch.manual_seed(seed)
        np.random.seed(seed)
        if toolkit == "torchattacks":
            getattr(importlib.import_module("torchattacks"), kind)(meter, **given)(x, y)
        elif toolkit == "foolbox":
            fb = importlib.import_module("foolbox")
            model = fb.PyTorchModel(meter, bounds=(0, 1), device="cpu")
            getattr(fb.attacks, kind)(**given)(model, x, y, epsilons=None)
        else:
            if not hasattr(np, "mat"):
                np.mat = np.asmatrix  # gone from numpy 2; ART's GeoDA still asks for it
            attack = getattr(importlib.import_module("art.attacks.evasion"), kind)
            told = torch.nn.Sequential(meter, torch.nn.Softmax(1))  # those that read scores want probabilities
            attack(art_classifier(told, x), **given).generate(x.numpy(), np.eye(10, dtype=np.float32)[y.numpy()])

    return run


_SQUARE = {"eps": "$eps", "n_queries": "$budget", "seed": "$seed"}
_ART = {"verbose": False, "max_iter": "$budget"}
Peers = dict[str, tuple[str, Peer]]  # name -> (the attack of ours it is to be held against, runner)
LINF_SCORES: Peers = {
    "torchattacks Square": ("square", peer("torchattacks", "Square", norm="Linf", **_SQUARE)),
    "torchattacks Square, our p_init": ("square", peer("torchattacks", "Square", norm="Linf", p_init=0.4, **_SQUARE)),
    "ART Square": ("square", peer("art", "SquareAttack", eps="$eps", **_ART)),
    "ART SimBA px": ("simba", peer("art", "SimBA", attack="px", epsilon="$eps", **_ART)),
}
L2_SCORES: Peers = {
    "torchattacks Square": ("square", peer("torchattacks", "Square", norm="L2", **_SQUARE)),
    "ART SimBA px": ("simba", peer("art", "SimBA", attack="px", epsilon=0.2, **_ART)),
    "ART SimBA dct": ("simba", peer("art", "SimBA", attack="dct", epsilon=0.2, freq_dim=28, **_ART)),
    "ART ZOO": ("zoo", peer("art", "ZooAttack", max_iter=50, use_resize=False, use_importance=False, verbose=False)),
}
PIXELS: Peers = {
    "torchattacks OnePixel": ("sparse", peer("torchattacks", "OnePixel", pixels="$pixels", steps=100, popsize=10)),
}
LABELS: Peers = {
    "foolbox HopSkipJump": ("hop-skip-jump", peer("foolbox", "HopSkipJumpAttack", steps=64)),
    "foolbox Boundary": ("boundary", peer("foolbox", "BoundaryAttack", steps=25000)),
    "ART HopSkipJump": ("hop-skip-jump", peer("art", "HopSkipJump", max_iter=64, verbose=False)),
    "ART Boundary": ("boundary", peer("art", "BoundaryAttack", targeted=False, max_iter=5000, verbose=False)),
    "ART SignOPT": ("sign-opt", peer("art", "SignOPTAttack", targeted=False, query_limit="$budget", verbose=False)),
    "ART GeoDA": ("geoda", peer("art", "GeoDA", **_ART)),
}
LINF_LABELS: Peers = {
    "foolbox HopSkipJump Linf": ("hop-skip-jump", peer("foolbox", "HopSkipJumpAttack", steps=64, constraint="linf")),
    "ART HopSkipJump Linf": ("hop-skip-jump", peer("art", "HopSkipJump", norm=np.inf, max_iter=64, verbose=False)),
}

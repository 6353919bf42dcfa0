"""Other toolkits' attacks behind a counter of our own: torchattacks, foolbox, adversarial-robustness-toolbox.

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
    distance) whenever an adversarial row came nearer than those before. sizes: rows of each call.
    """

    def __init__(self, net: torch.nn.Module, x: Tensor, y: int, threat: bb.Threat, budget: int) -> None:
        super().__init__()
        self.net, self.x, self.y, self.threat, self.budget = net, x, y, threat, budget
        self.rows, self.first = 0, 0
        self.reached: list[tuple[int, float]] = []
        self.sizes: list[int] = []

    def forward(self, z: Tensor) -> Tensor:
        z = z.to(self.x.dtype)  # ART's HopSkipJump sends float64
        room = self.budget - self.rows
        if room <= 0:
            raise Spent
        with torch.no_grad():
            out = self.net(z)
        self.sizes.append(len(z))
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


Peer = Callable[[Meter, Tensor, Tensor, bb.Threat, int, int], Any]  # meter, x [1, ...], y [1], threat, budget, seed


def torchattacks(kind: str, **options: Any) -> Peer:
    def run(meter: Meter, x: Tensor, y: Tensor, threat: bb.Threat, budget: int, seed: int) -> None:
        torch.manual_seed(seed)
        getattr(importlib.import_module("torchattacks"), kind)(meter, **filled(options, threat, budget, seed))(x, y)

    return run


def art(kind: str, **options: Any) -> Peer:
    def run(meter: Meter, x: Tensor, y: Tensor, threat: bb.Threat, budget: int, seed: int) -> None:
        from art.estimators.classification import PyTorchClassifier

        if not hasattr(np, "mat"):
            np.mat = np.asmatrix  # gone from numpy 2; ART's GeoDA still asks for it
        loss, shape = torch.nn.CrossEntropyLoss(), tuple(x.shape[1:])
        wrapped = PyTorchClassifier(Softmax(meter), loss, shape, 10, clip_values=(0.0, 1.0), device_type="cpu")
        np.random.seed(seed)
        attack = getattr(importlib.import_module("art.attacks.evasion"), kind)(
            wrapped, **filled(options, threat, budget, seed)
        )
        attack.generate(x.numpy(), np.eye(10, dtype=np.float32)[y.numpy()])

    return run


def foolbox(kind: str, **options: Any) -> Peer:
    def run(meter: Meter, x: Tensor, y: Tensor, threat: bb.Threat, budget: int, seed: int) -> None:
        fb = importlib.import_module("foolbox")
        torch.manual_seed(seed)
        np.random.seed(seed)
        getattr(fb.attacks, kind)(**filled(options, threat, budget, seed))(
            fb.PyTorchModel(meter, bounds=(0, 1), device="cpu"), x, y, epsilons=None
        )

    return run


class Softmax(torch.nn.Module):
    """ART's attacks that read scores want probabilities."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self.meter = meter

    def forward(self, z: Tensor) -> Tensor:
        return self.meter(z).softmax(1)


def filled(options: dict[str, Any], threat: bb.Threat, budget: int, seed: int) -> dict[str, Any]:
    known = {
        "$eps": threat.eps,
        "$pixels": int(threat.eps) if threat.eps < math.inf else 1,
        "$budget": budget,
        "$seed": seed,
    }
    return {key: known.get(value, value) if isinstance(value, str) else value for key, value in options.items()}


_SQUARE = {"eps": "$eps", "n_queries": "$budget", "seed": "$seed"}
LINF_SCORES: dict[str, tuple[str, Peer]] = {  # name -> (the attack of ours it is to be held against, runner)
    "torchattacks Square": ("square", torchattacks("Square", norm="Linf", **_SQUARE)),
    "torchattacks Square, our p_init": ("square", torchattacks("Square", norm="Linf", p_init=0.4, **_SQUARE)),
    "ART Square": ("square", art("SquareAttack", eps="$eps", max_iter="$budget", verbose=False)),
    "ART SimBA px": ("simba", art("SimBA", attack="px", epsilon="$eps", max_iter="$budget", verbose=False)),
}
L2_SCORES: dict[str, tuple[str, Peer]] = {
    "torchattacks Square": ("square", torchattacks("Square", norm="L2", **_SQUARE)),
    "ART SimBA px": ("simba", art("SimBA", attack="px", epsilon=0.2, max_iter="$budget", verbose=False)),
    "ART SimBA dct": ("simba", art("SimBA", attack="dct", epsilon=0.2, freq_dim=28, max_iter="$budget", verbose=False)),
    "ART ZOO": ("zoo", art("ZooAttack", max_iter=50, use_resize=False, use_importance=False, verbose=False)),
}
PIXELS: dict[str, tuple[str, Peer]] = {
    "torchattacks OnePixel": ("sparse", torchattacks("OnePixel", pixels="$pixels", steps=100, popsize=10)),
}
LABELS: dict[str, tuple[str, Peer]] = {
    "foolbox HopSkipJump": ("hop-skip-jump", foolbox("HopSkipJumpAttack", steps=64)),
    "foolbox Boundary": ("boundary", foolbox("BoundaryAttack", steps=25000)),
    "ART HopSkipJump": ("hop-skip-jump", art("HopSkipJump", max_iter=64, verbose=False)),
    "ART Boundary": ("boundary", art("BoundaryAttack", targeted=False, max_iter=5000, verbose=False)),
    "ART SignOPT": ("sign-opt", art("SignOPTAttack", targeted=False, query_limit="$budget", verbose=False)),
    "ART GeoDA": ("geoda", art("GeoDA", max_iter="$budget", verbose=False)),
}
LINF_LABELS: dict[str, tuple[str, Peer]] = {
    "foolbox HopSkipJump Linf": ("hop-skip-jump", foolbox("HopSkipJumpAttack", steps=64, constraint="linf")),
    "ART HopSkipJump Linf": ("hop-skip-jump", art("HopSkipJump", norm=np.inf, max_iter=64, verbose=False)),
}

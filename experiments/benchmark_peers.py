"""Ours and the peers' attacks on the same images, the same target, the same counter, the same budget, in one run.

    pip install 'blackbox-transfer[peers]'
    python -m experiments.benchmark_peers --data ../shared/data [--only scores|labels]

Every attack, ours too, runs one image at a time behind a `Meter`: it counts each row, looks at every answer (so that a
peer need not notice its own success), and stops the attack when the budget is out. That favours nobody: a success
counts at the query that showed it, and the distance after q queries is the smallest among adversarial rows until then.
Peers keep their defaults but for the budget, and Square's p_init, for which both the peer's default and ours is run.
A peer that cannot run with the libraries installed is reported with its error.
Writes experiments/results/benchmark_peers.json.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import blackbox as bb
from blackbox import attacks
from experiments.real import Case, cifar, mnist


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    images: int = 100
    images_labels: int = 20
    budget: int = 1000
    budget_labels: int = 5000
    at: tuple[int, ...] = (1000, 5000)
    seeds: tuple[int, ...] = (0,)


class Spent(Exception):
    """The budget is out."""


class Meter(torch.nn.Module):
    """Counts rows, looks at every answer, stops at the budget."""

    def __init__(self, net: torch.nn.Module, x: Tensor, y: int, threat: bb.Threat, budget: int, stop: bool) -> None:
        super().__init__()
        self.net, self.x, self.y, self.threat, self.budget, self.stop = net, x, y, threat, budget, stop
        self.rows, self.first = 0, 0
        self.reached: list[tuple[int, float]] = []

    def forward(self, z: Tensor) -> Tensor:
        room = self.budget - self.rows
        if room <= 0:
            raise Spent
        with torch.no_grad():
            out = self.net(z)
        wrong = (out.argmax(1) != self.y)[:room]
        for i in wrong.nonzero()[:, 0].tolist():
            distance = float(self.threat.distance(z[i : i + 1], self.x))
            if not self.reached or distance < self.reached[-1][1]:
                self.reached.append((self.rows + i + 1, distance))
            if distance <= self.threat.eps + self.threat.tolerance and not self.first:
                self.first = self.rows + i + 1
        self.rows += min(len(z), room)
        if (self.first and self.stop) or len(z) > room:
            raise Spent
        return out

    def distance_at(self, queries: int) -> float:
        """The smallest distance among adversarial rows within so many queries; inf where there is none."""
        return min((d for at, d in self.reached if at <= queries), default=math.inf)


Runner = Callable[[Meter, Tensor, Tensor, bb.Threat, int, int], Any]


def ours(name: str, **options: Any) -> Runner:
    def run(meter: Meter, x: Tensor, y: Tensor, threat: bb.Threat, budget: int, seed: int) -> None:
        shows = "labels" if attacks.get(name).access is bb.Access.LABELS else "scores"
        bb.attack(bb.Oracle(meter, access=shows), x, y, attacks.build(name, **options), threat, budget, seed=seed)

    return run


def torchattacks_square(p_init: float) -> Runner:
    def run(meter: Meter, x: Tensor, y: Tensor, threat: bb.Threat, budget: int, seed: int) -> None:
        import torchattacks

        torchattacks.Square(meter, norm="Linf", eps=threat.eps, n_queries=budget, p_init=p_init, seed=seed)(x, y)

    return run


def art(kind: str, **options: Any) -> Runner:
    def run(meter: Meter, x: Tensor, y: Tensor, threat: bb.Threat, budget: int, seed: int) -> None:
        import importlib

        from art.estimators.classification import PyTorchClassifier

        wrapped = PyTorchClassifier(
            meter, torch.nn.CrossEntropyLoss(), tuple(x.shape[1:]), 10, clip_values=(0.0, 1.0), device_type="cpu"
        )
        np.random.seed(seed)
        given = {
            key: (threat.eps if value == "eps" else budget if value == "budget" else value)
            for key, value in options.items()
        }
        attack = getattr(importlib.import_module("art.attacks.evasion"), kind)(wrapped, **given)
        attack.generate(x.numpy(), np.eye(10, dtype=np.float32)[y.numpy()])

    return run


def foolbox(kind: str, **options: Any) -> Runner:
    def run(meter: Meter, x: Tensor, y: Tensor, threat: bb.Threat, budget: int, seed: int) -> None:
        import foolbox as fb

        torch.manual_seed(seed)
        model = fb.PyTorchModel(meter, bounds=(0, 1), device="cpu")
        getattr(fb.attacks, kind)(**options)(model, x, y, epsilons=None)

    return run


SCORES: dict[str, Runner] = {
    "torchattacks Square, p_init 0.8": torchattacks_square(0.8),
    "torchattacks Square, p_init 0.4": torchattacks_square(0.4),
    "ART Square": art("SquareAttack", eps="eps", max_iter="budget", verbose=False),
    "ART SimBA": art("SimBA", max_iter="budget", verbose=False),
}
LABELS: dict[str, Runner] = {
    "foolbox HopSkipJump": foolbox("HopSkipJumpAttack", steps=64),
    "foolbox Boundary": foolbox("BoundaryAttack", steps=5000),
    "ART HopSkipJump": art("HopSkipJump", max_iter=64, verbose=False),
    "ART SignOPT": art("SignOPTAttack", max_iter=1000, query_limit="budget", verbose=False),
    "ART GeoDA": art("GeoDA", max_iter="budget", verbose=False),
}


def measure(
    case: Case, name: str, run: Runner, threat: bb.Threat, n: int, budget: int, settings: Settings
) -> dict[str, Any]:
    """One attack on n images, each by itself, over the seeds."""
    minimises = threat.eps == math.inf
    first, reached, rows, note = [], [], 0, ""
    for seed in settings.seeds:
        for i in range(n):
            x, y = case.images[i : i + 1], case.labels[i : i + 1]
            meter = Meter(case.net, x, int(y), threat, budget, stop=not minimises).eval()
            try:
                run(meter, x, y, threat, budget, seed * n + i)
            except Spent:
                pass
            except Exception as error:  # a peer's own failure is a finding, not ours to hide
                if not isinstance(error.__cause__, Spent):
                    note = f"{type(error).__name__}: {str(error)[:80]}"
                    if not meter.rows:
                        break
            first.append(meter.first)
            reached.append([meter.distance_at(q) for q in settings.at])
            rows += meter.rows
    hits = np.array(first) > 0
    row: dict[str, Any] = {
        "target": case.name,
        "attack": name,
        "threat": str(threat),
        "budget": budget,
        "n": len(first),
        "note": note,
    }
    if len(first):
        if minimises:
            row |= {
                f"median distance at {q}": float(np.median([r[j] for r in reached])) for j, q in enumerate(settings.at)
            }
        else:
            row |= {
                "success": str(bb.Rate(int(hits.sum()), len(first))),
                "mean": float(np.where(hits, first, budget).mean()),
                "median": float(np.median(np.where(hits, first, budget))),
            }
    print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items() if v != ""}, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    parser.add_argument("--only", choices=("scores", "labels"), default=None)
    given = parser.parse_args()
    settings, rows = Settings(data=given.data), []
    root = Path(settings.data)
    photos, digits = cifar(root, settings.images), mnist(root, settings.images)
    by_scores = [
        a for a in attacks.names() if attacks.get(a).access is not bb.Access.LABELS and not a.startswith("fd-")
    ]
    by_labels = [a for a in attacks.names() if attacks.get(a).access is bb.Access.LABELS]
    if given.only != "labels":
        for case in (photos, digits):
            for name, run in {**{a: ours(a) for a in by_scores if "Linf" in attacks.get(a).norms}, **SCORES}.items():
                rows.append(measure(case, name, run, case.threat, settings.images, settings.budget, settings))
    if given.only != "scores":
        for name in [a for a in by_labels if "Linf" in attacks.get(a).norms]:
            rows.append(
                measure(photos, name, ours(name), photos.threat, settings.images_labels, settings.budget, settings)
            )
        far = bb.L2(math.inf)
        mine = {a: ours(a) for a in by_labels if "L2" in attacks.get(a).norms}
        for name, run in {**mine, **LABELS}.items():
            rows.append(measure(photos, name, run, far, settings.images_labels, settings.budget_labels, settings))
    versions = {}
    for package in ("torch", "numpy", "torchattacks", "adversarial-robustness-toolbox", "foolbox"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    out = Path("experiments/results") / f"benchmark_peers{'_' + given.only if given.only else ''}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"settings": asdict(settings), "versions": versions, "rows": rows}, indent=1) + "\n")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()

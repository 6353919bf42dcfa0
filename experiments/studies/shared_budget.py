"""Does a budget that images share fool more of them? Square on adversarially trained nets, three ways at once.

``plain`` gives each image the budget. ``shared`` gives all of them N times the budget, those near the boundary first
(``blackbox.attack(..., shared_budget=True)``); it spends what plain runs leave over. ``long`` is a plain run of four times the budget, of
which a table takes as much an image as costs what ``shared`` spent: what is left of the difference is due to the order. Kept are
queries, and whether it was fooled, of every image; the clean check is charged. results/shared_budget/TARGET.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import blackbox as bb
from experiments import ground
from experiments.cases import Case
from experiments.rows import commit
from experiments.runner import Book, Real, run, says
from experiments.studies.queries import described

WAYS: dict[str, dict[str, Any]] = {"plain": {}, "shared": {"shared_budget": True}, "long": {}}
LONGER = 4


@dataclass(frozen=True)
class Settings(Real):
    targets: tuple[str, ...] = says((), "of experiments/ground.toml; without any, the adversarially trained ones that are reported on")
    attacks: tuple[str, ...] = says(("square",), "registered names, with their own settings")
    budget: int = says(1000, "queries an image")
    seeds: tuple[int, ...] = says((), "of the attacks [those of the target's ground]")

    @property
    def names(self) -> list[str]:
        return list(self.targets) or [t for t in ground.targets("reporting") if ground.entry("targets", t)["robust"]]


def outcome(case: Case, attack: str, budget: int, seed: int, way: str) -> dict[str, Any]:
    """One run."""
    oracle = bb.Oracle(case.net, "scores", case.classes)
    most = budget * (LONGER if way == "long" else 1)
    result = bb.attack(oracle, case.images, case.labels, attack, case.threat, most, seed=seed, ids=case.ids, **WAYS[way])
    return {"commit": commit(), "queries": result.queries.tolist(), "found": result.success.int().tolist()}


def measure(s: Settings) -> None:
    for target in s.names:
        use = ground.entry("targets", target)["use"]
        case = ground.case(target, s.root, use=use)
        book = Book(f"shared_budget/{target}", s)
        book.put(command=f"python -m experiments.studies.shared_budget --targets {target}", **described(target, case))
        for attack in s.attacks:
            for seed in s.seeds or ground.seeds(use):
                for way in WAYS:
                    book.row(partial(outcome, case, attack, s.budget, seed, way), attack=attack, seed=seed, budget=s.budget, way=way)


if __name__ == "__main__":
    run(Settings, measure)

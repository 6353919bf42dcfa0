"""How many queries does a finite difference need, in full, in groups, along principal components? And an attack towards a class?

On the MNIST LeNet of the ground, on images of its ground. Kept are, for each image, the queries charged and whether it was fooled.
All rows of a table have one budget, at which failures are charged, also those of an attack that ends before it:

once      one gradient for one FGSM step: with the budget that the full gradient coarse to fine can need.
iterated  a gradient a step: with a budget of 1,000; the full one needs many times that and is in
long      the same on a few images, with the budget of the full one.
targeted  each image shall become the next class, from a start image of it out of the attacker's own; the target shows the largest
          score (nes-partial) or the label alone (the others).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import blackbox as bb
from blackbox.attacks import FDFGSM, FDIFGSM
from experiments import ground, rows
from experiments.cases import Case, digits
from experiments.runner import Book, Real, run, says
from experiments.studies.queries import described

PARTS = ("once", "iterated", "long", "targeted")
BUDGETS = {"once": 1580, "iterated": 1000, "long": 15_691, "targeted": 10_000}


@dataclass(frozen=True)
class Settings(Real):
    only: tuple[str, ...] = says(PARTS[:3], "parts", PARTS)
    target: str = says("lenet", "of experiments/ground.toml, MNIST's")
    images: int = says(200, "of the target, spread over its ground")
    few: int = says(20, "of them for what costs thousands of queries an image: long, targeted")
    targeted_attacks: tuple[str, ...] = ("nes-partial", "nes-labels", "hop-skip-jump", "rays", "sign-flip")


def made(part: str, own: Any) -> Iterator[tuple[str, Any]]:
    """Names and attacks of a part; own: the attacker's images, for principal components."""
    if part == "once":
        yield from {
            "fd-fgsm full": FDFGSM(), "fd-fgsm groups of 8": FDFGSM(method="groups", size=8),
            "fd-fgsm pca 100": FDFGSM(method="pca", count=100, images=own),
            "fd-fgsm groups 64 to 1, gradually": FDFGSM(method="groups", size=64, gradually=True),
            "fd-fgsm blocks 64 to 1, gradually": FDFGSM(method="blocks", size=64, gradually=True),
            "fd-fgsm pca 12 to 200, gradually": FDFGSM(method="pca", count=200, images=own, gradually=True),
        }.items()  # fmt: skip
    else:
        yield "fd-ifgsm blocks of 16", FDIFGSM(method="blocks", size=16)
        yield "fd-ifgsm pca 50", FDIFGSM(method="pca", count=50, images=own)
    if part == "long":
        yield "fd-ifgsm full", FDIFGSM()


def row(case: Case, attack: Any, budget: int, seed: int, more: dict[str, Any]) -> dict[str, Any]:
    """One attack; towards a class a target that shows scores shows the largest alone."""
    shows = "labels" if attack.access is bb.Access.LABELS else "topk" if more else "scores"
    begin, oracle = time.perf_counter(), bb.Oracle(case.net, shows, k=1)
    result = bb.attack(oracle, case.images, case.labels, attack, case.threat, budget, seed=seed, ids=case.ids, **more)
    return {
        "threat": str(case.threat), "access": shows, "targeted": bool(more), "settings": repr(attack), "commit": rows.commit(),
        "seconds": round(time.perf_counter() - begin, 1), "queries": result.queries.tolist(),
        "found": result.success.int().tolist(),
    }  # fmt: skip


def measure(s: Settings) -> None:
    _, own = digits(s.root)
    use = ground.entry("targets", s.target)["use"]
    seed = ground.seeds(use)[0]
    for part in s.only:
        case = ground.case(s.target, s.root, count=s.few if part in ("long", "targeted") else s.images, use=use)
        book, more = Book(f"query_efficiency_{part}", s, same=("target", "few" if part in ("long", "targeted") else "images")), {}
        if part == "targeted":
            goal = (case.labels + 1) % 10
            more = {"target": goal, "start": bb.starts(own.images, own.labels, goal)}
            attacks = [(name, bb.attacks.build(name)) for name in s.targeted_attacks]
        else:
            attacks = list(made(part, own.images))
        book.put(**described(s.target, case))
        for name, attack in attacks:
            key = {"target": case.name, "attack": name, "seed": seed, "budget": BUDGETS[part]}
            book.row(lambda case=case, attack=attack, more=more, budget=BUDGETS[part]: row(case, attack, budget, seed, more), **key)


if __name__ == "__main__":
    run(Settings, measure)

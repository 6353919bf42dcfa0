"""How many queries does an attack need on real targets?

The first images that each target has right, in file order. Search: budget 1,000, Square with three seeds. Finite differences on
MNIST: each with the budget of its own plan; the full iterated one on the first 15 images, with the others beside it on the same.
Targeted: each image shall become the next class, from a start image of it out of the attacker's own; the target shows the
largest score (nes-partial) or the label alone (the others). Failures are charged at the budget; ``spent`` is what they cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import blackbox as bb
from blackbox.attacks import FDFGSM, FDIFGSM, NES, SPSA, SimBA, Square, ZOSignSGD
from experiments.cases import Case, cifar, digits, mnist
from experiments.runner import Book, Real, run, says

PARTS = ("search", "differences", "targeted")


@dataclass(frozen=True)
class Settings(Real):
    only: tuple[str, ...] = says(PARTS, "parts", PARTS)
    images: int = says(100, "of each target")
    search_budget: int = says(1000, "of the searches")
    few: int = says(15, "the first of them, for what costs thousands of queries an image")
    targeted: tuple[int, ...] = says((100, 120), "which of the images: from, to")
    targeted_budget: int = says(10_000, "towards a class")
    seeds: tuple[int, ...] = (0, 1, 2)
    targeted_attacks: tuple[str, ...] = ("nes-partial", "nes-labels", "hop-skip-jump", "rays", "sign-flip")


Row = tuple[Case, str, Any, int, tuple[int, ...], dict[str, Any]]  # case, name, attack, budget, seeds, what else


def search(s: Settings) -> Iterator[Row]:
    """Attacks at budget 1,000."""
    for case in (mnist(s.root, s.images), cifar(s.root, s.images)):
        for name, attack in {"square": Square(), "square, p_init 0.05": Square(p_init=0.05), "simba": SimBA(), "nes": NES(),
                             "spsa": SPSA(), "zo-signsgd": ZOSignSGD()}.items():  # fmt: skip
            yield case, name, attack, s.search_budget, s.seeds if name.startswith("square") else s.seeds[:1], {}


def differences(s: Settings) -> Iterator[Row]:
    """Finite differences on MNIST, each with the budget that its own plan needs."""
    case, few = mnist(s.root, s.images), mnist(s.root, s.few)
    own, shape = case.own, tuple(case.images.shape[1:])
    made = {
        "fd-fgsm full": FDFGSM(), "fd-fgsm groups of 8": FDFGSM(method="groups", size=8),
        "fd-fgsm pca 100": FDFGSM(method="pca", count=100, images=own),
        "fd-fgsm groups 64 to 1, gradually": FDFGSM(method="groups", size=64, gradually=True),
        "fd-fgsm blocks 64 to 1, gradually": FDFGSM(method="blocks", size=64, gradually=True),
        "fd-fgsm pca 12 to 200, gradually": FDFGSM(method="pca", count=200, images=own, gradually=True),
        "fd-ifgsm full": FDIFGSM(), "fd-ifgsm blocks of 16": FDIFGSM(method="blocks", size=16),
        "fd-ifgsm pca 50": FDIFGSM(method="pca", count=50, images=own),
    }  # fmt: skip
    on_few = "fd-ifgsm full"
    beside = [name for name in made if name.startswith("fd-ifgsm") and name != on_few]  # on the same images as the full one
    for name, some in [(name, few if name == on_few else case) for name in made] + [(name, few) for name in beside]:
        yield some, name, made[name], made[name].plan(shape, 10**6).total, s.seeds[:1], {}


def targeted(s: Settings) -> Iterator[Row]:
    """The images to attack, and the class to reach and a start for each."""
    some, case, (_, own) = slice(*s.targeted), mnist(s.root, s.targeted[1]), digits(s.root)
    goal = (case.labels + 1) % 10
    more = {"target": goal[some], "start": bb.starts(own.images, own.labels, goal)[some]}
    case = replace(case, images=case.images[some], labels=case.labels[some])
    for name in s.targeted_attacks:
        yield case, name, bb.attacks.build(name), s.targeted_budget, s.seeds[:1], more


def row(case: Case, attack: Any, budget: int, seeds: tuple[int, ...], more: dict[str, Any]) -> dict[str, Any]:
    """Over the seeds; towards a class a target that shows scores shows the largest alone."""
    shows = "labels" if attack.access is bb.Access.LABELS else "topk" if more else "scores"
    x, y = case.images, case.labels
    runs = [bb.attack(bb.Oracle(case.net, shows, k=1), x, y, attack, case.threat, budget, seed=seed, **more) for seed in seeds]
    means = [r.mean_queries for r in runs]
    return {
        "threat": str(case.threat), "targeted": bool(more),
        "success": [sum(r.success_rate.k for r in runs), sum(r.success_rate.n for r in runs)],
        "first_run": str(runs[0].success_rate), "mean": float(np.mean(means)), "means": means,
        "median": float(np.median([r.median_queries for r in runs])),
        "spent": float(np.mean([r.queries.double().mean() for r in runs])),
    }  # fmt: skip


def measure(s: Settings) -> None:
    for part in s.only:
        book = Book(f"query_efficiency_{part}", s, same=("targeted", "seeds"))
        for case, name, *rest in {"search": search, "differences": differences, "targeted": targeted}[part](s):
            key = {"target": case.name, "attack": name, "images": len(case.images), "budget": rest[1]}
            book.row(lambda case=case, rest=rest: row(case, *rest), **key)


if __name__ == "__main__":
    run(Settings, measure)

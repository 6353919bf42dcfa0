"""Is the white-box row a ceiling? What one PGD, the white-box ensemble and Square's 1,000 queries leave standing on robust nets.

The adversarially trained targets of `experiments.ground`, all of their images, seeds 0 to 2. One PGD is that of 50 steps on the
margin, which the ensemble begins with. Kept for each image: whether it was fooled, by which attack of the ensemble, the gradients,
and Square's queries, the clean check charged; for each row the CPU's seconds. Every target has a file, results/ceiling/TARGET.json.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import surrogates as sg
from experiments import ground
from experiments.cases import Case
from experiments.rows import Job, commit, measured, ours
from experiments.runner import Book, Real, run, says
from experiments.studies.queries import described

SQUARE = ours("square")


@dataclass(frozen=True)
class Settings(Real):
    targets: tuple[str, ...] = says((), "of experiments/ground.toml; without any, the adversarially trained ones that are reported on")
    steps: int = says(50, "of PGD, and of each attack of the ensemble")
    starts: int = says(2, "of PGD in the ensemble")
    classes: int = says(3, "towards so many classes walks the ensemble")
    budget: int = says(1000, "queries an image, Square's")
    images: int = says(0, "so many of a target's; 0: all")

    @property
    def names(self) -> list[str]:
        return list(self.targets) or [t for t in ground.targets("reporting") if ground.entry("targets", t)["robust"]]


def pgd(s: Settings, case: Case, seed: int) -> dict[str, Any]:
    """One PGD on the margin: the last point of its walk counts."""
    begin = time.process_time()
    made = sg.craft(
        case.net, case.images, case.labels, "pgd", threat=case.threat, steps=s.steps, loss="margin", seed=seed, ids=case.ids
    )
    found = sg.predict(case.net, made) != case.labels
    return {
        "commit": commit(), "found": found.int().tolist(), "gradients": [s.steps] * len(found),
        "seconds": round(time.process_time() - begin, 1),
    }  # fmt: skip


def ensemble(s: Settings, case: Case, seed: int) -> dict[str, Any]:
    """The ensemble as `blackbox.evaluate` runs it."""
    begin = time.process_time()
    top = sg.ceiling(
        case.net, case.images, case.labels, case.threat, steps=s.steps, starts=s.starts, classes=s.classes, seed=seed,
        ids=case.ids,
    )  # fmt: skip
    return {
        "commit": commit(), "found": top.success.int().tolist(), "gradients": top.gradients.tolist(), "attacks": list(top.attacks),
        "broken by": top.broken_by.tolist(), "seconds": round(time.process_time() - begin, 1),
    }  # fmt: skip


WHITE = {"pgd": pgd, "ensemble": ensemble}


def measure(s: Settings) -> None:
    for target in s.names:
        use = ground.entry("targets", target)["use"]
        case = ground.case(target, s.root, count=s.images or None, use=use)
        book = Book(f"ceiling/{target}{f'-{s.images}' if s.images else ''}", s, same=("steps", "starts", "classes", "images"))
        book.put(command=f"python -m experiments.studies.ceiling --targets {target}", **described(target, case))
        for seed in ground.seeds(use):
            of_seed(s, book, case, seed)


def of_seed(s: Settings, book: Book, case: Case, seed: int) -> None:
    """The three rows of a seed."""
    for name, attack in WHITE.items():
        book.row(partial(attack, s, case, seed), attack=name, seed=seed, steps=s.steps)
    job = Job(case, SQUARE.access, None, s.budget, seed, s.root)
    book.row(partial(measured, SQUARE, job), attack="square", seed=seed, budget=s.budget)


if __name__ == "__main__":
    run(Settings, measure)

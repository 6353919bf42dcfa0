"""From which price of a gradient on does a search without surrogates cost less than `hybrid`? On ground that nothing is reported on.

`auto` with a prior is `hybrid`, which pays for queries and for gradients of its surrogates; without one it is another search, which pays
for queries alone. Both are run on the same images with the same seeds. Kept are each image's queries and whether it was fooled, and the
gradients that hybrid took. What hybrid saves in queries, over the gradients that it took, is the price of a gradient, in queries, at which
both cost the same. No default rests on these rows: the nets differ too much.

    python -m experiments.studies.prices
    python -m experiments.studies.prices --targets resnet20 --images 20     # a trial

Queries: the clean check is charged, a failure costs the budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import blackbox as bb
from blackbox.statistics import Estimate, mean_estimate
from experiments import ground
from experiments.cases import Case
from experiments.rows import code, commit
from experiments.runner import Book, Real, run, says

PRIORS = {  # target -> the nets that hybrid has: never the target itself, and never what learned from the images
    "resnet20": "two", "own_cnn": "two-unseen", "own_vgg": "two-unseen", "cnna_adv": "two",
}  # fmt: skip
WITH, WITHOUT = "hybrid", "auto"


@dataclass(frozen=True)
class Settings(Real):
    targets: tuple[str, ...] = says(tuple(PRIORS), "of experiments/ground.toml", PRIORS)
    access: tuple[str, ...] = says(("scores",), "what the target shows")
    images: int = says(25, "attacked, of each target")
    budget: int = says(1000, "queries an image")


def outcome(case: Case, attack: str, access: str, prior: str, s: Settings, seed: int) -> dict[str, Any]:
    """One search on all images of a case."""
    given = {"prior": ground.prior(prior, s.root, case.data)} if prior else {}
    oracle = bb.Oracle(case.net, access, case.classes)
    made = bb.attacks.build(attack, **given)
    r = bb.attack(oracle, case.images, case.labels, made, case.threat, s.budget, seed=seed, ids=case.ids)
    return {
        "commit": commit(), "code": code(attack), "search": r.config["parameters"].partition("(")[0], "among": case.among,
        "ids": r.ids.tolist(), "queries": r.queries.tolist(), "found": r.success.int().tolist(),
        "gradients": (r.config["prior"] or {"gradients": 0})["gradients"],
    }  # fmt: skip


def measure(s: Settings) -> None:
    book = Book("prices", s, same=("images", "budget"))
    for access in s.access:
        for target in s.targets:
            case = ground.case(target, s.root, count=s.images, use="choosing")
            for attack, prior in ((WITHOUT, ""), (WITH, PRIORS[target])):
                for seed in ground.seeds("choosing")[:1]:
                    given = (case, attack, access, prior, s, seed)
                    about = {"target": target, "access": access, "attack": attack, "prior": prior, "seed": seed, "budget": s.budget}
                    book.row(lambda given=given: outcome(*given), **about)
            saved, taken = break_even(book.found, target, access)
            print(f"{target}, {access}: hybrid saves {saved} queries an image for {taken:.1f} gradients", flush=True)


def costs(row: dict[str, Any]) -> np.ndarray:
    """Queries of each image, failures at the budget."""
    return np.where(row["found"], row["queries"], row["budget"]).astype(float)


def break_even(found: dict[str, Any], target: str, access: str) -> tuple[Estimate, float]:
    """Queries that hybrid saves, an image, and the gradients that it takes for it."""
    one, other = (
        next(r for r in found["rows"] if (r["target"], r["access"], r["attack"]) == (target, access, name)) for name in (WITHOUT, WITH)
    )
    saved = costs(one) - costs(other)
    return mean_estimate(saved[None], bounds=(1 - other["budget"], other["budget"] - 1)), other["gradients"] / len(saved)


if __name__ == "__main__":
    run(Settings, measure)

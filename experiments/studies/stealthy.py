"""How near do label attacks come for so many *bad* queries, those that are not adversarial? Stealthy searches beside plain ones.

Debenedetti, Carlini & Tramer 2024 (arXiv:2306.02895). Images of `experiments.ground` that a target has right, labels alone, the smallest
distance in L2 or Linf; the clean check is the first bad query. Each attack runs until an image has made so many bad queries (``max_bad``)
or ``most`` queries in all. Kept are each image's distance, bad queries and queries. An image without an example is as far away as
the box is wide. Every target has a file, results/stealthy/TARGET.json.

    python -m experiments.studies.stealthy
    python -m experiments.studies.stealthy --targets mnist_nat --images 30 --bad 300   # a trial
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import blackbox as bb
from experiments import ground
from experiments.cases import Case
from experiments.rows import code, commit
from experiments.runner import Real, run, says
from experiments.studies.queries import Shared, described

TARGETS = ("lenet", "resnet2b_adv", "poolcnn")
PLAIN = {"rays": ("Linf",), "hop-skip-jump": ("L2", "Linf"), "opt": ("L2",)}


@dataclass(frozen=True)
class Settings(Real):
    targets: tuple[str, ...] = says(TARGETS, "of experiments/ground.toml")
    attacks: tuple[str, ...] = says((), "names of the plain ones [all]")
    bad: tuple[int, ...] = says((100, 1000), "bad queries an image may make")
    most: int = says(20_000, "queries an image may make in all")
    images: int = says(100, "of a target, spread over those that it has right")
    anew: bool = says(False, "measure rows anew whose attack's code has changed")


def entrants(s: Settings) -> Iterator[tuple[str, str]]:
    """(attack, norm), the plain one before the stealthy one."""
    for plain, norms in PLAIN.items():
        if not s.attacks or plain in s.attacks:
            yield from ((name, norm) for norm in norms for name in (plain, f"stealthy-{plain}"))


def outcome(case: Case, attack: str, norm: str, bad: int, most: int, seed: int) -> dict[str, Any]:
    """One attack on all images of a case."""
    oracle = bb.Oracle(case.net, access="labels", classes=case.classes)
    threat = {"L2": bb.L2, "Linf": bb.Linf}[norm](float("inf"))
    r = bb.attack(oracle, case.images, case.labels, attack, threat, most, seed=seed, ids=case.ids, max_bad=bad)
    if (r.bad > bad).any():
        raise ValueError(f"Expected at most {bad} bad queries an image of {attack}, but there were {int(r.bad.max())}.")
    wide = threat.diameter(case.images[0].numel())
    near = np.nan_to_num(r.distance.numpy().astype(float), nan=wide)
    return {"near": near.round(5).tolist(), "bad": r.bad.tolist(), "queries": r.queries.tolist()}


def measure(s: Settings) -> None:
    torch.set_num_threads(1)
    for bad in s.bad:
        for target in s.targets:
            use = ground.entry("targets", target)["use"]
            case, seed = ground.case(target, s.root, count=s.images, use=use), ground.seeds(use)[0]
            stem = "-".join([target, *([] if use == "reporting" else ["trial"]), *([] if s.images == 100 else [str(s.images)])])
            book = Shared(f"stealthy/{stem}", s)
            book.put(command=f"python -m experiments.studies.stealthy --targets {target}", **described(target, case))
            book.put(target=book.found["target"] | {"threat": "the smallest change"})
            for attack, norm in entrants(s):
                row(s, book, case, attack, norm, bad, seed)


def row(s: Settings, book: Shared, case: Case, attack: str, norm: str, bad: int, seed: int) -> None:
    """A row that is in the book, or is measured now."""
    key = {"attack": f"{attack}, {norm}", "access": "labels", "goal": "untargeted", "seed": seed, "budget": bad}
    stamp = {"code": code(attack), "most": s.most}

    def made() -> dict[str, Any]:
        begin = time.perf_counter()
        found = outcome(case, attack, norm, bad, s.most, seed)
        return {"commit": commit(), **stamp, **found, "seconds": round(time.perf_counter() - begin, 1)}

    book.fresh(made, stamp, s.anew, **key)


if __name__ == "__main__":
    run(Settings, measure)

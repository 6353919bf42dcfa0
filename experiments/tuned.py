"""Are settings chosen on one's own nets better on a hidden target than the paper's?

    python -m experiments.tuned --data ../shared/data [--attack sign-flip]

`blackbox.tune` tries settings on the two nets of `experiments.own` (images of the attacker's, no query of a target); then the
attack runs on the images of `experiments.hybrid` on the hidden ResNet-32 with those so chosen, with the papers' and with this
toolkit's own, Linf 8/255, budget 1,000. Pairs: queries of the same image.

square     p_init; the paper has 0.05 in its table 5, its authors' later code 0.8, this toolkit 0.4
sign-flip  the first squeeze and the first chance of a flip; 0.004 and 0.001 are the authors', and ours

Writes experiments/results/tuned.json (tuned_sign-flip.json).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import blackbox as bb
from experiments import own
from experiments.real import cifar
from experiments.stored import RESULTS, store


@dataclass(frozen=True)
class Study:
    """access: what targets show. grid: values of each setting. beside: settings measured on the target in any case."""

    access: str
    grid: dict[str, tuple[float, ...]]
    beside: tuple[dict[str, float], ...]


STUDIES = {
    "square": Study("scores", {"p_init": (0.05, 0.1, 0.2, 0.4, 0.8)}, ({"p_init": 0.05}, {"p_init": 0.8}, {"p_init": 0.4})),
    "sign-flip": Study(
        "labels", {"alpha": (0.002, 0.004, 0.008), "flip": (0.001, 0.004)}, ({"alpha": 0.004, "flip": 0.001},)
    ),
}


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    attack: str = "square"
    own_images: int = 100
    images: int = 200
    budget: int = 1000
    seed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    parser.add_argument("--attack", choices=list(STUDIES), default=Settings.attack)
    s, begin = Settings(**vars(parser.parse_args())), time.perf_counter()
    study = STUDIES[s.attack]
    case, mine = cifar(Path(s.data), s.images, 32, spread=True), own.images(s.data)
    some = mine.take(slice(0, None, len(mine) // s.own_images))
    nets = {plan.arch: own.trained(s.data, plan) for plan in (own.VGG, own.CNN)}
    found = bb.tune(
        bb.variants(s.attack, **study.grid), nets, some.images, some.labels, case.threat, s.budget, access=study.access, seed=s.seed,
        cache="runs/tuned",
    )  # fmt: skip
    print(found.table(), flush=True)
    rows: list[dict[str, Any]] = []
    chosen = {name: getattr(found.best, name) for name in study.grid}
    for settings in [chosen, *(other for other in study.beside if other != chosen)]:
        made = bb.attacks.build(s.attack, **settings)
        result = bb.attack(bb.Oracle(case.net, study.access), case.images, case.labels, made, case.threat, s.budget, seed=s.seed)
        cost = np.where(result.success.numpy(), result.queries.numpy(), s.budget)
        rows.append(
            {**settings, "mean": float(cost.mean()), "standard error": float(cost.std(ddof=1) / len(cost) ** 0.5),
             "found": int(result.success.sum()), "queries": cost.tolist()}
        )  # fmt: skip
        print({k: v for k, v in rows[-1].items() if k != "queries"}, flush=True)
    told = {"chosen": found.chosen, "own": found.records(), "target": case.name, "rows": rows}
    name = "tuned" if s.attack == "square" else f"tuned_{s.attack}"
    store(RESULTS / f"{name}.json", s, told, time.perf_counter() - begin)


if __name__ == "__main__":
    main()

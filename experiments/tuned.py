"""Are settings chosen on one's own nets better on a hidden target than the paper's?

    python -m experiments.tuned --data ../shared/data

`blackbox.tune` tries p_init of Square on the two nets of `experiments.own` (images of the attacker's, no query of a target);
then Square attacks the images of `experiments.hybrid` on the hidden ResNet-32 with the value so chosen, with the papers'
(0.05 in the paper's table 5; 0.8, the default of its authors' later code) and with this toolkit's own 0.4, Linf 8/255, budget
1,000. Pairs: queries of the same image. Writes experiments/results/tuned.json.
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
class Settings:
    data: str = "../shared/data"
    values: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8)
    own_images: int = 100
    images: int = 200
    budget: int = 1000
    seed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    s, begin = Settings(data=parser.parse_args().data), time.perf_counter()
    case, mine = cifar(Path(s.data), s.images, 32, spread=True), own.images(s.data)
    some = mine.take(slice(0, None, len(mine) // s.own_images))
    nets = {plan.arch: own.trained(s.data, plan) for plan in (own.VGG, own.CNN)}
    found = bb.tune(
        bb.variants("square", p_init=s.values), nets, some.images, some.labels, case.threat, s.budget, seed=s.seed,
        cache="runs/tuned",
    )  # fmt: skip
    print(found.table(), flush=True)
    rows: list[dict[str, Any]] = []
    for value in dict.fromkeys((found.best.p_init, 0.05, 0.8, 0.4)):  # type: ignore[attr-defined]
        result = bb.attack(bb.Oracle(case.net), case.images, case.labels, bb.attacks.Square(value), case.threat, s.budget, seed=s.seed)
        cost = np.where(result.success.numpy(), result.queries.numpy(), s.budget)
        rows.append(
            {"p_init": value, "mean": float(cost.mean()), "standard error": float(cost.std(ddof=1) / len(cost) ** 0.5),
             "found": int(result.success.sum()), "queries": cost.tolist()}
        )  # fmt: skip
        print({k: v for k, v in rows[-1].items() if k != "queries"}, flush=True)
    chosen = {"chosen": found.chosen, "own": found.records(), "target": case.name, "rows": rows}
    store(RESULTS / "tuned.json", s, chosen, time.perf_counter() - begin)


if __name__ == "__main__":
    main()

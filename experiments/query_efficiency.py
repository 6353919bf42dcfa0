"""How many queries does an attack need on real targets?

    python -m experiments.query_efficiency --data ../shared/data

The first 100 images that each target has right, in file order; budget 1,000 for random search, 62,721 for the full
finite differences (40 steps of two queries for each of 784 pixels, and the clean check); seeds 0 to 2. Success with
95 % Wilson intervals, restricted mean queries (failures charged at the budget) and median over the three runs.
Writes experiments/results/query_efficiency.json and .png.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import blackbox as bb
from blackbox.attacks import FDFGSM, FDIFGSM, NES, SPSA, SimBA, Square, ZOSignSGD
from experiments.real import Case, cifar, mnist


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    images: int = 100
    seeds: tuple[int, ...] = (0, 1, 2)
    search_budget: int = 1000


def search() -> dict[str, Any]:
    """Attacks at budget 1,000."""
    return {"square": Square(), "square, p_init 0.05": Square(p_init=0.05), "simba": SimBA(), "nes": NES(),
            "spsa": SPSA(), "zo-signsgd": ZOSignSGD()}  # fmt: skip


def differences(case: Case) -> dict[str, tuple[Any, int]]:
    """Finite differences on MNIST, each with the budget that its own plan needs."""
    made = {
        "fd-fgsm full": FDFGSM(),
        "fd-fgsm groups of 8": FDFGSM(method="groups", size=8),
        "fd-fgsm pca 100": FDFGSM(method="pca", count=100, images=case.own),
        "fd-fgsm groups, gradually": FDFGSM(method="groups", size=64, gradually=True),
        "fd-ifgsm full": FDIFGSM(step_size=1 / 30, steps=40),
        "fd-ifgsm groups of 8": FDIFGSM(method="groups", size=8, step_size=1 / 30, steps=40),
        "fd-ifgsm pca 100": FDIFGSM(method="pca", count=100, images=case.own, step_size=1 / 30, steps=40),
    }
    shape = tuple(case.images.shape[1:])
    return {name: (attack, attack.plan(shape, 10**6).total) for name, attack in made.items()}


def measure(case: Case, name: str, attack: Any, budget: int, seeds: tuple[int, ...]) -> dict[str, Any]:
    """One row of the table, over the seeds."""
    runs = [
        bb.attack(bb.Oracle(case.net), case.images, case.labels, attack, case.threat, budget, seed=seed)
        for seed in seeds
    ]
    k, n = sum(r.success_rate.k for r in runs), sum(r.success_rate.n for r in runs)
    means = [r.mean_queries for r in runs]
    spent = float(np.mean([r.queries.double().mean() for r in runs]))
    row = {
        "target": case.name,
        "threat": str(case.threat),
        "attack": name,
        "budget": budget,
        "success": [k, n],
        "first_run": str(runs[0].success_rate),
        "mean": float(np.mean(means)),
        "means": means,
        "median": float(np.median([r.median_queries for r in runs])),
        "spent": spent,
    }
    print(
        f"{case.name:16} {case.threat!s:13} {name:28} budget {budget:<6} {runs[0].success_rate!s:28} "
        f"mean {row['mean']:8.1f} median {row['median']:7g} spent an image {spent:8.1f}",
        flush=True,
    )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    parser.add_argument("--only", choices=("search", "differences"), default=None)
    given = parser.parse_args()
    settings, rows = Settings(data=given.data), []
    root = Path(settings.data)
    digits = mnist(root, settings.images)
    if given.only != "differences":
        for case in (cifar(root, settings.images), digits):
            for name, attack in search().items():
                rows.append(measure(case, name, attack, settings.search_budget, settings.seeds))
    if given.only != "search":
        for name, (attack, budget) in differences(digits).items():
            seeds = settings.seeds if "groups" in name else settings.seeds[:1]  # the others draw nothing
            rows.append(measure(digits, name, attack, budget, seeds))
    out = Path("experiments/results") / f"query_efficiency{'_' + given.only if given.only else ''}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"settings": asdict(settings), "rows": rows}, indent=1) + "\n")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()

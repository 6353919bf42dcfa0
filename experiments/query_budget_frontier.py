"""What are the target's answers worth as training data, beside queries spent on attacking?

    python -m experiments.query_budget_frontier --data ../shared/data

Two surrogates, the plain VGG and cnn of `experiments.own` (without the snapshots that `experiments.hybrid` adds), are trained
on with the target's answers to 0, 300, 1,500 and 6,000 of the attacker's own images (`surrogates.teach`; scores, asked once
for both nets); then `hybrid` attacks the same images of the ResNet-32 as there, Linf 8/255, budget 1,000, failures charged
at it. An image's queries fall with the answers, which have to be shared out among the images attacked: what is cheapest
depends on how many these are. Writes
experiments/results/query_budget_frontier.json and docs/query_budget_frontier.png.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import blackbox as bb
import surrogates as sg
from experiments import own
from experiments.real import Case, cifar
from experiments.stored import RESULTS, store


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    answers: tuple[int, ...] = (0, 300, 1500, 6000)
    images: int = 200
    budget: int = 1000
    seeds: tuple[int, ...] = (0,)
    attacked: tuple[int, ...] = (10, 30, 100, 300, 1000, 3000, 10000)  # images, of the figure


def measure(case: Case, answers: int | None, settings: Settings) -> dict[str, Any]:
    """One row: surrogates taught with so many answers, or None at all; mean queries of an image."""
    spent, found, taught = [], [], 0
    for seed in settings.seeds:
        oracle = bb.Oracle(case.net, "scores")
        attack = bb.attacks.build("square")
        if answers is not None:
            nets = [own.trained(settings.data, plan) for plan in (own.VGG, own.CNN)]
            nets = sg.teach(nets, own.images(settings.data), oracle, answers, seed=seed)
            attack = bb.attacks.build("hybrid", prior=sg.prior(nets))
            taught = oracle.counts["train"]
        result = bb.attack(oracle, case.images, case.labels, attack, case.threat, settings.budget, seed=seed)
        spent.append(np.where(result.success.numpy(), result.queries.numpy() - 1, settings.budget))
        found.append(int(result.success.sum()))
    each = np.mean(spent, 0)  # of an image, over the seeds
    return {
        "attack": "square" if answers is None else "hybrid", "answers": taught, "mean": float(each.mean()),
        "standard error": float(each.std(ddof=1) / len(each) ** 0.5), "median": float(np.median(each)), "success": found,
        "images": len(each),
    }  # fmt: skip


def figure(rows: list[dict[str, Any]], settings: Settings, path: Path) -> None:
    """Queries an image, training included, against the number of images attacked."""
    from blackbox.report import style

    made, axes, height = style.canvas(len(rows))
    at = np.array(settings.attacked)
    for i, row in enumerate(rows):
        colour, dashes = style.line(i)
        name = "square, no surrogate" if row["attack"] == "square" else f"hybrid, {row['answers']:,} answers bought"
        total = row["mean"] + row["answers"] / at
        axes.plot(at, total, color=colour, ls=dashes, marker="o", ms=4, label=name)
        error = 1.96 * row["standard error"]
        axes.fill_between(at, np.maximum(total - error, 0.1), total + error, color=colour, alpha=0.13, lw=0)
    axes.set(xscale="log", yscale="log", xlabel="images attacked", ylabel="queries an image, training included")
    style.clean(axes)
    style.legend(axes, "upper right")
    under = f"CIFAR ResNet-32, Linf 8/255; {rows[0]['images']} images measured, 95 % normal intervals of the mean"
    style.heading(made, "Answers for training, or queries for the attack?", under, height)
    style.save(made, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    settings = Settings(data=parser.parse_args().data)
    case, begin = cifar(Path(settings.data), settings.images, 32, spread=True), time.perf_counter()
    rows: list[dict[str, Any]] = []
    for answers in (None, *settings.answers):
        rows.append(row := measure(case, answers, settings))
        print(row, flush=True)
        store(RESULTS / "query_budget_frontier.json", settings, {"rows": rows}, time.perf_counter() - begin)
    figure(rows, settings, Path("docs/query_budget_frontier.png"))


if __name__ == "__main__":
    main()

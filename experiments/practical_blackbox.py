"""How far does a substitute get that learned from 6,400 answers of the target?

    python -m experiments.practical_blackbox --data ../shared/data

Papernot et al. 2017 (arXiv:1602.02697) train a substitute from 150 seeds by Jacobian-based augmentation with 6,400 labels and
report that the target misclassifies 84.24 % of the FGSM examples crafted on it at eps 0.3. Here the target is the MNIST LeNet
of the data folder. Every substitute is a fresh LeNet that never sees an image of the first half of the MNIST test set. The
attacked images are numbers 1,000 to 1,999 in file order; recipes were chosen on the first 500; seeds and pools come from the
second half. Each run is a line of `RUNS`: what the target shows, the strategy, the images one owns, the recipe. After every
round: agreement with the target, and the share of attacked images that the target misclassifies when FGSM is crafted on the
substitute (the paper's figure: of all images; in the JSON also of those the target has right). After the last one also
MI-FGSM, other eps, and three substitutes together: this one and two more that learn from the same answers. Beside them noise
of the same Linf size, and FGSM on the target itself. Evaluation is asked for under "verify", outside the budget.

Writes experiments/results/practical_blackbox.json and .png; runs that the JSON holds already, under the same settings, are
not repeated.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from surrogates.acquisition import Jacobian, Noised, Strategy

OUT = Path("experiments/results/practical_blackbox.json")
PAPER = 0.8424


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    queries: int = 6400
    first: int = 1000  # of the attacked images
    attacked: int = 1000
    arch: str = "lenet"
    eps: float = 0.3
    more_eps: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
    seed: int = 0


@dataclass(frozen=True)
class Run:
    """One way of spending the budget. own: images of one's own. temperature: of soft labels (hard ones have none)."""

    name: str
    access: str
    own: int
    strategy: Strategy
    recipe: sg.Recipe


# weight decay is what carries a single substitute over: on the first 500 images FGSM fools 385 with 1e-4 and 6 epochs,
# 430 with 20 epochs, 467 with 5e-3 and 10 epochs, 478 with 2e-2
HARD = sg.Recipe(epochs=10, batch_size=32, optimiser="adam", weight_decay=0.02)
SOFT = sg.Recipe(epochs=10, batch_size=32, optimiser="adam", weight_decay=0.02, temperature=10.0)
NOISED = sg.Recipe(epochs=10, batch_size=32, optimiser="adam", weight_decay=5e-3)
RUNS = (
    Run("scores, Jacobian from 150 seeds", "scores", 150, Jacobian(), SOFT),
    Run("labels, Jacobian from 150 seeds", "labels", 150, Jacobian(), HARD),
    Run("labels, 3,200 images + Jacobian", "labels", 3200, Jacobian(seeds=3200, rounds=1), HARD),
    Run("scores, 3,200 images + Jacobian", "scores", 3200, Jacobian(seeds=3200, rounds=1), SOFT),
    Run("labels, 3,200 images + noise", "labels", 3200, Noised(), NOISED),
)


@dataclass(frozen=True, eq=False)
class Case:
    """The target, the images attacked, and those an attacker may own."""

    target: torch.nn.Module
    images: Tensor
    labels: Tensor
    right: Tensor
    theirs: sg.Dataset


def case(settings: Settings) -> Case:
    """The MNIST LeNet; first half: attacked; second half: owned."""
    root = Path(settings.data)
    target = sg.from_spec(f"lenet:{root / 'weights' / 'mnist_lenet5_clntrained.safetensors'}", shape=(1, 28, 28))
    data = sg.load(f"npz:{root / 'mnist_test.npz'}")
    half = len(data) // 2
    if settings.first + settings.attacked > half:
        raise ValueError(
            f"Expected attacked images among the first {half:,}, but they ended at {settings.first + settings.attacked:,}."
        )
    attacked = data.take(slice(settings.first, settings.first + settings.attacked))
    right = sg.predict(target, attacked.images) == attacked.labels
    return Case(target, attacked.images, attacked.labels, right, data.take(slice(half, len(data))))


def fooled(of: Case, x_adv: Tensor) -> dict[str, list[int]]:
    """[k, n] misclassified by the target: of all images, and of those that it has right as they are."""
    wrong = sg.predict(of.target, x_adv) != of.labels
    return {
        "all": [int(wrong.sum()), len(wrong)],
        "right": [int((wrong & of.right).sum()), int(of.right.sum())],
    }


def crafted(
    of: Case, net: torch.nn.Module | Sequence[torch.nn.Module], attack: str, eps: float
) -> dict[str, list[int]]:
    """What the target makes of examples crafted on ``net``."""
    return fooled(of, sg.craft(net, of.images, of.labels, attack, threat=bb.Linf(eps)))


def measure(run: Run, of: Case, settings: Settings) -> dict[str, Any]:
    """Spend the budget; transfer after each round."""
    oracle = bb.Oracle(of.target, run.access, rows_per_call=64)
    pool = sg.split(of.theirs, {"own": run.own}, seed=settings.seed)["own"]
    net = sg.build(settings.arch, 10, (1, 28, 28), seed=settings.seed + 1)
    points: list[dict[str, Any]] = []

    def progress(number: int, bill: Any, curve: sg.acquire.AgreementCurve) -> None:
        agreement, found = curve.evaluation[-1], crafted(of, net, "fgsm", settings.eps)
        points.append({"queries": curve.queries[-1], "agreement": [agreement.k, agreement.n], "fgsm": found})
        print(
            f"{run.name}: {curve.queries[-1]:5} queries  agreement {agreement}  fgsm {bb.Rate(*found['all'])}",
            flush=True,
        )

    got = sg.learn(
        net, oracle, pool, run.strategy, queries=settings.queries, recipe=run.recipe, held_out=0.0, evaluation=of.images,
        seed=settings.seed, progress=progress,
    )  # fmt: skip
    assert oracle.rows == got.bill.total <= settings.queries
    more = sg.acquire.bagged(settings.arch, got.answers, 2, run.recipe, seed=settings.seed + 5, bootstrap=False).nets
    last = {
        name: {attack: crafted(of, nets, attack, settings.eps) for attack in ("fgsm", "mi-fgsm")}
        for name, nets in (("one", [net]), ("three", [net, *more]))
    }
    for name, found in last.items():
        told = "  ".join(f"{attack} {bb.Rate(*f['all'])}" for attack, f in found.items())
        print(f"{run.name}: substitutes {name}  {told}", flush=True)
    by_eps = [[eps, crafted(of, net, "fgsm", eps)] for eps in settings.more_eps]
    return {"run": describe(run), "bill": str(got.bill), "points": points, "last": last, "by_eps": by_eps}


def describe(run: Run) -> dict[str, Any]:
    """The run in words."""
    return asdict(run) | {"strategy": repr(run.strategy), "recipe": run.recipe.settings()}


def references(of: Case, settings: Settings) -> dict[str, Any]:
    """What no substitute is needed for: clean images, noise at the corners of the ball, FGSM on the target itself."""
    signs = torch.randint(0, 2, of.images.shape, generator=torch.Generator().manual_seed(settings.seed)) * 2 - 1
    return {
        "clean": fooled(of, of.images),
        "noise": fooled(of, (of.images + settings.eps * signs).clamp(0, 1)),
        "fgsm on the target": crafted(of, of.target, "fgsm", settings.eps),
    }


def figure(content: dict[str, Any], path: Path) -> None:
    """Transfer against queries, and against eps."""
    from blackbox.report import style

    made = style.figure(10.2, 4.3)
    low, high = made.add_axes((0.065, 0.25, 0.42, 0.57)), made.add_axes((0.555, 0.25, 0.42, 0.57))
    for i, row in enumerate(content["rows"]):
        colour, dashes = style.line(i)
        look = {"color": colour, "linestyle": dashes, "marker": "o", "markersize": 3.5}
        rates = [bb.Rate(*p["fgsm"]["all"]) for p in row["points"]]
        at = [p["queries"] for p in row["points"]]
        low.plot(at, [100 * r.value for r in rates], label=row["run"]["name"], **look)
        band = [100 * r.low for r in rates], [100 * r.high for r in rates]
        low.fill_between(at, *band, color=colour, alpha=0.13, linewidth=0)
        three = bb.Rate(*row["last"]["three"]["fgsm"]["all"])
        bar = [[100 * (three.value - three.low)], [100 * (three.high - three.value)]]
        low.errorbar(at[-1:], [100 * three.value], bar, color=colour, marker="D", markersize=5, capsize=2, zorder=5)
        found = [100 * bb.Rate(*f["all"]).value for _, f in row["by_eps"]]
        high.plot([e for e, _ in row["by_eps"]], found, **look)
    noise = 100 * bb.Rate(*content["references"]["noise"]["all"]).value
    for axes in (low, high):
        style.clean(axes)
        axes.axhline(100 * PAPER, color=style.PALE, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_ylim(0, 102)
    low.axhline(noise, color=style.PALE, linewidth=1)
    low.set_xscale("log")
    ticks = [150, 300, 600, 1200, 2400, 6400]
    low.set_xticks(ticks, [f"{t:,}" for t in ticks])
    low.minorticks_off()
    low.text(145, 100 * PAPER + 1.5, "Papernot et al. 2017: 84 %", fontsize=8, color=style.PALE)
    low.text(145, noise + 1.5, f"noise of the same size: {noise:.0f} %", fontsize=8, color=style.PALE)
    low.set_xlabel("queries charged (diamonds: three substitutes from the same answers)", fontsize=9, color=style.INK)
    low.set_ylabel("misclassified by the target, %", fontsize=9, color=style.INK)
    high.set_xlabel("eps of FGSM (Linf), one substitute, after all queries", fontsize=9, color=style.INK)
    handles = low.get_legend_handles_labels()
    made.legend(*handles, loc="lower left", bbox_to_anchor=(0.055, 0.0), ncols=2, frameon=False, fontsize=8.5)
    size = content["settings"]["eps"], content["rows"][0]["points"][0]["fgsm"]["all"][1]
    under = f"FGSM at eps {size[0]:g} on the substitute, shown to the MNIST LeNet; {size[1]:,} test images, 95 % Wilson intervals"
    style.heading(made, "A substitute from the target's answers", under, 4.3)
    style.save(made, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    settings = Settings(data=parser.parse_args().data)
    known = asdict(settings) | {"data": ""}  # where the folder lies does not matter
    known["more_eps"] = list(settings.more_eps)
    old = json.loads(OUT.read_text()) if OUT.exists() else {}
    done = {json.dumps(r["run"]): r for r in old.get("rows", ()) if old.get("settings") == known}
    of = case(settings)
    content: dict[str, Any] = {"settings": known, "references": references(of, settings), "rows": []}
    for name, found in content["references"].items():
        print(f"{name}: {bb.Rate(*found['all'])}", flush=True)
    for run in RUNS:
        content["rows"].append(
            done.get(json.dumps(json.loads(json.dumps(describe(run))))) or measure(run, of, settings)
        )
        OUT.parent.mkdir(parents=True, exist_ok=True)
        OUT.write_text(json.dumps(content, indent=1) + "\n")
        figure(content, OUT.with_suffix(".png"))
    print(f"wrote {OUT} and {OUT.with_suffix('.png')}")


if __name__ == "__main__":
    main()

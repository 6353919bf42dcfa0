"""How far does a substitute get that learned from 6,400 answers of the target?

Papernot et al. 2017 (arXiv:1602.02697) train a substitute from 150 seeds by Jacobian-based augmentation with 6,400 labels and
report that the target misclassifies 84.24 % of the FGSM examples crafted on it at eps 0.3. Here the target is the MNIST LeNet of
the data folder; every substitute is a fresh LeNet. Attacked are images 1,000 to 1,999; recipes were chosen on the first 500;
seeds and pools come from the second half of the test set. Each run is a line of `RUNS`. After every round: agreement with the
target, and the share of attacked images that the target misclassifies when FGSM is crafted on the substitute. After the last one
also MI-FGSM, other eps, and three substitutes together: this one and two more that learn from the same answers. Beside them
noise of the same Linf size, and FGSM on the target itself. Evaluation is asked for under "verify", outside the budget.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.report import style
from experiments.cases import digits, lenet
from experiments.figures import curve, percent, sheet
from experiments.runner import RESULTS, Book, Real, count, run, says, tell

PAPER = 0.8424


@dataclass(frozen=True)
class Settings(Real):
    queries: int = says(6400, "that training may spend")
    attacked: int = says(1000, "images attacked")
    first: int = says(1000, "of them")
    eps: float = says(0.3, "Linf, of FGSM")
    arch: str = "lenet"
    more_eps: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
    seed: int = 0


@dataclass(frozen=True)
class Run:
    """One way of spending the budget. own: images of one's own."""

    name: str
    access: str
    own: int
    strategy: sg.acquire.Strategy
    recipe: sg.Recipe

    def told(self) -> dict[str, Any]:
        return asdict(self) | {"strategy": repr(self.strategy), "recipe": self.recipe.settings()}


# weight decay is what carries a single substitute over
HARD = sg.Recipe(epochs=10, batch_size=32, optimiser="adam", weight_decay=0.02)
SOFT = sg.Recipe(epochs=10, batch_size=32, optimiser="adam", weight_decay=0.02, temperature=10.0)
NOISED = sg.Recipe(epochs=10, batch_size=32, optimiser="adam", weight_decay=5e-3)
RUNS = (
    Run("scores, Jacobian from 150 seeds", "scores", 150, sg.acquire.Jacobian(), SOFT),
    Run("labels, Jacobian from 150 seeds", "labels", 150, sg.acquire.Jacobian(), HARD),
    Run("labels, 3,200 images + Jacobian", "labels", 3200, sg.acquire.Jacobian(seeds=3200, rounds=1), HARD),
    Run("scores, 3,200 images + Jacobian", "scores", 3200, sg.acquire.Jacobian(seeds=3200, rounds=1), SOFT),
    Run("labels, 3,200 images + noise", "labels", 3200, sg.acquire.Noised(), NOISED),
)


@dataclass(frozen=True, eq=False)
class Case:
    """The target, the images attacked, and those an attacker may own."""

    target: nn.Module
    images: Tensor
    labels: Tensor
    theirs: sg.Dataset

    def fooled(self, x_adv: Tensor) -> dict[str, list[int]]:
        """[k, n] misclassified by the target: of all images, and of those that it has right as they are."""
        wrong, right = sg.predict(self.target, x_adv) != self.labels, sg.predict(self.target, self.images) == self.labels
        return {"all": count(wrong), "right": count(wrong, right)}

    def crafted(self, nets: nn.Module | list[nn.Module], attack: str, eps: float) -> dict[str, list[int]]:
        """What the target makes of examples crafted on ``nets``."""
        return self.fooled(sg.craft(nets, self.images, self.labels, attack, threat=bb.Linf(eps)))


def case_of(s: Settings) -> Case:
    data, theirs = digits(s.root)
    if s.first + s.attacked > len(data):
        raise ValueError(f"Expected attacked images among the first {len(data):,}, but they ended at {s.first + s.attacked:,}.")
    some = data.take(slice(s.first, s.first + s.attacked))
    return Case(lenet(s.root), some.images, some.labels, theirs)


def spend(way: Run, of: Case, s: Settings) -> dict[str, Any]:
    """Spend the budget; transfer after each round."""
    oracle = bb.Oracle(of.target, way.access, rows_per_call=64)
    pool = sg.split(of.theirs, {"own": way.own}, seed=s.seed)["own"]
    net = sg.build(s.arch, 10, (1, 28, 28), seed=s.seed + 1)
    points: list[dict[str, Any]] = []

    def progress(number: int, bill: Any, so_far: sg.acquire.AgreementCurve) -> None:
        agreement, found = so_far.evaluation[-1], of.crafted(net, "fgsm", s.eps)
        points.append({"queries": so_far.queries[-1], "agreement": [agreement.k, agreement.n], "fgsm": found})
        tell({"run": way.name, **points[-1], "fgsm": found["all"]})

    got = sg.learn(
        net, oracle, pool, way.strategy, queries=s.queries, recipe=way.recipe, held_out=0.0, evaluation=of.images, seed=s.seed,
        progress=progress,
    )  # fmt: skip
    assert oracle.rows == got.bill.total <= s.queries
    more = sg.acquire.bagged(s.arch, got.answers, 2, way.recipe, seed=s.seed + 5, bootstrap=False).nets
    last = {
        name: {attack: of.crafted(nets, attack, s.eps) for attack in ("fgsm", "mi-fgsm")}
        for name, nets in (("one", [net]), ("three", [net, *more]))
    }
    by_eps = [[eps, of.crafted(net, "fgsm", eps)] for eps in s.more_eps]
    return {"bill": str(got.bill), "points": points, "last": last, "by_eps": by_eps}


def measure(s: Settings) -> None:
    of = case_of(s)
    book = Book("practical_blackbox", s, same=("queries", "first", "attacked", "arch", "eps", "more_eps", "seed"))
    signs = torch.randint(0, 2, of.images.shape, generator=torch.Generator().manual_seed(s.seed)) * 2 - 1
    references = {  # what no substitute is needed for
        "clean": of.fooled(of.images),
        "noise": of.fooled((of.images + s.eps * signs).clamp(0, 1)),  # at the corners of the ball
        "fgsm on the target": of.crafted(of.target, "fgsm", s.eps),
    }
    book.put(references=references)
    for way in RUNS:
        book.row(lambda way=way: spend(way, of, s), run=way.told())
        draw(book.found, s, RESULTS / "practical_blackbox.png")


def draw(found: dict[str, Any], s: Settings, path: Path) -> Path:
    """Transfer against queries, and against eps."""
    under = f"FGSM at eps {s.eps:g} on the substitute, shown to the MNIST LeNet; {s.attacked:,} test images, 95 % Wilson intervals"
    with sheet(path, "A substitute from the target's answers", under, 10.2, 4.6, columns=2) as (made, ((low, high),)):
        for i, row in enumerate(found["rows"]):
            at = [p["queries"] for p in row["points"]]
            curve(low, at, [p["fgsm"]["all"] for p in row["points"]], i, row["run"]["name"])
            middle, least, most = percent(row["last"]["three"]["fgsm"]["all"])
            colour, dashes = style.line(i)
            bar = [[middle - least], [most - middle]]
            low.errorbar(at[-1:], [middle], bar, color=colour, marker="D", markersize=5, capsize=2, zorder=5)
            by_eps = [(e, percent(f["all"])[0]) for e, f in row["by_eps"]]
            high.plot(*zip(*by_eps, strict=True), color=colour, linestyle=dashes, marker="o", markersize=3.5)
        noise = percent(found["references"]["noise"]["all"])[0]
        for axes in (low, high):
            axes.axhline(100 * PAPER, color=style.PALE, linewidth=1, linestyle=(0, (4, 3)))
            axes.set_ylim(0, 102)
        low.axhline(noise, color=style.PALE, linewidth=1)
        low.set_xscale("log")
        ticks = [150, 300, 600, 1200, 2400, 6400]
        low.set_xticks(ticks, [f"{t:,}" for t in ticks])
        low.minorticks_off()
        for height, words in ((100 * PAPER, "Papernot et al. 2017: 84 %"), (noise, f"noise of the same size: {noise:.0f} %")):
            low.text(145, height + 1.5, words, fontsize=8, color=style.PALE)
        low.set(xlabel="queries charged (diamonds: three substitutes from the same answers)", ylabel="misclassified by the target, %")
        high.set_xlabel("eps of FGSM (Linf), one substitute, after all queries")
        made.legend(*low.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return path


if __name__ == "__main__":
    run(Settings, measure)

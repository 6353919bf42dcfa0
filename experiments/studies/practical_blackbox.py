"""How far does a substitute get that learned from 6,400 answers of the target?

Papernot et al. 2017 (arXiv:1602.02697) train a substitute from 150 seeds by Jacobian-based augmentation with 6,400 labels and
report that the target misclassifies 84.24 % of the FGSM examples crafted on it at eps 0.3. Here the target is the MNIST LeNet of
the data folder (``--target lenet``); every substitute is a fresh LeNet; images of one's own come from the second half of MNIST's test
set, the attacked ones from the first. Each way of spending the budget is one of `WAYS`. After every round: agreement with the target,
and which attacked images the target misclassifies when FGSM is crafted on the substitute. After the last one also other eps. Beside
them noise of the same Linf size, and FGSM on the target itself. Evaluation is asked for under "verify", outside the budget.

``--target mnist_nat`` chooses: every way with each weight decay of `DECAYS` against another net, and images of the second half that
nobody learns from. What is best there (by the rate of FGSM) is what the LeNet is reported with. The step of the augmentation, 0.1,
and the epochs are the paper's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.report import style
from experiments import ground
from experiments.cases import cornered
from experiments.figures import curve, percent, sheet
from experiments.runner import RESULTS, Book, Real, counted, each, load, run, says, tell

PAPER = 0.8424
TARGETS = ("lenet", "mnist_nat")
DECAYS = (5e-3, 2e-2)


@dataclass(frozen=True)
class Settings(Real):
    target: str = says("lenet", "reported on, or mnist_nat, to choose", TARGETS)
    queries: int = says(6400, "that training may spend")
    attacked: int = says(1000, "images attacked; to choose, half as many")
    eps: float = says(0.3, "Linf, of FGSM")
    arch: str = "lenet"
    more_eps: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)

    @property
    def called(self) -> str:
        return "practical_blackbox" if self.target == "lenet" else "practical_blackbox_choosing"


@dataclass(frozen=True)
class Way:
    """One way of spending the budget. own: images of one's own."""

    name: str
    access: str
    own: int
    strategy: sg.acquire.Strategy
    temperature: float = 1.0


WAYS = (
    Way("labels, Jacobian from 150 seeds", "labels", 150, sg.acquire.Jacobian()),
    Way("labels, 3,200 images + noise", "labels", 3200, sg.acquire.Noised()),
    Way("scores, Jacobian from 150 seeds", "scores", 150, sg.acquire.Jacobian(), 10.0),
)


@dataclass(frozen=True, eq=False)
class Case:
    """The target, the images attacked, and those an attacker may own."""

    target: nn.Module
    images: Tensor
    labels: Tensor
    theirs: sg.Dataset
    seed: int

    def fooled(self, x_adv: Tensor) -> str:
        """Of every image whether the target misclassifies it."""
        return each(sg.predict(self.target, x_adv) != self.labels)

    def crafted(self, net: nn.Module, eps: float) -> str:
        """What the target makes of FGSM's examples crafted on ``net``."""
        return self.fooled(sg.craft(net, self.images, self.labels, "fgsm", threat=bb.Linf(eps)))


def case_of(s: Settings) -> Case:
    choosing = s.target != "lenet"
    theirs, _ = ground.images("digits-second", s.root)
    data = theirs if choosing else ground.images("digits", s.root)[0]
    n = s.attacked // 2 if choosing else s.attacked
    some, own = data.take(slice(len(data) - n, None)), theirs.take(slice(0, len(theirs) - s.attacked // 2))
    return Case(ground.net(s.target, s.root), some.images, some.labels, own, ground.seeds("choosing" if choosing else "reporting")[0])


def spend(way: Way, decay: float, of: Case, s: Settings) -> dict[str, Any]:
    """Spend the budget; transfer after each round."""
    oracle = bb.Oracle(of.target, way.access, rows_per_call=64)
    recipe = sg.Recipe(epochs=10, batch_size=32, optimiser="adam", weight_decay=decay, temperature=way.temperature)
    pool = sg.split(of.theirs, {"own": way.own}, seed=of.seed)["own"]
    net = sg.build(s.arch, 10, (1, 28, 28), seed=of.seed + 1)
    points: list[dict[str, Any]] = []

    def progress(number: int, bill: Any, so_far: sg.acquire.AgreementCurve) -> None:
        agreement, found = so_far.evaluation[-1], of.crafted(net, s.eps)
        points.append({"queries": so_far.queries[-1], "agreement": [agreement.k, agreement.n], "fgsm": found})
        tell({"way": way.name, **points[-1], "fgsm": counted(found)})

    got = sg.learn(
        net, oracle, pool, way.strategy, queries=s.queries, recipe=recipe, held_out=0.0, evaluation=of.images, seed=of.seed,
        progress=progress,
    )  # fmt: skip
    assert oracle.rows == got.bill.total <= s.queries
    return {"bill": str(got.bill), "points": points, "by_eps": [[eps, of.crafted(net, eps)] for eps in s.more_eps]}


def chosen_decay(way: Way) -> float:
    """The weight decay that was best where it was chosen. Raises ValueError: nothing was chosen yet."""
    found = load("practical_blackbox_choosing")
    rows = [r for r in (found or {}).get("rows", ()) if r["way"]["name"] == way.name]
    if not rows:
        raise ValueError("Expected the weight decay to be chosen first, but it is not. Run with --target mnist_nat.")
    return float(max(rows, key=lambda r: counted(r["points"][-1]["fgsm"])[0])["decay"])


def plans(s: Settings) -> Iterator[tuple[Way, float]]:
    yield from product(WAYS, DECAYS) if s.target != "lenet" else ((way, chosen_decay(way)) for way in WAYS)


def measure(s: Settings) -> None:
    of = case_of(s)
    book = Book(s.called, s, same=("target", "queries", "attacked", "arch", "eps", "more_eps"))
    references = {  # what no substitute is needed for
        "clean": of.fooled(of.images),
        "noise": of.fooled(cornered(of.images, s.eps, of.seed)),
        "fgsm on the target": of.crafted(of.target, s.eps),
    }
    book.put(references=references)
    for way, decay in plans(s):
        told = asdict(way) | {"strategy": repr(way.strategy)}
        book.row(lambda way=way, decay=decay: spend(way, decay, of, s), way=told, decay=decay)
    if s.target == "lenet":
        draw(book.found, s, RESULTS / "practical_blackbox.png")


def draw(found: dict[str, Any], s: Settings, path: Path) -> Path:
    """Transfer against queries, and against eps."""
    under = f"FGSM at eps {s.eps:g} on the substitute, shown to the MNIST LeNet; {s.attacked:,} test images, 95 % Wilson intervals"
    with sheet(path, "A substitute from the target's answers", under, 10.2, 4.6, columns=2) as (made, ((low, high),)):
        for i, row in enumerate(found["rows"]):
            at = [point["queries"] for point in row["points"]]
            curve(low, at, [counted(point["fgsm"]) for point in row["points"]], i, row["way"]["name"])
            curve(high, [e for e, _ in row["by_eps"]], [counted(hit) for _, hit in row["by_eps"]], i)
        noise = percent(counted(found["references"]["noise"]))[0]
        for axes in (low, high):
            axes.axhline(100 * PAPER, color=style.PALE, linewidth=1, linestyle=(0, (4, 3)))
            axes.set_ylim(0, 102)
        low.axhline(noise, color=style.PALE, linewidth=1)
        low.set_xscale("log")
        ticks = [150, 300, 600, 1200, 2400, 6400]
        low.set_xticks(ticks, [f"{t:,}" for t in ticks])
        low.minorticks_off()
        for height, words in (
            (100 * PAPER, "Papernot et al. 2017, labels: 84 %"), (noise, f"noise of the same size: {noise:.0f} %")
        ):  # fmt: skip
            low.text(145, height + 1.5, words, fontsize=8, color=style.PALE)
        low.set(xlabel="queries charged", ylabel="misclassified by the target, %")
        high.set_xlabel("eps of FGSM (Linf), after all queries")
        made.legend(*low.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return path


if __name__ == "__main__":
    run(Settings, measure)

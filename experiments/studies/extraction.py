"""How far does a copy get that learned from a target's answers, by what its owner had: data, other data, or nothing?

--study measure   Each way of spending answers of a net for digits (three seeds: another target, another copy), and 1,000 or 5,000 of other
                  people's CIFAR net (one seed): agreement with the target on images that nobody asked about, and whether MI-FGSM's
                  examples made on the copy change the target's class. Both are looked at outside the budget. With 5,000 answers or
                  more, where a generator is trained, other ways than with few (LONG). `agreed_along`: the net that learned along the
                  way, before it is trained anew on all answers.
--study choose    What `surrogates.extract` takes where there is no image, and where there are few: other digits, another seed. With
                  --budgets 20000: how many steps a generator takes for so many answers.
--study losses    What a generator raises, with 20,000 answers and one seed.
--study floors    What random signs of the same size change, which needs no copy.
--study pictures  What generators made after 20,000 answers.
--study draw      The picture of agreement and transfer, from the rows that are there.

Digits: scikit-learn's, of which targets, owners and measurements have parts of their own; `other` are crops of its two photographs.
CIFAR: the owner's images are those for surrogates, `other` are crops of ImageNet photographs.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from experiments import ground
from experiments import published_extraction as extraction
from experiments.cases import cornered
from experiments.figures import dots, sheet
from experiments.measurements import results
from experiments.publishable import Figure
from experiments.published_extraction import share
from experiments.runner import DOCS, Book, Real, each, run, says
from surrogates import acquisition as acquire

DIGITS, CIFAR = "digits", "resnet8"
BUDGETS = {DIGITS: (250, 1000, 20_000), CIFAR: (1000, 5000)}
EPS = {DIGITS: 0.15, CIFAR: 8 / 255}
EPOCHS = {250: 30, 1000: 20, 5000: 6, 20_000: 4}
MANY = 5000  # answers, for which a generator takes some steps
FEW = 40  # images of one's own, to choose
ACTIVE = acquire.KCenter(rounds=3)
STUDIES = ("measure", "choose", "losses", "floors", "pictures", "draw")


@dataclass(frozen=True)
class Settings(Real):
    study: str = says("measure", ", ".join(STUDIES), STUDIES)
    target: str = says(DIGITS, f"{DIGITS}, or {CIFAR} of experiments/ground.toml", (DIGITS, CIFAR))
    budgets: tuple[int, ...] = says((), "queries; by default those of the target")
    ways: tuple[int, ...] = says((), "their places in WAYS (or CHOICES), from 0; by default all")

    @property
    def called(self) -> str:
        return {"choose": "choosing", "losses": "losses"}.get(self.study, self.target)


@dataclass(frozen=True, eq=False)
class Case:
    """A target and an attacker's images. test: nobody asks about them but to measure."""

    target: nn.Module
    own: Tensor
    other: Callable[[int], Tensor]
    test: Tensor
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.test.shape[1:])

    def pool(self, kind: str, count: int) -> Any:
        """So many images of this kind."""
        if kind == "data":
            return acquire.widened(sg.Dataset(self.own, torch.zeros(len(self.own), dtype=torch.int64), ("unknown",)), count, self.seed)
        if kind == "few":
            return acquire.widened(sg.Dataset(self.own[:FEW], torch.zeros(FEW, dtype=torch.int64), ("unknown",)), count, self.seed)
        if kind == "few and mixed":
            return torch.cat([self.own[:FEW], acquire.procedural(self.shape, count - FEW, "mixed", self.seed).images])
        if kind == "other":
            return self.other(count)
        if kind == "other and mixed":
            return torch.cat([self.other(count // 2), acquire.procedural(self.shape, count - count // 2, "mixed", self.seed).images])
        if kind == "noise":
            return acquire.noise(self.shape, count, seed=self.seed)
        return acquire.procedural(self.shape, count, kind, self.seed)


def crops(photographs: list[Tensor], size: int, channels: int, seed: int, count: int) -> Tensor:
    """Random squares of photographs [3, h, w], at least twice as large as an image, made small."""
    rng, out = np.random.Generator(np.random.Philox(seed)), []
    for _ in range(count):
        picture = photographs[int(rng.integers(len(photographs)))]
        side = int(rng.integers(2 * size, min(picture.shape[1:]) // 2))
        top, left = (int(rng.integers(0, n - side + 1)) for n in picture.shape[1:])
        out.append(acquire.fitted(picture[None, :, top : top + side, left : left + side], (channels, size, size)).images)
    return torch.cat(out)


@lru_cache(maxsize=4)
def digits(seed: int, choosing: bool) -> Case:
    """Of the digits the first 800 to choose with, the others to report."""
    from sklearn.datasets import load_sample_images

    whole = sg.load("digits")
    half = whole.take(slice(0, 800)) if choosing else whole.take(slice(800, None))
    part = sg.split(half, {"target": 400, "own": 200 if choosing else 300, "test": 200})
    target = sg.train(sg.build("cnn", 10, (1, 8, 8), seed), part["target"], sg.Recipe(epochs=20), seed=seed)
    photographs = [torch.from_numpy(p.copy()).permute(2, 0, 1).float() / 255 for p in load_sample_images().images]
    return Case(target, part["own"].images, partial(crops, photographs, 8, 1, seed), part["test"].images, seed)


@lru_cache(maxsize=1)
def cifar(s: Settings, seed: int) -> Case:
    photographs = list(sg.load(f"folder:{s.root / 'imagenet' / 'val'}", size=256).images)
    own = sg.load(f"npz:{s.root / 'cifar10_raw_train.npz'}").images
    own = own[torch.from_numpy(np.random.Generator(np.random.Philox(seed)).permutation(len(own)))]
    test = ground.images("raw", s.root)[0].images
    return Case(ground.net(CIFAR, s.root), own, partial(crops, photographs, 32, 3, seed), test, seed)


def case(s: Settings, seed: int) -> Case:
    return digits(seed, s.study == "choose") if s.target == DIGITS else cifar(s, seed)


# way: (access, strategy, kind of pool); no pool: a method without data, or extract with what is there
WAYS: dict[str, tuple[str, Any, str]] = {
    "data": ("scores", "distil", "data"), "data, active": ("scores", ACTIVE, "data"), "other data": ("scores", "distil", "other"),
    "dead leaves": ("scores", "distil", "dead leaves"), "mixed pictures": ("scores", "distil", "mixed"),
    "noise": ("scores", "distil", "noise"), "DFME": ("scores", "dfme", ""), "MAZE": ("scores", "maze", ""),
    "data, labels": ("labels", "distil", "data"), "mixed pictures, labels": ("labels", "distil", "mixed"),
    "generator, labels": ("labels", "hard-label", ""),
    "extract, data": ("scores", "extract", "data"), "extract, other data": ("scores", "extract", "other"),
    "extract, nothing": ("scores", "extract", ""),
}  # fmt: skip
TRAINED = {name: (how.access.name.lower(), how, "") for name, how in extraction.TRAINED.items()}
LONG = {**{way: WAYS[way] for way in WAYS if way != "data, active" and not way.startswith("extract")}, **TRAINED}  # 5,000 answers or more
LOSSES = {name: (how.access.name.lower(), how, "") for name, how in extraction.RAISED.items()}
STEPS = {
    **{f"DFME {b} {c}": ("scores", acquire.DFME(batch=b, copy_steps=c), "") for b, c in ((64, 5), (64, 1), (32, 2), (16, 5), (16, 1))},
    **{f"MAZE {b} {c}": ("scores", acquire.MAZE(batch=b, copy_steps=c), "") for b, c in ((64, 5), (16, 5), (16, 1))},
    **{f"labels {b} {g}": ("labels", acquire.HardLabel(batch=b, generator_steps=g), "") for b, g in ((64, 1), (16, 1), (64, 5))},
}
CHOICES: dict[str, tuple[str, Any, str]] = {
    **{kind: ("scores", "distil", kind) for kind in ("mixed", "dead leaves", "spectrum", "gratings", "noise", "few", "few and mixed")},
    **{kind: ("scores", "distil", kind) for kind in ("other", "other and mixed")},
    "DFME": ("scores", "dfme", ""), "DFME, non-saturating": ("scores", acquire.DFME(loss="non-saturating"), ""),
    "generator, labels": ("labels", "hard-label", ""),
    "generator, labels, non-saturating": ("labels", acquire.HardLabel(loss="non-saturating"), ""),
}  # fmt: skip


def spend(way: tuple[str, Any, str], budget: int, of: Case, eps: float) -> dict[str, Any]:
    """A row: the outcomes of the images to measure on, what was spent, and what happened."""
    access, strategy, kind = way
    oracle, begun = bb.Oracle(of.target, access, 10, returns="logits", rows_per_call=64), time.perf_counter()
    net, recipe = sg.build("lenet", 10, of.shape, of.seed + 1), sg.Recipe(epochs=EPOCHS[budget])
    theirs, before = sg.predict(of.target, of.test), {}
    notes, along = (), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of collapses, which are noted
        if strategy == "extract":
            given = {"data": {"data": of.own}, "other": {"other": of.other(budget)}}.get(kind, {})
            got = sg.extract(oracle, budget, shape=of.shape, arch=net, recipe=recipe, seed=of.seed, **given)
            bill, before = got.bill, {"why": got.why}
        elif kind:
            count = max(budget, len(of.own)) if kind == "data" else budget
            bill = sg.learn(net, oracle, of.pool(kind, count), strategy, queries=budget, recipe=recipe, held_out=0, seed=of.seed).bill
        else:
            initial = copy.deepcopy(net.state_dict())
            made = acquire.data_free(net, oracle, strategy, queries=budget, retrain=False, evaluation=of.test, seed=of.seed)
            bill, notes = made.bill, made.notes
            along = [[q, r.k, r.n] for q, r in zip(made.curve.queries, made.curve.evaluation, strict=True)]
            before = {"agreed_along": each(sg.predict(net, of.test) == theirs)}
            net.load_state_dict(initial)
            if budget > MANY:  # as many updates as copies get that learn from all answers; smaller sets have them by `least_updates`
                recipe = sg.Recipe(epochs=round(recipe.epochs * budget / len(made.answers)))
            sg.train(net, made.answers, recipe, seed=of.seed)  # as data_free does with retrain=True
    assert oracle.rows == bill.total == budget
    x_adv = sg.craft(net, of.test, theirs, "mi-fgsm", threat=bb.Linf(eps), seed=of.seed)
    return {
        "bill": str(bill), "notes": list(notes), "along": along, **before, "agreement": each(sg.predict(net, of.test) == theirs),
        "transfer": each(sg.predict(of.target, x_adv) != theirs), "row_seconds": round(time.perf_counter() - begun, 1),
    }  # fmt: skip


def floor(of: Case, eps: float) -> dict[str, Any]:
    """What random signs of the same size change."""
    return {"transfer": each(sg.predict(of.target, cornered(of.test, eps, of.seed)) != sg.predict(of.target, of.test))}


def ways_of(study: str, budget: int) -> dict[str, tuple[str, Any, str]]:
    if study == "losses":
        return LOSSES
    if study == "choose":
        return STEPS if budget >= MANY else CHOICES
    return LONG if budget >= MANY else WAYS


def measure(s: Settings) -> None:
    if s.study == "pictures":
        print("wrote", pictures(s))
        return
    if s.study == "draw":
        print("wrote", draw(results(f"extraction_{s.target}")["rows"], s))
        return
    choosing = s.study == "choose"
    book = Book(f"extraction_{s.called}", s)
    seeds = ground.seeds("choosing" if choosing else "reporting")[: 1 if choosing or s.study == "losses" or s.target == CIFAR else None]
    if s.study == "floors":
        for seed in seeds:
            book.row(partial(floor, case(s, seed), EPS[s.target]), among="floors", seed=seed)
        return
    for budget in s.budgets or ((1000,) if choosing else (20_000,) if s.study == "losses" else BUDGETS[s.target]):
        ways = ways_of(s.study, budget)
        for seed in seeds:
            of = case(s, seed)
            for name in [list(ways)[i] for i in s.ways] or ways:
                make = partial(spend, ways[name], budget, of, EPS[s.target])
                book.row(make, way=name, access=ways[name][0], budget=budget, seed=seed)
    if s.study == "measure":
        print("wrote", draw(book.found["rows"], s))


def draw(rows: list[dict[str, Any]], s: Settings) -> Any:
    """Agreement and transfer against queries; the tables' intervals."""
    three = "nets for digits, three seeds: over images and trainings"
    what = three if s.target == DIGITS else "ResNet-8 on CIFAR-10, one seed: over images alone"
    path = DOCS / f"extraction_{s.target}.png"
    shown = [w for w in (*WAYS, *TRAINED) if not w.startswith("extract") and any(r["way"] == w for r in rows)]
    budgets = sorted({r["budget"] for r in rows})
    with sheet(path, "A copy of what it was asked", f"{what}; 95 % intervals, as in the tables", 10.2, 7.4, columns=2, sharey=True) as (
        made, ((left, right),)
    ):  # fmt: skip
        for axes, column in ((left, "agreement"), (right, "transfer")):
            groups = {}
            for budget in budgets:
                found = [[r for r in rows if (r["way"], r["budget"]) == (way, budget)] for way in shown]
                groups[f"{budget:,} answers"] = [_in_percent(share(some, column)) if some else None for some in found]
            dots(axes, shown, groups)
        for axes, name in ((left, "same class as the target, %"), (right, "class changed by MI-FGSM on the copy, %")):
            axes.set(xlabel=name, xlim=(0, 101))
        made.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=len(budgets))
    return path


def _in_percent(found: Figure) -> tuple[float, float, float]:
    return 100 * found.value, 100 * found.low, 100 * found.high


def pictures(s: Settings) -> Any:
    """Draw what the generators made after 20,000 answers, beside what else is asked about."""
    import matplotlib.pyplot as plt

    of = case(s, 0)
    budget, shown = 20_000, {}
    for name in ("data", "other data", "dead leaves", "mixed pictures"):
        pool = of.pool(WAYS[name][2], 10)
        shown[name] = (pool.images if isinstance(pool, sg.Dataset) else pool)[:10]
    for name, (access, method, _) in TRAINED.items():
        oracle = bb.Oracle(of.target, access, 10, returns="logits", rows_per_call=64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net = sg.build("lenet", 10, of.shape, 1)
            shown[name] = acquire.data_free(net, oracle, method, queries=budget, retrain=False).images(10)
    fig, grid = plt.subplots(len(shown), 10, figsize=(8.4, 0.84 * len(shown)), layout="constrained")
    for line, (name, images) in zip(grid, shown.items(), strict=True):
        for axes, image in zip(line, images, strict=True):
            axes.imshow(image.permute(1, 2, 0).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.axis("off")
        line[0].text(-0.2, 0.5, name, transform=line[0].transAxes, va="center", ha="right", fontsize=8)
    path = DOCS / f"extraction_made_{s.target}.png"
    fig.savefig(path, dpi=110)
    plt.close(fig)
    return path


if __name__ == "__main__":
    run(Settings, measure)

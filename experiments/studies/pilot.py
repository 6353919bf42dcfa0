"""What a copy's owner with other images should ask about, by the answers to a few: how `surrogates.extract` came to its pilot.

Targets and images to choose on alone. Each pair of a target and a set of other images is a case; 850 answers, of which a LeNet learns. The
ways: other images alone, procedural pictures alone, half of each, and each pool first asked about 10 or 15 % of the answers, the rest
going to the pool on which the target tells more classes apart. `criteria` are what 15 % of the answers on each pool tell, by other measures
too: how many classes are told apart (`groups`: the median of three groups, each kind of procedural pictures being one; `mutual`: on all of
them), how balanced the labels are (`balance`, the exponential of their entropy), the mean confidence, and whether a copy that learned from
one pool's answers names the target's classes on the other's (`across`, the mean over these classes).

Other images: crops of scikit-learn's two photographs, or of the first twenty ImageNet ones; MNIST digits, scikit-learn's digits, traffic
signs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from experiments import ground
from experiments.runner import Book, Real, each, run, says
from experiments.studies.extraction import crops, digits
from surrogates import acquisition as acquire

QUERIES, EPOCHS = 850, 20
CASES = (
    "digits two", "digits-101 two", "digits mnist", "digits signs", "mnist_nat crops", "mnist_nat digits", "mnist_nat signs",
    "resnet20 crops", "resnet20 mnist", "own_cnn crops", "own_vgg signs", "cnna_adv crops",
)  # fmt: skip
SHARES = (0.1, 0.15)
WAYS = ("other", "mixed", "half", *(f"pilot {share:.0%}" for share in SHARES))
FIRST = 0.15  # of the answers, for the criteria


@dataclass(frozen=True)
class Settings(Real):
    cases: tuple[str, ...] = says(CASES, "a target and other images", CASES)

    @property
    def seed(self) -> int:
        return ground.seeds("choosing")[0]


@dataclass(frozen=True, eq=False)
class Case:
    """A target, images of its kind that agreement is measured on, and pools to choose between."""

    target: nn.Module
    test: Tensor
    other: Tensor
    mixed: Tensor
    seed: int

    def oracle(self) -> bb.Oracle:
        return bb.Oracle(self.target, "scores", 10, returns="logits", rows_per_call=64)


def case(words: str, s: Settings) -> Case:
    name, kind = words.split()
    if name.startswith("digits"):
        of = digits(int(name.partition("-")[2] or s.seed), True)
        target, test = of.target, of.test
    else:
        about = ground.entry("targets", name)
        assert about["use"] == "choosing"
        target, test = ground.net(name, s.root), ground.images(about["images"], s.root)[0].images[:200]
    shape = tuple(test.shape[1:])
    mixed = acquire.procedural(shape, QUERIES, "mixed", s.seed).images
    return Case(target, test, others(kind, shape, s), mixed, s.seed)


def others(kind: str, shape: tuple[int, ...], s: Settings) -> Tensor:
    """Other images of a kind, in random order, as many as answers: where there are fewer, changed copies too."""
    if kind == "two":
        from sklearn.datasets import load_sample_images

        photographs = [torch.from_numpy(p.copy()).permute(2, 0, 1).float() / 255 for p in load_sample_images().images]
        return crops(photographs, shape[1], shape[0], s.seed, QUERIES)
    if kind == "crops":
        return crops(list(ground.images("photographs-first", s.root, 256)[0].images), shape[1], shape[0], s.seed, QUERIES)
    if kind == "digits":
        pool = sg.load("digits").images[:800]
    elif kind == "mnist":
        pool = ground.images("digits-second", s.root)[0].images
    else:
        with np.load(s.root / "gtsrb.npz") as file:
            pool = torch.from_numpy(file["images32"]).permute(0, 3, 1, 2).float() / 255
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(s.seed))
    return acquire.widened(acquire.fitted(pool[order], shape), QUERIES, s.seed).images[:QUERIES]


def spend(way: str, of: Case) -> dict[str, Any]:
    """A row: on which images the copy names the target's class."""
    half = QUERIES // 2
    strategy: Any = "distil"
    if way == "half":
        pool = torch.cat([of.other[:half], of.mixed[: QUERIES - half]])
    elif way.startswith("pilot"):
        strategy = acquire.Pilot((QUERIES, QUERIES), round(SHARES[WAYS.index(way) - 3] * QUERIES))
        pool = torch.cat([of.other, of.mixed])
    else:
        pool = of.other if way == "other" else of.mixed
    net = sg.build("lenet", 10, tuple(of.test.shape[1:]), of.seed + 1)
    got = sg.learn(net, of.oracle(), pool, strategy, queries=QUERIES, recipe=sg.Recipe(epochs=EPOCHS), held_out=0, seed=of.seed)
    assert got.bill.total == QUERIES
    found = {} if strategy == "distil" else {"best": ("other", "mixed")[strategy.order(got.answers)[0]]}
    return {**found, "agreement": each(sg.predict(net, of.test) == sg.predict(of.target, of.test))}


def criteria(of: Case, count: int) -> dict[str, Any]:
    """What the first images of each pool tell, by every measure: [other, mixed]."""
    told = [sg.ask(of.oracle(), pool[:count], count) for pool in (of.other, of.mixed)]
    nets = []
    for answers in told:
        net = sg.build("lenet", 10, tuple(of.test.shape[1:]), of.seed + 1)
        one_class = len(answers.labels.unique()) == 1
        nets.append(None if one_class else sg.train(net, answers, sg.Recipe(epochs=EPOCHS), seed=of.seed))
    across = [0.0 if net is None else _balanced(net, answers) for net, answers in zip(nets, told[::-1], strict=True)]
    labels = [torch.bincount(a.labels, minlength=10) / len(a) for a in told]
    groups, whole = (acquire.Pilot((count, count), count, n) for n in (3, 1))
    both = told[0].join(replace(told[1], index=told[1].index + count))
    values = {
        "groups": groups.found(both), "mutual": whole.found(both),
        "balance": [float(torch.special.entr(share).sum().exp()) for share in labels],
        "confidence": [float(a.probabilities.amax(1).mean()) for a in told if a.probabilities is not None], "across": across,
    }  # fmt: skip
    return {name: [round(v, 4) for v in both] for name, both in values.items()}


def _balanced(net: nn.Module, answers: sg.Answers) -> float:
    """The share of images on which a net names the target's class, the mean over these classes."""
    right = (sg.predict(net, answers.images) == answers.labels).numpy()
    return float(np.mean([right[(answers.labels == c).numpy()].mean() for c in answers.labels.unique()]))


def measure(s: Settings) -> None:
    book = Book("extraction_pilot", s)
    for words in s.cases:
        of = case(words, s)
        book.row(partial(criteria, of, round(FIRST * QUERIES)), among="criteria", case=words)
        for way in WAYS:
            book.row(partial(spend, way, of), case=words, way=way)


if __name__ == "__main__":
    run(Settings, measure)

"""What do the constants of `ripples` and `hybrid` cost, and what would others? On ground that nothing is reported on.

A search has constants that no paper gives: from which share of the margin on waves are worth windows (``LITTLE``), what makers of
ripples are credited with below it (``ON_LITTLE``), from which share on hybrid asks for the other waves first (``MUCH``), how much
of the margin its start must take away for the prior to be trusted (``trust``), what makers and moves that ask the prior are
credited with, which moves there are with labels alone. Here each is given other values, one at a time, all else as it is, on the
targets for choosing with their seeds; the rows of the search as it is stand beside them. An image's draws are the same in both.

    python -m experiments.studies.constants                       # every knob
    python -m experiments.studies.constants --knobs LITTLE,MUCH

These constants are no public names, for nobody is to set them: this study alone replaces them, by where they stand, while a search runs.

Queries: the clean check is charged, a failure costs the budget. Every image's are kept.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import blackbox as bb
from blackbox.candidates import Maker, usual
from experiments import ground
from experiments.cases import Case
from experiments.rows import code, commit
from experiments.runner import Book, Real, run, says

RESULTS_IN = "constants"  # a file a search, so that several may be measured at once
AS_IT_IS = "as it is"
ALONE = ("resnet20", "own_cnn", "own_vgg", "cnna_adv", "mnist_nat")  # the targets of searches without a prior
PRIORS = {  # target -> the nets that hybrid has: never the target itself, and never what learned from the images
    "resnet20": ("two", "misled"), "own_cnn": ("two-unseen",), "cnna_adv": ("two",),
}  # fmt: skip

Patch = Callable[[], contextlib.AbstractContextManager[Any]]


@dataclass(frozen=True)
class Search:
    """A search: its attack, what the target shows, whether it has a prior."""

    attack: str
    access: str = "scores"

    @property
    def guided(self) -> bool:
        return self.attack == "hybrid"

    @property
    def name(self) -> str:
        return self.attack if self.access == "scores" else f"{self.attack}, labels"


@dataclass(frozen=True)
class Value:
    """One value of a knob. patch: constants that it replaces while the attack runs, (where, value). options: of the attack."""

    label: str
    patch: tuple[tuple[str, Any], ...] = ()
    options: Callable[[], dict[str, Any]] = dict

    @contextlib.contextmanager
    def set(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for where, value in self.patch:
                stack.enter_context(mock.patch(where, value))
            yield


@dataclass(frozen=True)
class Knob:
    """A constant. now: its value as it is, in words. others: what it is given instead."""

    search: Search
    what: str
    now: str
    others: tuple[Value, ...]


def credited(successes: float, failures: float) -> tuple[Maker, ...]:
    """hybrid's makers, those that ask the prior credited with so many times their successes and failures."""
    made = usual()
    return tuple(replace(m, worth=(successes * m.worth[0], failures * m.worth[1])) if m.surrogate else m for m in made)  # type: ignore[type-var]


MOVES: Any = importlib.import_module("blackbox.candidates.moves")
WHOLE, HYBRID_AT, LABELS_AT = "blackbox.candidates.whole", "blackbox.attacks.hybrid", "blackbox.attacks.hybrid_labels"


def worth(a: float, b: float) -> tuple[Any, ...]:
    """The moves without a prior, all credited alike."""
    return tuple(replace(move, worth=(a, b)) for move in MOVES.ALONE)


def without(kind: type) -> tuple[Any, ...]:
    """They again; those of a kind are never drawn: hardly any credit, so that the parts of the search stay what they are."""
    return tuple(replace(move, worth=(1e-6, 1e6)) if isinstance(move, kind) else move for move in MOVES.ALONE)


def share(value: float) -> Value:
    return Value(f"{value:g}", ((f"{WHOLE}.LITTLE", value),))


def on_little(a: float, b: float) -> Value:
    where = (f"{WHOLE}.ON_LITTLE", "blackbox.attacks.ripple_labels.ON_LITTLE")
    return Value(f"({a:g}, {b:g})", tuple((one, (a, b)) for one in where))


def much(value: float) -> Value:
    return Value(f"{value:g}", ((f"{HYBRID_AT}.MUCH", value),))


def trust(value: float) -> Value:
    return Value(f"{value:g}", options=lambda: {"trust": (0.7, value, 0.6)})


def alone(label: str, some: tuple[Any, ...]) -> Value:
    return Value(label, (("blackbox.attacks.ripple_labels.ALONE", some),))


def guided(a: float, b: float) -> Value:
    return Value(f"({a:g}, {b:g})", ((f"{LABELS_AT}.LITTLE", (a, b)),))


RIPPLES, HYBRID = Search("ripples"), Search("hybrid")
RIPPLES_LABELS, HYBRID_LABELS = Search("ripples", "labels"), Search("hybrid", "labels")
KNOBS = {
    "LITTLE": Knob(RIPPLES, "the share of the margin below which the search goes on as Square", "0.35",
                   (share(0.0), share(0.2), share(0.5))),
    "ON_LITTLE": Knob(RIPPLES, "successes and failures that makers of ripples are credited with below it", "(0.1, 20)",
                      (on_little(0.5, 10.0), on_little(1.5, 3.0))),
    "MUCH": Knob(HYBRID, "the share from which on hybrid asks for the other waves before its start", "0.5",
                 (much(0.3), much(1.1))),
    "prior_right": Knob(HYBRID, "the share that the start must take away, of images that the prior has right", "0.4",
                        (trust(0.2), trust(0.6))),
    "credits": Knob(HYBRID, "successes and failures of makers that ask the prior, as factors", "(1, 1)", (
        Value("(1, 0.5)", options=lambda: {"makers": credited(1, 0.5)}), Value("(1, 2)", options=lambda: {"makers": credited(1, 2)}),
    )),
    "moves": Knob(RIPPLES_LABELS, "moves with labels alone, and what they are credited with", "all, (1, 2) each", (
        alone("without waves", without(MOVES.Wave)), alone("without turned windows", without(MOVES.Turn)),
        alone("all, (1, 5) each", worth(1.0, 5.0)),
    )),
    "guided moves": Knob(HYBRID_LABELS, "successes and failures of moves that ask the prior, where its start is no nearer than the waves",
                         "(0.3, 6)", (guided(0.1, 20.0), guided(1.0, 2.0))),
    "first waves": Knob(HYBRID_LABELS, "waves that are asked for before the prior's example", "4", (
        Value("1", ((f"{LABELS_AT}.BEFORE", 1),)), Value("6", ((f"{LABELS_AT}.BEFORE", 6),)),
    )),
}  # fmt: skip


def source_of(knob: Knob) -> str:
    """The results file that a knob's rows are in."""
    return f"{RESULTS_IN}/{knob.search.name.replace(', ', '_')}"


@dataclass(frozen=True)
class Settings(Real):
    knobs: tuple[str, ...] = says(tuple(KNOBS), "constants", KNOBS)
    images: int = says(50, "attacked, of each target")
    budget: int = says(1000, "queries an image")


def grounds(search: Search) -> Iterator[tuple[str, str]]:
    """Target and prior of each row of a search."""
    if not search.guided:
        yield from ((target, "") for target in ALONE)
    else:
        yield from ((target, prior) for target, some in PRIORS.items() for prior in some)


def measured(search: Search, value: Value, case: Case, prior: str, root: Path, budget: int, seed: int) -> dict[str, Any]:
    """Of each image the queries, and whether it was fooled."""
    begun = time.perf_counter()
    given = {"prior": ground.prior(prior, root, case.data)} if prior else {}
    oracle = bb.Oracle(case.net, search.access, case.classes)
    with value.set():
        attack = bb.attacks.build(search.attack, **given, **value.options())
        result = bb.attack(oracle, case.images, case.labels, attack, case.threat, budget, seed=seed, ids=case.ids)
    return {
        "commit": commit(), "code": code(search.attack), "seconds": round(time.perf_counter() - begun, 1), "among": case.among,
        "ids": result.ids.tolist(), "queries": result.queries.tolist(), "found": result.success.int().tolist(),
    }  # fmt: skip


def measure(s: Settings) -> None:
    cases: dict[str, Case] = {}
    for name in s.knobs:
        knob = KNOBS[name]
        book = Book(source_of(knob), s, same=("images", "budget"))
        for target, prior in grounds(knob.search):
            if target not in cases:
                cases[target] = ground.case(target, s.root, count=s.images, use="choosing")
            for value in (Value(AS_IT_IS), *knob.others):
                for seed in ground.seeds("choosing"):
                    of = "" if value.label == AS_IT_IS else name
                    given = (knob.search, value, cases[target], prior, s.root, s.budget, seed)
                    about = {"search": knob.search.name, "knob": of, "value": value.label, "target": target, "prior": prior}
                    book.row(lambda given=given: measured(*given), **about, seed=seed, budget=s.budget)


if __name__ == "__main__":
    run(Settings, measure)

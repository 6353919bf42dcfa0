"""`extract`: one call that copies a target within a budget, by whatever images there are, and says how good the copy is."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.checks import check_int
from blackbox.oracle.kept import Kept
from blackbox.oracle.oracle import Oracle
from blackbox.rng import Stream
from blackbox.statistics import Rate
from blackbox.threat import Linf, Threat, as_threat
from surrogates.acquisition.base import Bill
from surrogates.acquisition.curve import AgreementCurve
from surrogates.acquisition.data_free import methods
from surrogates.acquisition.data_free.loop import data_free
from surrogates.acquisition.learn import learn
from surrogates.acquisition.pilot import Pilot
from surrogates.acquisition.pools import fitted, procedural, unlabelled, widened
from surrogates.acquisition.strategies import get
from surrogates.crafting import presets
from surrogates.crafting.craft import craft
from surrogates.data.answers import Answers, ask_all
from surrogates.data.dataset import Dataset, images_of
from surrogates.nets.predict import predict
from surrogates.nets.registry import build
from surrogates.training.recipe import Recipe

HELD, MOST_HELD = 0.1, 500  # of the budget to measure agreement, at most so many (ours)
CRAFTED, MOST_CRAFTED = 0.05, 200  # and to measure transfer (ours)
LEAST = 10  # queries
PILOT = 0.15  # of the queries, on each pool that a pilot chooses between; chosen by `experiments.studies.pilot`
LEAST_EACH = 10  # images of each; fewer tell nothing (ours)
BOTH = ("other images", "procedural pictures")
EPS = 8 / 255
OWN = "images of the target's kind"
NONE_OF_ITS_KIND = f"no {OWN} are there"


@dataclass(frozen=True, eq=False)
class Extraction:
    """The result of `extract`.

    Attributes:
        net: the copy.
        strategy, pool: how the queries were spent, and on which images. why: in a sentence.
        agreement: share of the images held out on which the copy names the target's class.
        transfer: share of examples crafted on the copy that change the target's class, under ``threat``.
        measured_on: which images these were.
        bill: all queries. answers: those learned from. held_out: those that agreement was measured on.
        curve: agreement along the way, where it was measured.
        notes: what else happened: a generator that collapsed, another strategy than the one asked for.
    """

    net: nn.Module
    strategy: str
    pool: str
    why: str
    agreement: Rate
    transfer: Rate
    threat: Threat
    measured_on: str
    bill: Bill
    answers: Answers
    held_out: Answers
    curve: AgreementCurve
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """Format the result as text."""
        lines = [
            f"strategy         {self.strategy} on {self.pool}: {self.why}",
            f"agreement        {self.agreement}  on {self.measured_on}",
            f"transfer         {self.transfer}  of examples made on the copy change the target's class ({self.threat})",
            f"bill             {self.bill}",
        ]
        return "\n".join([*lines, *(f"note             {note}" for note in self.notes)])


@dataclass(frozen=True, eq=False)
class _Plan:
    """How the budget is spent. spare: images to measure on, which nothing is learned from. pilot: chooses between parts of the pool."""

    strategy: str
    pool: Dataset | None
    name: str
    why: str
    spare: Tensor
    measured_on: str
    learn: int
    crafted: int
    notes: tuple[str, ...] = ()
    pilot: Pilot | None = None


def extract(
    oracle: Oracle,
    budget: int,
    *,
    data: Any = None,
    other: Any = None,
    test: Any = None,
    shape: tuple[int, ...] | None = None,
    arch: str | nn.Module = "cnn",
    recipe: Recipe | None = None,
    strategy: str | None = None,
    threat: Threat | None = None,
    attack: str = "mi-fgsm",
    seed: int = 0,
    journal: str | os.PathLike[str] | None = None,
) -> Extraction:
    """Copy a target within a budget, and measure how far the copy agrees with it and what carries over from it.

    The images asked about are, by what is given: ``data``; where they are fewer than the queries, changed copies of them too
    (`acquire.widened`); else ``other`` images, made to fit, or procedural pictures, between which the target's answers decide: a small
    share of the queries goes to either, and the rest to those on which it tells more classes apart (`acquire.Pilot`; with a ``strategy``,
    or where a share is less than 10 images, half to either); else procedural pictures of all kinds (`acquire.procedural`). That there is no
    generator among these, and no pictures beside data, was chosen by `experiments.studies.extraction`, for budgets of a thousand.

    Args:
        oracle: the target, charged under ``"train"`` (with a method without data also ``"estimate"``), ``"held out"`` and ``"transfer"``.
        budget: for all of it: a tenth, at most 500, to measure agreement, a twentieth, at most 200, to measure transfer.
        data: images of the target's kind, a Dataset or [N, C, H, W] in [0, 1]; labels are not read.
        other: other images, of any size (`acquire.fitted`).
        test: images to measure on in place of some held out of data, other images or procedural pictures; each is charged.
        shape: (C, H, W) of the target's images; by default that of ``data`` or ``test``.
        arch: of the copy: a name for `surrogates.build`, or a net.
        recipe: as for `surrogates.train`.
        strategy: in place of what is chosen: one of `acquire.names` on the same images, or a method without data: ``"dfme"``, ``"maze"``,
            ``"hard-label"``. A budget below one batch of these falls back on procedural pictures; the result says so.
        threat, attack: of the examples crafted on the copy; Linf 8/255 and MI-FGSM.
        seed: for all draws.
        journal: answers are kept in files beside it, as in `surrogates.learn`.

    Raises:
        ValueError: a budget below 10, or one that the images to measure on use up; no shape; images that do not fit (before the first
            query); the target gives all images one class, or rejects all of a kind (``error.answers`` holds what was paid for).
        TargetError: the target failed; ``error.result`` holds the `Answers` to learn from that were paid for.
    """
    threat = as_threat(Linf(EPS) if threat is None else threat)
    presets.get(attack)  # an unknown one is refused before the first query
    size = _shape(shape, data, test, arch)
    plan = _plan(oracle, check_int(budget, "budget", 1), size, data, other, test, strategy, check_int(seed, "seed"))
    net = build(arch, oracle.classes, size, seed) if isinstance(arch, str) else arch
    files = Kept(journal)
    own = files.of("learn")["journal"]
    if plan.pool is None:
        free = data_free(net, oracle, plan.strategy, queries=plan.learn, shape=size, recipe=recipe, seed=seed, journal=own)
        answers, bill, curve, notes = free.answers, free.bill, free.curve, (*plan.notes, *free.notes)
    else:
        how: Any = plan.pilot or plan.strategy
        got = learn(net, oracle, plan.pool, how, queries=plan.learn, recipe=recipe, held_out=0, seed=seed, journal=own)
        answers, bill, curve, notes = got.answers, got.bill, got.curve, plan.notes
    try:
        with files.calls(oracle, "measure", seed=seed, budget=budget):
            held = ask_all(oracle, plan.spare, np.arange(len(plan.spare)), (), "held out")
            transfer = _transfer(net, oracle, held, plan, threat, attack, seed)
    except BaseException as error:
        error.result = error.answers = answers  # type: ignore[attr-defined]  # they were paid for
        raise
    agreement = Rate.of((predict(net, held.images) == held.labels).numpy())
    bill = replace(bill, budget=budget, held_out=held.paid, transfer=min(plan.crafted, len(held)))
    why = plan.why if plan.pilot is None else f"{plan.why}: {plan.pilot.why(answers, BOTH)}"
    return Extraction(
        net, plan.strategy, plan.name, why, agreement, transfer, threat, plan.measured_on, bill, answers, held, curve, notes
    )


def _transfer(net: nn.Module, oracle: Oracle, held: Answers, plan: _Plan, threat: Threat, attack: str, seed: int) -> Rate:
    """How many examples crafted on the copy, at images whose class the target has told, change it."""
    if not len(held):
        raise ValueError(
            f"Expected answers from the target, but it rejected all {held.rejected} images held out. They are paid for. Give other "
            "images to measure on: test=."
        )
    x, labels = held.images[: plan.crafted], held.labels[: plan.crafted]
    made = craft(net, x, labels, attack, threat=threat, seed=seed)
    now = oracle(made, purpose="transfer").label.cpu()
    return Rate.of((now != labels).numpy(), known=(now >= 0).numpy())


def _shape(shape: tuple[int, ...] | None, data: Any, test: Any, arch: Any) -> tuple[int, int, int]:
    for images in (data, test):
        if shape is None and images is not None:
            shape = tuple(images_of(images, "images").shape[1:])
    shape = shape or getattr(arch, "shape", None)
    if shape is None or len(shape) != 3:
        raise ValueError(f"Expected shape=(C, H, W) of the target's images, where no image of its kind shows it, but it was {shape!r}.")
    return int(shape[0]), int(shape[1]), int(shape[2])


def _plan(
    oracle: Oracle, budget: int, shape: tuple[int, int, int], data: Any, other: Any, test: Any, strategy: str | None, seed: int
) -> _Plan:
    tests = None if test is None else images_of(test, "test")
    held = min(max(round(HELD * budget), 1), MOST_HELD) if tests is None else len(tests)
    if tests is not None and (came := tuple(tests.shape[1:])) != shape:
        raise ValueError(f"Expected images to measure on of shape {shape}, but it was {came}. Resize them: acquire.fitted(test, {shape}).")
    given = data if data is not None else other if strategy not in methods.names() else None
    if tests is None and given is not None:
        if (have := len(images_of(given, "data"))) < 2:
            raise ValueError(f"Expected at least 2 images, one of them to measure on, but there was {have}. Give more, or test=.")
        held = min(held, have // 2)
    crafted = min(max(round(CRAFTED * budget), 1), MOST_CRAFTED, held)
    queries = budget - held - crafted
    if budget < LEAST or queries < 2:
        raise ValueError(
            f"Expected a budget of at least {max(LEAST, held + crafted + 2)} queries, {held} of them to measure agreement, but it was "
            f"{budget}. Give more."
        )
    strategy, notes = _known(strategy, queries)
    if strategy in methods.names():
        spares = procedural(shape, held + 1, "mixed", seed, first=1 << 40) if data is None else _own(data, shape)
        _, spare, on = _parted(spares, held, tests, seed, "procedural pictures" if data is None else OWN)
        return _Plan(strategy, None, "a generator's images", "as asked for", spare, on, queries, crafted, notes)
    each = 0 if data is not None or other is None or strategy else round(PILOT * queries)
    have = 0 if other is None else len(images_of(other, "other images")) - (held if tests is None else 0)
    if min(each, have) >= LEAST_EACH:
        parts, spare, on = _between(shape, queries, held, other, tests, seed)
        pilot = Pilot(tuple(len(p) for p in parts), each)
        pool, name = unlabelled(torch.cat([p.images for p in parts]), parts[0].name), " and ".join(BOTH)
        return _Plan("pilot", pool, name, NONE_OF_ITS_KIND, spare, on, queries, crafted, notes, pilot)
    pool, name, why, spare, on = _pool(shape, queries, held, data, other, tests, seed)
    return _Plan(strategy or "distil", pool, name, why, spare, on, queries, crafted, notes)


def _known(strategy: str | None, queries: int) -> tuple[str, tuple[str, ...]]:
    """The strategy by its name, "" for the default, and what there is to say of it."""
    if strategy is None:
        return "", ()
    if strategy not in methods.names():
        get(strategy)
        return strategy, ()
    if queries >= (least := methods.get(strategy).batch):
        return strategy, ()
    why = f"{strategy} asks in batches of {least}, and {queries} queries are there to learn from"
    return "", (f"{why}: other images are asked about instead.",)


def _own(data: Any, shape: tuple[int, int, int]) -> Dataset:
    images = data if isinstance(data, Dataset) else unlabelled(images_of(data, "data"), "data")
    if tuple(images.shape) != shape:
        raise ValueError(f"Expected data of the target's shape {shape}, but it was {images.shape}. Give other sizes as other=.")
    return images


def _parted(images: Dataset, held: int, test: Tensor | None, seed: int, what: str) -> tuple[Dataset, Tensor, str]:
    """All of a pool, or all but ``held`` to measure on; these; and their name, ``what`` they are."""
    if test is not None:
        return images, test, "the images given to measure on"
    order = Stream(seed, np.arange(1, dtype=np.uint64)).shared_permutation(0, "held out", len(images))
    which = "" if what == OWN else ", which are not of the target's kind"
    return images.take(order[held:].sort().values), images.images[order[:held]], f"{what} held out{which}"


def _between(
    shape: tuple[int, int, int], queries: int, held: int, other: Any, test: Tensor | None, seed: int
) -> tuple[tuple[Dataset, Dataset], Tensor, str]:
    """Other images in random order and procedural pictures, of either no more than queries; the images to measure on; their name."""
    rest, spare, on = _parted(fitted(other, shape), held, test, seed, BOTH[0])
    some = rest.take(Stream(seed, np.arange(1, dtype=np.uint64)).shared_permutation(0, "other", len(rest))[:queries])
    return (some, procedural(shape, queries, "mixed", seed)), spare, on


def _pool(
    shape: tuple[int, int, int], queries: int, held: int, data: Any, other: Any, test: Tensor | None, seed: int
) -> tuple[Dataset, str, str, Tensor, str]:
    """The pool, its name, why it was chosen, the images to measure on, and their name."""
    if data is not None:
        images = _own(data, shape)
        rest, spare, on = _parted(images, held, test, seed, OWN)
        if len(rest) >= queries:
            return rest, "data", "images of the target's kind are there", spare, on
        why = f"{len(rest):,} images of its kind are there, fewer than queries"
        return widened(rest, queries, seed), "data and changed copies", why, spare, on
    if other is not None:
        (some, more), spare, on = _between(shape, queries, held, other, test, seed)
        some = some.take(slice(0, -(-queries // 2)))
        both = unlabelled(torch.cat([some.images, more.images[: queries - len(some)]]), some.name)
        return both, " and ".join(BOTH), f"{NONE_OF_ITS_KIND}, and which of both teaches more is not known", spare, on
    whole = procedural(shape, queries + (held if test is None else 0), "mixed", seed)
    rest, spare, on = _parted(whole, held, test, seed, "procedural pictures")
    return rest, "procedural pictures", "there are no images", spare, on

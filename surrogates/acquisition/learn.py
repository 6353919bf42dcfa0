"""`learn`: choose images, query the target, train and measure, until the budget is spent."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.checkpoint import fingerprint
from blackbox.checks import check_int
from blackbox.loggers.logger import running
from blackbox.loggers.read import opened
from blackbox.oracle.kept import kept
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Access
from blackbox.rng import Stream
from blackbox.statistics import Rate
from surrogates.acquisition.base import Bill, Situation, Strategy, bill
from surrogates.acquisition.curve import AgreementCurve
from surrogates.acquisition.strategies import get
from surrogates.data.answers import TOPK, Answers, ask_all
from surrogates.data.dataset import Dataset, images_of
from surrogates.nets.predict import class_count, predict
from surrogates.training.logged import described
from surrogates.training.recipe import Recipe, TrainReport
from surrogates.training.train import report, train

Net = TypeVar("Net", bound=nn.Module)
Progress = Callable[[int, Bill, AgreementCurve], None]


@dataclass(frozen=True, eq=False)
class Learned(Generic[Net]):
    """The result of `learn`: the given net, trained; the answers it was trained on and those held out (or None), which can be
    used for further training; the agreement curve; the bill."""

    net: Net
    answers: Answers
    held_out: Answers | None
    curve: AgreementCurve
    bill: Bill


def learn(
    net: Net,
    oracle: Oracle,
    pool: Any,
    strategy: str | Strategy = "distil",
    *,
    queries: int,
    recipe: Recipe | None = None,
    soft: bool | None = None,
    topk: str = "spread",
    held_out: float = 0.2,
    evaluation: Any = None,
    warm: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
    log: Any = None,
    journal: str | os.PathLike[str] | None = None,
) -> Learned[Net]:
    """Spend a query budget on a surrogate: train ``net`` in place on a target's answers to chosen images.

    Args:
        net: the surrogate, fresh or already trained.
        oracle: the target, charged under ``"held out"`` and ``"train"``. Images that it rejects are paid for, and not learned from.
        pool: a Dataset (its labels are not read) or images [N, C, H, W] in [0, 1]: own data, other data, `acquire.noise`.
            Never the images on which an attack will be evaluated.
        strategy: a name from `acquire.names`, or a `Strategy`.
        queries: the budget, held-out images included.
        recipe, soft: as for `surrogates.train`, in every round.
        topk: as for `surrogates.ask`.
        held_out: share of the budget (at most that share of the pool) queried first, chosen at random, and kept out of
            training. It chooses each round's best epoch and measures agreement. 0.2 (Pal et al. 2020, "ActiveThief"); with
            0 each round keeps its last epoch.
        evaluation: images on which to measure agreement after each round, for reports; queried once, under ``"verify"``,
            outside the budget. They influence no choice.
        warm: start each round from the previous round's weights instead of the initial ones.
        seed: for all draws.
        progress: called after each round with its number (from 0), the bill and the curve so far.
        log: where agreement is written after each round, as in `blackbox.attack`; step: the queries so far.
        journal: a file for every answer, as in `blackbox.attack`: the same call trains again, and pays for no answer twice.

    Raises:
        ValueError: the budget is too small for the strategy to start, or net, pool and target do not fit together (all
            before the first query); the target gives all images one class (``error.answers`` holds what was paid for).
        TargetError: the target failed; ``error.result`` holds the `Answers` that were paid for.
    """
    chosen, name = get(strategy), strategy if isinstance(strategy, str) else type(strategy).__name__
    images, augment = images_of(pool, "pool"), pool.augment if isinstance(pool, Dataset) else ()
    tests = None if evaluation is None else images_of(evaluation, "evaluation")
    queries = check_int(queries, "queries", 1)
    recipe, seed = recipe or Recipe(), check_int(seed, "seed")
    if recipe.held_out:
        raise ValueError("Expected a recipe without held_out: the share held out is learn's own held_out=.")
    check_fit(net, images, oracle, soft, topk)
    plan = bill(chosen, queries, len(images), held_out, 0 if tests is None else len(tests))
    if recipe.patience is not None and not plan.held_out:
        raise ValueError(
            "Expected held_out > 0 with patience: without held-out images there is nothing to lose patience by."
        )
    loggers = opened(log)
    about = {"strategy": name, "queries": queries, "target": oracle.name, "access": oracle.access.name.lower(), "warm": warm}
    facts = {"pool": fingerprint(images), "queries": queries, "seed": seed, "strategy": repr(chosen)}
    with kept(oracle, journal, **facts), running(loggers, described(net, recipe, seed, "learn", held_out=held_out, **about)):
        truth = None if tests is None else oracle(tests, purpose="verify").label.cpu()
        rng = Stream(seed, np.arange(len(images), dtype=np.uint64))
        order = rng.shared_permutation(0, "held out", len(images)).numpy()
        held = None
        if plan.held_out:
            places = order[: plan.held_out]
            held = ask_all(oracle, images[torch.from_numpy(places)], places, augment, "held out", topk)
        left, asked = np.sort(order[plan.held_out :]), None
        initial = copy.deepcopy(net.state_dict())
        curve = AgreementCurve(name, asked_apart=plan.evaluation)
        for number, wanted in enumerate(plan.rounds):
            choice = chosen.select(Situation(number, net, asked, images, left, rng), wanted)
            if len(choice.images) > wanted:
                raise ValueError(f"Expected at most {wanted} images from {name}, but it chose {len(choice.images)}.")
            asked = _ask(oracle, asked, choice.images, choice.index, augment, topk)
            left = np.setdiff1d(left, choice.index)
            if not warm:
                net.load_state_dict(initial)
            paid = asked.paid + plan.held_out
            try:
                check_answered(asked, held)
                if chosen.blind and number + 1 < len(plan.rounds) and len(asked.labels.unique()) < 2:
                    continue  # one class teaches nothing; the next images may show another
                train(net, asked, recipe, seed=seed, soft=soft, validation=held)
            except ValueError as error:
                error.answers = asked  # type: ignore[attr-defined]  # they were paid for
                raise
            out = report(net)
            out.queries, out.budget = paid, queries
            curve = measured(curve, net, paid, held, tests, truth)
            if loggers is not None:
                loggers.scalars(curve.queries[-1], _values(curve, out))
            if progress is not None:
                progress(number, plan, curve)
    assert asked is not None
    return Learned(net, asked, held, curve, plan)


def _values(curve: AgreementCurve, report: TrainReport) -> dict[str, float]:
    """What is logged of a round."""
    rates = {"agreement/held_out": curve.held_out, "agreement/evaluation": curve.evaluation}
    values = {name: each[-1].value for name, each in rates.items() if each}
    if report.best:
        values["agreement/loss"] = report.loss[report.best - 1]
    return values


def check_fit(net: nn.Module, images: Tensor, oracle: Oracle, soft: bool | None, topk: str) -> None:
    """Check that net, images and target fit together. Raises: ValueError."""
    if (count := class_count(net, images)) != oracle.classes:
        raise ValueError(
            f"Expected a net with the target's {oracle.classes} classes, but it has {count}. "
            f"Build it with classes={oracle.classes}."
        )
    if soft and oracle.access is Access.LABELS:
        raise ValueError(
            "Expected a target that shows scores for soft labels, but it shows labels only. Use soft=False."
        )
    if topk not in TOPK:
        raise ValueError(f"Expected topk to be one of {', '.join(TOPK)}, but it was {topk!r}.")


def check_answered(asked: Answers, held: Answers | None) -> None:
    """Check that the target answered something. Raises: ValueError, it rejected everything."""
    for what, some in (("to learn from", asked), ("held out", held)):
        if some is not None and not len(some):
            raise ValueError(
                f"Expected answers from the target, but it rejected all {some.rejected} images {what}. They are paid for. Ask about other "
                "images, or fewer at a time from one account."
            )


def _ask(
    oracle: Oracle, asked: Answers | None, x: Tensor, index: np.ndarray, augment: tuple[str, ...], topk: str
) -> Answers:
    """Query ``x``, and add the answers to those so far."""
    try:
        new = ask_all(oracle, x, index, augment, "train", topk)
    except BaseException as error:
        part = getattr(error, "result", None)
        if asked is not None and isinstance(part, Answers):
            error.result = asked.join(part)  # type: ignore[attr-defined]
        raise
    return new if asked is None else asked.join(new)


def measured(
    curve: AgreementCurve, net: nn.Module, spent: int, held: Answers | None, tests: Tensor | None, truth: Tensor | None
) -> AgreementCurve:
    """Add a point to the curve."""

    def rate(images: Tensor, labels: Tensor) -> Rate:
        return Rate.of((predict(net, images) == labels).numpy(), known=(labels >= 0).numpy())  # -1: rejected, so unknown

    return replace(
        curve,
        queries=(*curve.queries, spent),
        held_out=(*curve.held_out, *([rate(held.images, held.labels)] if held else [])),
        evaluation=(*curve.evaluation, *([rate(tests, truth)] if tests is not None and truth is not None else [])),
    )

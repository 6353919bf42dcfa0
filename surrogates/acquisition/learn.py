"""The loop: choose, ask, train, measure; until the budget is spent."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.checks import as_images, check_int
from blackbox.oracle.oracle import Oracle, TargetError
from blackbox.protocol import Access
from blackbox.rng import Stream
from blackbox.statistics import Rate
from surrogates.acquisition.base import Bill, Situation, Strategy, bill
from surrogates.acquisition.curve import AgreementCurve
from surrogates.acquisition.strategies import get
from surrogates.data.answers import TOPK, Answers, ask_all
from surrogates.data.dataset import Dataset
from surrogates.nets.predict import class_count, predict
from surrogates.training.recipe import Recipe
from surrogates.training.train import report, train

Net = TypeVar("Net", bound=nn.Module)
Progress = Callable[[int, Bill, AgreementCurve], None]


@dataclass(frozen=True, eq=False)
class Learned(Generic[Net]):
    """The result of `learn`: the net given, trained; the answers it learned from and those held out (None without), good for
    further training; agreement against queries; the bill."""

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
) -> Learned[Net]:
    """Spend a query budget on a surrogate: ``net`` is trained in place on a target's answers to chosen images.

    Args:
        net: the surrogate, fresh or trained before. oracle: the target, charged under ``"held out"`` and ``"train"``.
        pool: a Dataset (its labels are not read) or images [N, C, H, W] in [0, 1]: own data, other data, `acquire.noise`.
            Never the images that an attack is to be measured on.
        strategy: a name from `acquire.names`, or a `Strategy`. queries: the budget, held-out images included.
        recipe, soft: as for `surrogates.train`, in every round. topk: as for `surrogates.ask`.
        held_out: share of the budget (at most that share of the pool) asked about first, at random, and never learned from.
            Each round's best epoch is chosen, and agreement measured, on these. 0.2 (Pal et al. 2020, "ActiveThief"); with 0
            each round keeps its last epoch.
        evaluation: images to measure agreement on after each round, for reports; asked about once, under ``"verify"``,
            outside the budget. Nothing is chosen by them.
        warm: go on from the weights of the round before, instead of those that ``net`` came with.
        seed: decides all draws. progress: called after each round with its number (from 0), the bill and the curve so far.

    Raises:
        ValueError: a budget that the strategy cannot begin with, a net and a pool or a target that disagree (all before
            the first query); a target that gives all images one class (``error.answers`` holds what was paid for).
        TargetError: the target failed; ``error.result`` holds the `Answers` to learn from that were paid for.
    """
    chosen, name = get(strategy), strategy if isinstance(strategy, str) else type(strategy).__name__
    images, augment = _pool(pool)
    tests = None if evaluation is None else _pool(evaluation)[0]
    queries = check_int(queries, "queries", 1)
    recipe, seed = recipe or Recipe(), check_int(seed, "seed")
    if recipe.held_out:
        raise ValueError("Expected a recipe without held_out: the share held out is learn's own held_out=.")
    _check(net, images, oracle, soft, topk)
    plan = bill(chosen, queries, len(images), held_out, 0 if tests is None else len(tests))
    if recipe.patience is not None and not plan.held_out:
        raise ValueError(
            "Expected held_out > 0 with patience: without held-out images there is nothing to lose patience by."
        )
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
        try:
            train(net, asked, recipe, seed=seed, soft=soft, validation=held)
        except ValueError as error:
            error.answers = asked  # type: ignore[attr-defined]  # they were paid for
            raise
        out = report(net)
        out.queries, out.budget = len(asked) + plan.held_out, queries
        curve = _measured(curve, net, len(asked) + plan.held_out, held, tests, truth)
        if progress is not None:
            progress(number, plan, curve)
    assert asked is not None
    return Learned(net, asked, held, curve, plan)


def _check(net: nn.Module, images: Tensor, oracle: Oracle, soft: bool | None, topk: str) -> None:
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


def _pool(pool: Any) -> tuple[Tensor, tuple[str, ...]]:
    if isinstance(pool, Dataset):
        return pool.images, pool.augment
    return as_images(pool, "pool"), ()


def _ask(
    oracle: Oracle, asked: Answers | None, x: Tensor, index: np.ndarray, augment: tuple[str, ...], topk: str
) -> Answers:
    """The answers so far and those to ``x``."""
    try:
        new = ask_all(oracle, x, index, augment, "train", topk)
    except TargetError as error:
        if asked is not None:
            error.result = asked.join(error.result) if len(error.result) else asked
        raise
    return new if asked is None else asked.join(new)


def _measured(
    curve: AgreementCurve, net: nn.Module, spent: int, held: Answers | None, tests: Tensor | None, truth: Tensor | None
) -> AgreementCurve:
    """The curve with one point more."""

    def rate(images: Tensor, labels: Tensor) -> Rate:
        return Rate.of((predict(net, images) == labels).numpy())

    return replace(
        curve,
        queries=(*curve.queries, spent),
        held_out=(*curve.held_out, *([rate(held.images, held.labels)] if held else [])),
        evaluation=(*curve.evaluation, *([rate(tests, truth)] if tests is not None and truth is not None else [])),
    )

"""`data_free`: copy a target with the images of a generator, of which nobody gave one."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.checks import check_int
from blackbox.oracle.kept import kept
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Access
from blackbox.rng import Stream
from surrogates.acquisition.base import Bill
from surrogates.acquisition.curve import AgreementCurve
from surrogates.acquisition.data_free.methods import DataFree, get
from surrogates.acquisition.data_free.run import Make, Run, one_class
from surrogates.acquisition.learn import Learned, check_answered, check_fit, measured
from surrogates.data.dataset import images_of
from surrogates.nets.architectures import Normalised
from surrogates.nets.predict import place
from surrogates.training.recipe import Recipe
from surrogates.training.train import train

Net = TypeVar("Net", bound=nn.Module)
POINTS = 8  # of the curve


@dataclass(frozen=True, eq=False)
class DataFreeLearned(Learned[Net], Generic[Net]):
    """The result of `data_free`: as of `surrogates.learn`, and the generator.

    Attributes:
        generator: [n, latent] standard normal vectors -> images [n, C, H, W].
        latent: their length.
        collapses: how often a generator collapsed: at the first it was made anew, at the second the rest of the budget was spent on
            dead leaves.
        notes: what happened, in sentences.
    """

    generator: nn.Module
    latent: int
    collapses: int
    notes: tuple[str, ...]

    def images(self, count: int, seed: int = 0) -> Tensor:
        """``count`` images of the generator, [count, C, H, W], for a look at them."""
        device, _ = place(self.generator)
        z = Stream(seed, np.arange(1, dtype=np.uint64)).shared_normal(0, "shown", (max(count, 2), self.latent))
        with torch.no_grad():  # in training mode, as the target was asked about them
            return self.generator(z.to(device)).cpu()[:count]  # type: ignore[no-any-return]


def data_free(
    net: Net,
    oracle: Oracle,
    method: str | DataFree = "dfme",
    *,
    queries: int,
    shape: tuple[int, ...] | None = None,
    recipe: Recipe | None = None,
    retrain: bool = True,
    topk: str = "spread",
    evaluation: Any = None,
    seed: int = 0,
    generator: Make | None = None,
    journal: str | os.PathLike[str] | None = None,
) -> DataFreeLearned[Net]:
    """Spend a query budget on a copy without any image: a generator makes them, and learns where copy and target disagree.

    Args:
        net: the copy, trained in place.
        oracle: the target, charged under ``"train"`` for images that the copy learns from and ``"estimate"`` for the generator's gradient.
        method: ``"dfme"``, ``"maze"``, ``"hard-label"`` (for targets that show labels only), or a `DataFree` with other settings.
        queries: the budget, which is spent to the last query.
        shape: (C, H, W) of an image; known of nets that `surrogates.build` made.
        recipe: as for `surrogates.train`, for the last training.
        retrain: train the net anew, from its first weights, on all answers at the end. The papers keep the net that learned along
            the way; at small budgets it has taken too few steps.
        topk: as for `surrogates.ask`.
        evaluation: images on which to measure agreement along the way, outside the budget, as in `surrogates.learn`.
        seed: for all draws.
        generator: a function from a seed to a net [n, latent] -> [n, C, H, W] in [0, 1], in place of `Generator`.
        journal: as for `surrogates.learn`.

    Warns:
        UserWarning: the generator collapsed: its images are alike, or the target gives all of them one class.

    Raises:
        ValueError: a budget below one batch, or net, method and target do not fit together (before the first query); the
            target gives all images one class, or rejects all (``error.answers`` holds what was paid for).
        TargetError: the target failed; ``error.result`` holds the `Answers` to learn from that were paid for.
    """
    how, queries, seed = get(method), check_int(queries, "queries", 1), check_int(seed, "seed")
    size = _shape(net, shape)
    check_fit(net, torch.zeros(1, *size), oracle, None, topk)
    _check(how, oracle, queries)
    tests = None if evaluation is None else images_of(evaluation, "evaluation")
    initial = copy.deepcopy(net.state_dict())
    name = method if isinstance(method, str) else type(method).__name__
    facts = {"queries": queries, "seed": seed, "method": repr(how), "shape": list(size)}
    with kept(oracle, journal, **facts), torch.random.fork_rng():  # for dropout, which draws from the global generator
        torch.manual_seed(seed % 2**63)
        truth = None if tests is None else oracle(tests, purpose="verify").label.cpu()
        run = Run(net, oracle, how, size, queries, topk, seed, generator)
        curve = AgreementCurve(name, asked_apart=0 if tests is None else len(tests))
        marks = np.linspace(0, queries, POINTS + 1)[1:]
        while run.left:
            run.round()
            if tests is not None and queries - run.left >= marks[len(curve.queries)] and run.left:
                curve = measured(curve, net.eval(), queries - run.left, None, tests, truth)
    answers = run.so_far()
    try:
        check_answered(answers, None)
        if retrain:
            net.load_state_dict(initial)
            train(net, answers, recipe, seed=seed)
        elif len(answers.labels.unique()) < 2:
            raise one_class(answers)
    except ValueError as error:
        error.answers = answers  # type: ignore[attr-defined]  # they were paid for
        raise
    curve = measured(curve, net.eval(), queries, None, tests, truth)
    paid = Bill(0, (queries - run.estimates,), curve.asked_apart, queries, run.estimates)
    return DataFreeLearned(net, answers, None, curve, paid, run.generator, how.latent, run.collapses, tuple(run.notes))


def _shape(net: nn.Module, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    found = shape or (net.shape if isinstance(net, Normalised) else None)
    if found is None or len(found) != 3:
        raise ValueError(f"Expected the shape (C, H, W) of an image, but it was {found!r}. Give shape=, or build the net here.")
    return tuple(int(n) for n in found)


def _check(method: DataFree, oracle: Oracle, queries: int) -> None:
    if oracle.access < method.access:
        raise ValueError(
            f"Expected a target that shows scores for {type(method).__name__}, but it shows labels only: their differences are mostly "
            'zero. Take "hard-label".'
        )
    if oracle.access is Access.ANSWERS:
        raise ValueError("Expected a target that shows classes, but it shows answers of another form.")
    if queries < method.batch:
        raise ValueError(
            f"Expected a budget of at least one batch, {method.batch} queries, but it was {queries}. Give more, or a smaller batch: "
            f"{type(method).__name__}(batch={max(queries, 2)})."
        )

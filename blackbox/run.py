"""``blackbox.attack``: check the input, run the engine, report the result."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from blackbox import attacks, given
from blackbox import prior as priors
from blackbox.adopted import as_attack
from blackbox.areas import SEARCH, Area
from blackbox.checks import check_int
from blackbox.engine import sharing
from blackbox.engine.engine import Engine
from blackbox.engine.progress import Progress
from blackbox.engine.spec import RunSpec
from blackbox.goals import base as goals
from blackbox.goals.base import Goal
from blackbox.goals.objective import Objective
from blackbox.loggers.logger import outcome
from blackbox.loggers.read import opened
from blackbox.oracle.journal import Journal
from blackbox.oracle.oracle import Oracle
from blackbox.placed import placed
from blackbox.plain_text import no_exit
from blackbox.protocol import Access, AccessError, Attack
from blackbox.results import AttackResult
from blackbox.results.bill import Meter, report, shared, spent
from blackbox.tabular import Tabular
from blackbox.tariff import Tariff
from blackbox.threat import Threat, UnsupportedThreat, as_threat

if TYPE_CHECKING:
    import pandas as pd

    from blackbox.loggers.attack import AttackLog
    from blackbox.loggers.logger import Log


def attack(
    oracle: Oracle,
    x: Tensor | np.ndarray | pd.DataFrame,
    y: Tensor | np.ndarray | None,
    attack: str | Attack = "auto",
    threat: Threat | None = None,
    budget: int = 1000,
    *,
    target: Tensor | np.ndarray | int | None = None,
    goal: Goal | None = None,
    seed: int = 0,
    objective: str = "margin",
    prior: priors.Prior | None = None,
    start: Tensor | np.ndarray | None = None,
    mask: Tensor | np.ndarray | None = None,
    table: Tabular | None = None,
    ranges: tuple[Any, Any] | None = None,
    ids: Tensor | np.ndarray | None = None,
    cohort: int = 128,
    checkpoint: str | os.PathLike[str] | None = None,
    journal: str | os.PathLike[str] | None = None,
    cache: bool = False,
    progress: Callable[[Progress], None] | None = None,
    votes: int | None = None,
    max_bad: int | None = None,
    tariff: Tariff | None = None,
    eight_bit: bool = False,
    log: Any = None,
    shared_budget: bool = False,
    cap: int | None = None,
) -> AttackResult:
    """Attack images through queries alone.

    Args:
        oracle: the hidden target behind its counter.
        x: [N, \\*shape] floats of any dtype in [0, 1], tensor or array.
        y: [N] true labels, as numbers or as words of the oracle's ``classes``; None with a ``goal`` that needs none.
        attack: a name from ``blackbox.attacks.names()`` or an attack with settings, ``blackbox.attacks.Square(p_init=.1)``. By
            default ``"auto"``, as on the command line, where budget and seed have the same defaults too; for the same draws
            give ``ids`` the images' numbers in their data set, as it does.
        threat: ``Linf(8/255)``, ``L2(.5)``, ``L1(10)``, ``L0(20)``; or any content in a part of the image, ``Patch(5)``, ``Frame(2)``.
        budget: the most queries one image may cost; its clean check is the first of them.
        target: the class to reach, a number or a word, one for all or [N]; None for any wrong class.
        goal: what to reach instead of a class: one of `blackbox.goals` (``bb.goals.NoneOf(classes)``, ``bb.goals.Regression(...)``) or
            ``bb.goal(function)``. An input that reaches it unchanged is not attacked.
        seed: of every draw.
        ids: [N] whole numbers that identify the samples, by default 0..N-1. A sample's result depends on (seed, id) and on
            nothing else, so a shard that passes its samples' ids gets the same results.
        objective: ``"margin"`` or ``"cross-entropy"``.
        prior: knowledge besides the answers, ``surrogates.prior(nets)``, for an attack given by name (one with settings
            has its own). Its cost is in ``config["prior"]``.
        start: [N, \\*shape] images to start from, for attacks that walk from an adversarial image to the original: an
            example found elsewhere, or an image of the class to reach. Querying them is charged.
        mask: which entries may change, bool: [\\*shape] for all images, or [N, \\*shape]; of images [channels, height, width] also
            [height, width]. Nothing outside it is ever changed, in no query. Floats in [0, 1] say how much of eps an entry may use:
            in Linf \\|change\\| <= mask * eps; in L2 and L1 the norm of change / mask is at most eps, and is the distance reported.
            An eps for each entry: ``**bb.per_entry(eps)``.
        ranges: (lower, upper), the lowest and the highest value of each entry, shaped as a mask, or a number: every query lies in
            them, probes too. The clean images must.
        table: what a row may be, for ``x`` [N, d] rows of a table in its own units, an array or a pandas table: see `blackbox.Tabular`.
            The threat is over columns scaled to [0, 1], which a prior is shown too; ``start`` is in the table's units.
        cohort: rows that step together; affects time and memory, never a result.
        checkpoint: a file from which a killed run continues: make the same call with the same file.
        journal: the same for targets whose answers cost money or hours: every answer is in this file before the attack
            sees it, and is never paid for twice (see `blackbox.oracle.journal`, also for its limits). Written at every
            call, whereas a checkpoint is written every half minute.
        cache: with a journal: an image that the run has queried before is answered from it. It counts against the sample's
            budget but is not charged by the target; ``config["journal"]`` has both counts.
        progress: called with a `blackbox.engine.Progress` a few times a second.
        votes: how many fresh answers, an odd number, all charged, confirm a success; the majority decides, and a row that
            cannot pay for them has no success. The answer that claimed the success is not one of them. By default 1 (no
            confirmation), and 11 if the oracle is randomised. A misclassified clean image is confirmed in the same way.
        max_bad: the most *bad* queries of an image, those that are not adversarial (``AttackResult.bad``), its clean check among
            them: a service that bans what it sees there allows few. Never exceeded: probes are cut to as many as may all be bad.
        tariff: prices of queries, flagged ones and the rest: ``bb.Tariff(query=.01, flagged=2, lock_out=5, most=3)``. An image's search
            stops when its next query could cost more than is left of ``most``, or at the lock-out; ``result.bill`` is what was paid.
            ``"auto"`` is then a stealthy search where labels alone are shown and a query that the service bans for is dear.
        eight_bit: report 8-bit images only: every entry that the attack changed is rounded to a multiple of 1/255 (the others
            stay, so give 8-bit images), and success is that of the rounded example, verified without charge;
            ``success_float`` keeps the success before rounding. An example is rounded towards the original; only where that
            is not adversarial to the nearest multiples, and at last away from it, inside ``eps``. A target that is fed PNG or
            uint8 images needs `blackbox.targets.EightBit` before it instead: then the search sees what it sees.
        log: where live numbers, the curve of success against queries and the first examples are written: ``"tensorboard"``,
            ``"csv:DIR"``, ``"wandb:PROJECT"``, ``"mlflow:DIR"``, an object with the methods of `blackbox.loggers.Logger`, or
            several of these. A logger that fails is dropped with a warning.
        shared_budget: all images share N x budget: it goes to those near the boundary first (`loss`, or the distance of an attack that
            walks), and nothing to the hopeless before the rest. The result of an image is then a function of the seed *and of the
            set of images*: a shard has other results than the whole. Not with a checkpoint; a journal goes on.
        cap: with ``shared_budget``, the most queries one image may cost; ten times the budget by default.

    Returns:
        An `AttackResult` with per-sample columns.

    Raises:
        ValueError: invalid images, labels, target, budget or ids; says which sample.
        UnsupportedThreat: the attack does not support the norm. AccessError: the oracle shows too little for it.
        TargetError: the target failed. Its ``result`` holds everything reached and paid for until then; so does that of any
            other exception that ends a run early (KeyboardInterrupt, an error in an attack or a prior).
        CheckpointError: the file belongs to other settings. JournalError: the same of a journal, or it is in use.
    """
    if not isinstance(oracle, Oracle):
        raise TypeError(f"Expected an Oracle, but it was {type(oracle).__name__}. Wrap the model: blackbox.Oracle(model, ...).")
    if tariff is not None and not isinstance(tariff, Tariff):
        raise TypeError(f"Expected a blackbox.Tariff, but tariff was {tariff!r:.80}. Give blackbox.Tariff(query=0.01, flagged=1).")
    threat = as_threat(threat)
    budget, seed = check_int(budget, "budget", 1, "a whole number of queries"), check_int(seed, "seed")
    cohort = check_int(cohort, "cohort", 1, "a whole number of rows")
    votes = given.votes(votes, oracle.randomised)
    cap = None if cap is None else check_int(cap, "cap", budget, "a whole number of queries, the budget or more")
    max_bad = None if max_bad is None else check_int(max_bad, "max_bad", 1, "a whole number of queries")
    samples = given.samples(oracle, threat, x, y, target, ids, start, mask, goal, table, ranges, seed)
    bound = None if goal is None else goals.bound(goal, oracle, len(samples.x), target)
    if table is not None and eight_bit:
        raise ValueError("Expected no eight_bit with a table, whose rows are no images, but there was. Leave it out.")
    shape, asked = tuple(samples.x.shape[1:]), threat if isinstance(threat, Area) else None
    shows = oracle.access if bound is None else bound.level(oracle.access)
    if tariff is not None:
        budget, plain = tariff.budget(budget), prior is None and table is None and shows is Access.LABELS
        if plain and attack in ("auto", attacks.build("auto")):
            attack = tariff.search("auto", threat.norm, plain, oracle.flags is not None)
    name, chosen, threat = resolve(attack, oracle, threat, shape, prior, None if bound is None else shows)
    aimed, begun = require(chosen, name, shape, oracle, goal, len(samples.x)), spent(chosen.prior)
    samples = placed(samples, asked, threat, chosen, aimed, target is not None)
    aim = Objective.behind(oracle, objective, target is not None)
    file = None if checkpoint is None else Path(checkpoint)
    shared = sharing.cap_of(shared_budget, cap, budget, len(samples.x), file, threat, chosen.one_step)
    spec = RunSpec(
        chosen, threat, aim, samples, budget, name, seed, cohort, votes, eight_bit, file, max_bad, bound, shared, asked, aimed, tariff
    )
    loggers = opened(log)
    book = _open_journal(journal, cache, spec, oracle)
    kept = None if loggers is None else _logged(loggers, spec, oracle)

    engine = Engine(spec, oracle, progress)
    meter = Meter(engine, chosen.prior, book, begun)
    if kept is not None:
        engine.progress = kept.beside(progress, lambda: engine.ledger)
    try:
        with contextlib.nullcontext() if book is None else oracle.journalled(book):
            with no_exit(f"A part of the attack {name} (the search, its prior or a report of progress)"):
                engine.run()
            result = report(spec, engine.ledger, engine.carried, meter)
    except BaseException as error:  # the target's failure, an attack's, ctrl-C: what was paid for is never lost
        engine.ledger.stop(spec.most)
        result = error.result = report(spec, engine.ledger, engine.carried, meter, error)  # type: ignore[attr-defined]
        _close(kept, result, outcome(error), samples.x)
        raise
    _close(kept, result, "done", samples.x)
    return result


def _close(kept: AttackLog | None, result: AttackResult, status: str, images: Tensor) -> None:
    """End the log; ctrl-C while a logger is slow to close must not lose the result either."""
    if kept is None:
        return
    try:
        kept.finish(result, status, images)
    except BaseException as error:
        error.result = result  # type: ignore[attr-defined]
        raise


def _logged(loggers: Log, spec: RunSpec, oracle: Oracle) -> AttackLog:
    """Begin to log a run, with its settings."""
    from blackbox.loggers.attack import AttackLog

    settings = {
        "run": f"{spec.name}-seed{spec.seed}", "verb": "attack", "attack": spec.name, "parameters": repr(spec.attack),
        "target": oracle.name, "access": oracle.access.name.lower(), "norm": spec.threat.norm, "eps": spec.threat.eps,
        "budget": spec.most, **shared(spec), "seed": spec.seed, "objective": spec.objective.kind, "targeted": spec.objective.targeted,
        "votes": spec.votes, "eight_bit": spec.eight_bit, "images": len(spec.samples.x),
        **({} if spec.goal is None else {"goal": str(spec.goal)}),
    }  # fmt: skip
    return AttackLog(loggers, settings, spec.most, spec.eight_bit)


# -- check -----------------------------------------------------------------------------------------------------------


def require(
    chosen: Attack, name: str, shape: tuple[int, ...], oracle: Oracle, goal: Goal | None = None, samples: int = 1
) -> priors.Aimed | None:
    """Refuse, before any query, an attack that cannot serve images of this shape, or whose prior does not fit them, or the goal.

    Returns:
        With a goal the attack with its prior aimed at it; None where it has none.

    Raises:
        ValueError: says which, and what would fit.
    """
    chosen.check_shape(shape)
    aimed = None if goal is None else priors.Aimed.at(chosen, goal, goals.setting_of(oracle, samples), shape)
    priors.require(chosen if aimed is None else aimed.attack, name, shape, oracle.classes if aimed is None else 2)
    return aimed


def resolve(
    attack: str | Attack, oracle: Oracle, threat: Threat, shape: tuple[int, ...], prior: priors.Prior | None = None,
    level: Access | None = None,
) -> tuple[str, Attack, Threat]:  # fmt: skip
    """Return the attack's name, the attack, checked to support the norm and the access level, and the threat that it searches in: the
    one given, but that a patch or a frame is reduced to what the attack knows (`blackbox.areas`), in images of this ``shape``.

    level: what the attack sees through a goal that is not one class; None: one class, and what the oracle shows. The attack's
    `settle` may replace it: one name may stand for different searches at different access levels. Through a goal it sees losses but
    no scores of classes, so that it settles on no more than for the top k.

    Raises:
        ValueError: a prior for an attack that takes none, or that has settings already.
        UnsupportedThreat, AccessError, TypeError: it cannot be run so. No query has been made.
    """
    shows = oracle.access if level is None else level
    if isinstance(threat, Area) and shows > Access.LABELS and prior is None and attack in ("auto", attacks.build("auto")):
        attack = SEARCH
    built = _built(attack, prior)
    chosen, name = as_attack(built), attacks.name_of(built)
    if isinstance(threat, Area):
        threat = threat.reduced(chosen, name, shape)
    if threat.norm not in chosen.norms:
        raise UnsupportedThreat(f"Expected a threat in {' or '.join(chosen.norms)} for {name}, but it was {threat}.")
    if shows < chosen.access:
        raise AccessError(
            f"Expected an oracle that shows at least {chosen.access.name.lower()} for {name}, "
            f"but this one shows {shows.name.lower()} only."
        )
    return name, chosen.settle(shows if level is None else min(shows, Access.TOPK), threat), threat


def _built(attack: str | Attack, prior: priors.Prior | None) -> Any:
    if prior is None:
        return attacks.build(attack) if isinstance(attack, str) else attack
    if not isinstance(attack, str):
        raise ValueError(
            f"Expected prior= with the name of an attack, but the attack was {attack!r:.80}. Put the prior into its settings: "
            "blackbox.attacks.build(name, prior=...)."
        )
    if not attacks.takes_prior(attacks.get(attack)):
        raise ValueError(
            f"Expected an attack that takes a prior, {', '.join(attacks.with_prior())}, but it was {attack!r}. Leave prior= out."
        )
    return attacks.build(attack, prior=prior)


def _open_journal(path: str | os.PathLike[str] | None, cache: bool, spec: RunSpec, oracle: Oracle) -> Journal | None:
    """Open the journal of this run, if one is wanted."""
    if path is None:
        if cache:
            raise ValueError("Expected a journal for the cache to read from, but there was none. Give journal=path.")
        return None
    if spec.checkpoint is not None:
        raise ValueError("Expected either a checkpoint or a journal, but both were given. A journal holds all that a checkpoint does.")
    if cache and oracle.randomised:
        raise ValueError(f"Expected no cache before {oracle.name}, which may answer the same image otherwise each time. Leave cache out.")
    settings = {**spec.identity(oracle), "target": oracle.name, "classes": oracle.classes, "cohort": spec.cohort}
    return Journal(path, settings, cache=cache)

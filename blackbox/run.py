"""``blackbox.attack``: one attack, one oracle, many images."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from blackbox import attacks
from blackbox import prior as priors
from blackbox.checkpoint import prints
from blackbox.checks import as_ids, as_images, as_labels, check_int
from blackbox.engine.engine import Engine, Progress
from blackbox.engine.ledger import Ledger
from blackbox.goals.objective import Objective
from blackbox.oracle.journal import Journal
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import AccessError, Attack, Status, as_attack
from blackbox.results import AttackResult
from blackbox.statistics import Detection
from blackbox.threat import Threat, UnsupportedThreat, as_threat

VOTES = 11
"""Under a target that answers wrongly one time in ten, a majority of 11 confirms a false claim with probability 3e-4
(binomial tail), so a thousand queries with a hundred lucky hits yield 0.03 false successes; 5 votes would yield 0.9."""


def attack(
    oracle: Oracle,
    x: Tensor | np.ndarray,
    y: Tensor | np.ndarray,
    attack: str | Attack = "square",
    threat: Threat | None = None,
    budget: int = 1000,
    *,
    target: Tensor | np.ndarray | int | None = None,
    seed: int = 0,
    objective: str = "margin",
    prior: priors.Prior | None = None,
    start: Tensor | np.ndarray | None = None,
    ids: Tensor | np.ndarray | None = None,
    cohort: int = 128,
    checkpoint: str | os.PathLike[str] | None = None,
    journal: str | os.PathLike[str] | None = None,
    cache: bool = False,
    progress: Callable[[Progress], None] | None = None,
    votes: int | None = None,
    eight_bit: bool = False,
) -> AttackResult:
    """Attack images through queries alone.

    Args:
        oracle: the hidden target behind its counter.
        x: [N, \\*shape] floats of any dtype in [0, 1], tensor or array. y: [N] true labels.
        attack: a name from ``blackbox.attacks.names()`` or an attack with settings, ``blackbox.attacks.Square(p_init=.1)``.
        threat: ``Linf(8/255)``, ``L2(.5)``, ``L1(10)``.
        budget: the most queries one image may cost; its clean check is the first of them.
        target: the class to reach, one for all or [N]; None for any wrong class.
        seed: of every draw. ids: [N] whole numbers that name the samples, by default 0..N-1. What happens to a sample
            depends on (seed, id) and on nothing else, so a shard that passes its samples' ids gets the same results.
        objective: ``"margin"`` or ``"cross-entropy"``.
        prior: what is known beside the answers, ``surrogates.prior(nets)``, for an attack that is given by name (one
            with settings holds its own). What the attack asked of it stands in ``config["prior"]``, beside the queries.
        start: [N, \\*shape] images to start from, for attacks that walk from an adversarial image to the original: an
            example found elsewhere, or an image of the class to reach. Looking at them is charged.
        cohort: rows that step together: time and memory, never a result.
        checkpoint: a file that lets a killed run go on where it was: the same call with the same file.
        journal: the same for targets whose answers cost money or hours: every answer is in this file before the attack
            sees it, and is never paid for twice (`blackbox.oracle.journal`; what it cannot promise is said there). Written at
            every call, where a checkpoint is written every half minute.
        cache: with a journal: an image that the run has asked about before is answered from it. It counts against the
            sample's budget but not on the target's bill; ``config["journal"]`` tells the two apart.
        progress: called with a `blackbox.engine.Progress` a few times a second.
        votes: how many fresh answers, an odd number, all charged, a success is put to; the majority decides, and a row
            that cannot pay for it has no success. The answer that claimed the success has no vote. By default 1 (no
            vote), and `VOTES` where the oracle says that it is randomised. A clean image is called wrong the same way.
        eight_bit: report 8-bit images only: every example is rounded to multiples of 1/255, towards the original, and
            success is that of the rounded one, looked at without charge; ``success_float`` keeps what it was before.
            Rounding costs little where eps is a whole number of levels (k/255), and much where it is a few and a half.

    Returns:
        An `AttackResult` with per-sample columns.

    Raises:
        ValueError: images, labels, target, budget or ids that cannot be; says which sample.
        UnsupportedThreat: the attack does not serve the norm. AccessError: the oracle shows too little for it.
        TargetError: the target failed. Its ``result`` holds everything reached and paid for until then; so does that of
            whatever else ends a run early (KeyboardInterrupt, an error in an attack or a prior).
        CheckpointError: the file belongs to other settings. JournalError: the same of a journal, or it is in use.
    """
    if not isinstance(oracle, Oracle):
        raise TypeError(
            f"Expected an Oracle, but it was {type(oracle).__name__}. Wrap the model: blackbox.Oracle(model, ...)."
        )
    threat = as_threat(threat)
    budget, seed = check_int(budget, "budget", 1, "a whole number of queries"), check_int(seed, "seed")
    cohort = check_int(cohort, "cohort", 1, "a whole number of rows")
    if votes is None:
        votes = VOTES if oracle.randomised else 1
    if isinstance(votes, bool) or not isinstance(votes, (int, np.integer)) or votes < 1 or votes % 2 == 0:
        raise ValueError(f"Expected votes to be an odd number, so that there is a majority, but it was {votes!r}.")
    images = as_images(x, "x").cpu()
    labels = as_labels(y, len(images), oracle.classes, "y")
    threat.check_dimension(images[0].numel())
    _check_box(images, threat)
    goal = labels if target is None else _goal(target, labels, oracle.classes)
    name, chosen = resolve(attack, oracle, threat, prior)
    priors.require(chosen, name, tuple(images.shape[1:]), oracle.classes)
    held = priors.of(chosen)
    known = (0, 0) if held is None else (held.gradients, held.passes)
    numbers = as_ids(ids, len(images))
    starts = None if start is None else as_images(start, "start").cpu()
    if starts is not None and starts.shape != images.shape:
        raise ValueError(
            f"Expected start to hold one image for each of x, shape {tuple(images.shape)}, but it had shape {tuple(starts.shape)}."
        )

    engine = Engine(
        oracle,
        chosen,
        threat,
        Objective(objective, target is not None, max(oracle.resolution, 2 * oracle.noise)),
        budget=budget,
        seed=seed,
        cohort=cohort,
        start=starts,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        progress=progress,
        votes=int(votes),
        eight_bit=eight_bit,
    )
    store = _keep(journal, cache, engine, oracle, (images, labels, goal, numbers, *([] if starts is None else [starts])))
    asked = None if oracle.flags is None else len(oracle.flags)
    replayed, cached, retried = oracle.replayed.copy(), oracle.cached.copy(), oracle.retried
    before, seconds_before, begin = dict(oracle.counts), oracle.seconds, time.perf_counter()

    def detection(charged: int) -> dict[str, int] | None:
        """Of the charged queries, not of the looks after them."""
        return None if asked is None else asdict(Detection.of(oracle.flags[asked : asked + charged]))  # type: ignore[index]

    def result(ledger: Ledger) -> AttackResult:
        again = oracle.replayed - replayed
        config: dict[str, Any] = {
            "attack": name,
            "parameters": repr(chosen),
            "target": oracle.name,
            "access": oracle.access.name.lower(),
            "threat": {"norm": threat.norm, **asdict(threat)},
            "budget": budget,
            "seed": seed,
            "objective": objective,
            "targeted": target is not None,
            "cohort": cohort,
            "votes": int(votes),
            "eight_bit": eight_bit,
            "detection": detection(int(ledger.spent.sum()) - engine.carried),
            "verify_rows": oracle.counts["verify"] - before.get("verify", 0),
            "failed_rows": oracle.failed,
            "carried": engine.carried + again.total() - again["verify"],
            "journal": store
            and {
                "path": str(store.path),
                "paid": sum(oracle.counts.values()) - sum(before.values()),
                "replayed": again.total(),
                "cached": (oracle.cached - cached).total(),
                "in_doubt": store.in_doubt,
            },
            "retried_rows": oracle.retried - retried,
            "seconds": time.perf_counter() - begin,
            "target_seconds": oracle.seconds - seconds_before,
            "prior": None if held is None else _bill(held, known, len(images)),
            "parts": _parts(chosen, ledger),
        }
        return AttackResult.of(ledger, labels, goal, numbers, threat, config, prints(images))

    try:
        with contextlib.nullcontext() if store is None else oracle.journalled(store):
            return result(engine.run(images, labels, goal, numbers))
    except BaseException as error:  # the target's failure, an attack's, ctrl-C: what was paid for is never lost
        if (ledger := engine.ledger) is not None:
            everyone = np.arange(len(images))
            ledger.close(everyone[ledger.spent >= budget], Status.BUDGET)
            ledger.close(everyone, Status.ERROR)
            error.result = result(ledger)  # type: ignore[attr-defined]
        raise


def _bill(prior: priors.Prior, before: tuple[int, int], count: int) -> dict[str, Any]:
    """What an attack on ``count`` images asked of its prior."""
    gradients, passes = prior.gradients - before[0], prior.passes - before[1]
    return {
        "prior": repr(prior),
        "members": prior.members,
        "gradients": gradients,
        "passes": passes,
        "gradients_per_image": gradients / count,
    }


def _parts(attack: Attack, ledger: Ledger) -> dict[str, dict[str, int]] | None:
    """What each part of an attack cost and found."""
    names = attack.parts
    if not names:
        return None
    spent, won = ledger.parts.sum(0), np.bincount(ledger.winner[ledger.winner >= 0], minlength=len(names))
    return {name: {"queries": int(q), "successes": int(s)} for name, q, s in zip(names, spent, won, strict=True)}


def _keep(
    path: str | os.PathLike[str] | None, cache: bool, engine: Engine, oracle: Oracle, data: tuple[Any, ...]
) -> Journal | None:
    """The journal of this run, where one is asked for."""
    if path is None:
        if cache:
            raise ValueError("Expected a journal for the cache to read from, but there was none. Give journal=path.")
        return None
    if engine.path is not None:
        raise ValueError(
            "Expected either a checkpoint or a journal, but both were given. A journal holds all that a checkpoint does."
        )
    if cache and oracle.randomised:
        raise ValueError(
            f"Expected no cache before {oracle.name}, which may answer the same image otherwise each time. Leave cache out."
        )
    engine.identify(*data)
    settings = {**engine.settings(), "target": oracle.name, "classes": oracle.classes, "cohort": engine.size}
    return Journal(path, settings, cache=cache)


def _check_box(images: Tensor, threat: Threat) -> None:
    low, high = float(images.min()), float(images.max())
    if low < threat.lower or high > threat.upper:
        raise ValueError(
            f"Expected x to lie in the threat's box [{threat.lower:g}, {threat.upper:g}], but it ranges from {low:g} to {high:g}."
        )


def _goal(target: Any, labels: Tensor, classes: int) -> Tensor:
    goal = as_labels(target, len(labels), classes, "target")
    same = (goal == labels).nonzero()
    if len(same):
        i = int(same[0])
        raise ValueError(
            f"Expected target to differ from the true label, but sample {i} has target class {int(goal[i])} and label {int(labels[i])}."
        )
    return goal


def resolve(
    attack: str | Attack, oracle: Oracle, threat: Threat, prior: priors.Prior | None = None
) -> tuple[str, Attack]:
    """The attack's name and the attack, when it serves the norm and is shown enough.

    An attack that has a method ``settle(access, threat)`` gives the attack to run in its place: one name may stand for
    different searches at different access levels.

    Raises:
        ValueError: a prior for an attack that takes none, or that has settings already.
        UnsupportedThreat, AccessError, TypeError: it cannot be run so. Nothing has been asked.
    """
    chosen = as_attack(_built(attack, prior))
    name = attacks.name_of(chosen)
    if threat.norm not in chosen.norms:
        raise UnsupportedThreat(f"Expected a threat in {' or '.join(chosen.norms)} for {name}, but it was {threat}.")
    if oracle.access < chosen.access:
        raise AccessError(
            f"Expected an oracle that shows at least {chosen.access.name.lower()} for {name}, "
            f"but this one shows {oracle.access.name.lower()} only."
        )
    return name, chosen.settle(oracle.access, threat)


def _built(attack: str | Attack, prior: priors.Prior | None) -> Any:
    if prior is None:
        return attacks.build(attack) if isinstance(attack, str) else attack
    if not isinstance(attack, str):
        raise ValueError(
            f"Expected prior= with the name of an attack, but the attack was {attack!r:.80}. Put the prior into its settings: "
            "blackbox.attacks.build(name, prior=...)."
        )
    if "prior" not in getattr(attacks.get(attack), "__dataclass_fields__", {}):
        raise ValueError(
            f"Expected an attack that takes a prior, {', '.join(attacks.with_prior())}, but it was {attack!r}. Leave prior= out."
        )
    return attacks.build(attack, prior=prior)

"""Evaluate a model: robust accuracy against attackers who see nothing, labels or scores, at each query budget.

found = blackbox.evaluate(lambda access: blackbox.Oracle(model, access, 10), x, y, blackbox.Linf(8 / 255), nets=mine)
print(found.table())
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from blackbox import attacks
from blackbox import prior as priors
from blackbox.checks import check_int
from blackbox.engine import Progress
from blackbox.evaluation import parts
from blackbox.evaluation.judged import LEVELS, Judged, check_levels, levels_of, lowest
from blackbox.evaluation.parts import CEILING_STEPS, CLEAN, NOISE, Parts, called, ceiling_row, goal_row
from blackbox.evaluation.rows import Evaluation, Row
from blackbox.goals.base import Goal
from blackbox.oracle.kept import Kept
from blackbox.oracle.oracle import Oracle, TargetError
from blackbox.protocol import Attack
from blackbox.results.ledger import image_hashes
from blackbox.tabular import Tabular
from blackbox.tariff import Tariff
from blackbox.threat import Threat, as_threat

__all__ = ["BUDGETS", "CEILING_STEPS", "LEVELS", "PRESETS", "Evaluation", "Row", "evaluate"]

BUDGETS = (100, 1_000, 10_000)
PRESETS = ("fgsm", "mi-fgsm", "mi-di-ti-fgsm")  # one step, the usual baseline, and a combination of the classics


def evaluate(
    oracle: Callable[[str], Oracle],
    x: Any,
    y: Any,
    threat: Threat,
    *,
    goal: Goal | None = None,
    table: Tabular | None = None,
    tariff: Tariff | None = None,
    nets: Mapping[str, nn.Module] | None = None,
    white_box: nn.Module | None = None,
    ceiling: Mapping[str, int] | None = None,
    budgets: Sequence[int] = BUDGETS,
    levels: Sequence[str] | None = None,
    presets: Sequence[str] = PRESETS,
    attack: str | Attack = "auto",
    seed: int = 0,
    ids: Any = None,
    journal: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    saved: Callable[[Evaluation], Any] | None = None,
    progress: Callable[[str], Callable[[Progress], None] | None] | None = None,
) -> Evaluation:
    """Robust accuracy of one model at each access level and budget, with the rows by which to check it (noise, ceiling).

    Args:
        oracle: gives a fresh `Oracle` before the target, for an access level.
        x: [N, \\*shape] images in [0, 1], or rows of a ``table``. y: [N] true labels; None with a goal that needs none. threat: norm and
            radius.
        goal: what to reach instead of a wrong class, as in `blackbox.attack`. A row then has the share that *withstood*: of all inputs
            those that reach the goal neither unchanged nor attacked. What the target answers decides which levels there are: of
            boxes, embeddings or numbers only ``"answers"``.
        table: what a row of a table may be, as in `blackbox.attack`; ``x`` is in its units. Crafted examples are no rows of a table: there
            is no transfer and no white-box row.
        tariff: prices and limits, as in `blackbox.attack`: each row with a budget is an attacker who keeps to them, with accounts of their
            own, and a line below the table says what it cost.
        nets: name -> surrogate: rows for their transfer, and `auto` may use them.
        white_box: the target itself, if its gradients are available: an ensemble of attacks with them (`surrogates.ceiling`)
            gives the ceiling, which no attacker should beat, and `Evaluation.nearness` how much of it queries recover. A model
            without gradients has no such row, and a note says so. ceiling: its settings, ``{"steps": 100, "starts": 5}``.
        budgets: queries an image, ascending; an image that falls at one is not attacked again at the next, and counts as
            wrong there. levels: what the target shows, by default labels and scores, or what shows enough for the goal. presets: of
            the transfer rows.
        attack: that searches at each level and budget: a name, ``file.py:Mine``, or an attack.
        seed, ids: as in `attack`. progress: called with a title, gives what `attack` takes as its progress.
        journal, checkpoint: as in `attack`; each part has a file of its own beside the one named (`run-labels-100.journal`).
            The same call goes on where it was, and pays for nothing twice.
        saved: called with what is known so far whenever a part has ended, to be saved.

    A target that fails ends the part that asked it (and larger budgets at the same level); the others go on, unless the clean
    images themselves are not all answered. What was not answered is unknown in its rows: neither robust nor wrong.

    Where there is a defence before the target whose adaptive attacker is known (`blackbox.defences.adaptive`), each row with a
    budget stands beside one of the same attack that knows the defence; and of a detector it is told what it flags of benign
    queries (`blackbox.evaluation.benign`).

    Raises:
        ValueError: images, labels, budgets or levels that cannot be. TargetError: the target failed in a part; ``result`` is
            the `Evaluation` with all that is known, as of any other exception that ends it early.
        CheckpointError, JournalError: as for `attack`.
    """
    import surrogates as sg

    if isinstance(oracle, Oracle) or not callable(oracle):
        raise TypeError(
            f"Expected a function from an access level to an Oracle, but it was {oracle!r:.80}. "
            "Give lambda access: blackbox.Oracle(model, access, classes)."
        )
    threat, seed, wanted = as_threat(threat), check_int(seed, "seed"), _ascending(budgets)
    begin = time.perf_counter()
    level = lowest(goal)
    plain, levels = oracle(level), levels_of(goal) if levels is None else levels
    given = Judged.of(plain, x, y, ids, goal, table)
    found = _begun(given, threat, seed)
    check_levels(given, attacks.get(attack) if isinstance(attack, str) else attack, called(attack), levels, oracle)
    top, white_box, nets_shown = ceiling_settings(ceiling), *_helped(found, given, white_box, ceiling, nets)
    run = Parts(found, oracle, plain, given, Kept(journal, checkpoint), saved, attack, level, tariff)
    known: priors.Prior | None = sg.prior(list(nets.values())) if nets else None
    knowing = run.knowing(known) if plain.defences else None
    shown = [sees for level in levels for sees in ((level,) if knowing is None else (level, f"{level}, adaptive"))]
    white = "" if white_box is None else ceiling_row(top) if goal is None else goal_row(top)
    _plan(found, nets_shown, presets, shown, wanted, white, called(attack))
    try:
        with plain.unwatched():  # each of these images is asked about once, by the owner: no row of queries to be detected
            standing = run.clean()
            if standing:
                run.noise()
                if nets_shown:
                    run.transfer(nets_shown, presets)
        if standing:
            for level in levels:
                run.queries(level, wanted, known, progress)
                if knowing is not None:
                    run.queries(level, wanted, known, progress, knowing)
            if plain.flags is not None:
                run.alarms()
            if white_box is not None:
                with plain.unwatched():
                    (run.ceiling if goal is None else run.goal_ceiling)(white_box, top)
    except BaseException as error:
        found.seconds = time.perf_counter() - begin
        error.result = found  # type: ignore[attr-defined]  # what was paid for is never lost
        raise
    found.notes += _doubts(found)
    found.seconds = time.perf_counter() - begin
    if found.failures:
        part, said = next(iter(found.failures.items()))
        error_ = TargetError(f"{said} ({len(found.failures)} part(s) of the evaluation are incomplete, the first is {part}.)")
        error_.result = found
        raise error_
    return found


def _begun(given: Judged, threat: Threat, seed: int) -> Evaluation:
    """An evaluation of which nothing is known yet."""
    prints = image_hashes(given.x).numpy()
    goal, open_ = ("", "") if given.goal is None else (str(given.goal), given.goal.unreached())
    kind = "row" if given.rows is not None else "image" if given.goal is None else "input"
    return Evaluation([], threat, seed, given.labels.numpy(), given.ids, prints=prints, goal=goal, goal_open=open_, kind=kind)


def _helped(
    found: Evaluation, given: Judged, white_box: Any, ceiling: Mapping[str, int] | None, nets: Mapping[str, nn.Module] | None
) -> tuple[Any, dict[str, nn.Module]]:
    """The model whose gradients give the limit, or None, and the nets that have transfer rows; a note says what is left out, and why."""
    if said := no_limit(white_box, ceiling, found.threat, given):
        white_box = None
        found.notes.append(f"no white-box row: {said}")
    shown = dict(nets or {})
    why = _no_twin(given) if given.rows is None else "examples that are crafted with gradients are no rows of a table."
    if shown and why:
        found.notes.append(f"no transfer rows: {why}")
        shown = {}
    return white_box, shown


def _no_twin(given: Judged) -> str:
    """Why nothing can be crafted for the goal, in a sentence; empty where something can, or where there is no goal."""
    goal = given.given
    return "" if goal is None or goal.differentiable else f"the goal ({goal}) has no twin, a loss that gradients pass through."


def bounded(threat: Threat) -> bool:
    """Whether the white-box ensemble can be run within the threat."""
    return threat.p != 0 and threat.eps < math.inf


def no_limit(white_box: Any, ceiling: Mapping[str, int] | None, threat: Threat, given: Judged) -> str:
    """Why a model that is asked for its limit has none, in a sentence; empty where it has one, or was not asked. Nothing is queried."""
    from surrogates.crafting.gradients import Autograd

    if white_box is None:
        return "" if ceiling is None else "settings of the ceiling were given, but no model with gradients (white_box=)."
    if given.rows is not None:
        return "its attacks know no tables."
    if said := _no_twin(given):
        return said
    if not bounded(threat):
        return f"its attacks need Linf, L2 or L1 with a finite radius, and the threat is {threat}."
    if not isinstance(white_box, nn.Module):
        return f"its attacks need gradients, of a torch module, and the model is a {type(white_box).__name__}. The other rows do without."
    try:
        if given.goal is None:
            Autograd([white_box], given.x[:1])
    except ValueError as error:
        return f"{error} The other rows do without."
    return ""


def ceiling_settings(given: Mapping[str, int] | None) -> dict[str, int]:
    """The settings of the white-box ensemble. Raises: ValueError, it has no such setting, or the value cannot be."""
    from surrogates.crafting.ceiling import CLASSES, STARTS

    settings, least = {"steps": parts.CEILING_STEPS, "starts": STARTS, "classes": CLASSES}, {"classes": 0}
    for name, value in (given or {}).items():
        if name not in settings:
            raise ValueError(f"Expected the settings of the ceiling to be among {', '.join(settings)}, but one was {name!r}.")
        settings[name] = check_int(value, f"{name} of the ceiling", least.get(name, 1))
    return settings


def _plan(
    found: Evaluation, nets: Mapping[str, Any], presets: Sequence[str], levels: Sequence[str], budgets: Sequence[int], white: str,
    title: str,
) -> None:  # fmt: skip
    """Every row, of which nothing is known yet."""
    from surrogates.crafting import presets as registry

    found.plan("nothing", CLEAN)
    if found.threat.norm == "Linf":
        found.plan("nothing", NOISE)
    for source in nets:
        for name in presets:
            found.plan("nothing", f"{registry.get(name).name} from {source}")
    for level in levels:
        for budget in budgets:
            found.plan(level, title, budget)
    if white:
        found.plan("everything", white)


def _ascending(budgets: Sequence[int]) -> list[int]:
    if isinstance(budgets, str) or not isinstance(budgets, Iterable):
        raise ValueError(f"Expected budgets such as [100, 1000], but they were {budgets!r:.80}.")
    wanted = [check_int(b, "each budget") for b in budgets]
    if not wanted or wanted != sorted(set(wanted)) or wanted[0] < 1:
        raise ValueError(f"Expected budgets in ascending order, each at least 1, but they were {wanted}.")
    return wanted


def _doubts(found: Evaluation) -> list[str]:
    """Notes on rows that cast doubt on others."""
    out = []
    clean, noise = found.rows[0], next((r for r in found.rows if r.attack.startswith("random noise")), None)
    if noise is not None and int(noise.wrong.sum()) > int(clean.wrong.sum()) + 0.1 * len(clean.wrong):
        count = int((noise.wrong & ~clean.wrong).sum())
        does = f"gets {count} more {found.kind}s wrong" if not found.goal else f"brings {count} more inputs to the goal"
        out.append(
            f"random noise of this size alone {does}: the radius is large for this model, and every other row has to be read against it."
        )
    ceiling = next((r for r in found.rows if r.sees == "everything" and not found.goal), None)
    if ceiling is not None:
        for row in {r.sees: r for r in found.rows if r.budget}.values():  # of each level the largest budget
            if beyond := found.beyond(row):
                out.append(
                    f"{row.sees}: queries fool {beyond} images that no white-box attack does: the gradients mislead "
                    "(masked gradients; Athalye et al. 2018, arXiv:1802.00420), so they give no ceiling here."
                )
    return out

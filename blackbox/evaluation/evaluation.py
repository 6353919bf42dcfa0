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

import numpy as np
from torch import Tensor, nn

from blackbox import attacks
from blackbox import prior as priors
from blackbox.checks import as_ids, as_images, as_labels, check_int
from blackbox.engine import Progress
from blackbox.evaluation import parts
from blackbox.evaluation.parts import CEILING_STEPS, CLEAN, NOISE, Parts, called, ceiling_row
from blackbox.evaluation.rows import Evaluation, Row
from blackbox.oracle.kept import Kept
from blackbox.oracle.oracle import Oracle, TargetError
from blackbox.protocol import Access, Attack
from blackbox.results.ledger import image_hashes
from blackbox.threat import Threat, as_threat

__all__ = ["BUDGETS", "CEILING_STEPS", "LEVELS", "PRESETS", "Evaluation", "Row", "evaluate"]

BUDGETS = (100, 1_000, 10_000)
LEVELS = ("labels", "scores")
PRESETS = ("fgsm", "mi-fgsm", "mi-di-ti-fgsm")  # one step, the usual baseline, and a combination of the classics


def evaluate(
    oracle: Callable[[str], Oracle],
    x: Tensor | np.ndarray,
    y: Tensor | np.ndarray,
    threat: Threat,
    *,
    nets: Mapping[str, nn.Module] | None = None,
    white_box: nn.Module | None = None,
    ceiling: Mapping[str, int] | None = None,
    budgets: Sequence[int] = BUDGETS,
    levels: Sequence[str] = LEVELS,
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
        x: [N, \\*shape] images in [0, 1]. y: [N] true labels. threat: norm and radius.
        nets: name -> surrogate: rows for their transfer, and `auto` may use them.
        white_box: the target itself, if its gradients are available: an ensemble of attacks with them (`surrogates.ceiling`)
            gives the ceiling, which no attacker should beat, and `Evaluation.nearness` how much of it queries recover. A model
            without gradients has no such row, and a note says so. ceiling: its settings, ``{"steps": 100, "starts": 5}``.
        budgets: queries an image, ascending; an image that falls at one is not attacked again at the next, and counts as
            wrong there. levels: what the target shows. presets: of the transfer rows.
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
    images, plain = as_images(x, "x").cpu(), oracle("labels")
    labels, numbers = as_labels(y, len(images), plain.classes, "y", plain.class_names), as_ids(ids, len(images))
    found = Evaluation([], threat, seed, labels.numpy(), numbers, prints=image_hashes(images).numpy())
    _check(attack, levels)
    top = ceiling_settings(ceiling)
    if said := no_limit(white_box, ceiling, threat, images):
        white_box = None
        found.notes.append(f"no white-box row: {said}")
    run = Parts(found, oracle, plain, images, labels, Kept(journal, checkpoint), saved, attack)
    known: priors.Prior | None = sg.prior(list(nets.values())) if nets else None
    knowing = run.knowing(known) if plain.defences else None
    shown = [sees for level in levels for sees in ((level,) if knowing is None else (level, f"{level}, adaptive"))]
    _plan(found, dict(nets or {}), presets, shown, wanted, ceiling_row(top) if white_box is not None else "", called(attack))
    try:
        with plain.unwatched():  # each of these images is asked about once, by the owner: no row of queries to be detected
            standing = run.clean()
            if standing:
                run.noise()
                if nets:
                    run.transfer(nets, presets)
        if standing:
            for level in levels:
                run.queries(level, wanted, known, progress)
                if knowing is not None:
                    run.queries(level, wanted, known, progress, knowing)
            if plain.flags is not None:
                run.alarms()
            if white_box is not None:
                with plain.unwatched():
                    run.ceiling(white_box, top)
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


def _check(attack: str | Attack, levels: Sequence[str]) -> None:
    """Refuse levels that show too little for the attack, before anything is asked."""
    kind = attacks.get(attack) if isinstance(attack, str) else attack
    for level in levels:
        if Access.parse(level.partition(":")[0]) < kind.access:
            raise ValueError(
                f"Expected levels that show at least {kind.access.name.lower()} for {called(attack)}, but one was {level}. Say which: "
                f"--levels {kind.access.name.lower()}, or levels=."
            )


def bounded(threat: Threat) -> bool:
    """Whether the white-box ensemble can be run within the threat."""
    return threat.p != 0 and threat.eps < math.inf


def no_limit(white_box: Any, ceiling: Mapping[str, int] | None, threat: Threat, images: Tensor) -> str:
    """Why a model that is asked for its limit has none, in a sentence; empty where it has one, or was not asked. Nothing is queried."""
    from surrogates.crafting.gradients import Autograd

    if white_box is None:
        return "" if ceiling is None else "settings of the ceiling were given, but no model with gradients (white_box=)."
    if not bounded(threat):
        return f"its attacks need Linf, L2 or L1 with a finite radius, and the threat is {threat}."
    if not isinstance(white_box, nn.Module):
        return f"its attacks need gradients, of a torch module, and the model is a {type(white_box).__name__}. The other rows do without."
    try:
        Autograd([white_box], images[:1])
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
        out.append(
            f"random noise of this size alone gets {int((noise.wrong & ~clean.wrong).sum())} more images wrong: the radius is "
            "large for this model, and every other row has to be read against it."
        )
    ceiling = next((r for r in found.rows if r.sees == "everything"), None)
    if ceiling is not None:
        for row in {r.sees: r for r in found.rows if r.budget}.values():  # of each level the largest budget
            if beyond := found.beyond(row):
                out.append(
                    f"{row.sees}: queries fool {beyond} images that no white-box attack does: the gradients mislead "
                    "(masked gradients; Athalye et al. 2018, arXiv:1802.00420), so they give no ceiling here."
                )
    return out

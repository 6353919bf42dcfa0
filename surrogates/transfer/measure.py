"""`transfer_matrix`: crafts on every source, queries every target with the result, and keeps each label."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.areas import Patch
from blackbox.checkpoint import fingerprint
from blackbox.checks import as_ids, as_images, check_int
from blackbox.goals import Goal
from blackbox.oracle.kept import beside, kept
from blackbox.oracle.oracle import Oracle
from blackbox.results import ended
from blackbox.rowwise import row_norm
from blackbox.threat import Linf, Threat, as_threat
from surrogates.crafting import presets
from surrogates.crafting.craft import craft
from surrogates.crafting.goal import as_target
from surrogates.crafting.kept import Limits
from surrogates.crafting.presets import Preset
from surrogates.transfer.judges import Judges, Labels
from surrogates.transfer.matrix import TransferMatrix
from surrogates.transfer.noise import gaussian_noise, uniform_noise
from surrogates.transfer.runs import Retrained, Run, Source, expand, seeds_of


class Keeper(Protocol):
    """Receives the crafted images [N, \\*shape] of a cell before any target is queried."""

    def __call__(self, run: str, attack: Preset, threat: Threat, crafted: Tensor) -> None: ...


class Maker(Protocol):
    """Makes the crafted images [N, \\*shape] of a cell, from its nets, attack, threat, T and seed."""

    def __call__(
        self, run: str, nets: Sequence[nn.Module], attack: Preset, threat: Threat, steps: int, seed: int
    ) -> Tensor: ...


def transfer_matrix(
    sources: Mapping[str, Source | Retrained],
    targets: Mapping[str, Oracle],
    x: Any,
    y: Any = None,
    attacks: Sequence[str | Preset] = ("fgsm", "mi-fgsm"),
    threats: Sequence[Threat] = (Linf(8 / 255),),
    *,
    target: Any = None,
    goal: Goal | Mapping[str, Goal | Sequence[Goal]] | None = None,
    mask: Any = None,
    ranges: tuple[Any, Any] | None = None,
    steps: int | None = None,
    seed: int | Sequence[int] = 0,
    ids: Any = None,
    noise: bool = True,
    chunk: int | None = None,
    make: Maker | None = None,
    keep: Keeper | None = None,
    progress: Callable[[str], None] | None = None,
    journal: str | os.PathLike[str] | None = None,
) -> TransferMatrix:
    """Measure how every source x attack x threat transfers to every target, image by image.

    Args:
        sources: name -> net, or several nets as one source (mean of their logits), or `Retrained`: several trainings of
            one source, each used by itself.
        targets: name -> `Oracle`. Clean images are charged under ``"clean"``, crafted ones under ``"transfer"``, noise
            under ``"noise"``: N, N x sources (trainings x seeds of each) x attacks x threats, and N x (2 an Linf threat, 1
            another) queries.
        x: [N, \\*shape] images in [0, 1].
        y: [N] true labels; none with a goal.
        attacks: names from `presets.names` or `Preset`s.
        threats: the radii to compare.
        target: a class, or [N] classes, to reach (targeted transfer).
        goal: what to reach instead of a class, one of `blackbox.goals`: for all, or by the names of sources (of several nets one for
            all or one for each) and targets, whose references may be in spaces of their own. Rates are then of the images that do not
            reach it unchanged.
        mask, ranges: of crafted images and of noise, as in `craft`; a patch or a frame may be among the threats. A patch whose place is
            free lies where it does most on each source; its noise lies in a random place.
        steps: T for all multi-step attacks, instead of each preset's own.
        seed, ids: as for `craft`. Several seeds: every cell is crafted with each; noise is drawn with the first.
        chunk: images a call of a source.
        make: makes the images of a cell, instead of `craft`.
        keep: called with the crafted images of each cell as they are made.
        noise: also query every target with noise of the same size, the baseline of any transfer rate. For an Linf threat
            uniform in [-eps, eps] (matched Linf); for every threat Gaussian with the RMS of the crafted perturbation, image
            by image, after clipping to the box (matched RMS; with several sources or attacks, the largest perturbation of
            that image).
        progress: called with a line of text at the start of each cell.
        journal: a file for every answer of a target, as in `blackbox.attack`; several targets have one each beside it
            (`run-NAME.journal`). The same call crafts again, and pays for no answer twice.

    Raises:
        ValueError: images, labels, goals or nets that do not fit; a target that is not an Oracle, or has other classes than a
            source. AccessError: a target shows too little for its goal. TargetError: a target failed; ``error.result`` is the
            matrix so far, with every answer that came: what is missing is unknown. So it is with any other exception that ends the
            measurement early, such as ctrl-C.
    """
    images = as_images(x, "x")
    _check_kinds(sources, targets, attacks, threats)
    chosen = [presets.get(a) for a in attacks]
    steps = None if steps is None else check_int(steps, "steps", 1)
    _check_names(sources, targets, chosen, threats)
    for threat in threats:
        threat.check_dimension(images[0].numel())
    seeds = seeds_of(seed)
    rows = expand(sources, seeds)
    nets = {label: members for label, _, members in rows}
    judges = Labels(nets, targets, images) if goal is None else Judges(goal, rows, targets, images, target)
    labels = judges.labels(y)
    goals = None if target is None else as_target(target, labels, judges.classes)
    numbers = as_ids(ids, len(images))
    limits = [Limits.of(_of_noise(threat), images, mask, ranges, numbers, seeds[0]) for threat in threats]
    matrix = TransferMatrix.empty(
        tuple(nets), tuple(targets), tuple(r.name for r in chosen), tuple(threats), labels.numpy(),
        None if goals is None else goals.numpy(), numbers, images[0].numel(), seeds[0], tuple(run for _, run, _ in rows),
        judges.goal,
    )  # fmt: skip
    for a, preset in enumerate(chosen):
        matrix.steps[a] = (steps or preset.steps) if preset.steps > 1 else 1
    matrix.cost[:] = [
        [preset.cost(int(matrix.steps[a]), len(n)) for a, preset in enumerate(chosen)] for n in nets.values()
    ]

    def show(points: Tensor, purpose: str, into: np.ndarray) -> None:
        for t, (name, oracle) in enumerate(targets.items()):
            before, start, shown = oracle.spent, 0, as_images(points, "x").to(oracle.device)
            try:
                while start < len(shown):  # call by call, so that what was answered before a failure is kept
                    part = slice(start, start + oracle.next_rows(len(shown) - start))
                    into[t, part] = judges.of_target(name, oracle.submit(shown[part], purpose), part)
                    start = part.stop
            finally:
                matrix.queries[name] = matrix.queries.get(name, 0) + oracle.spent - before

    def crafted(run: str, nets: Sequence[nn.Module], attack: Preset, threat: Threat, steps: int, seed: int) -> Tensor:
        return craft(
            nets, images, labels, attack, threat=threat, steps=steps, target=goals, seed=seed, ids=numbers, chunk=chunk,
            goal=judges.of_source(run), mask=mask, ranges=ranges,
        )  # fmt: skip

    try:
        with contextlib.ExitStack() as stack:
            for name, oracle in targets.items():
                file = journal if journal is None or len(targets) == 1 else beside(journal, name)
                stack.enter_context(kept(oracle, file, images=fingerprint(images, labels, numbers), seed=seeds[0]))
            _fill(matrix, images, limits, rows, chosen, judges, make or crafted, show, keep, noise, progress or (lambda line: None))
    except BaseException as error:
        matrix.stopped = ended.why(error)
        error.result = matrix  # type: ignore[attr-defined]
        raise
    return matrix


def _fill(
    matrix: TransferMatrix,
    images: Tensor,
    limits: Sequence[Limits],
    rows: Sequence[tuple[str, Run, tuple[nn.Module, ...]]],
    chosen: Sequence[Preset],
    judges: Labels | Judges,
    make: Maker,
    show: Callable[[Tensor, str, np.ndarray], None],
    keep: Keeper | None,
    noise: bool,
    say: Callable[[str], None],
) -> None:
    """Craft every cell and query the targets with it; ``show`` writes their answers into the matrix."""
    say("clean images")
    for s, (_, _, members) in enumerate(rows):
        matrix.clean_source[s] = judges.on_source(matrix.sources[s], members, images)
    show(images, "clean", matrix.clean_target)
    for e, threat in enumerate(matrix.threats):
        largest = torch.zeros(len(images))
        for (s, (label, run, members)), (a, preset) in product(enumerate(rows), enumerate(chosen)):
            say(f"{preset.name} on {label}, {threat}")
            made = make(label, members, preset, threat, int(matrix.steps[a]), run.seed).to(images.device)
            if keep is not None:
                keep(label, preset, threat, made)
            matrix.l2[s, a, e], matrix.linf[s, a, e] = _sizes(made - images)
            largest = torch.maximum(largest, torch.from_numpy(matrix.l2[s, a, e]))
            matrix.adv_source[s, a, e] = judges.on_source(label, members, made)
            show(made, "transfer", matrix.adv_target[s, a, e])
        if noise:
            say(f"noise, {threat}")
            kinds = {1: gaussian_noise(images, largest.to(images.device), limits[e], matrix.seed, matrix.ids)}
            if threat.norm == "Linf":
                kinds[0] = uniform_noise(images, limits[e], matrix.seed, matrix.ids)
            for kind, noisy in sorted(kinds.items()):
                matrix.noise_l2[e, kind], matrix.noise_linf[e, kind] = _sizes(noisy - images)
            for kind, noisy in sorted(kinds.items()):
                show(noisy, "noise", matrix.noise_target[e, kind])


def _sizes(change: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """L2 and Linf norm of each row, [n]."""
    return row_norm(change).cpu().numpy(), row_norm(change, np.inf).cpu().numpy()


def _of_noise(threat: Any) -> Any:
    """Where noise lies: of a patch whose place is searched, in a random one."""
    return replace(threat, location="random") if isinstance(threat, Patch) and threat.free else threat


def _check_kinds(sources: Any, targets: Any, attacks: Any, threats: Any) -> None:
    for what, found, example in (("sources", sources, '{"mine": net}'), ("targets", targets, '{"hidden": oracle}')):
        if not isinstance(found, Mapping):
            raise ValueError(f"Expected {what} with names, such as {example}, but they were a {type(found).__name__}.")
    for what, found, example in (("attacks", attacks, '["fgsm"]'), ("threats", threats, "[blackbox.Linf(8/255)]")):
        if not isinstance(found, Sequence) or isinstance(found, str):
            raise ValueError(f"Expected a list of {what}, such as {example}, but it was {found!r:.80}.")
    for threat in threats:
        as_threat(threat)


def _check_names(
    sources: Mapping[str, Any], targets: Mapping[str, Oracle], chosen: Sequence[Preset], threats: Sequence[Threat]
) -> None:
    for what, found in (("sources", sources), ("targets", targets), ("attacks", chosen), ("threats", threats)):
        if not found:
            raise ValueError(f"Expected at least one of the {what}, but there were none.")
    if len({r.name for r in chosen}) < len(chosen) or len(set(threats)) < len(threats):
        raise ValueError("Expected attacks and threats without repetition, but one is named twice.")
    for name, oracle in targets.items():
        if not isinstance(oracle, Oracle):
            raise ValueError(
                f"Expected an Oracle as target {name!r}, but it was {type(oracle).__name__}. Wrap it, so that its queries are "
                "counted: blackbox.Oracle(model, access='labels', classes=...)."
            )


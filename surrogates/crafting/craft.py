"""`craft`: adversarial examples from the gradients of nets you own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox import goals
from blackbox.areas import Patch
from blackbox.checks import as_ids, as_images, as_labels, check_int
from blackbox.placing import find
from blackbox.plain_text import no_exit
from blackbox.rng import Stream
from blackbox.threat import Threat, as_threat
from surrogates.crafting import presets
from surrogates.crafting.ascent import ascend
from surrogates.crafting.goal import Goal, Pool, as_target
from surrogates.crafting.gradients import Autograd, Seen, as_nets
from surrogates.crafting.kept import Limits
from surrogates.crafting.parts import losses
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.finish import Momentum, Projection
from surrogates.crafting.parts.losses import Loss
from surrogates.crafting.presets import Preset
from surrogates.crafting.twins import BESIDE, twins_of


def craft(
    nets: nn.Module | Sequence[nn.Module],
    x: Any,
    y: Any = None,
    attack: str | Preset | Parts = "mi-fgsm",
    *,
    threat: Threat,
    steps: int | None = None,
    step: float | None = None,
    decay: float | None = None,
    loss: str | Loss | None = None,
    target: Any = None,
    goal: goals.Goal | Sequence[goals.Goal] | None = None,
    mask: Any = None,
    ranges: tuple[Any, Any] | None = None,
    eight_bit: bool = False,
    pool: tuple[Any, Any] | None = None,
    seed: int = 0,
    ids: Any = None,
    chunk: int | None = None,
) -> Tensor:
    """Craft adversarial examples from the gradients of nets you own.

    Unless parts edit the nets or tap a layer, gradients are taken through copies with batch norms folded (`surrogates.nets.fold`),
    which are equal up to float32 rounding; a sign step may flip where an entry is near zero.

    Args:
        nets: a net that gives logits for images in [0, 1], or several (fused by the mean of their logits, unless the
            attack has a fusion of its own).
        x: [N, \\*shape] images in [0, 1].
        y: [N] true labels; none with a goal.
        attack: a name from `presets.names`, a `Preset`, or parts: ``Momentum() | DI() | TI()``.
        threat: norm, eps and box; or a patch or a frame. Where the place of a patch is free, it is the one that does most on the nets
            (`blackbox.placing`). The result lies within ``eps`` (up to float rounding, below 1e-6) and in the box.
        steps, step, decay: replace the preset's T, step size (in units of the threat's norm) and momentum mu.
        loss: replaces the preset's: a name (``"cross-entropy"``, ``"margin"`` ...) or a `Loss`.
        target: a class, or [N] classes, to reach; by default the attack is untargeted.
        goal: what to reach instead of a class, one of `blackbox.goals` that has a twin (`blackbox.goals.Goal.twin`): for all nets, or one
            for each. The nets return what the goal reads, logits or embeddings, say, which need not be alike; its loss takes the place
            of the preset's, of several nets their mean.
        mask, ranges: which entries may change, or by what share of eps, and in which range each stays, as in `blackbox.attack`.
        eight_bit: return 8-bit images: changed entries are rounded to multiples of 1/255, towards ``x``, so that they stay inside the
            threat.
        pool: (images, labels) for attacks that mix in images of other classes (admix). By default ``x`` itself, so that a
            result depends on the other images; give a pool to avoid that.
        seed, ids: the draws of image i are a function of (seed, ids[i]) alone; ids are 0..N-1 by default.
        chunk: images a call; the default depends on their shape (see `Autograd`).

    Warns:
        UserWarning: images whose gradient was zero at every step, with their number; a net whose answers are probabilities.

    Returns:
        [N, \\*shape] float32 on the device of ``x``: the last iterate, as in the papers.

    Raises:
        ValueError: images, labels, targets or goals that do not fit the nets; nets with different classes; an unknown preset; parts
            that do not go together, or whose loss is one of classes, with a goal; steps for a one-step attack. TypeError: no threat.
    """
    preset = presets.get(attack)
    x0 = as_images(x, "x")
    seed = check_int(seed, "seed")
    numbers = as_ids(ids, len(x0), distinct=False)
    limits = Limits.of(threat, x0, mask, ranges, numbers, seed)
    patch = threat if isinstance(threat, Patch) and threat.free else None
    check_threat(threat := limits.threat, x0)
    home, found = x0.device, as_nets(nets)
    twins = None if goal is None else twins_of(goal, target, found, x0)
    parts = _parts(preset, loss if twins is None else twins.loss(preset.name, preset.parts, loss), decay, eight_bit)
    parts.check(tuple(x0.shape[1:]), len(found))
    source = Autograd(
        found, x0, parts.one("loss") or "cross-entropy", target is not None, chunk, parts.one("fusion"), parts.all("nets"),
        None if (plan := parts.one("schedule")) is None or plan.inner else plan, fold=True, twins=twins,
    )  # fmt: skip
    if twins is None:
        aim = _goal(preset, parts, y, target, len(x0), source.classes).to(source.device)
    else:
        aim = twins.goal(len(x0)).to(source.device)
    count, length = _schedule(preset, threat, steps, step)
    partners = _pool(pool, x0, aim, numbers, source.classes).to(source.device)
    rng, out = Stream(seed, numbers, source.device), torch.empty_like(x0)
    still = torch.ones(len(x0), dtype=torch.bool, device=source.device)
    with source.open(), no_exit("A net, or a part of the attack,"):
        source.meet(partners)
        if patch is not None:
            limits = limits.placed(_place(patch, source, x0, aim, limits, rng))
        for start in range(0, len(x0), source.chunk):
            at = slice(start, start + source.chunk)
            out[at] = ascend(
                source, x0[at].to(source.device), aim[at], limits.at(at, source.device), parts, count, length,
                rng.take(np.arange(len(x0))[at]), pool=partners, still=still[at],
            ).to(home)  # fmt: skip
    tell_of_zeros(int(still.sum()), len(x0), preset.name, *([] if twins is None else [BESIDE]))
    return out


def _place(patch: Patch, source: Autograd, x0: Tensor, aim: Goal, limits: Limits, rng: Stream) -> Tensor:
    """Where a patch whose place is free lies in each image, by what it does on the nets, as a mask [N, \\*shape] bool."""
    nets, shape = source.with_loss(losses.Margin()), tuple(x0.shape[1:])
    out = torch.zeros(x0.shape, dtype=torch.bool)
    for start in range(0, len(x0), source.chunk):
        at = slice(start, start + source.chunk)
        part, mine, draws = x0[at].to(source.device), aim[at], rng.take(np.arange(len(x0))[at])

        def seen(x: Tensor, mine: Goal = mine, draws: Stream = draws) -> Seen:
            return nets.seen(x, mine, draws, 0)

        allowed = None if limits.mask is None else limits.mask[at].to(source.device)
        found = find(patch, part, lambda x, seen=seen: seen(x).gradient, lambda x, seen=seen: seen(x).loss, allowed)  # type: ignore[misc]
        out[at] = patch.at(found, shape).cpu()
    return out


def check_threat(threat: Threat, x0: Tensor) -> None:
    """Refuse a threat in which nothing can be crafted for images ``x0``.

    Raises:
        ValueError: images outside its box, L0, or a radius that covers the box. TypeError: no threat.
    """
    as_threat(threat)
    if bool(((x0 < threat.lower) | (x0 > threat.upper)).any()):
        raise ValueError(
            f"Expected x to lie in the threat's box [{threat.lower:g}, {threat.upper:g}], but some entries do not."
        )
    if threat.p == 0:
        raise ValueError(
            f"Expected an Linf, L2 or L1 threat to craft in, but it was {threat}. For few pixels there is minimum_norm.jsma."
        )
    threat.check_dimension(x0[0].numel())


def tell_of_zeros(count: int, total: int, name: str, hint: str = " (try loss='margin')") -> None:
    """Warn of images whose gradient was zero at every step."""
    if count:
        warnings.warn(
            f"{count} of {total} images had a gradient of zero at every step of {name}, so nothing was crafted for them; they say "
            f"nothing of a target's robustness. Is the net certain of them{hint}, does it end in a softmax, or does "
            "it round its input?",
            stacklevel=3,
        )


def _parts(preset: Preset, loss: str | Loss | None, decay: float | None, eight_bit: bool) -> Parts:
    parts = preset.parts
    if loss is not None:
        parts = parts.swap(losses.get(loss))
    if decay is not None:
        norm = momentum.norm if (momentum := parts.one("momentum")) else "mean-abs"
        parts = parts.swap(Momentum(decay, norm))
    return parts.swap((parts.one("projection") or Projection()).in_eight_bit()) if eight_bit else parts


def _goal(preset: Preset, parts: Parts, y: Any, target: Any, count: int, classes: int) -> Goal:
    labels = as_labels(y, count, classes, "y")
    if target is None:
        loss = parts.one("loss")
        if loss is not None and loss.targeted_only:
            raise ValueError(
                f"Expected a target for {preset.name}, whose loss leads to a class, but there was none. Give target=."
            )
        return Goal(labels, labels)
    return Goal(as_target(target, labels, classes), labels, targeted=True)


def _pool(pool: tuple[Any, Any] | None, x0: Tensor, goal: Goal, ids: np.ndarray, classes: int) -> Pool:
    if pool is None:
        return Pool.ordered(x0, goal.labels if goal.who is None else goal.labels + 1, ids)
    images = as_images(pool[0], "pool")
    if images.shape[1:] != x0.shape[1:]:
        raise ValueError(
            f"Expected the pool to hold images like x, {tuple(x0.shape[1:])}, but they were {tuple(images.shape[1:])}."
        )
    if goal.who is not None:  # without classes any image is another one
        return Pool(images, torch.ones(len(images), dtype=torch.int64))
    return Pool(images, as_labels(pool[1], len(images), classes, "the pool's labels"))


def _schedule(preset: Preset, threat: Threat, steps: int | None, step: float | None) -> tuple[int, float]:
    if steps is not None and not (isinstance(steps, (int, np.integer)) and steps >= 1):
        raise ValueError(f"Expected steps to be a whole number of at least 1, but it was {steps!r}.")
    if preset.steps == 1 and steps is not None and steps > 1:
        raise ValueError(
            f"Expected steps=1 for {preset.name}, which takes a single step, but it was {steps}. Use i-fgsm."
        )
    if step is not None and not 0 < step < math.inf:
        raise ValueError(f"Expected step to be positive, in units of the threat's norm, but it was {step!r}.")
    if threat.eps == math.inf and (step is None or preset.parts.one("start") or preset.parts.one("probe")):
        raise ValueError(f"Expected a finite eps for {preset.name}, but it was infinite.")
    count = int(steps or preset.steps)
    return count, float(step) if step is not None else preset.step(threat, count)

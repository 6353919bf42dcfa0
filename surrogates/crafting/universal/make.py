"""`universal`: one change for all images, from nets you own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from blackbox import goals
from blackbox.areas import Area, Patch
from blackbox.change import Universal, allowed, check_threat
from blackbox.checks import as_images, as_labels, check_int
from blackbox.plain_text import no_exit
from blackbox.threat import Threat, as_threat
from surrogates.crafting.goal import Goal, as_target
from surrogates.crafting.gradients import Autograd, as_nets
from surrogates.crafting.parts import losses
from surrogates.crafting.parts.losses import Loss
from surrogates.crafting.twins import twins_of
from surrogates.crafting.universal.generator import generator
from surrogates.crafting.universal.images import Clipped, Images
from surrogates.crafting.universal.sgd import sgd
from surrogates.crafting.universal.uap import uap

METHODS = ("sgd", "uap", "generator")


def universal(
    nets: nn.Module | Sequence[nn.Module],
    x: Any,
    y: Any = None,
    threat: Threat | None = None,
    method: str = "sgd",
    *,
    target: Any = None,
    goal: goals.Goal | Sequence[goals.Goal] | None = None,
    mask: Any = None,
    epochs: int = 10,
    batch: int = 32,
    step: float | None = None,
    rate: float = 2e-3,
    loss: str | Loss = "cross-entropy",
    most: float = 9.0,
    wanted: float = 0.8,
    seed: int = 0,
    chunk: int | None = None,
) -> Universal:
    """Craft one change for all images from the gradients of nets you own: a universal perturbation, patch or frame.

    Args:
        nets: a net, or several, fused by the mean of their logits.
        x, y: [N, \\*shape] images in [0, 1] that it is made from, and their labels; none with a goal. Measure it on others:
            `blackbox.universal_rate`.
        threat: ``Linf``, ``L2`` or ``L1`` of what is added; or ``Patch`` at a given or a random place, or ``Frame``. With
            ``location="random"`` an image has another place at every step, so that the patch works wherever it lies.
        method: ``"sgd"``, ``"uap"`` or ``"generator"``, see the modules of `surrogates.crafting.universal`.
        target, goal: as in `craft`; a goal needs ``"sgd"`` or ``"generator"``.
        mask: [\\*shape] bool, which entries may change, the same for all images.
        epochs: how often all images are gone through. batch: images a step.
        step, rate: the first step of ``"sgd"`` (a fifth of eps), and the rate of ``"generator"``.
        loss, most: what rises, cut off at ``most``, so that no image outweighs the others; 9 is ours.
        wanted: the share of fooled images at which ``"uap"`` ends: 0.8 in the paper.
        seed: of the order of images, of places and of the generator. chunk: images a call.

    Returns:
        A `blackbox.Universal`; its ``config`` holds the method, the share that it fools of ``x`` on the nets, and the gradients spent.

    Raises:
        ValueError: images, labels, threats, masks or goals that do not fit; a method that does not serve them. TypeError: no threat.
    """
    check_threat(threat := as_threat(threat))
    x0, found, seed = as_images(x, "x"), as_nets(nets), check_int(seed, "seed")
    epochs, batch = check_int(epochs, "epochs", 1), check_int(batch, "batch", 1)
    if method not in METHODS:
        raise ValueError(f"Expected method to be one of {', '.join(METHODS)}, but it was {method!r}.")
    if method == "uap" and (goal is not None or isinstance(threat, Area)):
        raise ValueError("Expected classes and a norm for uap, which sums minimal changes, but there was a goal or a patch. Take sgd.")
    if (step is not None and not 0 < step < float("inf")) or not 0 < rate < float("inf"):
        raise ValueError(f"Expected step and rate to be positive, but they were {step!r} and {rate!r}.")
    twins = None if goal is None else twins_of(goal, target, found, x0)
    rises = Clipped(losses.get(loss), most) if target is None else losses.get(loss)
    source = Autograd(found, x0, rises, target is not None, chunk, fold=True, twins=twins)
    if twins is not None:
        aim = twins.goal(len(x0))
    else:
        labels = as_labels(y, len(x0), source.classes, "y")
        aim = Goal(labels, labels) if target is None else Goal(as_target(target, labels, source.classes), labels, targeted=True)
    place = _place(threat)
    images = Images(source, x0, aim, threat, allowed(threat, tuple(x0.shape[1:]), mask), place, seed, twins)
    with source.open(), no_exit("A net"), torch.no_grad():
        if method == "sgd":
            change = sgd(images, epochs, batch, step)
        elif method == "uap":
            change = uap(images, epochs, wanted)
        else:
            change = generator(images, epochs, batch, rate)
        share = float(images.fooled(change).mean())
    return images.universal(
        change, method=method, images=len(x0), epochs=epochs, seed=seed, fooled=share, gradients=images.gradients, nets=len(found)
    )


def _place(threat: Threat) -> tuple[int, int] | None:
    """Where content is pasted on all images; None where nothing is, or each image has a place of its own.

    Raises:
        ValueError: it is to be searched.
    """
    if not isinstance(threat, Area):
        return None
    if threat.free:
        raise ValueError(
            "Expected a place to craft a patch in, but it was to be searched. Give Patch(size, location=(row, column)), or "
            'location="random".'
        )
    return threat.given if isinstance(threat, Patch) else (0, 0)

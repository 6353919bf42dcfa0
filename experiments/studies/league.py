"""A league of crafting presets: at equal effort (gradients an image), as crafted and at equal size (one RMS).

Which preset is best depends on what an image may cost and on how far each moves it: rates at the preset's own steps compare
neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox.statistics import Ranks, ranks


def at_effort(preset: sg.presets.Preset, gradients: int, nets: int = 1) -> sg.presets.Preset | None:
    """``preset`` for at most G = ``gradients`` an image, named ``"mi-fgsm @ 50"``; None where no single step is so cheap.

    Where its own T costs less, more steps are taken; where it costs more, first fewer copies are averaged over at each
    step (the part with most of them gives way first, down to two: one copy of SI, say, is no SI), then there are fewer
    steps. A one-step attack stays at its cost.
    """
    wanted = min(preset.steps, max(gradients // nets, 1))
    thin = preset
    while thin.cost(wanted, nets) > gradients and (fewer := _thinner(thin)) is not None:
        thin = fewer
    if thin.cost(1, nets) > gradients:
        return None
    steps = 1
    while preset.steps > 1 and thin.cost(steps + 1, nets) <= gradients:
        steps += 1
    return replace(thin, name=f"{preset.name} @ {gradients}", steps=steps)


def _thinner(preset: sg.presets.Preset) -> sg.presets.Preset | None:
    """One copy less, from the part with most; None where every part is down to two."""
    held = [
        (getattr(part, f.name), i, f.name)
        for i, part in enumerate(preset.parts)
        if part.slot in ("probe", "view", "loss")
        for f in fields(part)
        if f.name in ("copies", "count")  # what parts call how many points, views or masks they average over
    ]
    most, i, name = max(held, default=(1, 0, ""))
    if most <= 2:
        return None
    parts = list(preset.parts)
    parts[i] = replace(parts[i], **{name: most - 1})
    return replace(preset, parts=sg.parts.Parts(tuple(parts)))


def least_length(made: Sequence[Tensor], x: Tensor) -> Tensor:
    """[N]: the Euclidean length of the shortest change to each image that is one at all; 0 where nobody changed it."""
    found = torch.stack([(v - x).flatten(1).norm(dim=1) for v in made])
    short = torch.where(found > 0, found, torch.inf).amin(0)
    return torch.where(short.isfinite(), short, 0.0)


def at_length(made: Tensor, x: Tensor, length: Tensor) -> Tensor:
    """``made`` [N, \\*shape] with each change cut down to ``length`` [N]; one that is shorter stays as it is. The result lies
    between ``x`` and ``made``, so inside whatever threat and box both are in."""
    change = made - x
    scale = (length / change.flatten(1).norm(dim=1).clamp_min(1e-12)).clamp_max(1.0).view(-1, *[1] * (x.ndim - 1))
    between = torch.clamp(x + scale * change, torch.minimum(x, made), torch.maximum(x, made))
    return torch.where(scale < 1, between, made)


@dataclass(frozen=True)
class Entry:
    """attack: its name in the matrices. preset, effort: what it is of. steps, cost: T and G really spent. composes: its parts,
    with the copies it was left."""

    attack: str
    preset: str
    effort: int
    steps: int
    cost: int
    composes: str = ""


@dataclass(frozen=True, eq=False)
class League:
    """Two transfer matrices over the same entries.

    crafted: images as crafted, all within eps. matched: every change to an image cut down to the length of the shortest of
    them, so that all have the same RMS and still lie within eps. dropped: (preset, effort) that effort cannot buy one step of.
    given: the denominator.
    """

    source: str
    target: str
    entries: tuple[Entry, ...]
    crafted: sg.TransferMatrix
    matched: sg.TransferMatrix
    dropped: tuple[tuple[str, int], ...] = ()
    given: str = "both-correct"

    def rate(self, entry: Entry, threat: bb.Threat, matched: bool = False) -> sg.TwoLevel:
        """An entry's transfer rate, with its bootstrap interval over runs and images."""
        matrix = self.matched if matched else self.crafted
        return matrix.estimate(self.source, self.target, entry.attack, threat, self.given)

    def outcomes(self, entry: Entry, threat: bb.Threat, matched: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        matrix = self.matched if matched else self.crafted
        return matrix.outcomes(self.source, self.target, entry.attack, threat, self.given)

    def front(self, threat: bb.Threat) -> list[Entry]:
        """The Pareto front: entries that no entry of at most their cost beats (by the rate measured; for what is beyond
        doubt see `ranks` and `surrogates.compare`)."""
        rates = {}
        for entry in self.entries:
            hits, among, _ = self.outcomes(entry, threat, False)
            rates[entry.attack] = float((hits & among).sum() / max(among.sum(), 1))
        out: list[Entry] = []
        for entry in sorted(self.entries, key=lambda e: (e.cost, -rates[e.attack])):
            if not out or rates[entry.attack] > rates[out[-1].attack]:
                out.append(entry)
        return out

    def ranks(self, threat: bb.Threat, effort: int, matched: bool = False) -> Ranks:
        """Ranks of the presets at one effort (1 is best), with bootstrap intervals."""
        some = [e for e in self.entries if e.effort == effort]
        cells = [self.outcomes(entry, threat, matched) for entry in some]
        among = np.logical_and.reduce([k for _, k, _ in cells])
        return ranks([e.preset for e in some], np.stack([hit for hit, _, _ in cells]), among, cells[0][2])


def league(
    source: dict[str, Any],
    target: dict[str, bb.Oracle],
    x: Tensor,
    y: Tensor,
    attacks: Sequence[str],
    efforts: Sequence[int],
    threats: Sequence[bb.Threat],
    *,
    seed: int = 0,
    progress: Any = None,
) -> League:
    """Craft with every preset at every effort, and show the target the images as crafted and at equal RMS.

    Args:
        source, target: name -> net (or nets) and name -> `Oracle`, one of each.

    Raises:
        ValueError: no effort that buys a step, or as `transfer_matrix`.
    """
    ((name, net),), (hidden,) = source.items(), target
    width = len(net) if isinstance(net, (list, tuple)) else 1
    fitted = {(a, g): at_effort(sg.presets.get(a), g, width) for a in attacks for g in dict.fromkeys(efforts)}
    running = {key: preset for key, preset in fitted.items() if preset is not None}
    if not running:
        raise ValueError(f"Expected an effort that buys one step of a preset, but the largest was {max(efforts)}.")
    kept: dict[tuple[str, bb.Threat], Tensor] = {}
    shortest: dict[bb.Threat, Tensor] = {}

    def crafted(run: str, nets: Any, attack: Any, threat: bb.Threat, steps: int, seed: int) -> Tensor:
        kept[attack.name, threat] = sg.craft(nets, x, y, attack, threat=threat, seed=seed)
        return kept[attack.name, threat]

    def matched(run: str, nets: Any, attack: Any, threat: bb.Threat, steps: int, seed: int) -> Tensor:
        if threat not in shortest:
            shortest[threat] = least_length([v for (_, t), v in kept.items() if t == threat], x)
        return at_length(kept[attack.name, threat], x, shortest[threat])

    first, second = (
        sg.transfer_matrix(source, target, x, y, list(running.values()), threats, make=make, progress=say, seed=seed)
        for make, say in ((crafted, progress), (matched, None))
    )
    entries = tuple(Entry(p.name, *key, p.steps, p.cost(nets=width), p.composes) for key, p in running.items())
    dropped = tuple(key for key, preset in fitted.items() if preset is None)
    return League(name, hidden, entries, first, second, dropped)

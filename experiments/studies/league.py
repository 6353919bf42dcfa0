"""Crafting presets at equal effort: what each makes of the same number of gradients an image."""

from __future__ import annotations

from dataclasses import fields, replace

import surrogates as sg


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

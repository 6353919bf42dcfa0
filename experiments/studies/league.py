"""League: presets at equal effort (gradients an image) and equal size (RMS), with what is worth its cost and what is noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from blackbox.checks import as_ids, as_images, as_labels
from blackbox.oracle.oracle import Oracle
from blackbox.threat import Linf, Threat
from experiments.studies.effort import at_effort, at_length, least_length
from experiments.studies.league_result import Entry, League
from surrogates.crafting import presets
from surrogates.crafting.craft import craft
from surrogates.crafting.presets import Preset
from surrogates.transfer.measure import transfer_matrix
from surrogates.transfer.runs import Retrained, Source, expand, seeds_of


def league(
    source: Mapping[str, Source | Retrained],
    target: Mapping[str, Oracle],
    x: Any,
    y: Any,
    attacks: Sequence[str | Preset],
    efforts: Sequence[int] = (10, 50),
    threats: Sequence[Threat] = (Linf(8 / 255),),
    *,
    given: str = "both-correct",
    goals: Any = None,
    seed: int | Sequence[int] = 0,
    ids: Any = None,
    chunk: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> League:
    """Run every preset at every effort and show the target the images as crafted and at equal RMS.

    Args:
        source, target: name -> net (or ensemble, or `Retrained`) and name -> `Oracle`, one of each.
        attacks: presets. Each runs with as many steps and copies as the effort buys (`effort.at_effort`), at its own step size
            for that T.
        efforts: gradients an image. goals: classes to be reached. given: the denominator, see `GIVEN`.

    Costs twice what `transfer_matrix` says; `league_plan` counts it.

    Raises:
        ValueError: more than one source or target, no effort that buys a step, or as `transfer_matrix`.
    """
    if len(source) != 1 or len(target) != 1:
        raise ValueError(f"Expected one source and one target, but there were {len(source)} and {len(target)}.")
    images, recipes, (name,), (hidden,) = as_images(x, "x"), [presets.get(a) for a in attacks], source, target
    rows, numbers = expand(source, seeds_of(seed)), as_ids(ids, len(images))
    width = max(len(members) for _, _, members in rows)
    fitted = {(p.name, g): at_effort(p, g, width) for p in recipes for g in dict.fromkeys(efforts)}
    running = {key: preset for key, preset in fitted.items() if preset is not None}
    if not running:
        raise ValueError(f"Expected an effort that buys one step of a preset, but the largest was {max(efforts)}.")
    entries = tuple(
        Entry(p.name, key[0], key[1], p.steps, p.cost(nets=width), p.composes) for key, p in running.items()
    )
    labels = as_labels(y, len(images), next(iter(target.values())).classes, "y")
    kept: dict[tuple[str, str, Threat], Tensor] = {}

    def crafted(run: str, nets: Sequence[nn.Module], attack: Preset, threat: Threat, steps: int, seed: int) -> Tensor:
        made = craft(nets, images, labels, attack, threat=threat, target=goals, seed=seed, ids=numbers, chunk=chunk)
        kept[run, attack.name, threat] = made
        return made

    def matched(run: str, nets: Sequence[nn.Module], attack: Preset, threat: Threat, steps: int, seed: int) -> Tensor:
        if (run, threat) not in shortest:
            shortest[run, threat] = least_length(
                [v for (r, _, t), v in kept.items() if (r, t) == (run, threat)], images
            )
        return at_length(kept[run, attack.name, threat], images, shortest[run, threat])

    shortest: dict[tuple[str, Threat], Tensor] = {}
    common: dict[str, Any] = {"target": goals, "seed": seed, "ids": ids, "chunk": chunk}
    first, second = (
        transfer_matrix(
            source, target, images, labels, list(running.values()), threats, make=make, progress=say, **common
        )
        for make, say in ((crafted, progress), (matched, None))
    )
    dropped = tuple(key for key, preset in fitted.items() if preset is None)
    return League(name, hidden, entries, first, second, dropped, given)


def league_plan(
    images: int, attacks: Sequence[str | Preset], efforts: Sequence[int], threats: Sequence[Threat], runs: int = 1
) -> dict[str, int]:
    """What `league` costs at most: ``queries`` of the target and ``gradients`` of the source, for so many images and runs
    (trainings x seeds) of a source with one net."""
    fitted = [p for a in attacks for g in efforts if (p := at_effort(presets.get(a), g)) is not None]
    shown = 1 + len(fitted) * len(threats) * runs + sum(2 if t.norm == "Linf" else 1 for t in threats)
    return {"queries": 2 * images * shown, "gradients": images * runs * len(threats) * sum(p.cost() for p in fitted)}

"""Which of several surrogates carries furthest: by what is crafted on them and shown to nets of one's own, at no query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from blackbox.checks import as_images, as_labels
from blackbox.statistics import mean_estimate
from blackbox.statistics.rates import Estimate
from blackbox.threat import Threat
from surrogates.crafting.craft import craft
from surrogates.crafting.gradients import as_nets
from surrogates.nets.predict import class_count, predict


@dataclass(frozen=True)
class Choice:
    """What `choose` found.

    Attributes:
        name, nets: the best candidate.
        rates: of each candidate, the share of images that fool a held-out net, a mean over these.
        gains: the same less that of the first candidate, paired by image.
    """

    name: str
    nets: Any
    rates: dict[str, Estimate]
    gains: dict[str, Estimate]

    def summary(self) -> str:
        """A line for each candidate, the best first."""
        order = sorted(self.rates, key=lambda name: -self.rates[name].value)
        return "\n".join(f"{name}: {self.rates[name]}, gain {self.gains[name]}" for name in order)


def choose(
    candidates: Mapping[str, nn.Module | Sequence[nn.Module]],
    held_out: Sequence[nn.Module],
    x: Any,
    y: Any,
    *,
    threat: Threat,
    attack: Any = "mi-fgsm",
    steps: int | None = None,
    seed: int = 0,
) -> Choice:
    """Choose among surrogates (a net as it is, what refiners made of it, lists of nets) the one whose examples fool held-out nets of
    one's own most often. No query is made.

    The images that all held-out nets get right count. A gain is measured on the images that chose: measure again on others before
    publishing it.

    Args:
        candidates: names and nets; gains are over the first.
        held_out: nets of one's own that no candidate contains, best of other families than the candidates.
        x: [N, \\*shape] images in [0, 1]. y: [N] their labels.
        threat, attack, steps, seed: as in `surrogates.craft`.

    Raises:
        ValueError: no candidate, a held-out net that is one of them, or no image that all held-out nets get right.
    """
    if not candidates:
        raise ValueError('Expected candidates to choose among, but there were none. Give them by name: {"as it is": net, ...}.')
    others, images = as_nets(held_out), as_images(x, "x")
    labels = as_labels(y, len(images), class_count(others[0], images, "the held-out net"), "y").cpu()
    for name, nets in candidates.items():
        if any(net is other for net in as_nets(nets) for other in others):
            raise ValueError(f"Expected held-out nets that no candidate contains, but {name!r} contains one. Leave it out of either.")
    right = torch.stack([predict(net, images) == labels for net in others]).all(0)
    if not bool(right.any()):
        raise ValueError(f"Expected images that all held-out nets get right, but of {len(images)} there was none. Give others.")
    images, labels = images[right.to(images.device)], labels[right]
    values = {}
    for name, nets in candidates.items():
        made = craft(nets, images, labels, attack, threat=threat, steps=steps, seed=seed)  # type: ignore[arg-type]
        values[name] = torch.stack([predict(net, made) != labels for net in others]).double().mean(0).numpy()
    first = values[next(iter(values))]
    rates = {name: mean_estimate(v, bounds=(0.0, 1.0)) for name, v in values.items()}
    gains = {name: mean_estimate(v - first, bounds=(-1.0, 1.0)) for name, v in values.items()}
    best = max(values, key=lambda name: values[name].mean())
    return Choice(best, candidates[best], rates, gains)

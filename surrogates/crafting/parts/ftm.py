"""FTM: features are tuned against the attack, and mixed with clean ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from blackbox.rowwise import row_norm, rows, unit
from surrogates.crafting.goal import Goal
from surrogates.crafting.parts.cfm import CFM, _Mix, _Mixer
from surrogates.crafting.parts.tuned import Memory


@dataclass(frozen=True)
class FTM(CFM):
    """Feature tuning mixup: the features that `CFM` mixes with clean ones are first moved so that the loss which the attack raises falls.

    Liang et al. 2025, arXiv:2411.15553, "Improving transferable targeted attacks with feature tuning mixup" (CVPR). At each layer that
    mixes, f <- f - ``size`` |f| u, u the direction of a moving sum of earlier steps' gradients, g / mean|g| each, with decay
    ``memory``; at a step a layer's sum takes in the new gradient with probability ``update``. These gradients are those of the attack's
    own backward pass, so that it costs none besides. The paper leaves open what suits small nets: size, memory and update are ours.
    Departs from the paper: sums are kept, and updates drawn, for each image instead of for the batch.
    """

    size: float = 0.1
    memory: float = 0.5
    update: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 0 or not 0 <= self.memory < 1 or not 0 <= self.update <= 1:
            raise ValueError(
                f"Expected size >= 0, memory in [0, 1) and update in [0, 1] for FTM, but they were {self.size}, {self.memory} and "
                f"{self.update}."
            )

    @contextmanager
    def __call__(self, nets: Sequence[nn.Module]) -> Iterator[_Mixer]:
        mixer = _Tuner(self, list(dict.fromkeys(nets)))
        with mixer.opened():
            yield mixer


class _Tuner(_Mixer):
    settings: FTM

    def __init__(self, settings: FTM, nets: Sequence[nn.Module]) -> None:
        super().__init__(settings, nets)
        self.sums = Memory()
        self.edits = [_Tune(self, net) for net in nets]

    def before(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> None:
        super().before(x, goal, rng, k)
        self.sums.before(x, goal, rng, k)


class _Tune(_Mix):
    """The tuning and mixing in one net."""

    mixer: _Tuner

    def __call__(self, layer: int, out: Tensor) -> Tensor:
        s, rng, k = self.mixer.settings, self.mixer.rng, self.mixer.k
        if self.recording or rng is None or (out.ndim > 2 and out.shape[-1] > s.narrow * self.mixer.width):
            return super().__call__(layer, out)
        sums, at = self.mixer.sums, (self, layer)
        before, owner = sums.get(at), sums.rows
        shift = torch.zeros_like(out) if before is None else -s.size * rows(row_norm(out.detach()), out) * unit(before)
        moved = out + shift
        fresh = rows(rng.uniform(k, f"ftm {layer}", 1)[:, 0].to(out.device) < s.update, out)

        def learn(g: Tensor) -> None:
            scale = g.flatten(1).abs().mean(1).clamp_min(1e-30)
            old = torch.zeros_like(g) if before is None else before
            sums.kept[at, owner] = torch.where(fresh, s.memory * old + g / rows(scale, g), old)

        moved.register_hook(learn)
        return super().__call__(layer, moved)

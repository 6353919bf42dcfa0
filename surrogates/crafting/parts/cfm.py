"""CFM: mixes features of clean images into those of the attacked image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.parts.surgery import Surgery
from surrogates.crafting.surgery.edits import Edit, GradientEdits, edited
from surrogates.crafting.surgery.graph import Trace
from surrogates.nets.predict import place


@dataclass(frozen=True)
class CFM(Surgery):
    """Clean feature mixup: mixes a random clean image's features into those of each convolution and linear layer.

    With probability ``probability`` at each layer: f <- (1 - a) f + a f_clean, with a drawn from [0, ``most``] for each
    channel, and f_clean the layer's features of a randomly drawn image of the pool.

    Byun et al. 2023, arXiv:2305.14846, "Introducing competition to boost the transferability of targeted adversarial
    examples through clean feature mixup" (CVPR): 0.1, 0.75, and feature maps at most a quarter as wide as the image.

    bank: how many images are used, the first ones of the pool; the authors shuffle the features of their batch of 20.
    Departs from the paper: whether a layer mixes, and with whom, is drawn for each image instead of for the batch.
    """

    probability: float = 0.1
    most: float = 0.75
    narrow: float = 0.25
    bank: int = 20

    def __post_init__(self) -> None:
        for name in ("probability", "most"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Expected the {name} of CFM to be in [0, 1], but it was {getattr(self, name)!r}.")
        if self.bank < 1:
            raise ValueError(f"Expected the bank of CFM to hold at least one image, but it was {self.bank!r}.")

    @contextmanager
    def __call__(self, nets: Sequence[nn.Module]) -> Iterator[_Mixer]:
        mixer = _Mixer(self, list(dict.fromkeys(nets)))
        with mixer.opened():
            yield mixer


class _Mixer:
    def __init__(self, settings: CFM, nets: Sequence[nn.Module]) -> None:
        self.settings, self.edits = settings, [_Mix(self, net) for net in nets]
        self.rng: Stream | None = None
        self.k, self.width = 0, 0

    @contextmanager
    def opened(self) -> Iterator[None]:
        with ExitStack() as stack:
            for edit in self.edits:
                stack.enter_context(edited(edit.net, edit))
            yield

    def meet(self, pool: Pool) -> None:
        """Compute and keep the features of the pool's first images."""
        x = pool.images[: self.settings.bank].detach().clone()
        for edit in self.edits:
            edit.record(x)

    def before(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> None:
        self.rng, self.k, self.width = rng, k, x.shape[-1]


class _Mix(Edit):
    """The mixing in one net."""

    def __init__(self, mixer: _Mixer, net: nn.Module) -> None:
        self.mixer, self.net, self.recording = mixer, net, False
        self.clean: dict[int, Tensor] = {}

    def add(self, trace: Trace, edits: GradientEdits) -> None:
        if not trace.weighted:
            raise ValueError(
                "Expected a net with convolutions or linear layers for CFM, but it has none. Leave CFM out."
            )
        for layer, at in enumerate(trace.weighted):
            edits.change[at] = partial(self, layer)

    def record(self, x: Tensor) -> None:
        device, dtype = place(self.net)
        self.clean.clear()
        self.recording = True
        try:
            with torch.enable_grad():
                self.net(x.to(device, dtype).requires_grad_())
        finally:
            self.recording = False

    def __call__(self, layer: int, out: Tensor) -> Tensor:
        if self.recording:
            self.clean[layer] = out.detach()
            return out
        s, rng, k = self.mixer.settings, self.mixer.rng, self.mixer.k
        if rng is None or not self.clean:
            raise ValueError(
                "Expected CFM to have clean images to mix in, but it has none. Craft with surrogates.craft, which passes them on."
            )
        if out.ndim > 2 and out.shape[-1] > s.narrow * self.mixer.width:
            return out
        clean = self.clean[layer]
        if clean.shape[1:] != out.shape[1:]:
            raise ValueError(
                f"Expected features of shape {tuple(clean.shape[1:])} as for the clean images, but they had "
                f"{tuple(out.shape[1:])}. Leave out views that change the image's size."
            )
        u = rng.uniform(k, f"cfm {layer}", 2).to(out.device)
        chosen = u[:, 0] < s.probability
        if not bool(chosen.any()):
            return out
        partner = clean[(u[:, 1] * len(clean)).long()]
        tail = [1] * (out.ndim - 2)
        a = rng.uniform(k, f"cfm ratio {layer}", out.shape[1]).to(out) * s.most
        a = (a * chosen[:, None].to(out)).view(*a.shape, *tail)
        return out + a * (partner - out)

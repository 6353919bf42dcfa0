"""`RandomFeatures`: noise in what a net computes on the way."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor, nn

from blackbox.channels.channel import Channel
from blackbox.rng import Stream

_LOCKS: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
_OPEN = threading.Lock()


def _lock_of(net: nn.Module) -> Any:
    """The lock of a net, one for all channels around it; a thread may take it twice."""
    with _OPEN:
        return _LOCKS.setdefault(net, threading.RLock())


class RandomFeatures(Channel):
    """Adds Gaussian noise to the features of a layer of a torch net, anew for every query.

    Nguyen et al. 2024, "Understanding the robustness of randomized feature defense against query-based adversarial attacks" (ICLR,
    arXiv:2310.00567): an attacker who compares two answers compares two draws of the noise, too, whose share grows as the steps
    become small; how much noise a net bears without losing accuracy depends on the layer. The noise is there only for queries
    through this channel: elsewhere the net stays as it is.

    How much the scores move depends on the net and the image; tell the oracle what you measured, ``Oracle(noise=...)``.

    Args:
        scale: standard deviation of an entry of the features. The paper takes the largest that costs one to two points of clean
            accuracy.
        layer: the name of the module whose output gets the noise, as in ``net.named_modules()``; "" for what enters the last
            linear layer. seed: of the noise.

    Raises:
        ValueError: there is no torch net behind it, no such layer, or its output is not one row an image.
    """

    own_randomised = True

    def __init__(self, model: Any, scale: float = 0.1, layer: str = "", seed: int = 0) -> None:
        super().__init__(model)
        if not scale > 0:
            raise ValueError(f"Expected scale to be a positive standard deviation, but it was {scale}.")
        self.scale, self.layer, self.seed = float(scale), layer, seed
        self._own = threading.local()  # the rows of the call that a thread makes
        if (net := self._net()) is not None:
            self._module(net)  # a layer that is not there is reported at once

    def __str__(self) -> str:
        return f"RandomFeatures {self.layer + ' ' if self.layer else ''}{self.scale:g}"

    def before(self, x: Tensor, rows: np.ndarray) -> Tensor:
        self._own.rows = rows
        return x

    def predict(self, x: Tensor) -> Any:
        if (net := self._net()) is None:
            raise ValueError(
                f"Expected a torch net behind {self}, whose features it can reach, but there is none. Noise in the input goes before "
                "any target: InputNoise."
            )
        module, enters = self._module(net)
        caller = threading.get_ident()  # the hook is there for this call alone: other threads may use the net meanwhile
        with _lock_of(net):
            if enters:
                handle = module.register_forward_pre_hook(
                    lambda _, given: (self._noised(given[0]), *given[1:]) if threading.get_ident() == caller else None
                )
            else:
                handle = module.register_forward_hook(
                    lambda _, __, out: self._noised(out) if threading.get_ident() == caller else None
                )
            try:
                return super().predict(x)
            finally:
                handle.remove()

    def _noised(self, features: Any) -> Any:
        rows = self._own.rows
        if not isinstance(features, Tensor) or len(features) < len(rows):
            raise ValueError(
                f"Expected features of one row an image at the layer {self.layer or 'before the last linear one'!r}, but they were "
                f"{tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__} for {len(rows)} images. Name "
                "another layer."
            )
        noise = Stream(self.seed, rows).normal(0, "features", tuple(features.shape[1:])).to(features)
        out = features.clone()  # a call may be filled up with copies of its last row
        out[: len(rows)] += self.scale * noise
        return out

    def _net(self) -> nn.Module | None:
        """The torch net behind all wrappers."""
        target: Any = self.inner
        while target is not None and not isinstance(net := getattr(target, "_model", None), nn.Module):
            target = getattr(target, "inner", None)
        return None if target is None else net

    def _module(self, net: nn.Module) -> tuple[nn.Module, bool]:
        """The module, and whether the noise goes before it."""
        named = dict(net.named_modules())
        if not self.layer:
            if linear := [m for m in named.values() if isinstance(m, nn.Linear)]:
                return linear[-1], True
            raise ValueError(f"Expected the name of a layer, since the net has no linear one: layer={next(iter(named), '')!r}, say.")
        if self.layer not in named:
            near = ", ".join(n for n in named if n and n.count(".") < 2)
            raise ValueError(f"Expected a layer of the net, {near:.300}, but it was {self.layer!r}.")
        return named[self.layer], False

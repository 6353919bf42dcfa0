"""`LibraryNet`: another library's classifier behind its own preprocessing, for images in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blackbox.targets.outputs import scores_of
from surrogates.nets.architectures import Normalised, Shape


class LibraryNet(Normalised):
    """A classifier that takes images [m, C, H, W] in [0, 1], normalises them as its library does, and gives scores
    [m, classes]. Differentiable.

    Args:
        net: classifies the normalised images; its scores may be the ``logits`` of an output object.
        shape: (C, H, W) of what ``net`` takes.
        mean, std: of the normalisation, in units of [0, 1] images; one number or one a channel.
        name: for reports.
        words: the classes in words, in index order; None if the library does not say.
        images: the shape of the images it will be given. Where it is another, they are resized inside (bilinear, antialiased),
            and a grey channel is repeated: only with ``resize``.

    Raises:
        ValueError: images of another shape, and no ``resize``.
    """

    def __init__(
        self,
        net: nn.Module,
        shape: Shape,
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        name: str,
        words: Sequence[str] | None = None,
        images: Sequence[int] | None = None,
        resize: bool = False,
    ) -> None:
        super().__init__(net.eval(), shape, classes, tuple(map(float, mean)), tuple(map(float, std)))
        self.name, self.inside = name, tuple(shape)
        self.words = None if words is None else tuple(map(str, words))
        if images is not None and tuple(images) != self.inside:
            self.shape = _fitting(tuple(images), self.inside, name, resize)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        if self.shape != self.inside:
            x = F.interpolate(x, self.inside[1:], mode="bilinear", antialias=True, align_corners=False)
            x = x.expand(-1, self.inside[0], -1, -1)
        out: Tensor = scores_of(self.net((x - self.mean) / self.std), self.name)
        return out


def _fitting(images: tuple[int, ...], inside: tuple[int, ...], name: str, resize: bool) -> tuple[int, ...]:
    c, h, w = inside
    if resize and len(images) == 3 and images[0] in (1, c):
        return images
    came = "×".join(map(str, images))
    if len(images) == 3 and images[0] == c:
        load = f"load a folder with --size {h}" if h == w else f"load images of {h}×{w}"
        mend = f"Images are never resized in silence: {load}, or have the model resize them: …#resize=true"
    else:
        mend = "Give it such images; grey ones are repeated, and resized, with …#resize=true"
    raise ValueError(f"Expected images of {c}×{h}×{w}, which is what {name} takes, but they were {came}. {mend}.")


def per_channel(value: Any, channels: int) -> tuple[float, ...]:
    """A number, or one a channel, as a tuple."""
    return (float(value),) * channels if isinstance(value, (int, float)) else tuple(float(v) for v in value)


def floats(net: nn.Module) -> nn.Module:
    """The net in float32: weights on disk may be in half precision, whose rounding would hide small changes of an image."""
    return net.to(torch.float32)

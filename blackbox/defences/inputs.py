"""Defences that change the image before the target sees it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.channels.channel import Channel
from blackbox.rng import Stream


class JPEG(Channel):
    """Compresses images before they are looked at (Guo et al. 2018, arXiv:1711.00117, section 3).

    Each image is rounded to 8 bits, encoded and decoded by Pillow with its usual chroma subsampling.

    Args:
        quality: 1 to 100 (the paper: 75).

    Raises:
        ValueError: images that are not [m, 1 or 3, height, width].
    """

    own_probe = 1 / 255

    def __init__(self, model: Any, quality: int = 75) -> None:
        super().__init__(model)
        if not 1 <= quality <= 100:
            raise ValueError(f"Expected quality from 1 to 100, but it was {quality}.")
        self.quality = quality

    def __str__(self) -> str:
        return f"JPEG {self.quality}"

    def before(self, x: Tensor, rows: np.ndarray) -> Tensor:
        from PIL import Image

        _check_images(self, x)
        if x.shape[1] not in (1, 3):
            raise ValueError(f"Expected images of 1 or 3 channels for {self}, but they had {x.shape[1]}.")
        grey = x.shape[1] == 1
        pixels = (x * 255).round().clamp(0, 255).to(torch.uint8).movedim(1, -1).numpy(force=True)
        out = np.empty_like(pixels)
        for i, image in enumerate(pixels):
            file = io.BytesIO()
            Image.fromarray(image[..., 0] if grey else image).save(file, "JPEG", quality=self.quality)
            out[i] = np.asarray(Image.open(file)).reshape(image.shape)
        return torch.from_numpy(out).movedim(-1, 1).to(x.device, torch.float32).contiguous() / 255


class InputNoise(Channel):
    """Adds Gaussian noise to every image before it is looked at: random noise defence (Qin et al. 2021, arXiv:2104.11470).

    How much the scores move depends on the net and the image; tell the oracle what you measured, ``Oracle(noise=...)``.

    Args:
        scale: standard deviation of an entry (the paper: 0.02). seed: of the noise.
    """

    own_randomised = True

    def __init__(self, model: Any, scale: float = 0.02, seed: int = 0) -> None:
        super().__init__(model)
        if not scale > 0:
            raise ValueError(f"Expected scale to be a positive standard deviation, but it was {scale}.")
        self.scale, self.seed = float(scale), seed

    def __str__(self) -> str:
        return f"InputNoise {self.scale:g}"

    def before(self, x: Tensor, rows: np.ndarray) -> Tensor:
        noise = Stream(self.seed, rows).normal(0, "input noise", tuple(x.shape[1:])).to(x)
        return (x + self.scale * noise).clamp(0, 1)


class RandomResize(Channel):
    """Shrinks every image to a random size and puts it at a random place on black (Xie et al. 2018, arXiv:1711.01991).

    Departs from the paper: there the image grows from 299 to at most 331 pixels and the net takes 331; here it
    shrinks and is padded to its own size, so that any target takes it.

    Args:
        least: the smallest side, as a share of the image's (the paper: 299 of 331). seed: of sizes and places.

    Raises:
        ValueError: images that are not [m, channels, height, width].
    """

    own_randomised = True

    def __init__(self, model: Any, least: float = 299 / 331, seed: int = 0) -> None:
        super().__init__(model)
        if not 0 < least < 1:
            raise ValueError(f"Expected least between 0 and 1, a share of the image's side, but it was {least}.")
        self.least, self.seed = least, seed

    def __str__(self) -> str:
        return f"RandomResize {self.least:.2f}"

    def before(self, x: Tensor, rows: np.ndarray) -> Tensor:
        _check_images(self, x)
        high, wide = x.shape[2:]
        draw = Stream(self.seed, rows).uniform_array(0, "resize", 3).astype(np.float64)
        fewest = int(np.ceil(self.least * high - 1e-9))
        side = fewest + (draw[:, 0] * (high - fewest + 1)).astype(int)
        out = torch.zeros_like(x)
        for h in np.unique(side):
            w = max(1, round(int(h) * wide / high))
            index = np.flatnonzero(side == h)
            small = torch.nn.functional.interpolate(x[torch.from_numpy(index).to(x.device)], (int(h), w), mode="nearest")
            top = (draw[index, 1] * (high - h + 1)).astype(int)
            left = (draw[index, 2] * (wide - w + 1)).astype(int)
            for j, i in enumerate(index):
                out[i, :, top[j] : top[j] + h, left[j] : left[j] + w] = small[j]
        return out


def _check_images(channel: Channel, x: Tensor) -> None:
    if x.ndim != 4:
        raise ValueError(f"Expected images [m, channels, height, width] for {channel}, but they had shape {tuple(x.shape)}.")

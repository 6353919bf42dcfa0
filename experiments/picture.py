"""Images in the figures of the sources' experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from blackbox.report import figures, style


def place(axes: Any, image: Tensor, difference: bool = False, frame: str | None = None) -> None:
    """An image [C, H, W] without ticks. ``difference``: around grey, stretched to its largest entry. ``frame``: a colour."""
    figures.show(axes, image, difference)
    axes.set_xticks([])
    axes.set_yticks([])
    for edge in axes.spines.values():
        edge.set_color(frame or style.GRID)
        edge.set_linewidth(1.6 if frame else 0.8)


def save(made: Any, path: Path, most: int = 290_000) -> Path:
    """As `style.save`, and `shrink`."""
    return shrink(style.save(made, path), most)


def shrink(path: Path, most: int = 290_000) -> Path:
    """Save a picture of more than ``most`` bytes again with 256 colours and, where that is not enough, fewer pixels: noise does
    not compress."""
    from PIL import Image

    with Image.open(path) as image:
        full = image.convert("RGB")
    scale = 1.0
    while path.stat().st_size > most and scale > 0.3:
        size = (round(scale * full.width), round(scale * full.height))
        small = full if scale == 1 else full.resize(size, Image.Resampling.LANCZOS)
        small.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        scale -= 0.1
    return path

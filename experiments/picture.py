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
    """As `style.save`; a picture of more than ``most`` bytes (noise does not compress) is saved again with fewer colours and,
    where that is not enough, fewer pixels."""
    from PIL import Image

    style.save(made, path)
    dots = 150
    while path.stat().st_size > most and dots >= 60:
        made.savefig(path, dpi=dots, metadata={"Software": None})
        with Image.open(path) as image:
            image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
        dots -= 15
    return path

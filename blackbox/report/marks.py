"""What is drawn over an image: boxes with their words, the edge of a mask; and what is drawn instead of one: a map of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from blackbox.goals.excerpt import with_score

SIDE, LETTERS = 224, 15  # pixels, about, of an image that is drawn over; and of the words
BOX, EDGE = (178, 58, 72), ((0, 0, 0), (255, 255, 255))  # the colours of boxes, and of a mask's edge: seen on any ground
_INK = (255, 255, 255)


@dataclass(frozen=True)
class Marks:
    """corners [n, 4]: x1, y1, x2, y2, in pixels of the image; words: n lines beside them. mask [H, W]: what might change."""

    corners: np.ndarray | None = None
    words: tuple[str, ...] = ()
    mask: np.ndarray | None = None

    def __bool__(self) -> bool:
        return self.corners is not None or self.mask is not None


def of(excerpt: Mapping[str, Any] | None, mask: np.ndarray | None = None) -> Marks:
    """The marks of an excerpt of an answer (`blackbox.goals.excerpt`), and of a mask [\\*shape] of the image."""
    edge = None if mask is None else _pixels(mask)
    if not excerpt or excerpt.get("form") != "boxes":
        return Marks(mask=edge)
    scores = excerpt["scores"]
    sure = [None] * len(excerpt["corners"]) if scores is None else scores.tolist()
    words = tuple(map(with_score, excerpt["labels"], sure))
    return Marks(np.asarray(excerpt["corners"]), words, edge)


def _pixels(mask: np.ndarray) -> np.ndarray | None:
    """[C, H, W] or [H, W] -> [H, W] bool; None where all or none may change, so that there is no edge."""
    flat: np.ndarray = np.asarray(mask.any(0) if mask.ndim == 3 else mask != 0)
    return flat if flat.ndim == 2 and flat.any() and not flat.all() else None


def drawn(image: np.ndarray, marks: Marks) -> np.ndarray:
    """An image [H, W, 3] uint8 with the marks over it, `SIDE` pixels large, about."""
    from PIL import Image, ImageDraw, ImageFont

    large, times = enlarged(image)
    if marks.mask is not None:
        large = large.copy()
        inside = enlarged(marks.mask.astype(np.uint8))[0] > 0
        for width, colour in zip((4, 2), EDGE, strict=True):
            large[edge(inside, width)] = colour
    picture = Image.fromarray(large)
    pen, letters = ImageDraw.Draw(picture), ImageFont.load_default(size=LETTERS)
    for i, box in enumerate([] if marks.corners is None else marks.corners.tolist()):
        x1, y1, x2, y2 = (times * v for v in box)
        pen.rectangle((x1, y1, max(x2 - 1, x1), max(y2 - 1, y1)), outline=BOX, width=2)
        word = marks.words[i] if i < len(marks.words) else ""
        if word:
            left, top, right, bottom = pen.textbbox((0, 0), word, font=letters)
            x = min(max(x1, 0), max(large.shape[1] - (right - left) - 4, 0))
            y = y1 - (bottom - top) - 4 if y1 - (bottom - top) - 4 >= 0 else max(y1, 0)
            pen.rectangle((x, y, x + right - left + 3, y + bottom - top + 3), fill=BOX)
            pen.text((x + 2 - left, y + 2 - top), word, fill=_INK, font=letters)
    return np.asarray(picture)


def edge(mask: np.ndarray, width: int = 2) -> np.ndarray:
    """The pixels [H, W] of a mask that lie within ``width`` of its edge; the image's own edge is none."""
    inner = mask.copy()
    for _ in range(width):
        padded = np.pad(inner, 1, constant_values=True)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def enlarged(image: np.ndarray) -> tuple[np.ndarray, float]:
    """An image [H, W, ...] of few pixels as squares of several, one of many made smaller; and by what it was enlarged."""
    side = max(image.shape[:2])
    if side > SIDE:
        from PIL import Image

        size = (round(image.shape[1] * SIDE / side), round(image.shape[0] * SIDE / side))
        how = Image.Resampling.BOX if image.ndim == 3 else Image.Resampling.NEAREST
        return np.asarray(Image.fromarray(image).resize(size, how)), SIDE / side
    times = max(1, round(SIDE / side))
    return image.repeat(times, 0).repeat(times, 1), times


def map_colours(classes: np.ndarray) -> np.ndarray:
    """A map of classes [H, W] as a picture [H, W, 3] uint8: a class has the same colour wherever it stands."""
    from matplotlib import colormaps

    table = np.round(255 * colormaps["tab20"](np.arange(20))[:, :3]).astype(np.uint8)
    return np.where((classes == 0)[..., None], np.uint8(238), table[classes % 20])

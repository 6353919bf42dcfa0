"""Galleries: clean image, adversarial example, amplified difference, and the target's answer below each."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from blackbox.report.templates import data_url, render

SMALL = 64  # images up to this side are shown pixel by pixel
LARGEST = 224  # larger ones are made smaller: they are for the eye
ROWS = ("clean", "adversarial", "difference")


@dataclass(frozen=True)
class Gallery:
    """Columns of three images. heads: a line above each column. says: for each of the three rows a line under each image.

    clean, changed: [m, C, H, W] in [0, 1].
    """

    title: str
    caption: str
    heads: Sequence[str]
    clean: np.ndarray
    changed: np.ndarray
    says: tuple[Sequence[str], Sequence[str], Sequence[str]]

    def __len__(self) -> int:
        return len(self.heads)

    @property
    def small(self) -> bool:
        """Few pixels, shown one by one."""
        return max(self.clean.shape[-2:]) <= SMALL

    @cached_property
    def rows(self) -> list[list[np.ndarray]]:
        """Three rows of [H, W, 3] uint8."""
        pairs = list(zip(self.clean, self.changed, strict=True))
        return [
            [colours(a) for a, _ in pairs],
            [colours(b) for _, b in pairs],
            [amplified(b - a) for a, b in pairs],
        ]

    def html(self) -> str:
        """A grid that shrinks with the page."""
        return render("gallery.html", gallery=self)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the rows."""
        return ROWS

    def columns(self) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
        """For each sample the line above it, and its images: the row's name, a data address, the line below."""
        sources = [[_source(image, self.small) for image in row] for row in self.rows]
        for i, head in enumerate(self.heads):
            yield head, [(name, row[i], says[i]) for name, row, says in zip(ROWS, sources, self.says, strict=True)]

    def sheet(self, path: Path) -> Path:
        """All images in one file: ``path`` with .png, or .jpg where they are photographs."""
        rows = [[scaled(image, self.small) for image in row] for row in self.rows]
        gap = 4
        tall, wide = rows[0][0].shape[:2]
        sheet = np.full((3 * (tall + gap) - gap, len(self) * (wide + gap) - gap, 3), 255, np.uint8)
        for r, row in enumerate(rows):
            for c, image in enumerate(row):
                sheet[r * (tall + gap) : r * (tall + gap) + tall, c * (wide + gap) : c * (wide + gap) + wide] = image
        where = path.with_name(path.name + (".png" if self.small else ".jpg"))
        _picture(sheet).save(where, **({} if self.small else {"quality": 88}))
        return where

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Head and rows of what stands around the images."""
        return ["", *self.heads], [[name, *lines] for name, lines in zip(ROWS, self.says, strict=True)]


def colours(image: np.ndarray) -> np.ndarray:
    """[C, H, W] in [0, 1] -> [H, W, 3] uint8; one channel as ink on paper, as in the other pictures."""
    array = np.clip(image, 0, 1)
    array = np.repeat(1 - array[:1], 3, 0) if len(array) < 3 else array[:3]
    return np.round(255 * np.moveaxis(array, 0, -1)).astype(np.uint8)


def amplified(change: np.ndarray, full: float | None = None) -> np.ndarray:
    """[C, H, W] -> [H, W, 3] uint8, around grey; ``full``, by default the largest entry, is drawn in full colour. One
    channel: red for more ink, blue for less."""
    largest = full or float(np.abs(change).max()) or 1.0
    if len(change) < 3:
        from matplotlib import colormaps

        shade = colormaps["RdBu_r"](0.5 + change[0] / (2.8 * largest))
        return np.round(255 * shade[..., :3]).astype(np.uint8)
    return colours(0.5 + change / (2 * largest))


def scaled(image: np.ndarray, small: bool) -> np.ndarray:
    """Few pixels as squares of whole numbers of pixels; many brought down to `LARGEST`."""
    side = max(image.shape[:2])
    if small:
        times = max(1, round(96 / side))
        return image.repeat(times, 0).repeat(times, 1)
    if side <= LARGEST:
        return image
    size = (round(image.shape[1] * LARGEST / side), round(image.shape[0] * LARGEST / side))
    return np.asarray(_picture(image).resize(size))


def _source(image: np.ndarray, small: bool) -> str:
    """A data address: losing nothing where there are few pixels, little where there are many."""
    file, kind = io.BytesIO(), "png" if small else "jpeg"
    _picture(scaled(image, small)).save(file, kind, **({} if small else {"quality": 82}))
    return data_url(file.getvalue(), f"image/{kind}")


def _picture(array: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(array)

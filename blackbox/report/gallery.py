"""Galleries: clean image, adversarial example, amplified difference, and the target's answer below each."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from blackbox.report.marks import Marks, drawn, enlarged
from blackbox.report.templates import data_url, render

SMALL = 64  # images up to this side are shown pixel by pixel
LARGEST = 224  # larger ones are made smaller: they are for the eye
ROWS = ("clean", "adversarial", "difference")


@dataclass(frozen=True)
class Gallery:
    """Columns of three images, or more. heads: a line above each column. says: for each of the three rows a line under each image.

    clean, changed: [m, C, H, W] in [0, 1]. marks: what is drawn over the images of each of the first two rows. more: further rows:
    name, images [H, W, 3] uint8, lines.
    """

    title: str
    caption: str
    heads: Sequence[str]
    clean: np.ndarray
    changed: np.ndarray
    says: tuple[Sequence[str], Sequence[str], Sequence[str]]
    marks: tuple[Sequence[Marks], Sequence[Marks]] = ((), ())
    more: Sequence[tuple[str, Sequence[np.ndarray], Sequence[str]]] = ()

    def __len__(self) -> int:
        return len(self.heads)

    @property
    def small(self) -> bool:
        """Few pixels, shown one by one."""
        return max(self.clean.shape[-2:]) <= SMALL and not self.marked

    @property
    def marked(self) -> bool:
        """Is something drawn over the images, or shown beside them? Then they are larger."""
        return bool(self.more) or any(mark for row in self.marks for mark in row)

    @cached_property
    def rows(self) -> list[list[np.ndarray]]:
        """Three rows of [H, W, 3] uint8, or more."""
        pairs = list(zip(self.clean, self.changed, strict=True))
        rows = [
            [colours(a) for a, _ in pairs],
            [colours(b) for _, b in pairs],
            [amplified(b - a) for a, b in pairs],
        ]
        if not self.marked:
            return rows
        over = [list(self.marks[r]) if r < 2 and self.marks[r] else [Marks()] * len(self) for r in range(3)]
        made = [[drawn(image, mark) for image, mark in zip(row, marks, strict=True)] for row, marks in zip(rows, over, strict=True)]
        tall, wide = made[0][0].shape[:2]
        return made + [[fitted(enlarged(image)[0], tall, wide) for image in images] for _, images, _ in self.more]

    def html(self) -> str:
        """A grid that shrinks with the page."""
        return render("gallery.html", gallery=self)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the rows."""
        return (*ROWS, *(name for name, _, _ in self.more))

    @property
    def lines(self) -> list[Sequence[str]]:
        """Under the images of each row."""
        return [*self.says, *(lines for _, _, lines in self.more)]

    def columns(self) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
        """For each sample the line above it, and its images: the row's name, a data address, the line below."""
        sources = [[_source(image, self.small) for image in row] for row in self.rows]
        for i, head in enumerate(self.heads):
            yield head, [(name, row[i], says[i]) for name, row, says in zip(self.names, sources, self.lines, strict=True)]

    def sheet(self, path: Path) -> Path:
        """All images in one file: ``path`` with .png, or .jpg where they are photographs."""
        rows = [[scaled(image, self.small) for image in row] for row in self.rows]
        gap = 4
        tall, wide = rows[0][0].shape[:2]
        sheet = np.full((len(rows) * (tall + gap) - gap, len(self) * (wide + gap) - gap, 3), 255, np.uint8)
        for r, row in enumerate(rows):
            for c, image in enumerate(row):
                sheet[r * (tall + gap) : r * (tall + gap) + tall, c * (wide + gap) : c * (wide + gap) + wide] = image
        where = path.with_name(path.name + (".png" if self.small else ".jpg"))
        _picture(sheet).save(where, **({} if self.small else {"quality": 88}))
        return where

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Head and rows of what stands around the images."""
        return ["", *self.heads], [[name, *lines] for name, lines in zip(self.names, self.lines, strict=True)]


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


def fitted(image: np.ndarray, tall: int, wide: int) -> np.ndarray:
    """An image [h, w, 3] in the middle of a white one of this size, made smaller where it is larger."""
    share = min(tall / image.shape[0], wide / image.shape[1], 1.0)
    if share < 1:
        image = np.asarray(_picture(image).resize((max(1, int(image.shape[1] * share)), max(1, int(image.shape[0] * share)))))
    out = np.full((tall, wide, 3), 255, np.uint8)
    top, left = (tall - image.shape[0]) // 2, (wide - image.shape[1]) // 2
    out[top : top + image.shape[0], left : left + image.shape[1]] = image
    return out


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

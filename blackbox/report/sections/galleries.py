"""What the target was fooled by: clean, adversarial, amplified difference, with labels and confidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blackbox.report.gallery import SMALL, Gallery
from blackbox.report.sections.common import Item, number, safe

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.report.runs import Run
    from blackbox.report.shown import Shown

ROOM = 10_000_000  # characters of HTML that pictures of all galleries may take
PHOTOS, FEW, MANY = 5, 4, 8  # columns of photographs (fewer where galleries are more than MANY), and of small images


class Room:
    """Room on the page that galleries share."""

    def __init__(self, galleries: int) -> None:
        self.left, self.photos = ROOM, PHOTOS if galleries <= MANY else FEW
        self.without: list[str] = []

    def put(self, page: Page, gallery: Gallery, path: Path, label: str) -> None:
        """The gallery, where there is room for it."""
        size = len(gallery.html())
        if size > self.left:
            self.without.append(label)
            return
        self.left -= size
        page.gallery(gallery, path)

    def columns(self, images: np.ndarray) -> int:
        """How many stand side by side."""
        return MANY if max(images.shape[-2:]) <= SMALL else self.photos


def add(page: Page, chosen: Sequence[Item], folder: Path, room: Room) -> None:
    """A gallery for each result that kept images."""
    found = [i for i in chosen if i.name in i.run.images]
    missing = [i for i in chosen if i.name not in i.run.images and i.result.success.any() and i.result.x_adv[0].numel()]
    if not found and not missing:
        return
    page.head("Clean, adversarial, difference", 3)
    if found:
        page.text(
            "Below each image: the class that the target names, and how sure it is where it says so. Below the difference: the "
            "query that first succeeded, and by how much the difference is amplified."
        )
    for i in found:
        made = _gallery(i, i.run.images[i.name], room)
        if made is None:
            page.note([f"{i.label}: the images kept do not belong to the outcomes beside them, and are not shown."])
        else:
            room.put(page, made, folder / f"examples-{safe(i.label)}", i.label)
    if missing:
        page.text(
            f"No clean images were kept by {', '.join(i.label for i in missing)}. (blackbox.report.shown.keep does, and so does "
            "blackbox attack of this version.)"
        )


def _gallery(item: Item, shown: Shown, room: Room) -> Gallery | None:
    r = item.result
    if len(shown.index) == 0 or int(shown.index.max()) >= len(r) or not bool(r.success[shown.index].all()):
        return None
    index = shown.index[: room.columns(shown.clean)]
    few = slice(0, len(index))
    clean = [said(shown, int(r.clean_label[k]), float(r.clean_confidence[k])) for k in index]
    wrong = [said(shown, int(r.adv_label[k]), float(r.adv_confidence[k])) for k in index]
    change = shown.changed - shown.clean
    far = [f"query {int(r.first_success_query[k]):,}, {factor(change[c])}" for c, k in enumerate(index)]
    return Gallery(
        item.label,
        f"{item.attack} on {r.config['target']}, {r.threat}, target shows {r.config.get('access')}.",
        [f"true: {shown.name(int(r.y[k]))}" for k in index], shown.clean[few], shown.changed[few], (clean, wrong, far),
    )  # fmt: skip


def transfer(page: Page, run: Run, folder: Path, room: Room) -> None:
    """The images of one cell of a matrix."""
    matrix, shown = run.matrix, run.images.get("transfer")
    if matrix is None or shown is None or not len(shown.index):
        return
    about = shown.about
    try:
        s, a, e, t = matrix._cell(about["source"], about.get("target", matrix.targets[0]), about["attack"], about["threat"])
    except (ValueError, KeyError):
        page.note([f"{run.name}: the images kept do not belong to the outcomes beside them, and are not shown."])
        return
    index = shown.index[: room.columns(shown.clean)]
    few, change = slice(0, len(index)), shown.changed - shown.clean
    clean = [shown.name(int(matrix.clean_target[t, k])) for k in index]
    wrong = [shown.name(int(matrix.adv_target[s, a, e, t, k])) for k in index]
    own = [f"{factor(change[c])}; source: {shown.name(int(matrix.adv_source[s, a, e, k]))}" for c, k in enumerate(index)]
    made = Gallery(
        f"{run.name}, {about['attack']} from {about['source']} to {matrix.targets[t]}",
        f"{about['threat']}. Below each image: the class that {matrix.targets[t]} names; below, by how much the difference is "
        "amplified, and what the source names.",
        [f"true: {shown.name(int(matrix.labels[k]))}" for k in index], shown.clean[few], shown.changed[few],
        (clean, wrong, own),
    )  # fmt: skip
    room.put(page, made, folder / f"examples-{safe(run.name)}-transfer", run.name)


def said(shown: Shown, label: int, sure: float) -> str:
    """``seven, 98 %``."""
    if label < 0:
        return "not looked at"
    return shown.name(label) + ("" if np.isnan(sure) else f", {100 * sure:.0f} %")


def factor(change: np.ndarray) -> str:
    """By how much the drawn difference is larger than the true one, on a scale from -1/2 to 1/2."""
    largest = float(np.abs(change).max())
    return f"×{number(0.5 / largest, '.3g')}" if largest else "no change"

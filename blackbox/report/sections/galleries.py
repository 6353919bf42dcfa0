"""What the target was fooled by: clean, adversarial, amplified difference, with labels and confidence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blackbox.report import marks
from blackbox.report.gallery import SMALL, Gallery
from blackbox.report.sections import answers
from blackbox.report.sections.common import Item, safe, target_names
from blackbox.results import words

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.report.runs import Run
    from blackbox.report.shown import Shown
    from blackbox.results import AttackResult
    from blackbox.sweep.study import Point
    from blackbox.sweep.table import Table

ROOM = 10_000_000  # characters of HTML that pictures of all galleries may take
NAMED = 20  # points that are named where they are left out
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
    missing = [i for i in chosen if i.name not in i.run.images and i.result.success.any() and _pictures(i.result)]
    if not found and not missing:
        return
    page.head("Clean, adversarial, difference", 3)
    if any(not words.goal_of(i.result.config) for i in found):
        page.text(
            "Above: what the target said, and says now. Below each image: the class that it names, and how sure it is where it says "
            "so. Below the difference: the query that first succeeded, and by how much the difference is amplified."
        )
    if any(words.goal_of(i.result.config) for i in found):
        page.text(
            "With a goal that is not one class: above, the input's number. Below each image: what the target answers. Below the "
            "difference: the query that first reached the goal, and by how much the difference is amplified."
        )
    for i in found:
        _put(page, room, _gallery(i, _named(i), room), folder / f"examples-{safe(i.label)}", i.label)
    if missing:
        page.text(
            f"No clean images were kept by {', '.join(i.label for i in missing)}. (blackbox.report.shown.keep does, and so does "
            "blackbox attack of this version.)"
        )


def _named(item: Item) -> Shown:
    """The images kept of a result, with the names of its classes: its own, where those that kept the images had none."""
    shown = item.run.images[item.name]
    return shown if shown.classes else replace(shown, classes=tuple(item.result.config.get("class_names") or ()))


def _pictures(result: AttackResult) -> bool:
    """Can its examples be looked at? Not rows of a table, nor those of a sweep, which keeps none."""
    return result.x_clean is None and result.x_adv.ndim == 4 and result.x_adv[0].numel() > 0


def points(page: Page, run: Run, table: Table, folder: Path, room: Room) -> None:
    """The images of some points of a sweep: one for each attack and target, `blackbox.report.points.of_each`."""
    made = list(pictured(run, table, room))
    if made:
        page.text(
            "Clean, adversarial, difference, of the first block of images: one point for each attack and target, of the first seed "
            "and the largest budget, and within the first radius of the study at which one of these images was fooled."
        )
    elif any(table.rate(p).k for p in table.outcomes) and not run.problems and table.kind == "image":
        page.text(f"{run.name}: no images to look at are kept: none of the first block was fooled, or a version that kept none ran it.")
    for i, (p, gallery) in enumerate(made):
        _put(page, room, gallery, folder / f"examples-{safe(run.name)}-point-{i + 1}", f"{run.name}, {p}")
    if run.unseen:
        more = f", and {len(run.unseen) - NAMED:,} more" if len(run.unseen) > NAMED else ""
        page.text(
            f"Galleries left out, so that they are not too many: {'; '.join(run.unseen[:NAMED])}{more}. "
            "Their images are in the store; blackbox.report.points.read gives them."
        )


def pictured(run: Run, table: Table, room: Room) -> Iterator[tuple[Point, Gallery | None]]:
    """A gallery for each point whose images were read; None where they do not belong to the outcomes."""
    from blackbox.specs import read_threat
    from blackbox.sweep.views import result

    names = target_names(p.target for p in table.outcomes)
    for p in table.outcomes:
        shown = run.images.get(str(p))
        if shown is None:
            continue
        if p.kind == "attack":
            one = result(table, p, shown)
            assert one is not None
            one.config["target"] = names[p.target]
            yield p, _gallery(Item(run, p.what, one), shown, room)
        else:
            title = f"{run.name}, {p.what} from {p.source}"
            yield p, _moved(title, names[p.target], str(read_threat(p.threat)), table.outcomes[p], shown, room)


def _put(page: Page, room: Room, made: Gallery | None, path: Path, label: str) -> None:
    if made is None:
        page.note([f"{label}: the images kept do not belong to the outcomes beside them, and are not shown."])
    else:
        room.put(page, made, path, label)


def _gallery(item: Item, shown: Shown, room: Room) -> Gallery | None:
    """The gallery; None where the images kept are not of this run."""
    r = item.result
    if len(shown.index) == 0 or int(shown.index.max()) >= len(r) or not bool(r.success[shown.index].all()):
        return None
    if words.goal_of(r.config):
        return answers.gallery(item, shown, room.columns(shown.clean))
    index = shown.index[: room.columns(shown.clean)]
    few = slice(0, len(index))
    clean = [said(shown, int(r.clean_label[k]), float(r.clean_confidence[k])) for k in index]
    wrong = [said(shown, int(r.adv_label[k]), float(r.adv_confidence[k])) for k in index]
    change = shown.changed - shown.clean
    edges = [marks.of(None, answers.changeable(r, int(k), change[c])) for c, k in enumerate(index)]
    far = [f"query {int(r.first_success_query[k]):,}, {answers.factor(change[c])}" for c, k in enumerate(index)]
    return Gallery(
        item.label,
        f"{item.attack} on {r.config['target']}, {r.threat}, target shows {r.config.get('access')}."
        + (" Outlined: what might change." if any(edges) else ""),
        [_became(shown, int(r.y[k]), int(r.clean_label[k]), int(r.adv_label[k])) for k in index],
        shown.clean[few], shown.changed[few], (clean, wrong, far), (edges, edges),
    )  # fmt: skip


def transfer(page: Page, run: Run, folder: Path, room: Room) -> None:
    """The images of one cell of a matrix."""
    matrix, shown = run.matrix, run.images.get("transfer")
    if matrix is None or shown is None or not len(shown.index):
        return
    about, made = shown.about, None
    with contextlib.suppress(ValueError, KeyError):
        target = about.get("target", matrix.targets[0])
        s, a, e, t = matrix.cell(about["source"], target, about["attack"], about["threat"])
        found = {
            "y": matrix.labels, "clean_target": matrix.clean_target[t], "adv_target": matrix.adv_target[s, a, e, t],
            "adv_source": matrix.adv_source[s, a, e],
        }  # fmt: skip
        title = f"{about['attack']} from {about['source']}"
        made = _moved(f"{run.name}, {title}" if run.name else title, target, about["threat"], found, shown, room)
    _put(page, room, made, folder / f"examples-{safe(run.name)}-transfer", run.name)


def _moved(title: str, target: str, threat: str, found: Mapping[str, np.ndarray], shown: Shown, room: Room) -> Gallery | None:
    """Images that were crafted on a source; found: what it and the target named, and the labels, by image."""
    index = shown.index[: room.columns(shown.clean)]
    if not len(index) or int(index.max()) >= len(found["y"]):
        return None
    few, change = slice(0, len(index)), shown.changed - shown.clean
    clean, wrong, own = ([shown.name(int(k)) for k in found[name][index]] for name in ("clean_target", "adv_target", "adv_source"))
    heads = [
        _became(shown, *(int(found[name][k]) for name in ("y", "clean_target", "adv_target"))) for k in index
    ]
    return Gallery(
        f"{title} to {target}",
        f"{threat}. Above: what {target} said, and says now. Below each image: the class that it names; below, by how much the "
        "difference is amplified, and what the source names.",
        heads, shown.clean[few], shown.changed[few],
        (clean, wrong, [f"{answers.factor(change[c])}; source: {name}" for c, name in enumerate(own)]),
    )  # fmt: skip


def _became(shown: Shown, true: int, clean: int, now: int) -> str:
    """``three → eight``: what the target said, and says now; and the true class where that is another."""
    after = shown.name(now) if now >= 0 else "?"
    return f"{shown.name(clean)} → {after}" + (f" (true: {shown.name(true)})" if clean != true else "")


def said(shown: Shown, label: int, sure: float) -> str:
    """``seven, 98 %``."""
    if label < 0:
        return "not looked at"
    return shown.name(label) + ("" if np.isnan(sure) else f", {100 * sure:.0f} %")

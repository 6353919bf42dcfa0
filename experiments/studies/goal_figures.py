"""The pictures of tasks with goals beyond one class: what is asked about, what was found, what the net says of both.

    python -m experiments.studies.goal_figures
    python -m experiments.studies.goal_figures --tasks faces,detector

Each is made anew by `ripples` on three of a task's images; draws are those of the kept rows. Writes docs/goal_*.png.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import blackbox as bb
from experiments import ground, packaged, tasks
from experiments.figures import place, sheet
from experiments.runner import DOCS, run, says
from experiments.studies import goal_detector, goal_faces, goal_photographs
from experiments.tasks import Line, Ready

WIDTH, SHOWN = 5.4, 3  # of a figure, in inches, so that it can be read on a telephone; images
CHANGED = "#d1495b"


@dataclass(frozen=True)
class Panel:
    """An image with what is said of it, and boxes on it."""

    image: Tensor
    words: str
    boxes: Sequence[Sequence[float]] = field(default=())
    difference: bool = False


def fooled(task: Ready, line: Line, budget: int, count: int = SHOWN) -> tuple[list[int], Tensor, list[Any], list[Any]]:
    """Places of some images that reach the goal, what was found of them, and the answers to both."""
    places: list[int] = []
    kept: list[Tensor] = []
    threat = ground.threat(ground.entry("tasks", task.name)["threat"])
    seed = ground.seeds("reporting")[0]
    for place_ in torch.linspace(2, len(task.ids) - 1, 3 * SHOWN).long().tolist():
        some = torch.tensor([place_])
        result = bb.attack(
            line.oracle(), task.images[some], None, line.attack, threat, budget, goal=line.goal(some), seed=seed, ids=task.ids[some]
        )
        if bool(result.success[0]):
            places.append(place_)
            kept.append(result.x_adv[0])
        if len(places) == count:
            break
    found = torch.stack(kept)
    clean, now = line.oracle()(task.images[places]), line.oracle()(found)
    return places, found, _told(clean), _told(now)


def _told(reply: bb.Reply) -> list[Any]:
    """The answers row by row: of any form, or classes with their probabilities, the best first."""
    if reply.answers is not None:
        return list(reply.answers)
    p = reply.probabilities().numpy()
    best = np.argsort(-p, axis=1, kind="stable")[:, : reply.classes.shape[1] if reply.classes is not None else p.shape[1]]
    return [[(int(j), float(row[j])) for j in order] for row, order in zip(p, best, strict=True)]


def page(path: Path, title: str, under: str, rows: Sequence[Sequence[Panel]], words: float = 0.3) -> None:
    """Rows of panels; words: inches below each for what is said of it."""
    from matplotlib.patches import Rectangle

    across = len(rows[0])
    height = 0.7 + len(rows) * (WIDTH / across + words - 0.12)
    with sheet(path, title, under, WIDTH, height, rows=len(rows), columns=across) as (_, axes):
        for line, panels in zip(axes, rows, strict=True):
            for axis, panel in zip(line, panels, strict=True):
                place(axis, panel.image, panel.difference)
                axis.set_xlabel(panel.words, fontsize=7.5)
                for x1, y1, x2, y2 in panel.boxes:
                    axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=CHANGED, linewidth=1.4))
    print("wrote", path, flush=True)


def faces(s: tasks.Settings, path: Path) -> None:
    rows = []
    portraits = packaged.faces(s.unpacked, 150)
    net = tasks.fast(packaged.descriptor(s.unpacked), portraits)
    everybody = net(portraits)
    for mode in ("dodge", "impersonate"):
        task, lines = goal_faces.verification(s, mode)
        places, found, clean, now = fooled(task, next(lines), s.budget)
        for i, at in enumerate(places[:2]):
            who = int(task.ids[at])
            other = portraits[who].flip(2) if mode == "dodge" else portraits[goal_faces.others(everybody)[who]]
            reference = net(other[None])[0]
            apart = [float(np.linalg.norm(answer - reference)) for answer in (clean[i], now[i])]
            said = ["one person" if d <= packaged.SAME_PERSON else "two people" for d in apart]
            rows.append([
                Panel(other, f"the reference\nto {mode}"), Panel(task.images[at], f"{apart[0]:.3f}\n{said[0]}"),
                Panel(found[i], f"{apart[1]:.3f}\n{said[1]}"), Panel(found[i] - task.images[at], "the change", difference=True),
            ])  # fmt: skip
    page(path, "A face for another, or no longer for itself", "distance from the reference's descriptor; one person up to 0.6", rows, 0.3)


def pairs(
    s: tasks.Settings, path: Path, made: tuple[Ready, Any], title: str, under: str, words: Callable[[Any], str], below: float = 0.3,
    boxes: Callable[[Any], Sequence[Sequence[float]]] = lambda answer: (), count: int = SHOWN, true: Callable[[int], str] | None = None,
) -> None:  # fmt: skip
    """Images in rows: as it was, as it was found, the change. true: what is right for a sample's place, said below the change."""
    task, lines = made
    places, found, clean, now = fooled(task, next(iter(lines)), s.budget, count)
    rows = [
        [
            Panel(task.images[at], words(clean[i]), boxes(clean[i])), Panel(found[i], words(now[i]), boxes(now[i])),
            Panel(found[i] - task.images[at], f"the change\n\ntrue class:\n{true(at)}" if true else "the change", difference=True),
        ] for i, at in enumerate(places)
    ]  # fmt: skip
    page(path, title, under, rows, below)


def age(s: tasks.Settings, path: Path) -> None:
    pairs(s, path, goal_faces.aged(s), "Ten years older", "what the net says of the face", lambda years: f"{float(years):.0f} years")


def top_five(s: tasks.Settings, path: Path) -> None:
    names = (s.root / "imagenet" / "classes.txt").read_text(encoding="utf-8").splitlines()
    short = [name.split(" ", 1)[-1].replace("_", " ") for name in names]
    given = goal_photographs.Settings(data=s.data, packages=s.packages)
    made = goal_photographs.top_five(given)
    under = "what the net lists of the photograph"
    data, ids = ground.images("photographs", s.root, 192)
    labels = dict(zip(ids.tolist(), data.labels.tolist(), strict=True))

    def true(at: int) -> str:
        return short[labels[int(made[0].ids[at])]]

    pairs(s, path, made, "Out of the first five", under, lambda listed: "\n".join(short[j] for j, _ in listed), 1.0, count=2, true=true)


def moderation(s: tasks.Settings, path: Path) -> None:
    given = goal_photographs.Settings(data=s.data, packages=s.packages)

    def words(said: Any) -> str:
        return "\n".join(f"{packaged.MODERATION[j]} {p:.2f}" for j, p in said[:2])

    running = goal_photographs.service(given).start()
    try:
        made = goal_photographs.moderation(given, running.url)
        pairs(s, path, made, "A harmless photograph is banned", "the service's first words and rounded scores", words, 0.45)
    finally:
        running.stop()


def detector(s: tasks.Settings, path: Path) -> None:
    made, under = goal_detector.task(s.root, goal_detector.VANISH, 0), "what the detector finds, from a score of 0.35 on"

    def words(answer: Any) -> str:
        return "\n".join(f"{label} {score:.2f}" for label, score in _above(answer)[:3]) or "nothing"

    pairs(s, path, made, "Objects vanish", under, words, 0.55, lambda answer: answer["boxes"][answer["scores"] >= goal_detector.SCORE])


def _above(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(label, float(score)) for label, score in zip(answer["labels"], answer["scores"], strict=True) if score >= goal_detector.SCORE]


PICTURES = {"faces": faces, "age": age, "top_five": top_five, "moderation": moderation, "detector": detector}


@dataclass(frozen=True)
class Settings(tasks.Settings):
    tasks: tuple[str, ...] = says(tuple(PICTURES), "what to draw", PICTURES)


def measure(s: Settings) -> None:
    for name in s.tasks:
        PICTURES[name](s, DOCS / f"goal_{name}.png")


if __name__ == "__main__":
    run(Settings, measure)

"""Can a face be taken for another by its descriptor, or no longer for itself? And does its age change?

The descriptor of face-api (128 numbers, two faces nearer than 0.6 are one person, the authors' own threshold) and its age net, on a hundred
grey faces of 25 pixels, enlarged. *Dodge*: the reference is the descriptor of the same photograph, mirrored, so that another photograph of
the same person, which is farther away, is no harder to dodge. *Impersonate*: the reference is the next face of the file that is not within
the threshold to begin with. *Age*: the net's number moves up by ten years. With *yes or no* the search sees the decision alone.

    python -m experiments.studies.goal_faces
    python -m experiments.studies.goal_faces --tasks face_age --attacks square

What must lie in ``--packages`` is told in experiments/packaged.py. Run it on nets that are yours or that you may test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import blackbox as bb
from experiments import packaged, tasks
from experiments.runner import run, says
from experiments.tasks import Line, Ready, decided, fast, outside

DODGE, IMPERSONATE, AGE = "face_dodge", "face_impersonate", "face_age"
YEARS = 10.0


@dataclass(frozen=True)
class Settings(tasks.Settings):
    tasks: tuple[str, ...] = says((DODGE, IMPERSONATE, AGE), "what to measure", (DODGE, IMPERSONATE, AGE))


def others(embeddings: np.ndarray) -> np.ndarray:
    """For each face the next one of the file that is not within the threshold."""
    far = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2) > packaged.SAME_PERSON
    count = len(far)
    return np.array([next((i + k) % count for k in range(1, count) if far[i, (i + k) % count]) for i in range(count)])


def pairs(embeddings: np.ndarray) -> list[int]:
    """[k, n] of pairs of different photographs that are within the threshold."""
    near = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2) < packaged.SAME_PERSON
    above = np.triu_indices(len(near), 1)
    return [int(near[above].sum()), len(above[0])]


def verification(s: Settings, mode: str) -> tuple[Ready, Iterator[Line]]:
    faces = packaged.faces(s.unpacked, 150)
    net = fast(packaged.descriptor(s.unpacked), faces)
    clean = net(faces)
    who = others(clean)
    reference = net(faces.flip(3)) if mode == "dodge" else clean[who]
    apart = np.linalg.norm(clean - reference, axis=1)
    kept = outside(apart > packaged.SAME_PERSON if mode == "dodge" else apart <= packaged.SAME_PERSON)
    reference = reference[kept]
    more: dict[str, Any] = {"pairs within the threshold": pairs(clean), "distance": apart[kept].round(4).tolist()}
    task = Ready(DODGE if mode == "dodge" else IMPERSONATE, faces[kept], kept, more)

    def oracle() -> bb.Oracle:
        return bb.Oracle(net, access="answers")

    def goal(places: torch.Tensor) -> bb.goals.Goal:
        return bb.goals.Verification(reference[places], packaged.SAME_PERSON, mode)

    def wrong(answer: Any, place: int) -> bool:
        near = bool(np.linalg.norm(answer - reference[place]) <= packaged.SAME_PERSON)
        return near != (mode == "dodge")

    def lines() -> Iterator[Line]:
        for attack in ("ripples", "square", tasks.NOISE):
            yield Line(attack, "the descriptor", oracle, goal)
        start = None if mode == "dodge" else faces[torch.from_numpy(who)][kept]
        for attack in ("ripples", "rays", "hop-skip-jump"):
            yield Line(attack, "yes or no", oracle, decided(wrong, mode), s.few, start)

    return task, lines()


def aged(s: Settings) -> tuple[Ready, Iterator[Line]]:
    faces = packaged.faces(s.unpacked, 112)
    net = fast(packaged.age(s.unpacked), faces)
    clean = net(faces)
    task = Ready(AGE, faces, torch.arange(len(faces)), {"age": clean.round(2).tolist()})

    def oracle() -> bb.Oracle:
        return bb.Oracle(net, access="answers")

    def goal(places: torch.Tensor) -> bb.goals.Goal:
        return bb.goals.Regression(clean[places], YEARS, "up")

    def wrong(answer: Any, place: int) -> bool:
        return bool(answer - clean[place] >= YEARS)

    def lines() -> Iterator[Line]:
        for attack in ("ripples", "square", tasks.NOISE):
            yield Line(attack, "the age", oracle, goal)
        for attack in ("ripples", "rays"):
            yield Line(attack, "yes or no", oracle, decided(wrong, "ten years older"), s.few)

    return task, lines()


def measure(s: Settings) -> None:
    for name in s.tasks:
        task, lines = aged(s) if name == AGE else verification(s, "dodge" if name == DODGE else "impersonate")
        tasks.measure(s, task, lines)


if __name__ == "__main__":
    run(Settings, measure)

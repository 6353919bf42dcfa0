"""What the page shows when a visitor moves the slider, chooses or uploads an image, or starts an attack."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from blackbox.app import compute, curves, draw, hunt, plots, saved, upload, why

if TYPE_CHECKING:
    from blackbox.app.bench import Bench, Shot

PACES = {"as fast as it goes": 0.0, "100 queries a second": 100.0, "20 queries a second": 20.0}


class Answers:
    """Answers on one bench; ``shot`` is the visitor's image, None for the bench's first."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.running: dict[str, threading.Event] = {}  # of each visitor's attack, to stop it

    def taken(self, shot: Shot | None) -> Shot:
        """The visitor's image."""
        return shot or self.bench.shots[0]

    def show(self, shot: Shot | None, surrogate: str, target: str, way: str, eps: float) -> str:
        """The slider's picture; ``eps`` in the units of the slider."""
        held = self.taken(shot)
        made = compute.redraw(self.bench, held, surrogate, target, way, float(eps) / self.bench.unit)
        return draw.frame(self.bench, made, name(self.bench, held))

    def why(self, shot: Shot | None, surrogate: str, target: str) -> str:
        """Both gradients, their cosine, both losses."""
        held = self.taken(shot)
        return curves.tab(self.bench, held, why.explain(self.bench, held, surrogate, target), name(self.bench, held))

    def receive(self, shot: Shot | None, file: str | None) -> tuple[Shot | None, str]:
        """An uploaded image, and what to say of it; the old one where it cannot be read."""
        if file is None:
            return shot, ""
        try:
            made = upload.opened(file, self.bench)
        except ValueError as error:
            return shot, draw.told(str(error), wrong=True)
        said = f"{made.name}. {made.notice} Its class is not known: what counts is that a model changes its mind."
        return made, draw.told(said)

    def attack(
        self, visitor: str, shot: Shot | None, surrogate: str, target: str, attack: str, eps: float, budget: float,
        seed: float, pace: str,
    ) -> Iterator[str]:  # fmt: skip
        """A query attack as it runs; a visitor's new one stops the old."""
        held = self.taken(shot)
        self.halt(visitor)
        run = hunt.Hunt(
            self.bench, held, target, attack, surrogate, float(eps) / self.bench.unit, int(budget or 0), int(seed or 0),
            PACES[pace],
        )  # fmt: skip
        self.running[visitor] = run.stop
        try:
            for state in run.watch():
                yield draw.meter(self.bench, state, name(self.bench, held))
        finally:
            run.stop.set()

    def halt(self, visitor: str) -> None:
        """Stop the visitor's attack."""
        if (event := self.running.pop(visitor, None)) is not None:
            event.set()

    def taylor(self, shot: Shot | None, surrogate: str, loss: str, far: float) -> str:
        """The true loss beside its tangent."""
        held = self.taken(shot)
        ray = compute.ray(self.bench, held, surrogate, float(far), loss)
        return plots.svg(
            lambda narrow: plots.taylor(self.bench, held, ray, loss, narrow), "bb-taylor", "Loss and tangent against eps",
            "The loss along the FGSM ray, and its tangent", plots.told_of_taylor(self.bench, held, ray, surrogate),
        )  # fmt: skip

    def regions(self, shot: Shot | None, surrogate: str, target: str, far: float) -> str:
        """The classes along the ray."""
        held = self.taken(shot)
        made = compute.crossing(self.bench, held, surrogate, target, float(far))
        drawing = plots.svg(
            lambda narrow: plots.crossing(self.bench, made, narrow), "bb-walk", "Decision regions along the ray",
            "The classes along the ray",
            f"{held.name}; from “{surrogate}” along its own gradient, seen by it and by {target}. Borders found by bisection, "
            f"±{float(far) / 1000:.2g}.",
        )  # fmt: skip
        return drawing + draw.regions(self.bench, made)

    def load(self, folder: str) -> str:
        """A saved run, or why it cannot be shown."""
        try:
            return draw.run(saved.opened(folder))
        except (ValueError, OSError) as error:
            return draw.told(sentence(error), wrong=True)


def ours(error: BaseException) -> bool:
    """Is this one of the package's own messages?"""
    return str(error).startswith("Expected") or type(error).__name__ == "TargetError"


def sentence(error: BaseException) -> str:
    """An error in one sentence: the package's own messages as they are."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return text if ours(error) else f"Unexpected {type(error).__name__}: {text}"


def name(bench: Bench, shot: Shot) -> str:
    """An image's name and class."""
    return f"{shot.name}: {label(bench, shot)}"


def label(bench: Bench, shot: Shot) -> str:
    """An image's class, as a visitor would say it."""
    return "class unknown" if shot.label is None else f"“{draw.classname(bench, shot.label)}”"

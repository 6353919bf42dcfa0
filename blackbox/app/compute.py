"""What the page shows, as numbers: changed images, the answers of both models, rays and regions. No gradio here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

import surrogates as sg
from blackbox.app.bench import Bench, Shot
from blackbox.rng import Stream
from blackbox.threat import Linf
from surrogates.analysis.ray import Line, Ray, Region, fgsm_direction, regions, walk
from surrogates.nets.predict import logits

if TYPE_CHECKING:
    from blackbox.oracle.oracle import Reply

NOISE = "random signs"
WAYS = {
    "fgsm": "FGSM: one step along the sign of the gradient",
    "i-fgsm": "I-FGSM: ten small steps",
    "mi-fgsm": "MI-FGSM: ten steps with momentum",
    NOISE: "no gradient: random signs of the same size",
}
STEPS = {"small": 101, "large": 41}  # radii of a walk, for images of up to 64 x 64 pixels and beyond
_SMALL = 3 * 64 * 64


@dataclass(frozen=True)
class Said:
    """A model's answers to the clean and to the changed image.

    before, after: [C] probabilities; None if the target shows labels only. leave: the label that counts as right: the true
    one, or, if that is unknown, the model's own label of the clean image.
    """

    model: str
    leave: int
    label_before: int
    label: int
    before: Tensor | None
    after: Tensor | None

    @property
    def right(self) -> bool:
        """The clean image gets the right label."""
        return self.label_before == self.leave

    @property
    def fooled(self) -> bool:
        return self.right and self.label != self.leave

    def bars(self, count: int = 5) -> list[tuple[int, float, float]]:
        """(class, probability before, after): the right class first, so that it stays where it is, then the largest."""
        if self.before is None or self.after is None:
            return []
        wanted = [
            int(self.after.argmax()),
            self.leave,
            self.label_before,
            *self.after.argsort(descending=True).tolist(),
        ]
        kept = list(dict.fromkeys(wanted))[:count]
        return sorted(
            ((k, float(self.before[k]), float(self.after[k])) for k in kept),
            key=lambda bar: (bar[0] != self.leave, -bar[2]),
        )


@dataclass(frozen=True)
class Frame:
    """One position of the slider. same: target and surrogate are one model. change: the largest change of an entry; seconds: of
    computing it, on the server."""

    way: str
    eps: float
    clean: Tensor
    image: Tensor
    surrogate: Said
    target: Said
    asked: int
    seconds: float
    same: bool = False

    @property
    def change(self) -> float:
        return float((self.image - self.clean).abs().max())


def redraw(bench: Bench, shot: Shot, surrogate: str, target: str, way: str, eps: float) -> Frame:
    """The image changed by ``eps`` on the surrogate's gradients, seen by the surrogate and by the hidden target.

    Raises:
        ValueError: eps outside [0, 1], an unknown way. TargetError: the target failed.
    """
    begin = time.perf_counter()
    clean = shot.image[None]
    scores, leave = scored(bench, shot, surrogate)
    shown = bench.recent(("target", target, shot.key), lambda: bench.look(target, clean, "clean"))
    image = changed(bench, shot, surrogate, way, eps, leave)
    after = logits(bench.net(surrogate), image, chunk=1)[0]
    reply = bench.look(target, image) if eps else shown
    own = Said(surrogate, leave, int(scores.argmax()), int(after.argmax()), scores.softmax(0), after.softmax(0))
    other = replied(target, shot.label, shown, reply)
    asked = bench.viewer(target).rows
    same = bench.same(surrogate, target)
    return Frame(way, eps, clean[0], image[0], own, other, asked, time.perf_counter() - begin, same)


def scored(bench: Bench, shot: Shot, surrogate: str) -> tuple[Tensor, int]:
    """Logits [C] of the surrogate for the clean image, asked once, and the label that counts as right."""
    net = bench.net(surrogate)
    scores = bench.recent(("net", surrogate, shot.key), lambda: logits(net, shot.image[None], chunk=1)[0])
    return scores, int(scores.argmax()) if shot.label is None else shot.label


def changed(bench: Bench, shot: Shot, surrogate: str, way: str, eps: float, leave: int) -> Tensor:
    """[1, C, H, W]: the image after an attack of radius ``eps`` (Linf) that leaves the label ``leave``."""
    if way not in WAYS:
        raise ValueError(f"Expected one of {', '.join(WAYS)}, but it was {way!r}.")
    if not 0 <= eps <= 1:
        raise ValueError(f"Expected eps between 0 and 1, in units of the image range, but it was {eps!r}.")
    clean = shot.image[None]
    if eps == 0:
        return clean
    if way == "fgsm":
        return Line(clean, direction(bench, shot, surrogate, leave)).at([0], [eps])
    if way == NOISE:
        signs = Stream(0, np.array([max(shot.number, 0)], dtype=np.uint64)).signs(0, "page", tuple(clean.shape[1:]))
        return Line(clean, signs).at([0], [eps])
    return sg.craft(bench.net(surrogate), clean, torch.tensor([leave]), way, threat=Linf(eps), seed=0, chunk=1)


def direction(bench: Bench, shot: Shot, surrogate: str, leave: int) -> Tensor:
    """[1, C, H, W]: the sign of the surrogate's gradient at the image; the slider moves along it without taking it again."""
    net, label = bench.net(surrogate), torch.tensor([leave])
    return bench.recent(("sign", surrogate, shot.key, leave), lambda: fgsm_direction(net, shot.image[None], label))


def replied(target: str, label: int | None, shown: Reply, reply: Reply) -> Said:
    """An oracle's answers to the clean (``shown``) and to the changed image."""
    first, then = int(shown.label[0]), int(reply.label[0])
    p, q = (None if r.values is None else r.probabilities()[0].cpu() for r in (shown, reply))
    return Said(target, first if label is None else label, first, then, p, q)


def radii(bench: Bench, most: float) -> np.ndarray:
    """The radii of a walk up to ``most``."""
    small = bench.shots[0].image.numel() <= _SMALL
    return np.linspace(0, most, STEPS["small" if small else "large"])


def ray(bench: Bench, shot: Shot, surrogate: str, most: float, loss: str = "cross-entropy") -> Ray:
    """The surrogate along its own FGSM ray, up to ``most``: loss, tangent, labels."""
    _, leave = scored(bench, shot, surrogate)
    return walk(bench.net(surrogate), shot.image[None], torch.tensor([leave]), radii(bench, most), loss=loss)


@dataclass(frozen=True)
class Crossing:
    """The regions that the surrogate's ray crosses, in the surrogate and in the target. asked: queries that it took."""

    ray: Ray
    leave: int
    surrogate: list[Region]
    target: list[Region]
    asked: int


def crossing(bench: Bench, shot: Shot, surrogate: str, target: str, most: float) -> Crossing:
    """Walk the decision regions along the surrogate's FGSM ray; borders to within a thousandth of ``most``."""
    made = ray(bench, shot, surrogate, most)
    oracle = bench.viewer(target)
    before_ = oracle.rows
    near = most / 1000
    own = regions(made, bench.net(surrogate), label=made.label, tolerance=near)[0]
    other = regions(made, lambda v: oracle(v, purpose="regions").label, tolerance=near)[0]
    leave = own[0].label if shot.label is None else shot.label
    return Crossing(made, leave, own, other, oracle.rows - before_)


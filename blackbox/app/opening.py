"""What the page opens with: an image and an eps at which a change made on the surrogate fools the target too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from blackbox.app.bench import Bench, shots
from surrogates.analysis.ray import Line, fgsm_direction
from surrogates.nets.predict import logits

if TYPE_CHECKING:
    from blackbox.oracle.oracle import Reply

STEPS = 100  # of the epsilon slider
_ROUNDS = 6  # bisections: to within a 64th of the slider
_CLEAR = 4 / 3  # times the smallest eps: there the bars are no longer level
_PLAIN = 0.8  # probability of the right class from which a model is sure of an image


@dataclass(frozen=True)
class Opening:
    """order: which images to offer. eps: where the slider begins. about: what was measured to choose them."""

    order: Tensor
    eps: float
    about: str


def choose(
    bench: Bench, surrogate: str, target: str, count: int, among: int | None = None, most: int | None = None
) -> Opening:
    """Find the image and the smallest eps at which both models give way; the other images follow as they come.

    Of the images that both models get right and on which FGSM at the end of the slider fools both, it is one that both are sure
    of (0.8 or more), if there is one, and that needs the smallest eps. The slider begins at a third more, or, for photographs, at the
    bench's ``start``, if that fools both too. If no image fools both, it is one that fools the surrogate, or one that both get
    right, and the slider begins at the bench's ``start``.

    Args:
        count: images offered. among: look at the first so many only. most: bisect on so many images only; each costs the
            target `_ROUNDS` queries, beside the two an image.
    """
    data = bench.data if among is None else bench.data.take(slice(0, among))
    x, y = data.images, data.labels
    net, shown = bench.net(surrogate), bench.look(target, x, "choosing")
    clean = logits(net, x)
    both = (clean.argmax(1) == y) & (shown.label.cpu() == y)
    line = Line(x, fgsm_direction(net, x, y))

    def fooled(index: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Whether the surrogate and the target name another class than the right one."""
        points = line.at(index, eps)
        return logits(net, points).argmax(1) != y[index], bench.look(target, points, "choosing").label.cpu() != y[index]

    own, other = (f & both for f in fooled(torch.arange(len(x)), torch.full((len(x),), bench.most)))
    rank, eps = both.int() + own.int() + other.int(), bench.start
    first = int(rank.argmax())  # the first of the best
    if bool((own & other).any()):
        first, eps = _smallest(fooled, torch.nonzero(own & other)[:most, 0], bench, [_sure(p, y) for p in (clean.softmax(1), shown)])
    rest = [i for i in range(len(x)) if i != first]
    counts = int(both.sum()), int(own.sum()), int(other.sum())
    return Opening(torch.tensor([first, *rest][:count]), eps, _about(bench, len(x), counts, int(rank[first]), surrogate, target))


def _smallest(
    fooled: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], index: Tensor, bench: Bench, sure: list[Tensor]
) -> tuple[int, float]:
    """(image, eps): both models are known to give way there. Bisects positions of the slider; `high` is always known."""
    low, high = torch.zeros(len(index)), torch.full((len(index),), float(STEPS))
    for _ in range(_ROUNDS):
        middle = ((low + high) / 2).ceil()
        own, other = fooled(index, middle * bench.most / STEPS)
        gave = own & other
        low, high = torch.where(gave, low, middle.minimum(high - 1)), torch.where(gave, middle, high)
    doubts = sum((~each[index]).int() for each in sure)
    key = list(zip(torch.as_tensor(doubts).tolist(), high.tolist(), range(len(index)), strict=True))
    _, steps, at = min(key)
    eps, one = steps * bench.most / STEPS, index[at : at + 1]
    wish = bench.start if bench.photographs else min(STEPS, round(_CLEAR * steps)) * bench.most / STEPS
    if wish > eps and all(bool(gave) for gave in fooled(one, torch.tensor([wish]))):
        eps = wish
    return int(index[at]), round(eps, 6)


def _sure(said: Tensor | Reply, y: Tensor) -> Tensor:
    """Of which images a model is sure, by its probabilities [N, C]; of all where it shows labels only."""
    if not isinstance(said, Tensor):
        if said.values is None:
            return torch.ones(len(y), dtype=torch.bool)
        said = said.probabilities().cpu()
    return said[torch.arange(len(y)), y] >= _PLAIN


def _about(bench: Bench, images: int, counts: tuple[int, int, int], rank: int, surrogate: str, target: str) -> str:
    """What was measured, in two sentences."""
    both, own, other = counts
    size = f"{bench.most * bench.unit:g}/255" if bench.unit > 1 else f"{bench.most:g}"
    said = (
        f"Of the {both} images (of {images}) that both models get right, FGSM at eps {size} on “{surrogate}” fools the surrogate on "
        f"{own} and {target} on {other}. "
    )
    return said + {
        3: "The first image is one that fools both; the others come as they are.",
        2: "The first image is one that fools the surrogate; the others come as they are.",
        1: "The first image is one that both get right; the others come as they are.",
    }.get(rank, "No image is right in both models.")


class Preparation:
    """Runs a bench's steps in a thread, so that the page is there before its models are.

    error: what stopped it, if anything did.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench, self.at = bench, 0
        self.error: BaseException | None = None
        self.begin, self._done = time.perf_counter(), threading.Event()
        if not bench.prepare:
            self._done.set()

    def start(self) -> Preparation:
        """Begin; returns itself."""
        if not self.ready:
            threading.Thread(target=self._work, daemon=True).start()
        return self

    def _work(self) -> None:
        try:
            for _, step in self.bench.prepare:
                step()
                self.at += 1
        except (Exception, SystemExit) as error:  # raised in the main thread, told on the page
            self.error = error
        finally:
            self._done.set()

    @property
    def ready(self) -> bool:
        return self._done.is_set()

    @property
    def words(self) -> list[str]:
        """Of each step."""
        return [words for words, _ in self.bench.prepare]

    def wait(self, seconds: float | None = None) -> bool:
        """Until it is ready, or so long."""
        return self._done.wait(seconds)

    def watch(self, every: float = 0.2) -> Iterator[int]:
        """The number of the step at work, whenever it changes, until the bench is ready."""
        seen = -1
        while not self.wait(0 if seen < 0 else every):
            if self.at != seen:
                seen = self.at
                yield seen


def arranged(bench: Bench, count: int, among: int | None = None, most: int | None = None) -> None:
    """Put the images of a bench in the order of `choose`, between its first surrogate and its first target."""
    made = choose(bench, next(iter(bench.surrogates)), next(iter(bench.targets)), count, among, most)
    bench.start, bench.about = made.eps, made.about
    bench.shots = shots(bench.data, made.order)

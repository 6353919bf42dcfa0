"""Images to choose from, surrogates to take gradients of, and hidden targets behind oracles that count."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from blackbox.oracle.oracle import Oracle, Reply
    from blackbox.specs import Model
    from surrogates import Dataset

T = TypeVar("T")
THUMBNAILS = 24


class Once(Generic[T]):
    """A value that takes seconds to make: made on first use, then kept."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._lock, self._made = make, threading.Lock(), False
        self._value: T

    def __call__(self) -> T:
        with self._lock:
            if not self._made:
                self._value, self._made = self._make(), True
        return self._value


class Recent:
    """A cache of the last few values, by key."""

    def __init__(self, most: int) -> None:
        self.most, self.kept = most, OrderedDict[Any, Any]()

    def __call__(self, key: Any, make: Callable[[], T]) -> T:
        if key in self.kept:
            return self.kept[key]  # type: ignore[no-any-return]
        value = self.kept[key] = make()
        while len(self.kept) > self.most:
            self.kept.popitem(last=False)
        return value


@dataclass(frozen=True, eq=False)
class Shot:
    """The chosen image: [C, H, W] in [0, 1]. label: its true class, None if unknown (an upload).

    number: its place among the images offered, -1 of an upload. notice: what was done to it to fit.
    """

    image: Tensor
    label: int | None
    name: str
    number: int = -1
    notice: str = ""

    @property
    def key(self) -> str:
        """The same for the same pixels."""
        return hashlib.sha256(self.image.contiguous().numpy().tobytes()).hexdigest()


@dataclass(eq=False)
class Bench:
    """Images and models that belong together.

    Args:
        data: what the classes are called, and the images. surrogates, targets: by name, each made on first use.
        about: a sentence on where they come from. what: of a target's name, what it is.
        most: the end of the epsilon slider. reach: eps with which a query attack begins. start: eps with which the page opens,
            half of ``most`` if it is 0.
        prepare: what is still to be done before the page can show something, each step with the words that tell a visitor so.
        recent: a cache of its models' answers, of this bench alone.
    """

    data: Dataset
    surrogates: Mapping[str, Once[nn.Module]]
    targets: Mapping[str, Once[Model]]
    about: str = ""
    what: Mapping[str, str] = field(default_factory=dict)
    device: str | None = None
    most: float = 0.1
    reach: float = 0.1
    start: float = 0.0
    prepare: list[tuple[str, Callable[[], None]]] = field(default_factory=list, repr=False)
    shots: list[Shot] = field(default_factory=list)
    recent: Recent = field(default_factory=lambda: Recent(200), repr=False)
    _viewers: dict[str, Oracle] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        if not self.shots:
            self.shots = shots(self.data, torch.arange(min(THUMBNAILS, len(self.data))))
        self.start = self.start or self.most / 2

    @property
    def classes(self) -> tuple[str, ...]:
        return self.data.classes

    @property
    def photographs(self) -> bool:
        """Are the images in colour and of 64 pixels a side or more? Their eps is given in 255ths."""
        return photographs(self.data)

    @property
    def unit(self) -> int:
        """By how much an eps is multiplied where it is shown and chosen."""
        return 255 if self.photographs else 1

    def same(self, surrogate: str, target: str) -> bool:
        """Is the target the surrogate itself: a net of the same kind with the same scores, to the bit, for the images offered?"""
        from surrogates.nets.predict import logits

        def compare() -> bool:
            own, other = self.net(surrogate), self.targets[target]().net
            if own is other or type(own) is not type(other):
                return own is other
            x = torch.stack([shot.image for shot in self.shots])
            return torch.equal(logits(own, x), logits(other, x))

        return self.recent(("same", surrogate, target), compare)

    def net(self, name: str) -> nn.Module:
        """A surrogate, for gradients."""
        return self.surrogates[name]()

    def oracle(self, target: str, access: str | None = None, kind: type[Oracle] | None = None) -> Oracle:
        """A fresh oracle before a target. ``access``: by default the most that this target can show."""
        from blackbox import specs

        access = access or self.viewer(target).access.name.lower()
        return specs.oracle(self.targets[target](), access, len(self.classes), self.device, kind=kind)

    def viewer(self, target: str) -> Oracle:
        """The oracle through which the page itself queries a target; not charged to any attack."""
        from blackbox.oracle.oracle import TargetError

        with self._lock:
            if target not in self._viewers:
                oracle, example = self.oracle(target, "scores"), self.shots[0].image[None]
                try:
                    oracle(example, purpose="first look")
                except TargetError as error:
                    if "labels only" not in str(error):
                        raise
                    oracle = self.oracle(target, "labels")
                    oracle(example, purpose="first look")
                self._viewers[target] = oracle
            return self._viewers[target]

    def look(self, target: str, x: Tensor, purpose: str = "look") -> Reply:
        """What a target shows of images [m, C, H, W]; counted by its viewer."""
        return self.viewer(target)(x, purpose=purpose)


def shots(data: Dataset, index: Tensor) -> list[Shot]:
    """Some images of a data set to choose from."""
    return [
        Shot(data.images[i], int(data.labels[i]), f"{data.name} {int(i)}", number)
        for number, i in enumerate(index.tolist())
    ]


def photographs(data: Dataset) -> bool:
    """Images in colour, of 64 pixels a side or more."""
    return len(data.shape) == 3 and data.shape[0] == 3 and min(data.shape[1:]) >= 64

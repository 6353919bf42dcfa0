"""The slots of the crafting loop, and the base class of the parts that fill them; parts are joined with ``|``.

    Momentum(1.0) | DI() | TI()                       # a composition of parts
    presets.get("mi-fgsm") | SSA()                    # a preset with one more part

A part is a frozen dataclass of settings. What it remembers between steps is kept in the `Walk` (one run of the loop over
a batch), so the same part can be used in several runs at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk

# in the order in which a step of the loop uses them
SLOTS = {
    "start": "where the walk begins",
    "ahead": "the point at which the gradient is wanted",
    "probe": "the points near it at which gradients are taken",
    "aggregate": "how the gradients of the probe become one",
    "schedule": "which nets of an ensemble take part, and in which order",
    "view": "what is done to an image before a net sees it",
    "nets": "what is done to the nets",
    "fusion": "how the answers of several nets become one",
    "loss": "what rises",
    "filter": "what is done to the gradient as an image",
    "momentum": "how gradients add up over the steps",
    "step": "how a direction becomes a change",
    "projection": "how the change is kept within the threat",
}
SEVERAL = ("view", "nets")  # slots that take any number of parts, applied in the order in which they were joined
P = TypeVar("P", bound="Part")


@dataclass(frozen=True)
class Part:
    """Base class of all parts. Each slot has a base class of its own (`Probe`, `View` ...) that says what a part computes."""

    slot: ClassVar[str]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the part's result; the base class of its slot defines the arguments."""
        raise NotImplementedError

    def __or__(self, other: Part | Parts) -> Parts:
        return Parts((self,)) | other

    def calls(self, k: int, steps: int) -> int:
        """How many gradients the part needs at step ``k`` of ``steps`` to deliver one."""
        return 1

    def extra(self) -> int:
        """How many gradients an image the part needs once, before the first step."""
        return 0

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        """Check that this part works with images of ``shape``, this number of nets and the other ``parts``.

        Raises:
            ValueError: it does not; the message says why.
        """

    def __str__(self) -> str:
        """The class name, with the settings that differ from their defaults."""
        changed = [f for f in fields(self) if getattr(self, f.name) != f.default]
        inside = ", ".join(f"{f.name}={_short(getattr(self, f.name))}" for f in changed)
        return f"{type(self).__name__}({inside})" if inside else type(self).__name__


def check_images(part: Part, shape: tuple[int, ...]) -> None:
    """Refuse anything but images for a part that works on their pixels. Raises: ValueError."""
    if len(shape) != 3:
        raise ValueError(f"Expected images [channels, height, width] for {part}, but they had shape {shape}. Leave it out.")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Parts:
    """Parts joined with ``|``. An empty slot means its default: the current point, the unchanged image, the mean of logits ...

    Raises:
        ValueError: two parts for a slot that takes one (`swap` replaces the first).
    """

    items: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        for i, part in enumerate(self.items):
            if not isinstance(part, Part):
                raise ValueError(f"Expected parts of the crafting loop, but one was a {type(part).__name__}.")
            for other in self.items[:i]:
                if other.slot == part.slot and part.slot not in SEVERAL:
                    raise ValueError(
                        f"Expected one {part.slot} ({SLOTS[part.slot]}), but there were {other} and {part}. "
                        f"Leave one out, or put it in the other's place: .swap({type(part).__name__}(...))."
                    )

    def __or__(self, other: Part | Parts) -> Parts:
        more = other.items if isinstance(other, Parts) else (other,)
        return Parts((*self.items, *more))

    def swap(self, *parts: Part) -> Parts:
        """Replace the parts of these slots."""
        places = {part.slot for part in parts}
        return Parts((*(part for part in self.items if part.slot not in places), *parts))

    def without(self, slot: str) -> Parts:
        """Drop the parts of a slot."""
        return replace(self, items=tuple(part for part in self.items if part.slot != slot))

    def all(self, slot: str) -> tuple[Any, ...]:
        """The parts of a slot, in the order in which they were joined."""
        return tuple(part for part in self.items if part.slot == slot)

    def one(self, slot: str) -> Any:
        """The part of a slot, or None."""
        found = self.all(slot)
        return found[0] if found else None

    def __iter__(self) -> Iterator[Part]:
        return iter(self.items)

    def __str__(self) -> str:
        return " | ".join(map(str, self.items)) or "plain"

    def check(self, shape: tuple[int, ...], nets: int = 1) -> None:
        """Check that the parts go together. Raises: ValueError, saying why they do not."""
        if self.one("aggregate") and not self.one("probe"):
            raise ValueError(
                f"Expected a probe beside {self.one('aggregate')}, which combines the gradient at the point with those of its "
                "neighbours, but there was none. Add Neighbourhood(...)."
            )
        for part in self.items:
            part.check(self, shape, nets)

    def cost(self, steps: int, nets: int = 1) -> int:
        """The cost G: forward-and-backward passes an image in ``steps`` steps through ``nets`` nets."""
        probe, aggregate, schedule = self.one("probe"), self.one("aggregate"), self.one("schedule")
        total = 0
        for k in range(steps):
            points = probe.calls(k, steps) if probe else 1
            points = aggregate.total(points, k, steps) if aggregate else points
            for view in self.all("view"):
                points *= view.calls(k, steps)
            total += points * (schedule.members(k, nets) if schedule else nets)
        return total + sum(part.extra() for part in self.items) * nets


def gradient(parts: Parts, walk: Walk) -> Any:
    """Compute the gradient of one step: ahead -> probe -> aggregate, or the inner loop of a schedule."""
    ahead, probe, aggregate, schedule = (parts.one(slot) for slot in ("ahead", "probe", "aggregate", "schedule"))
    at = ahead(walk) if ahead else walk.x
    if schedule is not None and schedule.inner:
        return schedule(walk, at)
    if aggregate is not None:
        return aggregate(walk, at, probe)
    return probe(walk, at) if probe else walk.gradient(at)

"""`Preset`: an attack on surrogates as data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from blackbox.threat import Threat
from surrogates.crafting.parts.base import Part, Parts


@dataclass(frozen=True)
class Preset:
    """A named composition of parts with its T and its step size; ``preset | part`` adds to it.

    Attributes:
        name: the paper's own, lower case.
        title, paper, arxiv: the source ("" where there is no arXiv number).
        formula: what it computes.
        parts: its components.
        steps: the default T.
        factor: step = factor * eps / T.
        share: step = share * eps for any T (instead of factor).
        targeted: made for targeted attacks.
        departures: differences from the paper, and choices it leaves open.
    """

    name: str
    title: str
    paper: str
    arxiv: str
    formula: str
    parts: Parts = field(default_factory=Parts)
    steps: int = 10
    factor: float = 1.0
    share: float | None = None
    targeted: bool = False
    departures: str = "none"

    def cost(self, steps: int | None = None, nets: int = 1) -> int:
        """The cost G: forward-and-backward passes an image."""
        return self.parts.cost(steps or self.steps, nets)

    def step(self, threat: Threat, steps: int) -> float:
        """The default step size, in units of the threat's norm."""
        return self.factor * threat.eps / steps if self.share is None else self.share * threat.eps

    @property
    def composes(self) -> str:
        """Describe the parts in one line."""
        return str(self.parts)

    @property
    def source(self) -> str:
        """Name authors, year and arXiv number in one line."""
        return f"{self.paper}, arXiv:{self.arxiv}" if self.arxiv else self.paper

    def __or__(self, other: Part | Parts) -> Preset:
        return self._with(self.parts | other, other)

    def swap(self, *parts: Part) -> Preset:
        """Replace the parts of these slots."""
        return self._with(self.parts.swap(*parts), Parts(parts))

    def _with(self, parts: Parts, new: Part | Parts) -> Preset:
        return replace(self, name=f"{self.name} | {new}", parts=parts, departures=f"{self.name}, changed by {new}.")

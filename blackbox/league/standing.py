"""What a table of the league is made of: of each attack in a scenario its success, queries, bills and differences, over images.

An image is attacked on several targets with several seeds. Neither says anything about other images: they are averaged for each image
first, and every interval is over images (`blackbox.statistics`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox import statistics
from blackbox.league.entry import Entry, Session
from blackbox.plain_text import counted
from blackbox.statistics import Estimate
from blackbox.statistics.intervals import by_image
from blackbox.tariff import Bill, Tariff

if TYPE_CHECKING:
    from blackbox.league.scenario import Scenario

NONE = Estimate(float("nan"), float("nan"), float("nan"), 0)


@dataclass(frozen=True)
class Standing:
    """One attack in one scenario. The columns [R, N] have a row for each target and seed, and a column for each image.

    entry: what it is made of. sessions: those that are looked at: all, or those on public or on sealed targets. called: its name in the
    table, where it is not the attack's.
    """

    entry: Entry
    scenario: Scenario
    sessions: Sequence[Session]
    called: str = ""

    @classmethod
    def of(cls, entry: Entry, scenario: Scenario, called: str = "") -> Standing:
        """All sessions of an entry, in the scenario's order."""
        places = {target.name: i for i, target in enumerate(scenario.targets)}
        return cls(entry, scenario, sorted(entry.sessions, key=lambda s: (places[s.target], s.seed)), called)

    def on(self, chosen: Callable[[Session], bool]) -> Standing:
        """The same, on some of the targets alone."""
        return Standing(self.entry, self.scenario, [s for s in self.sessions if chosen(s)], self.called)

    @property
    def name(self) -> str:
        return self.called or self.entry.attack

    @property
    def budget(self) -> int:
        """The most queries about an image: the scenario's budget, or fewer where the money pays for no more."""
        return self.scenario.limit

    @property
    def goal(self) -> str:
        """What was to be reached, in words."""
        return self.sessions[0].goal or self.scenario.wanted

    @property
    def which(self) -> str:
        """Which images were attacked, in words."""
        return "that the targets had right" if self.scenario.goal is None else "that did not reach the goal as they are"

    @property
    def played(self) -> str:
        """``3 targets, 1 seed``."""
        targets, seeds = {s.target for s in self.sessions}, {s.seed for s in self.sessions}
        return f"{counted(len(targets), 'target', 'targets')}, {counted(len(seeds), 'seed', 'seeds')}"

    def column(self, name: str, kind: Any = np.float64) -> np.ndarray:
        """A column of the entry's images, [R, N]."""
        return np.array([[getattr(image, name) for image in s.images] for s in self.sessions], dtype=kind).reshape(len(self.sessions), -1)

    @cached_property
    def images(self) -> list[int]:
        """The images' ids."""
        return [image.image for image in self.sessions[0].images]

    @cached_property
    def attacked(self) -> np.ndarray:
        """Which images were attacked, [R, N]: those that the target had right as they are, or that did not reach the goal."""
        return self.column("attacked", bool)

    @property
    def attacked_images(self) -> int:
        """How many of the images were attacked on some target: those on which every rate rests."""
        return int(self.attacked.any(0).sum())

    @cached_property
    def first(self) -> np.ndarray:
        """The query that first succeeded, 0 where none did within the budget."""
        first = np.where(self.column("success", bool), self.column("first_success_query", np.int64), 0)
        return np.where(first <= self.budget, first, 0)

    @cached_property
    def costs(self) -> np.ndarray:
        """Queries of each image, failures at the budget."""
        return np.where(self.first > 0, np.minimum(self.column("queries"), self.budget), self.budget)

    def within(self, budget: int) -> np.ndarray:
        """Which attacks succeeded within so many queries, [R, N] bool."""
        return (self.first > 0) & (self.first <= budget)

    # -- the columns of a table ----------------------------------------------------------------------------------------

    def success(self, budget: int) -> Estimate:
        """The share of attacks that succeeded within so many queries."""
        return statistics.rate_estimate(self.within(budget), self.attacked)

    def anytime(self) -> Estimate:
        """The share within the budget, with an interval that holds at every number of images at once. They are taken in an order drawn
        from the scenario's hash, since those of a folder are sorted by class."""
        order = np.random.default_rng(int(self.entry.scenario_hash[:16], 16)).permutation(len(self.images))
        return statistics.confidence_sequence(self.within(self.budget)[:, order], among=self.attacked[:, order]).last

    def clean_error(self) -> Estimate:
        """The share of images that the targets have wrong as they are, or that reach the goal so."""
        return statistics.rate_estimate(~self.attacked)

    def queries(self) -> Estimate:
        """The restricted mean queries of an attacked image, failures at the budget."""
        return statistics.mean_estimate(self.costs, among=self.attacked, bounds=(1, self.budget))

    def mean(self, values: np.ndarray) -> float:
        """The mean of a column over attacked images."""
        return float(values[self.attacked].mean()) if self.attacked.any() else float("nan")

    @cached_property
    def flagged(self) -> np.ndarray:
        """Queries that a detector flagged, or that were rejected, [R, N]."""
        return np.maximum(self.column("flagged"), self.column("rejected"))  # an entry of an older server did not count these in those

    @cached_property
    def locked_out(self) -> np.ndarray:
        """Which images were asked about no more, since so many queries were flagged, [R, N] bool."""
        locked: np.ndarray = (self.scenario.prices or Tariff()).locked(self.flagged)
        return locked

    def bill(self) -> Bill:
        """What all sessions cost by the scenario's tariff, with the labels and gradients that the entrant declares."""
        columns = self.column("queries"), self.flagged, self.column("bad"), self.column("gradients"), self.column("seconds")
        queries, flagged, bad, gradients, seconds = (float(column.sum()) for column in columns)
        return (self.scenario.prices or Tariff()).bill(queries, flagged, bad, self.entry.labels, gradients, seconds)


@dataclass(frozen=True)
class Difference:
    """An attack against a floor, on the images that both attacked.

    saved: queries that the attack saves, an image, failures at the budget. gained: success within the budget, in shares. p: of the
    sign-flip test that it saves none, corrected for ``tests`` in the table.
    """

    saved: Estimate
    gained: Estimate
    p: float
    tests: int = 1


def difference(one: Standing, floor: Standing) -> Difference:
    """Compare two attacks image by image; both played the same sessions."""
    both, most = one.attacked & floor.attacked, one.budget
    saved, gained = floor.costs - one.costs, one.within(most).astype(float) - floor.within(most)
    found = statistics.mean_estimate(saved, among=both, bounds=(1 - most, most - 1))
    share = statistics.mean_estimate(gained, among=both, bounds=(-1, 1))
    return Difference(found, share, statistics.sign_flip(saved, both))


def overfitting(one: Standing) -> Estimate:
    """Success on public targets less that on sealed ones, over the images that were attacked on both."""
    public, sealed = one.on(lambda s: not s.sealed), one.on(lambda s: s.sealed)
    if not (public.sessions and sealed.sessions):
        return NONE
    both = public.attacked.any(0) & sealed.attacked.any(0)
    open_share, sealed_share = (by_image(s.within(s.budget)[:, both], s.attacked[:, both]) for s in (public, sealed))
    return statistics.mean_estimate(open_share - sealed_share, bounds=(-1, 1))


@dataclass(frozen=True)
class Best:
    """The best attack for each image, target and seed, chosen in hindsight. quickest: of each attack how often it was the quickest."""

    success: Estimate
    queries: Estimate
    quickest: dict[str, Estimate]


def virtual_best(standings: Sequence[Standing]) -> Best:
    """The virtual best of attacks that played the same sessions (Rice 1976); optimistic, since the best of several draws is chosen."""
    attacked = np.logical_and.reduce([s.attacked for s in standings])
    most = standings[0].budget
    costs = np.stack([s.costs for s in standings])
    won = np.stack([s.within(most) for s in standings])
    best, found = costs.min(0), won.any(0) & attacked
    share = {s.name: statistics.rate_estimate(won[i] & (costs[i] == best), found) for i, s in enumerate(standings)}
    return Best(statistics.rate_estimate(won.any(0), attacked), statistics.mean_estimate(best, among=attacked, bounds=(1, most)), share)


def comparable(standings: Sequence[Standing]) -> bool:
    """Did all play the same sessions on the same images?"""
    return len({(tuple((s.target, s.seed) for s in one.sessions), tuple(one.images)) for one in standings}) <= 1

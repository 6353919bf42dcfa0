"""The committed rows of experiments/results, read and checked to rest on the ground that is kept for their use.

A file of experiments/results/queries keeps a row for each attack and seed, with two lists in the order of the images: ``queries``
(what each image was charged, its clean check included) and ``found`` (whether it was fooled).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from experiments.ground import ground as ground  # tables name it beside what is read here
from experiments.publishable import Figure, Middle, mean_of, median_of, ratio_of, share_of
from experiments.runner import RESULTS

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Rows:
    """One attack on one target: a row for each seed, all of the same images."""

    source: str
    rows: tuple[dict[str, Any], ...]
    about: dict[str, Any] = field(default_factory=dict)  # what the file says of its target and images

    def __post_init__(self) -> None:
        if len({len(r["queries"]) for r in self.rows}) != 1 or any(len(r["found"]) != len(r["queries"]) for r in self.rows):
            raise ValueError(f"Expected rows of the same images in {self.source}, but their lists have other lengths.")

    @property
    def n(self) -> int:
        return len(self.rows[0]["queries"])

    @property
    def seeds(self) -> list[int]:
        return [r["seed"] for r in self.rows]

    @property
    def ids(self) -> list[int]:
        """Of the images."""
        return list(self.about.get("ids") or range(self.n))

    @property
    def budget(self) -> int:
        """Raises ValueError where the rows have several: means with several caps must not be compared."""
        caps = {r["budget"] for r in self.rows}
        if len(caps) != 1:
            raise ValueError(f"Expected one budget in {self.source}, but the rows have {sorted(caps)}.")
        return int(next(iter(caps)))

    @property
    def spent(self) -> np.ndarray:
        """[seeds, images] queries, failures at the budget."""
        return np.array([np.where(r["found"], r["queries"], self.budget) for r in self.rows], dtype=float)

    @property
    def found(self) -> np.ndarray:
        """[seeds, images] whether fooled."""
        return np.array([r["found"] for r in self.rows], dtype=bool)

    def mean(self) -> Figure:
        """Mean queries, failures charged at the budget."""
        return mean_of(self.spent, self.budget)

    def rate(self) -> Figure:
        """The share fooled."""
        return share_of(self.found)

    def median(self) -> Middle:
        """The median over images of their queries, an image's seeds averaged first; failures charged at the budget."""
        return median_of(self.spent)

    def over(self, other: Rows) -> Figure:
        """Mean queries over those of another attack on the same images: a ratio, its interval from images drawn together.

        Of the seeds that both have: attacks that draw alike differ less on one seed than two seeds of either do.
        """
        if self.ids != other.ids or self.budget != other.budget:
            raise ValueError(f"Expected the same images and budget, but {self.source} and {other.source} have others.")
        ours, theirs = ([r.get("seed") for r in some.rows] for some in (self, other))
        both = [seed for seed in ours if seed in theirs]
        if not both:
            raise ValueError(f"Expected seeds that both have, but {self.source} has {ours} and {other.source} {theirs}.")
        a, b = self.spent[[ours.index(s) for s in both]], other.spent[[theirs.index(s) for s in both]]
        return ratio_of(a, b, self.budget)


def has(source: str) -> bool:
    return (ROOT / RESULTS / f"{source}.json").exists()


def results(source: str) -> dict[str, Any]:
    """What stands in experiments/results/SOURCE.json.

    Raises:
        ValueError: there is no such file.
    """
    path = ROOT / RESULTS / f"{source}.json"
    if not path.exists():
        raise ValueError(f"Expected experiments/results/{source}.json, but it is not there. Publish what rests on committed rows.")
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, time: int) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def rows(source: str, use: str = "reporting", **key: Any) -> Rows:
    """The rows of experiments/results/SOURCE.json that have these values, one a seed.

    use: what the ground (experiments/ground.toml) has to keep their target, images and seeds for; ``"choosing"`` where a page tells
    how a setting was chosen, and nowhere else.

    Raises:
        ValueError: there is no such file, or no such row, or two of one seed, or they were measured on what is kept for another use.
    """
    found = results(source)
    some = tuple(r for r in found["rows"] if all(str(r.get(name)) == str(value) for name, value in key.items()))
    if not some:
        raise ValueError(f"Expected rows of {source}.json with {key}, but there are none. Publish what rests on committed rows.")
    if len({r.get("seed") for r in some}) != len(some):
        raise ValueError(f"Expected one row a seed of {source}.json with {key}, but there are {len(some)}. Say more of the row.")
    grounded(source, found, [r["seed"] for r in some], use)
    return Rows(source, some, {name: found[name] for name in ("target", "images", "ids") if name in found})


def grounded(source: str, found: dict[str, Any], seeds: Iterable[int], use: str = "reporting") -> None:
    """Raises ValueError where what was measured is not kept for this use by the ground, or is not on the ground at all."""
    tables = ground()
    try:
        target, among = tables["targets"][found["target"]["name"]], tables["images"][found["images"]["among"]]
    except (KeyError, TypeError):
        raise ValueError(
            f"Expected {source}.json to name a target and images of experiments/ground.toml, but it does not. Measure it there anew."
        ) from None
    wrong = [f"the {what} {name}" for what, name, kept in (
        ("target", found["target"]["name"], target["use"]), ("set of images", found["images"]["among"], among["use"]),
        *(("seed", seed, next((u for u in tables["seeds"] if seed in tables["seeds"][u]), "nothing")) for seed in seeds),
    ) if kept != use]  # fmt: skip
    if wrong:
        raise ValueError(
            f"Expected {source}.json to rest on what is for {use}, but {', '.join(wrong)} is not. See experiments/ground.toml."
        )


def of_targets(folder: str, use: str = "reporting") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Of each target kept for this use that was measured: its name, its title, and what stands in results/FOLDER/NAME.json."""
    for name, target in ground()["targets"].items():
        if target["use"] == use and has(source := f"{folder}/{name}"):
            found = results(source)
            grounded(source, found, [r["seed"] for r in found["rows"]], use)
            yield name, target["title"], found

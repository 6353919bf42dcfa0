"""The figures of the page on ripples, from the rows of `experiments.studies.ripples`: see `experiments.published`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

import blackbox as bb
from blackbox import statistics
from experiments.measurements import Rows, ground, grounded, has, results, rows
from experiments.paths import rated
from experiments.publishable import Figure, Table, figure, mean_share_of, ratio_of

BANDS = {"below 0.1 cycles a pixel": (0, 3), "0.1 to 0.25": (3, 8), "above 0.25": (8, 16)}  # in cycles in 32 pixels
SHOWN = (  # columns of the table of waves: title, wave, half
    ("chequerboard, 1 pixel", "both", 1), ("columns, 1", "columns", 1), ("columns, 2", "columns", 2), ("diagonal, 2", "diagonal", 2),
    ("columns, 4", "columns", 4), ("columns, 16", "columns", 16), ("Square's stripes", "stripes", 0), ("noise", "noise", 0),
    ("one colour", "flat", 0),
)  # fmt: skip


def study(target: str) -> dict[str, Any]:
    found = results(f"ripples/{target}")
    grounded(f"ripples/{target}", found, [r["seed"] for part in ("waves", "makers") for r in found.get(part, ())])
    return found


def measured() -> list[tuple[str, dict[str, Any]]]:
    """(title, study) of the targets that are reported on."""
    names = [name for name, target in ground()["targets"].items() if target["use"] == "reporting" and has(f"ripples/{name}")]
    return [(ground()["targets"][name]["title"], study(name)) for name in names if "makers" in results(f"ripples/{name}")]


def one(found: dict[str, Any], wave: str, half: int, sign: int = 1) -> dict[str, Any]:
    (row,) = (r for r in found["waves"] if (r["wave"], r["half"], r["sign"]) == (wave, half, sign))
    return row  # type: ignore[no-any-return]


@figure
def wave_taken(target: str, wave: str, half: str = "0") -> Figure:
    """The mean share of the margin that one query of a wave, or a control, takes away."""
    return mean_share_of(one(study(target), wave, int(half))["taken"])


@figure
def wave_fooled(target: str, wave: str, half: str = "0") -> bb.Rate:
    """The images that one query of it fools."""
    return rated(one(study(target), wave, int(half))["fooled"])


@figure
def wave_table(what: str) -> Table:
    """One query of waves and controls on all targets; what: the share of the margin ``taken``, or of images ``fooled``."""
    lines = []
    for title, found in measured():
        some = [one(found, wave, half)[what] for _, wave, half in SHOWN]
        lines.append([title, len(found["ids"]), *map(mean_share_of if what == "taken" else rated_brief, some)])
    return Table(["target", "images", *(title for title, _, _ in SHOWN)], lines)


def rated_brief(outcomes: str) -> Figure:
    return Figure.of(rated(outcomes), percent=True)


@figure
def foretold_by_tangent() -> Table:
    """What a chequerboard takes, what its negative takes, and what the net's tangent foretells of both together."""
    lines = []
    for title, found in measured():
        there, back = (one(found, "both", 1, sign) for sign in (1, -1))
        both = mean_share_of(np.array([there["foretold"], back["foretold"]]))
        lines.append([title, len(found["ids"]), mean_share_of(there["taken"]), mean_share_of(back["taken"]), both])
    return Table(["target", "images", "a chequerboard takes", "its negative", "the tangent foretells, of both"], lines)


@figure
def move_table() -> Table:
    """What one query of each maker gains in the middle of a search, as a share of the clean margin; and over a square's."""
    lines = []
    for title, found in measured():
        by = {r["maker"]: r for r in found["makers"]}
        tried = np.array([by[name]["tried"] for name in by])
        keep = (tried > 0).all(0)
        if keep.sum() < LEAST:
            continue
        gains = {name: (np.array(r["gained"]) / np.maximum(r["tried"], 1))[keep] for name, r in by.items()}
        lines.append([title, int(keep.sum()), *(small(gain) for gain in gains.values()), over(gains)])
    return Table(["target", "images", *(f"{name}, %" for name in by), "waves over squares"], lines)


LEAST = 20  # images that the first queries leave; of fewer the interval says nothing


def small(each: np.ndarray) -> Figure:
    """A share in %, which is small."""
    return Figure.of(statistics.mean_estimate(100 * each, bounds=(0.0, 100.0)), digits=1)


def over(gains: dict[str, np.ndarray]) -> Figure | str:
    """What the makers of waves gained in the mean over what squares did."""
    waves = np.mean([gain for name, gain in gains.items() if name != "square"], axis=0)
    try:
        return ratio_of(waves, gains["square"])
    except ValueError:  # no image on which squares gained, or all alike
        return "–"


@figure
def spectrum_table() -> Table:
    """The share of the power of the margin's gradient, and of the images, in three bands of frequency."""
    lines, seen = [], set()
    for title, found in measured():
        data = found["images"]["data"]
        weight = frequencies(SIDES.get(data) or ground()["targets"][found["target"]["name"]]["side"])
        if data not in seen:
            seen.add(data)
            lines.append([f"*the images of {KINDS[data]}*", *bands(found["spectrum"]["images"], weight)])
        lines.append([title, *bands(found["spectrum"]["gradient"], weight)])
    return Table(["", "images", *BANDS], [[line[0], line[1], *line[2:]] for line in lines])


SIDES = {"mnist": 28, "cifar": 32}
KINDS = {"cifar": "CIFAR-10", "mnist": "MNIST", "imagenet": "ImageNet"}


def frequencies(side: int) -> np.ndarray:
    """How many frequencies lie in each ring of the study's spectra."""
    at = np.fft.fftfreq(side)
    ring = np.floor(np.sqrt(at[:, None] ** 2 + at[None] ** 2) * 32 - 0.5)
    return np.array([(ring == i).sum() for i in range(16)])


def bands(each: list[list[float]], weight: np.ndarray) -> list[Any]:
    """Number of images with any power, and the share of it in each band."""
    power = np.nan_to_num(np.array(each)) * weight
    power = power[power.sum(1) > 0]
    shares = power / power.sum(1, keepdims=True)
    return [len(power), *(mean_share_of(shares[:, low:high].sum(1)) for low, high in BANDS.values())]


@figure
def jpeg_table(target: str, *qualities: str) -> Table:
    """Square and ripples on images that were never JPEG, on the same behind channels, and on photographs that were JPEG before."""
    channels = {f"each query JPEG {q}": f"channel-{q}" for q in qualities}
    names = {"never JPEG": "never", **channels, "once JPEG": "before"}
    lines = []
    for title, name in names.items():
        found = results(f"ripples/{target}-jpeg-{name}")
        square, ripples = (rows(f"ripples/{target}-jpeg-{name}", attack=attack) for attack in ("square", "ripples"))
        lines.append([title, len(found["ids"]), *told(square), *told(ripples), ripples.over(square)])
    return Table(["images", "n", "square", "ripples", "ripples over square"], lines)


def told(some: Rows) -> Iterable[Any]:
    return [some.mean() if some.found.all() else [some.mean(), some.rate()]]


@figure
def jpeg_right(target: str, quality: str = "75") -> bb.Rate:
    """Of the images that the target has right, those that it has right behind the channel."""
    return rated(results(f"ripples/{target}-jpeg-channel-{quality}")["right"])


@figure
def jpeg_wave(target: str, wave: str, half: str = "0", quality: str = "75") -> Figure:
    """The share of the margin that one query of a wave takes behind the channel."""
    return mean_share_of(one(results(f"ripples/{target}-jpeg-channel-{quality}"), wave, int(half))["taken"])

"""Figures of what was tried many times without an attack's rows: runs that were killed, clocks, how far intervals can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np

import blackbox as bb
from experiments.measurements import results
from experiments.publishable import Spread, Table, figure

# -- interruptions and speed ---------------------------------------------------------------------------------------


@figure
def kills(kind: str, what: str) -> Any:
    """Of runs that were killed at random moments: a count, or ``rate-lost``: kills of so many with such an outcome, at most one each."""
    found = results("kills")[kind]
    if what.startswith("rate-"):
        return bb.Rate(min(found[what.removeprefix("rate-")], found["kills"]), found["kills"])
    return int(found[what])


@figure
def faults(what: str) -> Any:
    """Of trials with faults at random calls: a count, or ``rate-lost``: trials of all with such an outcome."""
    found = results("faults")
    return bb.Rate(found[what.removeprefix("rate-")], found["trials"]) if what.startswith("rate-") else int(found[what])


@figure
def clock(part: str, *words: str) -> Spread:
    """The one row of benchmarks.json of this part whose ratio, target, attack and what hold these words."""
    named = ("ratio", "target", "attack", "what")
    some = [r for r in results("benchmarks")["rows"] if r["part"] == part and set(words) <= {r.get(name) for name in named}]
    if len(some) != 1:
        raise ValueError(f"Expected one row of benchmarks.json with {', '.join((part, *words))}, but there are {len(some)}.")
    return _spread(some[0])


def _spread(row: dict[str, Any]) -> Spread:
    return Spread(row["median"], min(row["all"]), max(row["all"]), len(row["all"]))


@figure
def kills_table() -> Table:
    """What was charged, lost and paid for again over all kills of each kind of target."""
    kinds = {"keyed": "target in the process, with keys", "http": "HTTP endpoint with keys", "unkeyed": "target without keys"}
    found = results("kills")
    names = ("kills", "charged", "lost", "twice", "different")
    return Table(
        ["", "kills", "rows charged", "lost", "paid again", "other results"],
        [[what, *(int(found[kind][name]) for name in names)] for kind, what in kinds.items()],
    )


@figure
def clock_table(part: str, device: str = "cpu") -> Table:
    """All rows of a part of benchmarks.json."""
    some = [r for r in results("benchmarks")["rows"] if (r["part"], r["device"]) == (part, device)]
    told = [[r["ratio"], ", ".join(str(r[k]) for k in ("target", "attack", "what") if k in r), len(r["all"]), _spread(r)] for r in some]
    return Table(["ratio", "of", "runs", "median [least, most]"], told)


# -- intervals: how often they hold the truth, of benchmarks.coverage ---------------------------------------------------


def _covered(*kinds: str) -> list[dict[str, Any]]:
    return [r for r in results("coverage")["rows"] if not kinds or r["ratio"] in kinds]


def _share(row: dict[str, Any]) -> str:
    return f"{100 * row['coverage']:.1f} ± {200 * row['error']:.1f}"


@figure
def coverage_table() -> Table:
    """Of each interval and number of images the median, the smallest and the largest coverage over populations, in per cent."""
    found = _covered()
    sizes, lines = sorted({r["n"] for r in found}), []
    for kind in dict.fromkeys(r["ratio"] for r in found):
        cells = []
        for n in sizes:
            each = [100 * r["coverage"] for r in found if (r["ratio"], r["n"]) == (kind, n)]
            cells.append(f"{float(np.median(each)):.1f} [{min(each):.1f}, {max(each):.1f}]")
        lines.append([kind, len({r["what"] for r in found if r["ratio"] == kind}), *cells])
    return Table(["interval", "populations", *(f"{n} images" for n in sizes)], lines)


@figure
def coverage_missed(least: str = "100") -> Table:
    """The cases from so many images on whose coverage lies outside of 93 to 97 %, by more than chance explains."""
    apart = [r for r in _covered() if r["n"] >= int(least) and abs(r["coverage"] - 0.95) - 2 * r["error"] > 0.02]
    rows = [[r["ratio"], r["what"], int(r["n"]), _share(r)] for r in sorted(apart, key=lambda r: (r["coverage"], r["n"]))]
    return Table(["interval", "population", "n", "coverage, %"], rows)


@figure
def coverage_cases(which: str, least: str = "100") -> Any:
    """Cases from so many images on: ``all``, or ``kept``, of these the share between 93 and 97 % as far as can be told."""
    found = [r for r in _covered() if r["n"] >= int(least)]
    kept = sum(abs(r["coverage"] - 0.95) - 2 * r["error"] <= 0.02 for r in found)
    return len(found) if which == "all" else bb.Rate(kept, len(found))


@figure
def stopping_table() -> Table:
    """Coverage in per cent by when an entrant stops: of each interval the median, the smallest and the largest over populations."""
    found, lines = results("stopping")["rows"], []
    stops = list(dict.fromkeys(r["what"].partition("; ")[2] for r in found))
    for kind, told in STOPPING.items():
        for least, most in ((0.0, 1.0), (1.0, np.inf)):  # rates are at most one wide; queries and what is saved of them are not
            mine = [r for r in found if r["ratio"] == kind and least <= r["width"] < most]
            each = [[100 * r["coverage"] for r in mine if r["what"].endswith(f"; {stop}")] for stop in stops]
            if mine:
                cells = [f"{float(np.median(c)):.1f} [{min(c):.1f}, {max(c):.1f}]" for c in each]
                lines.append([told, "rates" if most == 1 else "mean queries, queries saved", len(each[0]), *cells])
    return Table(["interval", "of", "populations", *stops], lines)


STOPPING = {
    "rate, fixed number": "for a fixed number of images", "mean, fixed number": "for a fixed number of images",
    "confidence sequence": "confidence sequence",
}  # fmt: skip


@figure
def stopping_leagues() -> int:
    """How many leagues were simulated of each population."""
    return min(int(r["samples"]) for r in results("stopping")["rows"])


@figure
def stopping_width() -> Table:
    """How much wider a confidence sequence is after all images than the interval for a fixed number."""
    found = [r for r in results("stopping")["rows"] if r["what"].endswith("; all images")]
    plain = {r["what"]: r["width"] for r in found if r["ratio"] != "confidence sequence"}
    rows = [[r["what"].partition("; ")[0], int(r["n"]), f"{r['width'] / plain[r['what']]:.1f}"] for r in found
            if r["ratio"] == "confidence sequence"]  # fmt: skip
    return Table(["population", "images", "width of the sequence over that of the interval"], rows)


@figure
def coverage_samples() -> int:
    """How many samples each case has, at the least."""
    return min(int(r["samples"]) for r in _covered())

"""Ours and the peers' attacks on the same images, the same target, the same budget, every row counted, in one run.

A success counts at the query that showed it; the distance after q queries is the smallest among adversarial rows until then; a
failure is charged the whole budget. Ours run as a batch behind an `Oracle` (their counts do not depend on it), peers one image
at a time behind a `Meter`. Wall time over the bare forward time of the very same calls is a part of its own, ``--time``. The
figure (alone with ``--figure``) has points with 95 % bootstrap intervals over images, each averaged over its seeds.
"""

from __future__ import annotations

import importlib.metadata
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import blackbox as bb
from benchmarks.clock import over_bare
from blackbox.report import style
from experiments.cases import Case, cifar, mnist
from experiments.figures import sheet
from experiments.peers import adapters
from experiments.runner import DOCS, Book, Real, run, says


@dataclass(frozen=True)
class Part:
    """One comparison: a target, a threat, a budget, and who takes part.

    near: where distances are compared and not successes, after how many queries; the last is the budget. timed: images and
    budget of ``--time``: ratios need no complete run.
    """

    case: Callable[[Path, int], Case]
    threat: bb.Threat | None  # the case's own
    title: str
    peers: adapters.Peers
    near: tuple[int, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    labels: bool = False
    timed: tuple[int, int] = (30, 52)


PACKAGES = ("torch", "numpy", "torchattacks", "adversarial-robustness-toolbox", "foolbox")
UNLIMITED = bb.L2(math.inf)
PARTS = {
    "linf": Part(cifar, None, "Scores", adapters.LINF_SCORES),
    "linf-mnist": Part(mnist, None, "Scores", adapters.LINF_SCORES, timed=(100, 52)),
    "l2": Part(cifar, bb.L2(1.0), "Scores", adapters.L2_SCORES),
    "pixels": Part(cifar, bb.L0(5), "Scores", adapters.PIXELS),
    "labels": Part(cifar, None, "Labels alone", adapters.LINF_LABELS, labels=True, timed=(20, 120)),
    "near": Part(cifar, UNLIMITED, "Labels alone", adapters.LABELS, (300, 1000), labels=True, timed=(20, 120)),
    "near-long": Part(cifar, UNLIMITED, "Labels alone", adapters.LABELS, (1000, 5000), (0,), labels=True),
}
SAME_CALLS = ("near-long",)  # to ``--time``, whose budget is its own, the same as the part before it
SLOW = ("ART SimBA px", "ART SimBA dct", "ART ZOO", "ART Boundary", "ART SignOPT", "ART GeoDA", "foolbox Boundary")
# hundreds of calls of a few rows: one seed only


@dataclass(frozen=True)
class Settings(Real):
    only: tuple[str, ...] = says((), "parts [all]", PARTS)
    attacks: tuple[str, ...] = says((), "names, ours and peers', their commas left out [all]")
    time: bool = says(False, "measure the wall time instead")
    figure: bool = says(False, "draw again what the results hold")
    images: int = says(100, "of a part")
    images_labels: int = says(20, "where only labels are shown")
    budget: int = says(1000, "queries an image")
    time_images_peers: int = 5
    time_repeats: int = 5


def ours(part: Part, threat: bb.Threat) -> list[str]:
    """The attacks of ours that serve this comparison; those with a prior and fd- are measured by other experiments."""
    kinds = {name: bb.attacks.get(name) for name in bb.attacks.names()}
    other = ("fd-", "nes-")
    return [
        name for name, kind in kinds.items()
        if (kind.access is bb.Access.LABELS) == part.labels and threat.norm in kind.norms
        and not name.startswith(other) and name not in bb.attacks.with_prior()
    ]  # fmt: skip


def attack(case: Case, name: str, threat: bb.Threat, n: int, budget: int, seed: int) -> bb.AttackResult:
    """One of ours on the first n images."""
    oracle = bb.Oracle(case.net, access="labels" if bb.attacks.get(name).access is bb.Access.LABELS else "scores")
    return bb.attack(oracle, case.images[:n], case.labels[:n], name, threat, budget, seed=seed)


def one_image(
    case: Case, peer: adapters.Peer, i: int, threat: bb.Threat, budget: int, seed: int, told: int = 0
) -> tuple[adapters.Meter, str]:
    """A peer on image i; what went wrong, if anything did. told: the budget that the peer is told, where it is another."""
    x, y = case.images[i : i + 1], case.labels[i : i + 1]
    meter = adapters.Meter(case.net, x, int(y), threat, budget).eval()
    try:
        peer(meter, x, y, threat, told or budget, seed)
    except adapters.Spent:
        pass
    except Exception as error:  # a peer's own failure is a finding, not ours to hide
        if not isinstance(error.__cause__ or error.__context__, adapters.Spent):
            return meter, f"{type(error).__name__}: {str(error)[:80]}"
    return meter, ""


def reached(part: Part, case: Case, name: str, threat: bb.Threat, s: Settings) -> dict[str, Any]:
    """Everybody's images and seeds for one attack, ours or a peer's."""
    n = min(s.images_labels if part.labels else s.images, len(case.images))
    budget = part.near[-1] if part.near else s.budget
    seeds = part.seeds[:1] if name in SLOW else part.seeds
    first: list[list[int]] = []
    near: list[list[float]] = []
    notes = []
    for seed in seeds:
        if name in part.peers:
            runs = [one_image(case, part.peers[name][1], i, threat, budget, seed * n + i) for i in range(n)]
            first.append([meter.first for meter, _ in runs])
            near += [[meter.distance_at(q) for q in part.near] for meter, _ in runs]
            notes += [wrong for _, wrong in runs if wrong]
        else:
            result = attack(case, name, threat, n, budget, seed)
            first.append(result.first_success_query.tolist())
            near += result.distance_at(part.near).T.tolist() if part.near else []
    out = {"peer": name in part.peers, "n": n, "seeds": list(seeds), "budget": budget, "note": (notes or [""])[0]}
    if part.near:
        medians = {f"median distance at {q}": float(np.median([d[j] for d in near])) for j, q in enumerate(part.near)}
        return {**out, **medians, "distances": near}
    hit = np.array(first)
    spent = np.where(hit > 0, hit, budget)
    return {
        **out, "success": str(bb.Rate(int((hit > 0).sum()), hit.size)), "mean": float(spent.mean()),
        "median": float(np.median(spent)), "mean by seed": spent.mean(1).tolist(), "first": first,
    }  # fmt: skip


def clock(part: Part, case: Case, name: str, threat: bb.Threat, s: Settings) -> dict[str, Any]:
    """Wall time over the bare forward time of the same calls, attack and bare calls in turn."""
    n, budget = part.timed
    n = min(s.time_images_peers if name in part.peers else n, len(case.images))

    def work(n: int = n) -> None:
        if name in part.peers:
            for i in range(n):  # told of the whole budget: ART's GeoDA raises at a small one before it has asked
                one_image(case, part.peers[name][1], i, threat, budget, i, s.budget)
        else:
            attack(case, name, threat, n, budget, 0)

    work(2)  # the first calls of a net and of an attack are slow
    ratios = [over_bare(case.net, work) for _ in range(s.time_repeats)]
    return {"wall / forward": statistics.median(ratios), "all": ratios, "time images": n, "time budget": budget}


def measure(s: Settings) -> None:
    book = Book("benchmark_peers", s)
    installed = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
    versions = {name: installed.get(name, "not installed") for name in PACKAGES}
    book.found.setdefault("peers", versions)
    kind, work = ("times", clock) if s.time else ("rows", reached)
    for title in () if s.figure else s.only or [t for t in PARTS if not (s.time and t in SAME_CALLS)]:
        part = PARTS[title]
        case = part.case(s.root, s.images)
        threat = part.threat or case.threat
        for name in [*ours(part, threat), *part.peers]:
            if not s.attacks or name.replace(",", "") in s.attacks:
                given = (part, case, name, threat, s)
                about = {"target": case.name, "threat": str(threat)}
                book.row(lambda about=about, given=given: {**about, **work(*given)}, kind, part=title, attack=name)
    print("wrote", draw(book.found["rows"], DOCS / "peers.png"))


QUERIES, AT = "mean queries, failures at the budget", "median distance at 1000"


def interval(row: dict[str, Any]) -> tuple[float, float, float]:
    """What a row reached, and the 95 % percentile interval over images."""
    if AT in row:
        at = sorted(int(k.rsplit(" ", 1)[1]) for k in row if k.startswith("median distance")).index(1000)
        each, centre, middle = np.array(row["distances"], float)[:, at].reshape(-1, row["n"]), row[AT], np.median
    else:
        first = np.array(row["first"])
        each, centre, middle = np.where(first > 0, first, row["budget"]).astype(float), row["mean"], np.mean
    draws = np.random.default_rng(0).integers(0, row["n"], (2000, row["n"]))
    low, high = np.percentile(middle(each.mean(0)[draws], axis=1), [2.5, 97.5])  # type: ignore[operator]
    return centre, min(centre, low), max(centre, high)


def draw(rows: list[dict[str, Any]], path: Path) -> Path:
    """A panel a part, the best on top."""
    from matplotlib import ticker

    parts = [p for p in ("linf", "linf-mnist", "l2", "near", "labels", "pixels") if any(r["part"] == p for r in rows)]
    chosen = [sorted(((*interval(r), r) for r in rows if r["part"] == p), key=lambda v: -v[0]) for p in parts]
    lines = [max(len(c) for c in chosen[i : i + 2]) for i in range(0, len(chosen), 2)]
    title = "Ours (blue, round) and the peers (red, angular)"
    under = "the same images, the same budget, one counter; further left is better"
    height = 0.24 * sum(lines) + 1.0 * len(lines) + 0.8
    with sheet(path, title, under, 11, height, len(lines), 2, height_ratios=lines) as (_, axes):
        for axis, part, points in zip(axes.flat, parts, chosen, strict=False):
            for at, (centre, low, high, row) in enumerate(points):
                colour = style.COLOURS[0 if row["peer"] else 1]
                axis.plot([low, high], [at, at], color=colour, linewidth=1.6, alpha=0.5, solid_capstyle="butt")
                axis.plot(centre, at, "D" if row["peer"] else "o", color=colour, markersize=5.5)
                axis.text(1.02, at, f"{centre:.3g}", transform=axis.get_yaxis_transform(), va="center", fontsize=8, color=colour)
            axis.set_yticks(range(len(points)), [p[3]["attack"] for p in points], fontsize=8)
            for tick, point in zip(axis.get_yticklabels(), points, strict=True):
                tick.set_color(style.COLOURS[0] if point[3]["peer"] else style.INK)
            axis.set_xscale("log")
            axis.margins(x=0.08)
            one = points[0][3]
            threat = one["threat"].removesuffix(" unlimited")
            axis.set_title(f"{PARTS[part].title}: {one['target']}, {threat}, {one['n']} images")
            axis.set_xlabel("median distance after 1,000 queries" if AT in one else QUERIES)
            axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_locator(ticker.NullLocator())
        for axis in list(axes.flat)[len(parts) :]:
            axis.remove()
    return path


if __name__ == "__main__":
    run(Settings, measure)

"""Which settings a peer gets: at most three are tried on choosing ground (`experiments.ground`), the best is reported.

Scores and labels in a ball: the least mean queries, failures at the budget; the smallest distance: the least geometric mean. What is tried,
why, and on whose word stands in ``peers.toml``; that and what was measured make the tables of docs/results/peer-settings.md.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import blackbox as bb
from experiments import ground
from experiments.cases import Case
from experiments.peers import adapters
from experiments.publishable import Figure, mean_of
from experiments.runner import Book, Real, load, run, says

RESULTS_IN, TARGET = "peer_settings", "resnet20"  # a file a part, so that several may be measured at once
THREATS = {"linf": None, "l2": bb.L2(1.0), "pixels": bb.L0(5), "labels": None, "near": bb.L2(math.inf)}  # None: the target's
FARTHEST = 3072**0.5  # in L2, in an image of 32 x 32
TITLES = {
    "linf": "Scores, Linf 8/255", "l2": "Scores, L2 1", "pixels": "Scores, five pixels", "labels": "Labels, Linf 8/255",
    "near": "Labels, the smallest L2 distance",
}  # fmt: skip


@dataclass(frozen=True)
class Settings(Real):
    only: tuple[str, ...] = says((), "parts [all]", THREATS)
    attacks: tuple[str, ...] = says((), "peers, the commas in their names left out [all]")
    images: int = says(40, "of the choosing target; where only labels are shown, half as many")
    budget: int = says(1000, "queries an image")


def reached(
    peer: adapters.Peer, how: adapters.Setting, case: Case, threat: bb.Threat, budget: int, seed: int, at: Iterable[int] = ()
) -> dict[str, Any]:
    """A peer on all images of a case: of each the query that fooled it (0: none did), or its distance after so many queries.

    An image's seed is told by ``seed`` and by its place in the file alone.
    """
    assert case.ids is not None
    seeds = [10_000 * seed + int(i) for i in case.ids]
    meters, wrong = adapters.run(peer, how, case.net, case.images, case.labels, threat, budget, seeds)
    found: dict[str, Any] = {"note": f"{len(wrong)} raised {wrong[0]}" if wrong else "", "asked": sum(m.rows for m in meters)}
    if math.isinf(threat.eps):
        return found | {"near": [[m.distance_at(q) for m in meters] for q in at]}
    return found | {"first": [m.first for m in meters]}


def needed(row: dict[str, Any]) -> Figure:
    """What a row is judged by, the smaller the better: mean queries, or the geometric mean of images' distances."""
    if "near" in row:
        return typical(np.minimum(row["near"][-1], FARTHEST))
    return mean_of([q or row["budget"] for q in row["first"]], row["budget"])


def typical(distances: Any) -> Figure:
    """The geometric mean over images [n], or [seeds, n], with its interval."""
    from blackbox.statistics import mean_estimate

    e = mean_estimate(np.log(np.atleast_2d(np.asarray(distances, float))))
    return Figure(*(float(np.exp(v)) for v in (e.value, e.low, e.high)), e.n, digits=2)


def measured(part: str) -> list[dict[str, Any]]:
    """The rows of a part."""
    return list((load(f"{RESULTS_IN}/{part}") or {"rows": []})["rows"])


def chosen(peer: adapters.Peer, rows: Iterable[dict[str, Any]] | None = None) -> adapters.Setting:
    """The setting that did best on choosing ground; one that has no rival is not measured.

    Raises:
        ValueError: a setting has not been measured.
    """
    if len(peer.tried) == 1:
        return peer.tried[0]
    of = {r["setting"]: needed(r).value for r in (measured(peer.part) if rows is None else rows) if r["peer"] == peer.name}
    if missing := [t.label for t in peer.tried if t.label not in of]:
        raise ValueError(
            f"Expected a row for each setting of {peer.name} ({peer.part}), but there was none for {missing[0]!r}. "
            "Run python -m experiments.peers.settings."
        )
    return min(peer.tried, key=lambda t: of[t.label])


def ready(peer: adapters.Peer) -> bool:
    """Whether all its settings have been measured."""
    known = {r["setting"] for r in measured(peer.part) if r["peer"] == peer.name}
    return len(peer.tried) == 1 or all(t.label in known for t in peer.tried)


def tables() -> Iterator[tuple[str, str, list[list[str]]]]:
    """Of each peer its part's title, its name, and what was tried: for the page about the peers' settings."""
    for part, title in TITLES.items():
        rows = {(r["peer"], r["setting"]): r for r in measured(part)}
        for peer in adapters.by_part(part).values():
            found = [rows.get((peer.name, t.label)) for t in peer.tried]
            best = chosen(peer).label if ready(peer) else ""
            lines = []
            for how, row in zip(peer.tried, found, strict=True):
                value = "-" if row is None else str(needed(row))
                lines.append([f"**{how.label}**" if how.label == best else how.label, value, how.why, how.source])
            yield title, peer.name, lines


def measure(s: Settings) -> None:
    logging.getLogger("art").setLevel(logging.ERROR)
    seed = ground.seeds("choosing")[0]
    for part in s.only or THREATS:
        book = Book(f"{RESULTS_IN}/{part}", s, same=("images", "budget"))
        case = ground.case(TARGET, s.root, count=s.images // 2 if part in ("labels", "near") else s.images, use="choosing")
        assert case.ids is not None
        about = {"target": case.name, "ids": case.ids.tolist(), "budget": s.budget, "seed": seed}
        for name, peer in adapters.by_part(part).items():
            asked = not s.attacks or name.replace(",", "") in s.attacks
            for how in peer.tried if asked and len(peer.tried) > 1 else ():
                given = (peer, how, case, THREATS[part] or case.threat, s.budget, seed, (s.budget,))
                book.row(lambda about=about, given=given: {**about, **reached(*given)}, part=part, peer=peer.name, setting=how.label)


if __name__ == "__main__":
    run(Settings, measure)

"""Ours and the peers' attacks on the same images, the same target, the same budget, every row counted, in one run.

    pip install 'blackbox-transfer[peers]'
    python -m experiments.benchmark_peers --data ../shared/data            # all parts, hours on two cores
    python -m experiments.benchmark_peers --only linf                      # one part; see PARTS

A success counts at the query that showed it; the distance after q queries is the smallest among adversarial rows until
then; a failure is charged the whole budget. Ours run as a batch behind an `Oracle` (their counts do not depend on it),
peers one image at a time behind a `Meter`. Wall time over the bare forward time of the very same calls is a part of its
own, ``time``. What is in the results file already is not measured again.
Writes experiments/results/benchmark_peers.json; `python -m experiments.tables` makes table and figure of it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import blackbox as bb
from blackbox import attacks
from experiments import peers
from experiments.real import Case, cifar, mnist
from experiments.speed import over_bare

OUT = Path("experiments/results/benchmark_peers.json")


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    images: int = 100
    images_labels: int = 20
    budget: int = 1000
    at: tuple[int, ...] = (
        300,
        1000,
    )  # distances of the label-only attacks after so many queries; the last: their budget
    at_long: tuple[int, ...] = (1000, 5000)
    seeds_long: tuple[int, ...] = (0,)
    seeds: tuple[int, ...] = (0, 1, 2)
    slow: tuple[str, ...] = (  # hundreds of calls of a few rows: one seed only
        "ART SimBA px", "ART SimBA dct", "ART ZOO", "ART Boundary", "ART SignOPT", "ART GeoDA",
        "foolbox Boundary",
    )  # fmt: skip
    l2: float = 1.0
    pixels: int = 5
    # ratios need no complete run; all parts, peers too, took under half an hour with these on a net whose row costs 1.8 ms
    time_images: int = 30
    time_images_mnist: int = 100
    time_budget: int = 52
    time_images_labels: int = 20
    time_budget_labels: int = 120
    time_images_peers: int = 5
    time_repeats: int = 5


@dataclass(frozen=True)
class Part:
    """One comparison: a target, a threat, a budget, and who takes part."""

    case: Callable[[Path, int], Case]
    threat: Callable[[Case, Settings], bb.Threat]
    labels: bool
    peers: dict[str, tuple[str, peers.Peer]]
    near: str = ""  # where distances are compared and not successes: the field of `Settings` that says after how many
    seeds: str = "seeds"  # the field that says which seeds


PARTS = {
    "linf": Part(cifar, lambda c, s: c.threat, False, peers.LINF_SCORES),
    "linf-mnist": Part(mnist, lambda c, s: c.threat, False, peers.LINF_SCORES),
    "l2": Part(cifar, lambda c, s: bb.L2(s.l2), False, peers.L2_SCORES),
    "pixels": Part(cifar, lambda c, s: bb.L0(s.pixels), False, peers.PIXELS),
    "labels": Part(cifar, lambda c, s: c.threat, True, peers.LINF_LABELS),
    "near": Part(cifar, lambda c, s: bb.L2(math.inf), True, peers.LABELS, near="at"),
    "near-long": Part(cifar, lambda c, s: bb.L2(math.inf), True, peers.LABELS, near="at_long", seeds="seeds_long"),
}
SAME_CALLS = ("near-long",)  # to ``--time``, whose budget is its own, the same as the part before it


def ours(part: Part, threat: bb.Threat) -> list[str]:
    """The attacks of ours that serve this comparison."""
    found = []
    for name in attacks.names():
        kind = attacks.get(name)
        fits = (kind.access is bb.Access.LABELS) == part.labels and threat.norm in kind.norms
        own = name.startswith(("fd-", "nes-")) or name in attacks.with_prior()  # measured by other experiments
        if fits and not own:
            found.append(name)
    return found


def attack(case: Case, name: str, threat: bb.Threat, n: int, budget: int, seed: int) -> bb.AttackResult:
    """One of ours on the first n images."""
    shows = "labels" if attacks.get(name).access is bb.Access.LABELS else "scores"
    return bb.attack(
        bb.Oracle(case.net, access=shows), case.images[:n], case.labels[:n], name, threat, budget, seed=seed
    )


def one_image(
    case: Case, peer: peers.Peer, i: int, threat: bb.Threat, budget: int, seed: int, plan: int | None = None
) -> tuple[peers.Meter, str]:
    """A peer on image i; what went wrong, if anything did. plan: the budget that the peer is told, where it is another."""
    x, y = case.images[i : i + 1], case.labels[i : i + 1]
    meter = peers.Meter(case.net, x, int(y), threat, budget).eval()
    try:
        peer(meter, x, y, threat, plan or budget, seed)
    except peers.Spent:
        pass
    except Exception as error:  # a peer's own failure is a finding, not ours to hide
        if not isinstance(error.__cause__ or error.__context__, peers.Spent):
            return meter, f"{type(error).__name__}: {str(error)[:80]}"
    return meter, ""


def measure(part: Part, case: Case, name: str, threat: bb.Threat, settings: Settings) -> dict[str, Any]:
    """Everybody's images and seeds for one attack, ours or a peer's."""
    n = settings.images_labels if part.labels else settings.images
    at = getattr(settings, part.near) if part.near else ()
    budget = at[-1] if at else settings.budget
    seeds = settings.seeds[:1] if name in settings.slow else getattr(settings, part.seeds)
    first: list[list[int]] = []
    near: list[list[float]] = []
    note = ""
    for seed in seeds:
        if name in part.peers:
            runs = [one_image(case, part.peers[name][1], i, threat, budget, seed * n + i) for i in range(n)]
            first.append([meter.first for meter, _ in runs])
            near += [[meter.distance_at(q) for q in at] for meter, _ in runs]
            note = note or next((wrong for _, wrong in runs if wrong), "")
        else:
            result = attack(case, name, threat, n, budget, seed)
            first.append(result.first_success_query.tolist())
            near += result.distance_at(at).T.tolist() if at else []
    out: dict[str, Any] = {
        "attack": name,
        "peer": name in part.peers,
        "n": n,
        "seeds": list(seeds),
        "budget": budget,
        "note": note,
    }
    if at:
        out |= {f"median distance at {q}": float(np.median([d[j] for d in near])) for j, q in enumerate(at)}
        return out | {"distances": near}
    hit = np.array(first)
    spent = np.where(hit > 0, hit, budget)
    return out | {
        "success": str(bb.Rate(int((hit > 0).sum()), hit.size)),
        "mean": float(spent.mean()),
        "median": float(np.median(spent)),
        "mean by seed": spent.mean(1).tolist(),
        "first": first,
    }


def clock(part: Part, case: Case, name: str, threat: bb.Threat, settings: Settings) -> dict[str, Any]:
    """Wall time over the bare forward time of the same calls, attack and bare calls in turn."""
    budget, n = settings.time_budget, settings.time_images if part.case is cifar else settings.time_images_mnist
    if part.labels:
        budget, n = settings.time_budget_labels, settings.time_images_labels
    if name in part.peers:
        n = settings.time_images_peers

    def work(n: int = n) -> None:
        if name in part.peers:
            for i in range(n):  # told of the whole budget: ART's GeoDA raises at a small one before it has asked
                one_image(case, part.peers[name][1], i, threat, budget, i, settings.budget)
        else:
            attack(case, name, threat, n, budget, 0)

    work(2)  # the first calls of a net and of an attack are slow
    ratios = [over_bare(case.net, work) for _ in range(settings.time_repeats)]
    return {
        "attack": name,
        "wall / forward": statistics.median(ratios),
        "all": ratios,
        "time images": n,
        "time budget": budget,
    }


def load() -> dict[str, Any]:
    return json.loads(OUT.read_text()) if OUT.exists() else {"rows": [], "times": []}


def save(settings: Settings, kind: str, key: dict[str, str], row: dict[str, Any]) -> None:
    """Add a row to the file, which another part of the benchmark may be writing too."""
    versions = {}
    for package in ("torch", "numpy", "torchattacks", "adversarial-robustness-toolbox", "foolbox"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    OUT.parent.mkdir(parents=True, exist_ok=True)
    body = {**load(), "settings": asdict(settings), "versions": versions}
    body[kind].append({**key, **row})
    new = OUT.with_suffix(".new")
    new.write_text(json.dumps(body, indent=1) + "\n")
    new.replace(OUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    parser.add_argument("--time", action="store_true", help="measure the wall time instead")
    given = parser.parse_args()
    settings = Settings(data=given.data)
    for title in given.only or [title for title in PARTS if not (given.time and title in SAME_CALLS)]:
        part = PARTS[title]
        case = part.case(Path(settings.data), settings.images)
        threat = part.threat(case, settings)
        key = {"part": title, "target": case.name, "threat": str(threat)}
        kind, work = ("times", clock) if given.time else ("rows", measure)
        for name in [*ours(part, threat), *part.peers]:
            if any(row["part"] == title and row["attack"] == name for row in load()[kind]):
                continue
            row = work(part, case, name, threat, settings)
            save(settings, kind, key, row)
            short = {
                k: round(v, 3) if isinstance(v, float) else v for k, v in row.items() if k not in ("first", "distances")
            }
            print(title, short, flush=True)


if __name__ == "__main__":
    main()

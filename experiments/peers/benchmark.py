"""What the query tables do not hold of the peers: labels, L2, few pixels, the smallest L2 distance, and wall time.

Scores in Linf are measured by ``python -m experiments.studies.queries``, which has the peers' rows beside ours. Here too both attack
the same images of the reporting ground with the same budget, every row counted, the clean check first; a failure is charged the
whole budget. The distance after q queries is the smallest among adversarial rows until then. Ours run behind an `Oracle`, peers each
image alone behind a `Meter` (the answers come in batches); settings: `experiments.peers.settings`. ``--time`` lets both sides take
the same batch and compares wall time with the bare forward time of the very same calls.
"""

from __future__ import annotations

import logging
import statistics
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

import blackbox as bb
from benchmarks.clock import over_bare, paired, seconds
from experiments import ground
from experiments.cases import Case
from experiments.peers import adapters, settings
from experiments.peers.entries import version
from experiments.rows import Job, code, commit, ours
from experiments.runner import Book, Real, run, says
from experiments.studies.queries import described


@dataclass(frozen=True)
class Part:
    """One comparison. kind: which peers take part. ours: attacks of ours. near: where distances are compared and not successes, after
    how many queries; the last is the budget."""

    kind: str
    target: str
    ours: tuple[str, ...]
    near: tuple[int, ...] = ()


RESULTS_IN = "peers"  # a file a part, so that several may be measured at once
PARTS = {
    "labels": Part("labels", "poolcnn", ("sign-flip", "hop-skip-jump")),
    "l2": Part("l2", "resnet32", ("square", "simba", "zoo")),
    "pixels": Part("pixels", "resnet32", ("sparse",)),
    "near": Part("near", "resnet32", ("tangent", "hop-skip-jump", "sign-opt", "geoda", "boundary"), (300, 1000)),
    "near-long": Part("near", "poolcnn", ("tangent", "hop-skip-jump", "sign-opt", "geoda"), (1000, 5000)),
}
LONG = ("foolbox HopSkipJump", "ART HopSkipJump", "ART SignOPT", "ART GeoDA")  # the boundary attacks are far behind long before
TIMED = {  # part -> target, and queries that an image is told to take
    "linf": ("resnet32", 60), "l2": ("resnet32", 60), "labels": ("resnet32", 300), "linf-mnist": ("lenet", 60),
}  # fmt: skip
SEARCHES = {"ripples": ours("ripples"), "hybrid, two": ours("hybrid", "two")}  # timed beside Square's, with scores
UNFIT = {("linf-mnist", "ART SimBA dct")}  # its blocks of waves do not divide images of 28 pixels
ALONE = ("ART SimBA px", "ART SimBA dct", "ART HopSkipJump Linf")  # these take one image at a time, whatever they are given


@dataclass(frozen=True)
class Settings(Real):
    only: tuple[str, ...] = says((), "parts [all]", (*PARTS, *TIMED))
    attacks: tuple[str, ...] = says((), "names, ours and peers', their commas left out [all]")
    images: int = says(100, "of a part's target, spread over those that it has right")
    budget: int = says(1000, "queries an image, where distances name none")
    seeds: tuple[int, ...] = says((0,), "of the attacks")
    time: bool = says(False, "measure the wall time instead")
    batch: int = says(30, "images in a batch, of the wall time")
    repeats: int = says(5, "of the wall time")


def threat_of(kind: str, case: Case) -> bb.Threat:
    return settings.THREATS[kind] or case.threat


def mine(case: Case, name: str, threat: bb.Threat, budget: int, seed: int, near: tuple[int, ...]) -> dict[str, Any]:
    """One of ours on all images of a case; of distances those after each of ``near`` queries, [numbers of queries, images]."""
    oracle = bb.Oracle(case.net, "labels" if bb.attacks.get(name).access is bb.Access.LABELS else "scores", case.classes)
    result = bb.attack(oracle, case.images, case.labels, name, threat, budget, seed=seed, ids=case.ids)
    if near:
        return {"near": result.distance_at(near).tolist()}
    return {"queries": result.queries.tolist(), "found": [int(v) for v in result.success]}


def theirs(case: Case, peer: adapters.Peer, threat: bb.Threat, budget: int, seed: int, near: tuple[int, ...]) -> dict[str, Any]:
    """A peer on all images of a case."""
    how = settings.chosen(peer)
    found = settings.reached(peer, how, case, threat, budget, seed, near)
    if first := found.pop("first", None):
        found |= {"queries": [q or budget for q in first], "found": [int(q > 0) for q in first]}
    return {"settings": how.label, "toolkit": version(peer.toolkit), **{k: v for k, v in found.items() if v != ""}}


def compare(s: Settings, book: Book, title: str) -> None:
    part = PARTS[title]
    case = ground.case(part.target, s.root, count=s.images, use="reporting")
    threat, budget = threat_of(part.kind, case), part.near[-1] if part.near else s.budget
    book.put(**described(part.target, case))
    about = {"threat": str(threat), "budget": budget}
    peers = {name: p for name, p in adapters.by_part(part.kind).items() if title != "near-long" or name in LONG}
    for name in [*part.ours, *peers]:
        for seed in s.seeds if not s.attacks or name.replace(",", "") in s.attacks else ():
            given = (case, peers.get(name, name), threat, budget, seed, part.near)
            work = theirs if name in peers else mine

            def made(work: Any = work, given: Any = given, about: Any = about) -> dict[str, Any]:
                more: dict[str, Any] = {"commit": commit()} | ({"code": code(given[1])} if isinstance(given[1], str) else {})
                more |= {"at": list(given[-1])} if given[-1] else {}
                return {**about, **more, **work(*given)}

            book.row(made, part=title, attack=name, peer=name in peers, seed=seed)


def clock(s: Settings, book: Book, title: str) -> None:
    """Wall time over the bare forward time of the same calls: ours and theirs with the same images in one call, told to stop at the
    same number of queries. Then ours to the end, in turn: a search that fools sooner spends less time in the net, and more beside it."""
    target, budget = TIMED[title]
    kind = title.partition("-")[0]
    case = ground.case(target, s.root, count=s.batch, use="reporting")
    threat, peers = threat_of(kind, case), adapters.by_part(kind)
    names = {p.ours for p in peers.values()} | ({"sign-flip"} if kind == "labels" else {*SEARCHES} if kind == "linf" else set())
    for name in [*sorted(names), *peers]:
        if (s.attacks and name.replace(",", "") not in s.attacks) or "repeats" in name or (title, name) in UNFIT:
            continue

        def work(name: str = name) -> None:
            if name in SEARCHES:
                SEARCHES[name].run(Job(case, "scores", None, budget, 0, s.root))
            elif name in peers:
                how = settings.chosen(peers[name])
                peers[name].attack(case.net, case.images, case.labels, threat, budget, 0, short(how, budget))
            else:
                mine(case, name, threat, budget, 0, ())

        def made(work: Any = work, name: str = name) -> dict[str, Any]:
            work()
            return {"all": (every := [over_bare(case.net, work) for _ in range(s.repeats)]), "middle": statistics.median(every)}

        about = {"target": case.name, "batch": s.batch, "budget": budget, "one at a time": name in ALONE}
        book.row(lambda made=made, about=about: {**about, **made()}, "times", part=title, attack=name, peer=name in peers)
    if kind == "linf":
        for name in SEARCHES:
            about = {"target": case.name, "batch": s.batch, "budget": s.budget}
            book.row(lambda name=name, about=about: {**about, **to_the_end(s, case, name)}, "whole", part=title, attack=name)


def to_the_end(s: Settings, case: Case, name: str) -> dict[str, Any]:
    """Seconds of a search over those of Square on the same images, each until all are fooled or the budget is spent, in pairs."""
    both = [SEARCHES[name], ours("square")]
    jobs = [partial(row.run, Job(case, "scores", None, s.budget, 0, s.root)) for row in both]
    every = [a / b for a, b in paired(*(partial(seconds, job) for job in jobs), s.repeats)]
    return {"all": every, "middle": statistics.median(every)}


def short(how: adapters.Setting, budget: int) -> adapters.Setting:
    """A setting whose attack ends by itself after about so many queries, for it has no `Meter` to stop it."""
    options = dict(how.options)
    if "steps" in options:
        options["steps"] = 2  # foolbox: some three hundred queries
    if options.get("max_iter") == "$budget" and "attack" in options:
        options["max_iter"] = budget // 2  # SimBA: two rows a step
    elif isinstance(options.get("max_iter"), int):
        options["max_iter"] = 2
    return replace(how, options=options, hold=False, remember=False)


def measure(s: Settings) -> None:
    logging.getLogger("art").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    for title in s.only or (TIMED if s.time else PARTS):
        name = "time" if s.time else title
        (clock if s.time else compare)(s, Book(f"{RESULTS_IN}/{name}", s), title)


if __name__ == "__main__":
    run(Settings, measure)

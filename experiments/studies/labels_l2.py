"""How near do labels alone lead? The smallest L2 distance after so many queries: attacks of ours, with and without a prior, beside peers.

Images of `experiments.ground` that a target has right; a query is one input evaluated by the target, the clean check the first. Kept is
each image's distance after each budget: the smallest among its adversarial queries until then; an image without any is as far away as
the box is wide. A run of the longest budget tells the others too, but for an attack that divides its budget beforehand (`PLANS`), which
is run for each. Peers run behind a `Meter`, with the settings of `experiments.peers.settings` (--only near). Every target has two files,
results/labels_l2/TARGET.json (ours) and …_peers.json.

    python -m experiments.studies.labels_l2 --targets resnet2b_adv
    python -m experiments.studies.labels_l2 --targets resnet20 --attacks "tangent,prior-opt two" --images 20 --at 1000   # a trial
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

import blackbox as bb
from experiments import ground
from experiments.cases import Case
from experiments.peers import adapters, settings
from experiments.peers.entries import version
from experiments.rows import code, commit
from experiments.runner import Real, run, says
from experiments.studies.queries import Shared, described

TARGETS = ("resnet2b_adv", "vit_adv", "poolcnn")  # of three families, two of them adversarially trained
ALONE = ("tangent", "hop-skip-jump", "sign-opt", "geoda", "surfree", "qeba", "ars-opt", "cgba", "cgba-h", "ttba")
TOLD = ("prior-opt", "pars-opt", "hybrid")  # with a prior; hybrid is HopSkipJump from an example on it
PRIORS = ("two",)
PEERS = ("foolbox HopSkipJump", "ART HopSkipJump")
PLANS = ("geoda",)  # divide the budget among their steps beforehand


@dataclass(frozen=True)
class Settings(Real):
    targets: tuple[str, ...] = says(TARGETS, "of experiments/ground.toml")
    attacks: tuple[str, ...] = says((), "names: tangent,prior-opt two,foolbox HopSkipJump [all]")
    at: tuple[int, ...] = says((1000,), "queries after which the distance is kept; the last is the budget")
    images: int = says(100, "of a target, spread over those that it has right")
    seeds: tuple[int, ...] = says((), "of the attacks [the first of the target's ground]")
    makers: tuple[str, ...] = says(("ours", "peers"), "whose attacks", ("ours", "peers"))
    options: tuple[str, ...] = says((), "of our attacks, in a trial on choosing ground: probes=40,noise=dct")
    anew: bool = says(False, "measure rows anew whose attack's code has changed")


def entrants() -> Iterator[tuple[str, str]]:
    """(attack, prior) of ours, as far as they are registered."""
    known = bb.attacks.names()
    yield from ((name, "") for name in ALONE if name in known)
    yield from ((name, prior) for name in TOLD if name in known for prior in PRIORS)


def called(attack: str, prior: str) -> str:
    return f"{attack}, {prior}" if prior else attack


def mine(case: Case, attack: str, prior: str, at: tuple[int, ...], seed: int, s: Settings) -> dict[str, Any]:
    """One of ours on all images of a case: [budget][image] distances."""
    made = bb.attacks.build(attack, **({"prior": ground.prior(prior, s.root, case.data)} if prior else {}), **options(s))
    oracle = bb.Oracle(case.net, access="labels", classes=case.classes)
    result = bb.attack(oracle, case.images, case.labels, made, settings.THREATS["near"], at[-1], seed=seed, ids=case.ids)
    if (result.queries > at[-1]).any():
        raise ValueError(f"Expected at most {at[-1]} queries an image of {attack}, but there were {int(result.queries.max())}.")
    return {"near": kept(result.distance_at(at), case), "asked": int(result.queries.sum())}


def theirs(case: Case, name: str, at: tuple[int, ...], seed: int) -> dict[str, Any]:
    """A peer's on all images of a case."""
    peer = adapters.by_part("near")[name]
    how = settings.chosen(peer)
    found = settings.reached(peer, how, case, settings.THREATS["near"], at[-1], seed, at)
    more = {"setting": how.label, "toolkit": version(peer.toolkit), "asked": found["asked"]}
    return more | {"near": kept(found["near"], case)} | ({"note": found["note"]} if found["note"] else {})


def kept(near: Any, case: Case) -> list[list[float]]:
    """Distances with four digits behind the point; where there is none, the width of the box."""
    width = math.sqrt(case.images[0].numel())
    return np.minimum(np.asarray(near, dtype=float), width).round(4).tolist()  # type: ignore[no-any-return]


def measure(s: Settings) -> None:
    logging.getLogger("art").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    for target in s.targets:
        use = ground.entry("targets", target)["use"]
        case = ground.case(target, s.root, count=s.images, use=use)
        stem = "-".join([target, *([] if use == "reporting" else ["trial", *s.options]), *([] if s.images == 100 else [str(s.images)])])
        for seed in s.seeds or ground.seeds(use)[:1]:
            if "ours" in s.makers:
                book = opened(f"labels_l2/{stem}", s, target, case)
                for attack, prior in entrants():
                    if s.options and use == "reporting":
                        raise ValueError("Expected a target for choosing where --options are tried, but the target is reported on.")
                    if wanted(s, called(attack, prior)) and not (prior and ground.holds(prior, target, case.data)):
                        of_ours(s, book, case, attack, prior, seed)
            if "peers" in s.makers and use == "reporting":
                book = opened(f"labels_l2/{stem}_peers", s, target, case)
                for name in filter(lambda name: wanted(s, name), PEERS):
                    row(s, book, name, seed, s.at, partial(theirs, case, name, s.at, seed))


def options(s: Settings) -> dict[str, Any]:
    """The settings that are tried."""
    pairs = (word.partition("=")[::2] for word in s.options)
    return {name: float(text) if "." in text else int(text) if text.isdigit() else text for name, text in pairs}


def wanted(s: Settings, name: str) -> bool:
    return not s.attacks or name.replace(",", "") in s.attacks


def opened(name: str, s: Settings, target: str, case: Case) -> Shared:
    book = Shared(name, s)
    more = f" --images {s.images}" * (s.images != 100)
    book.put(command=f"python -m experiments.studies.labels_l2 --targets {target}{more}", **described(target, case))
    book.put(target=book.found["target"] | {"threat": "L2, the smallest"})
    return book


def of_ours(s: Settings, book: Shared, case: Case, attack: str, prior: str, seed: int) -> None:
    for at in [(one,) for one in s.at] if attack in PLANS else [s.at]:
        row(s, book, called(attack, prior), seed, at, partial(mine, case, attack, prior, at, seed, s), attack)


def row(s: Settings, book: Shared, name: str, seed: int, at: tuple[int, ...], make: Any, attack: str = "") -> None:
    """A row that is in the book, or is measured now. ``attack``: of ours, whose code is stamped."""
    key = {"attack": name, "access": "labels", "goal": "untargeted", "seed": seed, "budget": at[-1]}
    stamp = {"code": code(attack)} if attack else {}

    def made() -> dict[str, Any]:
        begin = time.perf_counter()
        found: dict[str, Any] = make()
        return {"at": list(at), "commit": commit(), **stamp, **found, "seconds": round(time.perf_counter() - begin, 1)}

    book.fresh(made, stamp, s.anew, **key)


if __name__ == "__main__":
    run(Settings, measure)

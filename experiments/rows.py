"""What a table of queries is made of: a row is one attack, ours or a peer's, on one target, with one seed.

``ours`` makes a row of a registered attack; a peer's has a ``run`` of its own. `experiments.studies.queries` measures them all, with
the same images, the same budget and the same way to count: an image's clean check is its first query.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import blackbox as bb
from blackbox.league.source import code
from experiments import ground
from experiments.cases import Case

ACCESS, GOALS = ("scores", "labels"), ("untargeted", "next class")
DATA = ("cifar", "mnist", "imagenet")


@dataclass(frozen=True)
class Job:
    """What every row of a table has in common: the images, what the target shows, the classes to reach, the budget, the seed."""

    case: Case
    access: str
    goal: Tensor | None  # [N] the class to reach
    budget: int
    seed: int
    root: Path


@dataclass(frozen=True)
class Outcome:
    """queries: what each image was charged, its clean check included, at most the budget. found: was it fooled? more: what else
    the row keeps."""

    queries: Sequence[int]
    found: Sequence[bool]
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """An attack of the table.

    settings: all that its figures rest on, in words, told before it runs (data, root): a kept row with others is stale.
    run: a `Job` -> `Outcome`. data: whose images it takes. toolkit: of a peer, with its version. draws: without, one seed is
    measured, since others would find the same. code: the registered attack whose modules they rest on. prior: its nets' name.
    """

    attack: str
    settings: Callable[[str, Path], str]
    run: Callable[[Job], Outcome]
    access: str = "scores"
    goal: str = "untargeted"
    data: tuple[str, ...] = DATA
    toolkit: str = ""
    draws: bool = True
    code: str = ""
    prior: str = ""

    def __post_init__(self) -> None:
        if self.access not in ACCESS or self.goal not in GOALS:
            raise ValueError(
                f"Expected an access of {', '.join(ACCESS)} and a goal of {', '.join(GOALS)}, but {self.attack} has {self.access!r} and "
                f"{self.goal!r}."
            )


def ours(
    attack: str, /, prior: str = "", access: str = "scores", goal: str = "untargeted", data: Iterable[str] = DATA, *, draws: bool = True,
    **options: Any,
) -> Row:  # fmt: skip
    """A registered attack, with a prior of `experiments.ground` and with options; those stand in its name."""

    def build(data: str, root: Path) -> Any:
        return bb.attacks.build(attack, **({"prior": _prior(prior, root, data)} if prior else {}), **options)

    def settings(data: str, root: Path) -> str:
        return repr(build(data, root))

    def run(job: Job) -> Outcome:
        case = job.case
        oracle, made = bb.Oracle(case.net, job.access, case.classes), build(case.data, job.root)
        result = bb.attack(
            oracle, case.images, case.labels, made, case.threat, job.budget, target=job.goal, seed=job.seed, ids=case.ids
        )
        cost = result.config["prior"]
        more = {"gradients an image": cost["gradients_per_image"]} if cost else {}
        return Outcome(result.queries.tolist(), result.success.tolist(), more)

    name = ", ".join([attack, *filter(None, [prior.replace("-", ", ")]), *(f"{k} {v}" for k, v in options.items())])
    return Row(name, settings, run, access, goal, tuple(data), draws=draws,
               code=attack, prior=prior)  # fmt: skip


@lru_cache(maxsize=16)
def _prior(name: str, root: Path, data: str) -> Any:
    return ground.prior(name, root, data)


def measured(row: Row, job: Job) -> dict[str, Any]:
    """What a results file keeps of a row, beside its key.

    Raises:
        ValueError: an attack counted past the budget, or gave other than one number for each image.
    """
    begin = time.perf_counter()
    out = row.run(job)
    queries, found = np.asarray(out.queries, dtype=int), np.asarray(out.found, dtype=bool)
    count = len(job.case.images)
    if queries.shape != (count,) or found.shape != (count,) or (queries < 0).any() or (queries > job.budget).any():
        raise ValueError(
            f"Expected from {row.attack} for each of {count} images queries from 0 to {job.budget}, and whether it was fooled, but there "
            f"were {queries.shape[0]} and {found.shape[0]}, with queries from {queries.min()} to {queries.max()}."
        )
    return {
        "settings": row.settings(job.case.data, job.root), **stamp(row), "seconds": round(time.perf_counter() - begin, 1), **out.more,
        "queries": queries.tolist(), "found": found.astype(int).tolist(),
    }  # fmt: skip


# ---- on which code does a row rest? -------------------------------------------------------------------------------------------


def stamp(row: Row) -> dict[str, str]:
    """``commit``, with a + where files differ from it, and of ours ``code``: a short hash of what the attack's modules do."""
    return {"commit": commit(), **({"toolkit": row.toolkit} if row.toolkit else {}), **({"code": code(row.code)} if row.code else {})}


@lru_cache(maxsize=1)
def commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "blackbox", "surrogates") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

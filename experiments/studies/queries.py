"""How many queries does an attack need? Every row of the query tables: a target of `experiments.ground`, an attack, a seed.

A query is one input evaluated by the target; the clean check is charged; one budget for all rows of a table. Kept are, for each
image, the queries charged and whether it was fooled; a mean charges what was not fooled with the budget. Every target has two
files, results/queries/TARGET.json (ours) and …_peers.json. Several of these commands can run at once, also on one target.

    python -m experiments.studies.queries --targets densenet --only scores --attacks "square,hybrid two"
    python -m experiments.studies.queries --targets resnet32 --among jpeg   # on images that were JPEG once
    python -m experiments.studies.queries --targets resnet20 --images 20    # a trial, in a file of its own: resnet20-20.json

A row whose settings or whose attack's code have changed since it was measured is stale: that is said, and ``--anew`` measures it again.
Where the code alone has, ``--restamp`` looks whether that changed anything: it measures the first images of each such row again, and
where every one is the same to the query, the row is stale no longer; it keeps on which code it was measured, and how many images tell
that this is as good.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import blackbox as bb
from experiments import ground
from experiments.cases import Case
from experiments.rows import DATA, Job, Row, code, measured, ours
from experiments.runner import RESULTS, Book, Real, load, run, says

PARTS = {"scores": ("scores", "untargeted"), "labels": ("labels", "untargeted"), "towards": ("scores", "next class")}
SMALL = ("cifar", "mnist")
HYBRIDS = ("transfer-start", "gfcs", "simba-ods", "bases", "p-rgf", "greedy-pixel")  # of others, with a prior


def _ours() -> Iterator[Row]:
    priors = ("one", "two", "two-jpeg", "two-unseen", "untrained", "misled")
    yield from (ours("square"), ours("square", data=SMALL, p_init=0.8), ours("square", data=SMALL, p_init=0.05), ours("ripples"))
    yield from (ours(name, data=SMALL) for name in ("simba", "nes", "spsa", "zo-signsgd", "bandits", "parsimonious"))
    yield ours("signhunter", data=SMALL, draws=False)
    yield from (ours("hybrid", prior, data=data_of(prior)) for prior in priors)
    yield from (ours(name, "two", data=SMALL) for name in HYBRIDS)
    yield from (ours(name, "two-adv", data=data_of("two-adv")) for name in ("hybrid", "transfer-start", "bases", "p-rgf", "bayes-linear"))
    yield from (ours("sign-flip", access="labels"), ours("ripples", access="labels"))
    yield from (ours(name, access="labels", data=SMALL, draws=False) for name in ("rays", "adba"))
    yield from (ours("hybrid", prior, "labels", data=data_of(prior)) for prior in priors)
    yield ours("transfer-start", "two", "labels", data=SMALL, attack="rays")
    yield from (ours(name, goal="next class", data=SMALL) for name in ("square", "ripples"))
    yield from (ours("hybrid", prior, goal="next class", data=data_of(prior)) for prior in priors if prior != "two-jpeg")


def data_of(prior: str) -> tuple[str, ...]:
    """The kinds of images that have such a prior."""
    return tuple(data for data in DATA if prior in ground.priors(data))


OURS = tuple(_ours())


def rows(makers: tuple[str, ...] = ("ours", "peers")) -> list[Row]:
    """Ours, as far as they are registered, and the peers'."""
    from experiments.peers.rows import PEERS

    known = bb.attacks.names()
    mine = [row for row in OURS if row.attack.partition(",")[0] in known]
    return [*(mine if "ours" in makers else ()), *(PEERS if "peers" in makers else ())]


@dataclass(frozen=True)
class Settings(Real):
    targets: tuple[str, ...] = says((), "of experiments/ground.toml [all that are reported on]")
    only: tuple[str, ...] = says(tuple(PARTS), "parts", PARTS)
    attacks: tuple[str, ...] = says((), "names, without the commas in them: square,hybrid two [all]")
    makers: tuple[str, ...] = says(("ours", "peers"), "whose attacks", ("ours", "peers"))
    seeds: tuple[int, ...] = says((), "of the attacks [those of the target's ground]")
    images: int = says(0, "of each target, for a trial in a file of its own [all of its ground]")
    among: str | None = says(None, "another set of images than the target's own: jpeg")
    budget: int = says(1000, "queries an image")
    anew: bool = says(False, "measure stale rows again")
    restamp: bool = says(False, "measure nothing but the first images of rows whose code has changed, to see whether it matters")


def stem(s: Settings, target: str, row: Row | None = None) -> str:
    """The name of a target's results file."""
    words = [target, *filter(None, [s.among, str(s.images or "")])]
    return f"queries/{'-'.join(words)}{'_peers' if row is not None and row.toolkit else ''}"


def asked(s: Settings) -> list[Row]:
    """The rows that the settings name.

    Raises:
        ValueError: there is no such row.
    """
    some = [row for row in rows(s.makers) if (row.access, row.goal) in [PARTS[part] for part in s.only]]
    names = {row.attack.replace(",", "") for row in some}
    if absent := [name for name in s.attacks if name not in names]:
        raise ValueError(f"Expected --attacks to be of {', '.join(sorted(names))}, but it named {', '.join(absent)}.")
    return [row for row in some if not s.attacks or row.attack.replace(",", "") in s.attacks]


def described(target: str, case: Case) -> dict[str, Any]:
    """What a file says once of its target and images."""
    about, images = ground.entry("targets", target), ground.entry("images", case.among)
    return {
        "target": {"name": target, **{key: about[key] for key in ("use", "title", "family", "robust")}, "threat": str(case.threat)},
        "images": {"among": case.among, **{key: images[key] for key in ("data", "file", "what")}, "n": len(case.images)},
        "ids": [] if case.ids is None else case.ids.tolist(),
    }  # fmt: skip


CHECKED = 12  # images that tell whether a row's code does what it did
KEY = ("attack", "access", "goal", "seed", "budget")


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[k] for k in KEY)


class Shared(Book):
    """A book into which several of these commands write at once: what others wrote is kept, and not measured again."""

    def __init__(self, name: str, settings: Any) -> None:
        super().__init__(name, settings)
        self.own: set[tuple[Any, ...]] = set()  # the keys of rows that this command wrote; of others the file's are the newest

    def read(self) -> None:
        """Take the rows that others have written."""
        mine, theirs = self.found.setdefault("rows", []), {key_of(row): row for row in (load(self.name) or {}).get("rows", ())}
        mine[:] = [row if key_of(row) in self.own else theirs.get(key_of(row), row) for row in mine]
        known = {key_of(row) for row in mine}
        mine += [row for key, row in theirs.items() if key not in known]

    def having(self, key: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows with this key, one or none, also those that others have written."""
        self.read()
        return [r for r in self.found.get("rows", []) if all(r.get(k) == v for k, v in key.items())]

    def fresh(self, make: Callable[[], dict[str, Any]], now: dict[str, Any], anew: bool, **key: Any) -> dict[str, Any]:
        """The row with this key. One that is kept, but rests on other than ``now`` (its code, its settings), is stale: that is told, and
        with ``anew`` it is made again."""
        for old in self.having(key):
            if other := changed(old, now):
                told = f"{key['attack']}, {key['access']}, {key['goal']}, seed {key['seed']}"
                print(f"{self.name}: {told} is stale: other {' and '.join(other)}", flush=True)
                if anew:
                    self.found["rows"].remove(old)
        return self.row(make, **key)

    def row(self, make: Callable[[], dict[str, Any]], among: str = "rows", **key: Any) -> dict[str, Any]:
        def made() -> dict[str, Any]:
            self.own.add(key_of(key))
            return make()

        return super().row(made, among, **key)

    def write(self) -> Path:
        path = RESULTS / f"{self.name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.read()
            return super().write()


def measure(s: Settings) -> None:
    some = asked(s)
    for target in s.targets or ground.targets("reporting"):
        mine = [row for row in some if ground.data_of(target) in row.data]
        use = ground.entry("targets", target)["use"]
        case = ground.case(target, s.root, s.among, s.images or None, use=use)
        seeds = s.seeds or ground.seeds(use)
        mine = [row for row in mine if not (row.prior and ground.holds(row.prior, target, case.data))]
        mine = [row for row in mine if case.among not in learned_on(row, case.data)]
        for name in dict.fromkeys(stem(s, target, row) for row in mine):
            book = Shared(name, s)
            if not s.restamp:
                book.put(command=command(s, target), **described(target, case))
            for row in (row for row in mine if stem(s, target, row) == name):
                for seed in seeds if row.draws else seeds[:1]:
                    (restamped if s.restamp else kept)(book, s, row, case, seed)


def command(s: Settings, target: str) -> str:
    """What makes all of a target's file, whatever was asked for now."""
    more = [f"--among {s.among}"] * bool(s.among) + [f"--images {s.images}"] * bool(s.images)
    return " ".join(["python -m experiments.studies.queries", f"--targets {target}", *more])


def learned_on(row: Row, data: str) -> list[str]:
    """The sets of images that a row's nets learned from: those it does not attack."""
    return list(ground.learned(row.prior, data).get("attacked", ())) if row.prior else []


def job(s: Settings, row: Row, case: Case, seed: int) -> Job:
    goal = (case.labels + 1) % case.classes if row.goal == "next class" else None
    return Job(case, row.access, goal, s.budget, seed, s.root)


def named(s: Settings, row: Row, seed: int) -> dict[str, Any]:
    """The key of a row."""
    return {"attack": row.attack, "access": row.access, "goal": row.goal, "seed": seed, "budget": s.budget}


def rests_on(s: Settings, row: Row, case: Case) -> dict[str, Any]:
    """What a row made now would rest on."""
    return {"settings": row.settings(case.data, s.root)} | ({"code": code(row.code)} if row.code else {})


def changed(old: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What a kept row rests on that is no longer so."""
    return [name for name, value in now.items() if old.get(name) != value]


def kept(book: Shared, s: Settings, row: Row, case: Case, seed: int) -> dict[str, Any]:
    """A row that is in the book, or is measured now."""
    return book.fresh(
        lambda: measured(row, job(s, row, case, seed)), rests_on(s, row, case), s.anew, **named(s, row, seed)
    )


def restamped(book: Shared, s: Settings, row: Row, case: Case, seed: int) -> None:
    """See ``--restamp``. ``measured`` is the code and the commit that the row was measured on; ``verified``, on how many images
    the code of now gave the same."""
    for old in book.having(named(s, row, seed)):
        if (other := changed(old, rests_on(s, row, case))) != ["code"]:
            if other:
                print(f"{book.name}: {row.attack}, seed {seed} stays stale: other {' and '.join(other)}", flush=True)
            continue
        ids = None if case.ids is None else case.ids[:CHECKED]
        few = replace(case, images=case.images[:CHECKED], labels=case.labels[:CHECKED], ids=ids)
        new, n = measured(row, job(s, row, few, seed)), len(few.images)
        was, now = (list(zip(r["queries"][:n], r["found"][:n], strict=True)) for r in (old, new))
        if differ := sum(one != other for one, other in zip(was, now, strict=True)):
            print(f"{book.name}: {row.attack}, seed {seed} stays stale: {differ} of {n} images come out otherwise", flush=True)
            continue
        begun = old.get("measured", {name: old[name] for name in ("commit", "code")})
        old |= {"commit": new["commit"], "code": new["code"], "measured": begun, "verified": n}
        book.own.add(key_of(old))
        book.write()
        print(f"{book.name}: {row.attack}, seed {seed}: {n} images are the same", flush=True)


if __name__ == "__main__":
    run(Settings, measure)

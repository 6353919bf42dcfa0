"""Whatever goes wrong in a long run, is what it leaves true, and is any answer lost?

Each trial runs one verb (attack, evaluate, surrogate, transfer, sweep, tune) on a few digits against a linear model, once left
alone and once with one to three faults at random calls: 429, 500, a cut line, NaN, a wrong row count, Ctrl-C, or kill -9 before
or after the target has answered. A part of the targets stand behind a local service (`blackbox.serving`). The target writes down
every row that it answers. After each fault everything that was left is read back and held against the run left alone:

  wrong      rates, counts and outcomes stated that are not those of the whole run, or do not say what is unknown
  lost       answers that the target had given and that were asked for again (besides the calls that say that they are in doubt,
             and the few by which a resumed run makes sure that it has the same target)
  different  results of the same call, given again until it ended, that are not those of the run left alone, to the bit
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox.serving import Server
from blackbox.sweep import Study
from experiments.runner import Book, run, says, tell
from experiments.studies import faults_target
from experiments.studies.faults_left import facts, same, saved_wrong, wrong
from experiments.studies.faults_target import CLASSES, KINDS, Desk, Faulty, Net, answer, ask, booked, data

VERBS = ("attack", "evaluate", "surrogate", "transfer", "sweep", "tune")
SHAPE, EPS = (1, 8, 8), 0.15
CHECK = 8  # recorded queries that a resumed run asks again


@dataclass(frozen=True)
class Settings:
    trials: int = says(1000, "in all")
    seed: int = says(0, "of the trials")
    verbs: tuple[str, ...] = says(VERBS, "verbs", VERBS)


# -- the verbs -------------------------------------------------------------------------------------------------------


@dataclass
class Trial:
    """One verb on its target. url: of the service, where there is one. kept: ``{"journal": path}`` or with a checkpoint."""

    verb: str
    seed: int
    folder: Path
    kept: dict[str, Any]
    url: str = ""
    oracles: list[bb.Oracle] = field(default_factory=list)
    doomed: int = 0  # rows that processes that were killed may have asked to make sure of their target

    def checks(self, sessions: int) -> int:
        """How many rows may have been asked again, uncharged, to see whether the target is the same, or to verify."""
        if not self.oracles:  # those of sweep and tune are not in our hands: one journal, two journals a session
            return CHECK * (sessions - 1) * (2 if self.verb == "tune" else 1)
        if self.url and "journal" in self.kept:
            return 0  # the service knows their keys, and charges nothing
        verified = sum(oracle.counts["verify"] for oracle in self.oracles) if "checkpoint" in self.kept else 0
        return self.doomed + verified + sum(oracle.counts["check"] for oracle in self.oracles)

    def oracle(self, access: str = "scores") -> bb.Oracle:
        target = bb.targets.HttpTarget(self.url) if self.url else bb.targets.FunctionTarget(ask, name="target", returns="logits")
        self.oracles.append(bb.Oracle(target, access, CLASSES, max_rows=2 + self.seed % 5))
        return self.oracles[-1]

    @property
    def images(self) -> tuple[Tensor, Tensor]:
        draw = np.random.default_rng(self.seed).permutation(30)[:6]
        return data()[1].images[draw], data()[1].labels[draw]

    def run(self) -> Any:
        return getattr(self, self.verb)()

    def attack(self) -> Any:
        x, y = self.images
        access, name = (("scores", "square"), ("labels", "sign-flip"), ("scores", "nes"))[self.seed % 3]
        return bb.attack(self.oracle(access), x, y, name, bb.Linf(EPS), 14, seed=self.seed, cohort=4, **self.kept)

    def evaluate(self) -> Any:
        nets = {"own": Net()} if self.seed % 2 else None
        return bb.evaluate(
            self.oracle, *self.images, bb.Linf(EPS), nets=nets, white_box=Net(0) if self.seed % 3 else None, budgets=(3, 9),
            presets=("fgsm",), seed=self.seed, saved=lambda found: found.save(self.folder / "saved"), **self.kept,
        )  # fmt: skip

    def surrogate(self) -> Any:
        net = sg.build("mlp", classes=CLASSES, shape=SHAPE, seed=self.seed)
        oracle, recipe = self.oracle(("labels", "scores")[self.seed % 2]), sg.Recipe(epochs=1)
        if self.seed % 4 < 2:
            return sg.train(net, data()[2], recipe, seed=self.seed, teacher=oracle, queries=30, **self.kept)
        strategy = ("distil", "noised")[self.seed % 2]
        return sg.learn(net, oracle, data()[2], strategy, queries=30, recipe=recipe, seed=self.seed, **self.kept)

    def transfer(self) -> Any:
        targets = {"a": self.oracle("labels"), "b": self.oracle("labels")}
        return sg.transfer_matrix(
            {"own": Net()}, targets, *self.images, ["fgsm"], [bb.Linf(EPS)], seed=self.seed, journal=self.kept["journal"]
        )

    def sweep(self) -> Any:
        file = self.folder.parent / "target.py"  # the same for both: a cell is known by its path
        file.write_text("from experiments.studies.faults_target import load\n")
        study = Study(
            name="faults", images={"data": "digits", "n": 4, "pick": "first"}, block=2, rows=2 + self.seed % 3,
            attack={"targets": [f"{file}:load"], "attacks": ["square"], "threats": [f"linf:{EPS}"], "budgets": [8],
                    "seeds": [self.seed, self.seed + 1]},
        )  # fmt: skip
        return study.run(self.folder / "store.sqlite", **self.kept)

    def tune(self) -> Any:
        x, y = self.images
        tried = bb.variants("square", p_init=[0.1, 0.4])
        models = {"a": bb.targets.FunctionTarget(ask, name="target", returns="logits"), "b": Net()}
        return bb.tune(tried, models, x, y, bb.Linf(EPS), 8, seed=self.seed, **self.kept)


# -- a trial ---------------------------------------------------------------------------------------------------------


@contextmanager
def service(on: bool) -> Iterator[str]:
    """The address of the target's service, or "" where the target stands in this process."""
    if not on:
        yield ""
        return
    server = Server(Faulty(bb.Oracle(booked, "logits", CLASSES, returns="logits"), SHAPE, max_rows=4))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def session(trial: Trial, deadly: bool) -> tuple[Any, Any]:
    """One attempt: what it gave, or None and what it left. A deadly one runs in a process of its own, and leaves files only."""
    if deadly:
        faults_target.DESK.victim = 0
        child = os.fork()
        if not child:
            try:
                faults_target.DESK.victim = os.getpid()
                trial.oracles = []
                faults_target.DESK.said = lambda: sum(oracle.counts["check"] for oracle in trial.oracles)
                trial.run()
                faults_target.DESK.book.with_name("checks").write_text(str(faults_target.DESK.said()))
            except BaseException:
                os._exit(1)
            os._exit(0)
        faults_target.DESK.victim = child
        os.waitpid(child, 0)
        noted = faults_target.DESK.book.with_name("checks")
        trial.doomed += CHECK + (int(noted.read_text()) if noted.exists() else 0)
        noted.unlink(missing_ok=True)
        return None, None
    try:
        found = trial.run()
        return (None, found) if getattr(found, "failures", None) else (found, None)
    except (bb.TargetError, KeyboardInterrupt) as error:
        return None, getattr(error, "result", None)


def one(seed: int, verbs: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """The counts of one trial."""
    draw = random.Random(seed)
    verb = draw.choices(verbs, [1 if v == "evaluate" else 2 for v in verbs])[0]  # which takes as long as the others together
    behind = verb not in ("sweep", "tune") and draw.random() < 0.2
    faults = [draw.choice(KINDS) for _ in range(draw.randint(1, 3))]
    if behind:
        faults = ["cut" if kind == "ctrl-c" else kind for kind in faults]
    deadly = any(kind.startswith("kill") for kind in faults)
    either = verb != "transfer" and not (verb == "surrogate" and seed % 4 >= 2) and not deadly  # the others take a journal alone
    kept = "checkpoint" if either and draw.random() < 0.4 else "journal"
    faults_target.DESK = Desk(folder / "alone")
    path = {"journal": None} if verb == "transfer" else {}
    with service(behind) as url:
        whole = Trial(verb, seed, folder / "w", path, url).run()
    calls, alone = faults_target.DESK.calls, faults_target.DESK.read()
    faults_target.DESK = Desk(folder / "book")
    trial = Trial(verb, seed, folder / "t", {kept: folder / "kept"})
    out = {"verb": verb, "behind a service": behind, "kept": kept, "faults": faults, "wrong": [], "sessions": 0}
    found = None
    with service(behind) as trial.url:
        for kind in [*faults, ""]:
            faults_target.DESK.calls, faults_target.DESK.faults = 0, {draw.randint(1, calls): kind} if kind else {}
            out["sessions"] += 1
            done, left = session(trial, kind.startswith("kill"))
            found = found if done is None else done
            if left is not None:
                out["wrong"] += wrong(left, whole, folder / "left", answer)
            saved = folder / "t" / "saved"
            if verb == "evaluate" and (saved / "evaluation.json").exists():  # after a kill there is this alone
                out["wrong"] += saved_wrong(saved, whole)
        out["checks"] = trial.checks(out["sessions"])
    keyed = behind and kept == "journal"  # a call that is cut off is charged once, too
    seen = Counter[str]()
    for line, n in faults_target.DESK.read().items():
        word, row = line.split()
        seen[f"row {row}"] += n if word == "row" or (keyed and word == "doubt") else 0
    out["again"] = (seen - alone).total()
    out["lost"] = max(0, out["again"] - out["checks"])
    out["different"] = int(found is None or not same(facts(found), facts(whole)))
    return out


def trials(
    count: int, seed: int, verbs: tuple[str, ...] = VERBS, each: Callable[[dict[str, Any], dict[str, Any]], None] | None = None,
    before: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """So many trials: sums over all, and the trials in which anything was amiss. ``before``: of a run that was broken off."""
    torch.set_num_threads(1)
    sums = {"trials": 0, "verbs": {}, **dict.fromkeys(("faults", "kills", "lost", "wrong", "different"), 0), "amiss": [], **(before or {})}
    while sums["trials"] < count:
        number = seed + sums["trials"]
        with tempfile.TemporaryDirectory() as folder:
            try:
                got = one(number, verbs, Path(folder))
            except Exception as error:  # a fault that a verb does not take
                got = {"verb": "?", "faults": [], "wrong": [f"{type(error).__name__}: {error}"], "lost": 0, "different": 1}
        sums["trials"] += 1
        sums["verbs"][got["verb"]] = sums["verbs"].get(got["verb"], 0) + 1
        sums["faults"] += len(got["faults"])
        sums["kills"] += sum(kind.startswith("kill") for kind in got["faults"])
        sums["wrong"] += len(got["wrong"])
        for name in ("lost", "different"):
            sums[name] += got[name]
        if got["lost"] or got["wrong"] or got["different"]:
            sums["amiss"].append({"trial": number, **got})
        if each is not None:
            each({"trial": number, **got}, sums)
    return sums


def in_a_process(count: int, seed: int, verbs: tuple[str, ...] = VERBS) -> dict[str, Any]:
    """`trials` in a process of its own, since it forks."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(trials, count, seed, verbs).result()


def measure(s: Settings) -> None:
    book = Book("faults", s, ("seed", "verbs"))

    def each(got: dict[str, Any], sums: dict[str, Any]) -> None:
        tell({name: value for name, value in got.items() if name != "kept"})
        if sums["trials"] % 20 == 0:
            book.put(**sums)

    found = trials(s.trials, s.seed, s.verbs, each, book.found)
    print(f"{found['trials']} trials, {found['lost']} answers lost, {found['wrong']} wrong rates, {found['different']} other results")
    book.put(**found)


if __name__ == "__main__":
    run(Settings, measure)

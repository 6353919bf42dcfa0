"""``blackbox league run``: play an attack on the targets of a scenario, through the server, and write the entry.

The attack's source is hashed and given to the server before a target is opened. After every session the entry is written; what was
paid for is in the server's book, and the same command goes on from there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import blackbox as bb
from blackbox import specs
from blackbox.attacks import takes_prior, with_prior
from blackbox.environment import environment
from blackbox.league import scenario as scenarios
from blackbox.league import source
from blackbox.league.account import Account
from blackbox.league.client import Away, Host, Player
from blackbox.league.entry import ACCOUNT, IMAGES, JOURNAL, SCENARIO, SOURCE, Entry, EntryError, Image, Session
from blackbox.league.floors import FLOORS
from blackbox.league.material import as_floats, beneath, goal_of, images_of
from blackbox.league.scenario import Scenario
from blackbox.league.target import LeagueTarget
from blackbox.plugins import short
from blackbox.prior import require
from blackbox.protocol import Access
from blackbox.results import AttackResult
from blackbox.threat import eight_bit

if TYPE_CHECKING:
    from blackbox.goals.base import Goal

__all__ = ["Attempt", "in_8_bits", "listed", "play", "search"]


@dataclass(frozen=True)
class Attempt:
    """An attack as it is entered.

    Args:
        attack: a floor, a name from ``blackbox list attacks``, or file.py:Mine. settings: ``["p_init=.1"]``. surrogates: names from the
            scenario's pool, for an attack that takes a prior. name: under which it is entered; by default that of the attack.
        labels, training: what its surrogates took beyond the pool, as the entrant declares.
    """

    attack: str
    settings: list[str] = field(default_factory=list)
    surrogates: list[str] = field(default_factory=list)
    name: str = ""
    labels: int = 0
    training: str = ""

    @property
    def spec(self) -> str:
        """As `blackbox.attacks` takes it."""
        return FLOORS.get(self.attack, self.attack)

    @property
    def entered(self) -> str:
        """Its name in the table."""
        own = short(self.attack)
        return self.name or (f"{own} {' '.join(self.settings)}" if self.settings else own)

    def build(self, scenario: Scenario, data: str | None = None) -> tuple[Any, str]:
        """The attack, with its prior, and its settings in words.

        Raises:
            ValueError: no such attack or setting, a surrogate that is not in the pool, or one for an attack that takes none.
        """
        (made,) = specs.build(self.spec, self.settings).values()
        told = repr(made)
        if self.surrogates:
            import surrogates as sg

            if not takes_prior(made):
                raise ValueError(
                    f"Expected surrogates with an attack that takes a prior, {', '.join(with_prior())}, or one of your own, but "
                    f"{self.attack} takes none."
                )
            pool = scenario.pool(self.surrogates)
            with beneath(data):
                images = images_of(scenario.images, labelled=not scenario.any_form)
                classes = scenario.classes or len(images.data.classes)
                nets = specs.Nets(scenario.classes, scenario.mean, scenario.std)
                found = specs.sources([each.model for each in pool], "--surrogate", images, classes, nets)
            made = replace(made, prior=sg.prior(list(found.values())))
        return made, told


def play(
    attempt: Attempt, path: str, server: Player, out: str | os.PathLike[str], data: str | None = None,
    told: Callable[[str], None] = lambda line: None,
) -> Entry:  # fmt: skip
    """Play an attack on every target of a scenario with every seed, and write the entry into the folder ``out``.

    Raises:
        ValueError: the scenario, the attack or the server does not fit. LeagueError: the server refused. Away: it has gone.
        ConnectionError and errors of the attack: the sessions until then are in the entry, and go on with the same call.
    """
    scenario, digest = scenarios.read(path)
    info = server.info()
    if digest not in info["scenarios"]:
        raise ValueError(
            f"Expected a server that plays {scenario.name} as {path} has it, but it plays {', '.join(info['scenarios'].values())}, perhaps "
            "of another file. Take the host's."
        )
    attack, parameters = attempt.build(scenario, data)
    goal = goal_of(scenario, data)
    _check(attack, attempt.entered, scenario, goal)
    texts = source.texts(attempt.spec)
    for fault in source.misnamed(attempt.entered, source.digest(texts), parameters):
        raise ValueError(fault)
    where, file = Path(out), scenarios.path_of(path)
    _check_free(where, file)
    server.enter(digest, attempt.entered, source.digest(texts), parameters)
    _begin(where, file, texts)
    entry = Entry(
        attack=attempt.entered, parameters=parameters, settings=attempt.settings, source=source.digest(texts),
        floor=attempt.entered in FLOORS, player=server.who["player"], scenario=scenario.name, scenario_hash=digest,
        surrogates=attempt.surrogates, labels=attempt.labels, training=attempt.training, sessions=[], environment=environment(),
    )  # fmt: skip
    done = _done(where, entry)
    for target in scenario.targets:
        for seed in scenario.seeds:
            session = done.get((target.name, seed))
            if session is None:
                session = _session(server, scenario, digest, target.name, seed, attempt.entered, attack, where, goal)
            entry = entry.model_copy(update={"sessions": [*entry.sessions, session]})
            entry.write(where)
            found = sum(image.success for image in session.images)
            among, asked = sum(image.attacked for image in session.images), sum(image.queries for image in session.images)
            ended = f"; stopped: {session.stopped}" if session.stopped else ""
            told(f"{session}: {found} of {among} in {asked:,} queries{ended}")
    return entry


def _check(attack: Any, name: str, scenario: Scenario, goal: Goal | None) -> None:
    """Refuse an attack that cannot play, before a target is opened. Raises: ValueError."""
    norm, shown = specs.read_threat(scenario.threat).norm, Access.parse(scenario.attacker.feedback.partition(":")[0])
    shown = shown if goal is None else goal.level(shown)
    if norm not in attack.norms:
        raise ValueError(f"Expected an attack in {norm} for {scenario.name}, but {name} knows {' and '.join(attack.norms)}.")
    if shown < attack.access:
        needs = attack.access.name.lower()
        raise ValueError(f"Expected an attack that gets by with {shown.name.lower()} for {scenario.name}, but {name} needs {needs}.")
    if getattr(attack, "needs_prior", False) and attack.prior is None:
        require(attack, name, (), 0)


def _check_free(where: Path, path: Path) -> None:
    """Refuse a folder that has an entry of another scenario, before a new one is made in it. Raises: ValueError."""
    if (kept := where / SCENARIO).exists() and kept.read_bytes() != path.read_bytes():
        raise ValueError(f"Expected a new folder, or the entry of the same scenario, but {where} has another one. Give another --out.")


def _begin(where: Path, path: Path, texts: dict[str, str]) -> None:
    """Make the folder of an entry that the server has let in, with the scenario and the attack's source, or go on with one that
    holds the same."""
    where.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, where / SCENARIO)
    source.write(texts, where / SOURCE)


def _done(where: Path, entry: Entry) -> dict[tuple[str, int], Session]:
    """The sessions of this entry that were closed and written before."""
    try:
        before = Entry.read(where)
    except EntryError:
        return {}
    same = all(getattr(before, name) == getattr(entry, name) for name in ("attack", "source", "parameters", "player", "scenario_hash"))
    return {(s.target, s.seed): s for s in before.sessions} if same else {}


def _session(
    server: Player, scenario: Scenario, digest: str, target: str, seed: int, name: str, attack: Any, where: Path, goal: Goal | None
) -> Session:  # fmt: skip
    """Play one session, close it, and write what belongs to it."""
    said, folder = server.open(digest, name, target, seed), where / f"{target}-{seed}"
    clean = server.images(said["session"])
    try:
        result, stopped = search(server, scenario, said, clean, target, seed, attack, goal)
    except BaseException as error:  # the server has gone, or ctrl-C: what is known until then
        if isinstance(found := getattr(error, "result", None), AttackResult):
            found.save(folder / "partial")
        raise
    signed = server.close(said["session"], stopped)
    account = Account.of(signed["body"])
    shutil.rmtree(folder / "partial", ignore_errors=True)
    result.save(folder / "result")
    (folder / ACCOUNT).write_text(json.dumps(signed, indent=1) + "\n", encoding="utf-8")
    (folder / JOURNAL).write_text("".join(f"{line}\n" for line in server.journal(said["session"])), encoding="utf-8")
    _save_images(where / IMAGES, clean, said["ids"])
    return Session(
        target=target, sealed=account.sealed, seed=seed, budget=account.budget, folder=folder.name, key=signed["key"],
        earlier=account.earlier, stopped=account.stopped, goal=account.about.get("goal", ""), images=listed(result, account),
    )  # fmt: skip


def search(
    host: Host, scenario: Scenario, said: dict[str, Any], clean: np.ndarray, target: str, seed: int, attack: Any, goal: Goal | None
) -> tuple[AttackResult, str | None]:
    """Run an attack on one target against a host, which has ``said`` what is played. The result, with 8-bit examples, and why it ended
    early, if it did. goal: of the scenario, where it wants no class.

    Raises:
        Away: the host has gone; the result until then is in the error.
    """
    about = said["about"]
    asked = LeagueTarget(host, target, said["session"], clean, said["ids"], about, said["max_rows"])
    oracle = bb.Oracle(asked, about["access"], about["classes"], k=about.get("k"))
    x, threat = as_floats(clean), specs.read_threat(scenario.threat)
    goals, labels = None if said["goals"] is None else torch.tensor(said["goals"]), torch.tensor(said["labels"])
    mask = None if said["mask"] is None else torch.tensor(said["mask"], dtype=torch.bool).view(x.shape[1:])
    stopped, table = None, bb.Tabular(**about["table"]) if "table" in about else None
    try:
        result = bb.attack(
            oracle, x, labels if goal is None else None, attack, threat, scenario.budget, target=goals, goal=goal, seed=seed,
            ids=np.array(said["ids"]), votes=scenario.votes, mask=mask, tariff=scenario.prices, table=table,
        )  # fmt: skip
    except BaseException as error:
        result = getattr(error, "result", None)  # type: ignore[assignment]
        if isinstance(asked.failure, Away):
            asked.failure.result = result  # type: ignore[attr-defined]
            raise asked.failure from None
        if result is None or not isinstance(error, Exception):
            raise
        stopped = " ".join(str(asked.failure or error).split())[:300]
    return result if table is not None else in_8_bits(result, x), stopped


def in_8_bits(result: AttackResult, x: torch.Tensor) -> AttackResult:
    """The result with the examples that the server saw, and their distances."""
    made = eight_bit(result.x_adv, x)
    distance = torch.where(result.distance.isnan(), result.distance, result.threat.distance(made, x).to(result.distance))
    return replace(result, x_adv=made, distance=distance)


def listed(result: AttackResult, account: Account) -> list[Image]:
    """The images of a session for the entry: what the server counted, what the result claims."""
    prior = result.config.get("prior") or {}
    out = []
    for i, image in enumerate(account.images):
        won = bool(result.success[i]) and image.attacked
        out.append(
            Image(
                image=image.image, label=image.label, attacked=image.attacked, success=won, queries=image.rows,
                first_success_query=int(result.first_success_query[i]) if won else 0,
                distance=float(result.distance[i]) if won else None, flagged=image.flagged, rejected=image.rejected, bad=image.bad,
                gradients=float(prior.get("gradients_per_image", 0.0)), seconds=account.seconds / len(account.images),
            )
        )  # fmt: skip
    return out


def _save_images(path: Path, clean: np.ndarray, ids: list[int]) -> None:
    """Write the clean images that were attacked, which are the same in all sessions."""
    from safetensors.numpy import save_file

    save_file({"images": np.ascontiguousarray(clean), "ids": np.array(ids)}, path)

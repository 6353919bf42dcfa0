"""``blackbox league verify``: compare an entry with what the server signed, and look at its examples again. It trusts nothing else.

What holds then: so many rows were answered, with these answers, in this order, about these images, within the budget, after this source
had been named; and each claimed example is one of them. What cannot hold: that this source asked, unless it is run again
(`blackbox.league.again`); which gradients of its own nets an entrant took; who is behind a name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import blackbox
from blackbox.league import booked, claims, limits, source
from blackbox.league import scenario as scenarios
from blackbox.league.account import Account, counted
from blackbox.league.book import Book
from blackbox.league.entry import SCENARIO, SOURCE, Entry, EntryError
from blackbox.league.floors import FLOORS
from blackbox.league.games import Game, accounts_of, game_of
from blackbox.league.judge import Judge
from blackbox.league.material import Material, load
from blackbox.league.scenario import Scenario
from blackbox.league.signing import key_id
from blackbox.oracle import TargetError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from blackbox.league.targets import Targets


@dataclass
class Verdict:
    """refusals: why the entry is refused, a sentence each; none where it is taken. notes: what was not looked at, and what is odd.
    checked: examples that their target was asked about again."""

    refusals: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: int = 0

    @property
    def taken(self) -> bool:
        """Is the entry taken?"""
        return not self.refusals


def verify(
    folder: str | os.PathLike[str], key: Ed25519PublicKey, *, material: Material | None = None, targets: Targets | None = None,
    book: Book | None = None,
) -> Verdict:  # fmt: skip
    """Check an entry.

    Args:
        folder: of the entry. key: the public key of the server. material: the scenario's own images, to compare with; None leaves it out.
        targets: that are asked about the examples again; None leaves it out. book: the server's journal, of the host.
    """
    verdict = Verdict()
    try:
        _judge(Path(folder), key, material, targets, book, verdict)
    except Exception as error:
        verdict.refusals.append(_said(error))
    return verdict


def _said(error: Exception) -> str:
    """Why an entry is refused that cannot be judged: a stranger's files, and whatever is wrong with them, the next entry is judged. A
    target that fails is no fault of an entry's, and is raised."""
    if isinstance(error, TargetError):
        raise error
    if isinstance(error, EntryError):
        return str(error)
    return f"Expected an entry that can be read, but one of its files cannot: {type(error).__name__}: {' '.join(str(error).split()):.200}"


def _judge(
    where: Path, key: Ed25519PublicKey, material: Material | None, targets: Targets | None, book: Book | None, verdict: Verdict
) -> None:  # fmt: skip
    """Write into the verdict why an entry is refused. Raises: EntryError, or any error of a file that is no part of an entry."""
    entry = Entry.read(where)
    accounts = accounts_of(where, entry, key)
    scenario = scenarios.read(where / SCENARIO)[0]
    verdict.refusals += [*_sessions(entry, scenario), *_source(where, entry, accounts), *_declared(entry, scenario)]
    for session, account in zip(entry.sessions, accounts, strict=True):
        try:
            game = game_of(where, session, account)
            if game.account.server != (own := entry.environment.get("versions", {}).get("blackbox")):
                verdict.notes.append(f"{session}: played with version {own}, served with version {game.account.server}.")
            faults = [*_same(entry, game, key), *_counts(game, scenario), *claims.faults(game, scenario)]
            faults += [] if material is None else [*_images(game, material), *_answers(game, material)]
            faults += [] if targets is None or session.target not in targets.names else claims.asked_again(game, targets, verdict)
            faults += [] if book is None else booked.faults(game, book)
        except Exception as error:
            faults = [_said(error)]
        verdict.refusals += [f"{session}: {fault}" for fault in faults]
    if len(players := {account.player for account in accounts}) > 1:
        verdict.refusals.append(f"Expected one player in an entry, but its sessions are those of {' and '.join(sorted(players))}.")
    if book is not None:
        verdict.refusals += [] if source.ours(entry.attack) else booked.left_out(entry, book)


# -- what belongs to the whole entry -------------------------------------------------------------------------------------


def _sessions(entry: Entry, scenario: Scenario) -> Iterator[str]:
    """Is there one session for each target and seed, and no other?"""
    wanted = [(target.name, seed) for target in scenario.targets for seed in scenario.seeds]
    have = [(session.target, session.seed) for session in entry.sessions]
    for pair in wanted:
        if have.count(pair) != 1:
            yield f"Expected one session on {pair[0]} with seed {pair[1]}, but there were {have.count(pair)}."
    for session in entry.sessions:
        if (session.target, session.seed) not in wanted:
            yield f"Expected sessions of {scenario.name} alone, but there is one on {session.target} with seed {session.seed}."


def _source(where: Path, entry: Entry, accounts: list[Account]) -> Iterator[str]:
    """Is the source beside the entry the one whose hash was entered, and an attack of this package what it is called?"""
    try:
        texts = source.read(where / SOURCE)
    except EntryError as error:
        yield str(error)
        return
    if source.digest(texts) != entry.source:
        yield f"Expected the source whose hash was entered, {entry.source[:12]}, but that beside the entry is {source.digest(texts)[:12]}."
    if all(account.server == blackbox.__version__ for account in accounts):  # the server's word; another version has other sources
        yield from source.misnamed(entry.attack, source.digest(texts), entry.parameters)


def _declared(entry: Entry, scenario: Scenario) -> Iterator[str]:
    """Do gradients and surrogates fit the scenario, and is the environment told?"""
    try:
        scenario.pool(entry.surrogates)
    except ValueError as error:
        yield str(error)
    if entry.floor != (entry.attack in FLOORS):
        yield f"Expected the floors {' and '.join(FLOORS)} alone to be called floors, but of {entry.attack} the entry says {entry.floor}."
    gradients = sum(row.image.gradients for row in entry.rows())
    if gradients and not entry.surrogates:
        yield f"Expected no gradients without a surrogate of the pool, but the entry reports {gradients:,.10g}."
    missing = [name for name in ("blackbox", "python", "torch", "numpy") if name not in entry.environment.get("versions", {})]
    if missing:
        yield f"Expected the environment with the versions of {', '.join(missing)}, but the entry does not tell them."


# -- what belongs to one session -----------------------------------------------------------------------------------------


def _same(entry: Entry, game: Game, key: Ed25519PublicKey) -> Iterator[str]:
    """Is the account that of this entry's attack on this target?"""
    a, s = game.account, game.session
    pairs = {
        "attack": (entry.attack, a.attack), "settings": (entry.parameters, a.parameters),
        "hash of the source": (entry.source, a.source),
        "player": (entry.player, a.player), "scenario": (entry.scenario_hash, a.scenario_hash), "target": (s.target, a.target),
        "seed": (s.seed, a.seed), "budget": (s.budget, a.budget), "sealed or not": (s.sealed, a.sealed),
        "earlier sessions": (s.earlier, a.earlier),
        "goal": (s.goal, a.about.get("goal", "")), "reason to stop": (s.stopped, a.stopped), "server's key": (s.key, key_id(key)),
    }  # fmt: skip
    for what, (claimed, signed) in pairs.items():
        if claimed != signed:
            yield f"Expected the {what} that the server signed, {signed!r:.80}, but the entry has {claimed!r:.80}."
    if a.closed is None:
        yield "Expected a session that the server closed, but it was still open when its account was signed."
    if not a.entered <= a.opened:
        yield "Expected the source to be entered before the target was opened, but it was entered after."


def _counts(game: Game, scenario: Scenario) -> Iterator[str]:
    """Do journal, account and entry count the same, within the budget?"""
    a, s, most, prices = game.account, game.session, scenario.limit, scenario.prices
    if a.budget != most:
        yield f"Expected the scenario's budget of {most} queries, but the session had {a.budget}."
    if [image.image for image in a.images] != [image.image for image in s.images]:
        gone = {image.image for image in a.images} - {image.image for image in s.images}
        yield f"Expected every image of the account in its order, but the entry {f'leaves out {sorted(gone)}' if gone else 'has others'}."
        return
    if a.rows != sum(map(len, game.asked)):
        yield f"Expected {a.rows} rows in the journal, as the account says, but there were {sum(map(len, game.asked))}."
    for image, claimed, asked in zip(a.images, s.images, game.asked, strict=True):
        if counted(image, asked) != image:
            yield f"Expected the account of image {image.image} to count what its journal holds, but it does not."
        if image.rows > most:
            yield f"Expected at most {most} queries about image {image.image}, but there were {image.rows}."
        if prices is not None:
            yield from limits.faults(prices, image.image, asked)
        if (claimed.label, claimed.attacked) != (image.label, image.attacked):
            yield f"Expected label and clean answer of image {image.image} as signed, but the entry has others."
        for what, there, signed in (
            ("queries", claimed.queries, image.rows), ("flagged queries", claimed.flagged, image.flagged),
            ("rejected queries", claimed.rejected, image.rejected), ("bad queries", claimed.bad, image.bad),
            ("seconds", round(claimed.seconds, 6), round(a.seconds / len(a.images), 6)),
        ):  # fmt: skip
            if there != signed:
                yield f"Expected {signed} {what} of image {image.image}, which the server counted, but the entry has {there}."


def _images(game: Game, material: Material) -> Iterator[str]:
    """Are the signed images those of the scenario's own data?"""
    goals = [None] * len(material.ids) if material.goals is None else material.goals.tolist()
    rows = zip(material.ids, material.prints, material.labels, goals, strict=True)
    own = {int(sample): (found, int(label), goal) for sample, found, label, goal in rows}
    for image in game.account.images:
        if own.get(image.image) != (image.print, image.label, image.goal):
            yield f"Expected image {image.image} as the scenario's data have it, but the server played another."
    if game.table != material.table:
        yield "Expected what a row of the table may be as the scenario's own file has it, but the server played another."
    if len(own) != len(game.account.images):
        yield f"Expected the {len(own)} images of the scenario, but the server played {len(game.account.images)}."


def _answers(game: Game, material: Material) -> Iterator[str]:
    """Do the signed answers reach the scenario's goal where the journal says that they do, and nowhere else?"""
    judge = Judge(material, game.account.about)
    if judge.words().get("goal", "") != game.account.about.get("goal", ""):
        yield f"Expected the goal of the scenario's own files, {judge.goal}, but the server played {game.account.about.get('goal')!r}."
        return
    for image, asked in zip(game.account.images, game.asked, strict=True):
        if image.image in material.rows and not judge.agrees(asked, material.rows[image.image]):
            yield f"Expected the answers about image {image.image} to reach the goal where the journal says so, but the journal errs."


def material_of(folder: str | os.PathLike[str], data: str | None = None) -> Material:
    """The scenario of an entry with its own images. Raises: ValueError, FileNotFoundError; the data are not there."""
    return load(Path(folder) / SCENARIO, data)

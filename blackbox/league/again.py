"""Play an entry again from its journal: does the attack ask what the journal says that it asked?

No target is needed: the signed answers are given again. It proves that the source which was entered made these questions, on a machine
where the arithmetic is the same to the bit; on another, a difference proves nothing. Each session of an attack that is not this package's
is played in a process of its own: a source that remembered what it saw in an earlier session asks something else then.
"""

from __future__ import annotations

import os
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from blackbox.league import scenario as scenarios
from blackbox.league import source
from blackbox.league.account import Question, answers, opened
from blackbox.league.client import LeagueError, Over, past
from blackbox.league.entry import SCENARIO, SOURCE, Entry
from blackbox.league.games import Game, accounts_of, game_of
from blackbox.league.limits import open_to, tally
from blackbox.league.material import Material, as_levels, goal_of, print_of
from blackbox.league.play import Attempt, search
from blackbox.league.scenario import Scenario
from blackbox.plugins import is_file
from blackbox.results import AttackResult
from blackbox.tariff import Tariff


class Journal:
    """Answers from a journal what was asked before, at the same place, and refuses anything else. Where a session was stopped, questions
    after the last that was answered about an image are rejected: the calls of a replay are not cut where those were, so that other images
    may still have answers to come. After the last that the scenario's ``tariff`` allows there are none, as there were none at the server.

    read: the rows answered from the journal. other: the first question that is another.
    """

    def __init__(self, game: Game, tariff: Tariff | None = None) -> None:
        self.asked = {image.image: asked for image, asked in zip(game.account.images, game.asked, strict=True)}
        self.read, self.other, self.stopped = 0, "", game.account.stopped is not None
        first = next((q for asked in game.asked for q in asked), None)
        none = None if first is None or first.scores is None else np.full_like(first.scores, np.nan)
        spent = open_to(tariff, np.array([tally(asked) for asked in game.asked])) < 1
        self.over = {image.image: image.rows for image, no in zip(game.account.images, spent, strict=True) if no}
        self.after = Question(0, 0, "", -1, none, False, True, False, False)

    def ask(self, session: int, images: np.ndarray, ids: list[int], places: list[int]) -> dict[str, Any]:
        """As `blackbox.league.client.Player.ask`."""
        found: list[Question] = []
        if past(self.over, ids, places):
            raise Over("Expected no question past those that the tariff allows, but there was one.", self.over)
        for levels, sample, at in zip(images, ids, places, strict=True):
            known = self.asked[sample]
            if at >= len(known) and self.stopped:
                found.append(self.after)
            elif at >= len(known) or known[at].print != print_of(levels):
                self.other = f"Expected question {at} about image {sample} as the journal has it, but the source asks another."
                raise LeagueError(self.other)
            else:
                found.append(known[at])
                self.read += 1
        return answers(found)


def again(folder: str | os.PathLike[str], key: Any, material: Material, attack: str = "", data: str | None = None) -> list[str]:
    """Play every session of an entry again.

    Args:
        attack: as it was given to ``blackbox league run``; by default the entry's name, for attacks of this package. What is run is the
            source at hand, which must be the one that was entered.

    Returns:
        Why the entry is refused, a sentence each.
    """
    entry, where = Entry.read(folder), Path(folder)
    accounts = accounts_of(where, entry, key)
    if not attack and not source.ours(entry.attack):
        return [f"Expected the file of {entry.attack}, no attack of this package, to play it again. Give --attack FILE.py:NAME"]
    attempt = Attempt(attack or entry.attack.partition(" ")[0], entry.settings, entry.surrogates, entry.attack)
    if source.texts(attempt.spec) != source.read(where / SOURCE):
        what = "the file's" if is_file(attempt.spec) else "this package's"
        return [f"Expected the source that was entered, to play it again, but {what} is another. Take the one in {where / SOURCE}."]
    replay = _session if source.ours(attempt.attack) else _apart  # what a stranger's source remembers ends with its process
    scenario = scenarios.read(where / SCENARIO)[0]
    out = []
    for session, account in zip(entry.sessions, accounts, strict=True):
        faults = replay(game_of(where, session, account), attempt, scenario, material.mask, data)
        out += [f"{session}: {fault}" for fault in faults]
    return out


def _apart(*given: Any) -> list[str]:
    """`_session` in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        try:
            return alone.submit(_session, *given).result()
        except BrokenExecutor:
            return ["Expected the source to play to the end, but its process ended."]


def _session(game: Game, attempt: Attempt, scenario: Scenario, mask: np.ndarray | None, data: str | None) -> list[str]:
    a, journal, session = game.account, Journal(game, scenario.prices), game.session
    try:
        attack, parameters = attempt.build(scenario, data)
    except (ValueError, TypeError) as error:
        return [f"Expected settings and surrogates with which the attack can be made again, but: {' '.join(str(error).split())}"]
    if parameters != a.parameters:
        return [f"Expected the settings that were signed, {a.parameters:.80}, but those in the entry make {parameters:.80}."]
    said = opened(0, 1024, a, mask)
    try:
        result, stopped = search(
            journal, scenario, said, game.clean, session.target, session.seed, attack, goal_of(scenario, data)
        )
    except Exception as error:  # a stranger's code
        return [f"Expected the source to play, but it raised {type(error).__name__}: {' '.join(str(error).split()):.200}"]
    if journal.other:
        return [journal.other]
    if journal.read != a.rows:  # whatever the session was stopped for: what was asked, the source has to ask
        return [f"Expected the source to ask the {a.rows} questions of the journal, but it asked {journal.read}."]
    if stopped and not a.stopped:
        return [stopped]
    return [
        f"Expected the example of image {image.image} that the source finds, but the entry claims another."
        for i, image in enumerate(session.images)
        if image.success and not _same(result, game.result, i)
    ]


def _same(made: AttackResult, claimed: AttackResult, i: int) -> bool:
    """Has a replay found the example that is claimed of image ``i``, with the same query?"""
    first = int(made.first_success_query[i]) == int(claimed.first_success_query[i])
    return bool(made.success[i]) and first and bool((as_levels(made.x_adv[[i]]) == as_levels(claimed.x_adv[[i]])).all())

"""What the host's journal knows of an entry: its sessions, and the same source under another name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from blackbox.league.account import FIRST, chained
from blackbox.league.book import Book
from blackbox.league.entry import Entry

if TYPE_CHECKING:
    from blackbox.league.games import Game


def faults(game: Game, book: Book) -> Iterator[str]:
    """Is the session in the host's journal, with the same account?"""
    a = game.account
    found = book.entry(a.player, a.attack, a.scenario_hash)
    known = None if found is None else book.session(found[0], a.target, a.seed)
    if known is None:
        yield "Expected the session in the host's journal, but it is not there: the account is another server's."
    elif known[2] != a or chained(FIRST, book.lines(known[0])) != a.journal:
        yield "Expected the account as the host's journal has it, but it differs: another session was put in its place."


def left_out(entry: Entry, book: Book) -> Iterator[str]:
    """Has the same source been entered under another name, or by another account? (Attacks of this package are anybody's, and are not
    looked for.)"""
    what = (entry.source, entry.parameters, entry.scenario_hash)
    own = {(a.player, a.attack) for _, a in book.sessions() if (a.source, a.parameters, a.scenario_hash) == what}
    others = sorted(f"{player} as {attack}" for player, attack in own if (player, attack) != (entry.player, entry.attack))
    if others:
        yield f"Expected one draw of a source with its settings, but the host's journal has it also by {', '.join(others)}."

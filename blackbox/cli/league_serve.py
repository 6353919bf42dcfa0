"""``blackbox league serve``: load the targets, open the journal, and serve until Ctrl-C."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from blackbox.cli.listening import bound, check_address, until_stopped
from blackbox.cli.progress import say


def run(
    scenarios: list[str], key: str, journal: str, sealed: str | None, players: str | None, port: int, host: str, expose: bool,
    max_rows: int, data: str | None, quiet: bool,
) -> None:  # fmt: skip
    """Check all, load, listen."""
    from blackbox.league import sealed as sealing
    from blackbox.league import signing
    from blackbox.league.book import Book
    from blackbox.league.host import Host
    from blackbox.league.material import load
    from blackbox.league.targets import Targets
    from blackbox.league.web import server

    check_address(host, port, expose, "play")
    private = signing.private(key)
    slots = None if sealed is None else sealing.read(sealed)
    registered = None if players is None else _players(players)
    materials = [load(path, data) for path in scenarios]
    targets = {material.hash: Targets(material, slots, data) for material in materials}
    book = Book(journal, signing.key_id(private.public_key()))
    hosting = Host(targets, book, private, registered, max_rows)
    serving = bound(partial(server, hosting), host, port)
    names = ", ".join(material.scenario.name for material in materials)
    lines = [
        f"serving          {names} at {serving.url}",
        f"journal          {journal}",
        f"next             blackbox league run square --server {serving.url} --out entry    Ctrl-C stops",
    ]
    until_stopped(serving, lines, quiet)
    say(f"answered         {hosting.answered:,} rows", quiet)
    book.close()


def _players(path: str) -> dict[str, str]:
    """Tokens by player, from a file with both a line."""
    where = Path(path)
    if not where.is_file():
        raise FileNotFoundError(f"Expected a file of players and tokens at {path}, but there is none.")
    lines = [line.split() for line in where.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]
    if not lines or any(len(words) != 2 for words in lines) or len({words[0] for words in lines}) < len(lines):
        raise ValueError(f"Expected {path} to hold a player and their token a line, each player once, but it does not.")
    return {words[0]: words[1] for words in lines}

"""``blackbox league serve``: load the targets, open the journal, and serve until Ctrl-C."""

from __future__ import annotations

import threading
from pathlib import Path

from blackbox.cli.progress import say
from blackbox.cli.serve import asked_to_stop


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
    from blackbox.targets.address import is_loopback

    if not is_loopback(host) and not expose:
        raise ValueError(
            f"Expected --host to be this machine (127.0.0.1), but it was {host}: anybody who reaches it could play. If that is what you "
            "want, say --expose."
        )
    private = signing.private(key)
    slots = None if sealed is None else sealing.read(sealed)
    registered = None if players is None else _players(players)
    materials = [load(path, data) for path in scenarios]
    targets = {material.hash: Targets(material, slots, data) for material in materials}
    book = Book(journal, signing.key_id(private.public_key()))
    try:
        serving = server(Host(targets, book, private, registered, max_rows), host, port)
    except OSError as error:
        raise ValueError(f"Expected {host}:{port} to be free to listen at, but: {error.strerror or error}.") from None
    with serving, asked_to_stop() as stop:
        names = ", ".join(material.scenario.name for material in materials)
        print(f"serving          {names} at {serving.url}", flush=True)  # scripts wait for this line, also with --quiet
        say(f"journal          {journal}", quiet)
        say(f"next             blackbox league run square --server {serving.url} --out entry    Ctrl-C stops", quiet)
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        while thread.is_alive() and not stop.wait(0.5):
            pass
        serving.shutdown()
    say(f"answered         {serving.service.host.answered:,} rows", quiet)
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

"""``blackbox league verify``: check entries one after the other, and say why one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from blackbox.cli.exits import GATE, Exit
from blackbox.cli.progress import say

if TYPE_CHECKING:
    from blackbox.league.verify import Verdict


def run(
    entries: list[str], key: str, sealed: str | None, journal: str | None, again: bool, attack: str, signed_only: bool, data: str | None,
    quiet: bool,
) -> None:  # fmt: skip
    """Check, print, and end with the exit code of a failed gate if one is refused."""
    refused = []
    for entry, verdict in verdicts(entries, key, sealed, journal, signed_only, data, attack if again else None):
        for note in verdict.notes:
            say(f"note             {note}", quiet)
        if verdict.taken:
            more = f", {verdict.checked} examples looked at again" if verdict.checked else ""
            say(f"taken            {entry}{more}{', played again' if again else ''}", quiet)
        else:
            refused.append("\n".join([f"{entry} is refused:", *(f"  {reason}" for reason in verdict.refusals)]))
    if refused:
        raise Exit(GATE, "\n".join(refused))


def verdicts(
    entries: list[str], key: str, sealed: str | None, journal: str | None, signed_only: bool, data: str | None, again: str | None = None
) -> Iterator[tuple[str, Verdict]]:
    """Verify entries, one after the other. again: play those that are taken from the journal too, as this attack; "" for the entry's."""
    from blackbox.league import again as replaying
    from blackbox.league import sealed as sealing
    from blackbox.league.book import Book
    from blackbox.league.signing import public
    from blackbox.league.verify import material_of, verify

    signed_by = public(key)
    slots = None if sealed is None else sealing.read(sealed)
    book = None if journal is None else Book(journal)
    known: dict[bytes, Any] = {}
    for entry in entries:
        material, targets = (None, None) if signed_only else _ground(entry, slots, data, known)
        verdict = verify(entry, signed_by, material=material, targets=targets, book=book)
        if again is not None and verdict.taken:
            verdict.refusals += replaying.again(entry, signed_by, material or material_of(entry, data), again, data)
        yield entry, verdict


def _ground(entry: str, slots: Any, data: str | None, known: dict[bytes, Any]) -> tuple[Any, Any]:
    """The scenario's images and targets, loaded once a scenario; nothing where the entry has none that can be read."""
    from pathlib import Path

    from blackbox.league.entry import SCENARIO
    from blackbox.league.targets import Targets
    from blackbox.league.verify import material_of

    path = Path(entry) / SCENARIO
    if not path.is_file():
        return None, None
    content = path.read_bytes()
    if content not in known:
        material = material_of(entry, data)
        filled = {slot.name for slot in slots.slots} if slots else set()
        only = [target.name for target in material.scenario.targets if not target.sealed or target.name in filled]
        known[content] = material, Targets(material, slots, data, only)
    found: tuple[Any, Any] = known[content]
    return found

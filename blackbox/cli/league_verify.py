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
            refused.append(refusal(entry, verdict))
    if refused:
        raise Exit(GATE, "\n".join(refused))


def refusal(entry: str, verdict: Verdict) -> str:
    """What is said of an entry that is refused, a line a reason."""
    return "\n".join([f"{entry} is refused:", *(f"  {reason}" for reason in verdict.refusals)])


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
    known: dict[str, Any] = {}
    for entry in entries:
        material, targets = (None, None) if signed_only else _ground(entry, signed_by, slots, data, known)
        verdict = verify(entry, signed_by, material=material, targets=targets, book=book)
        if again is not None and verdict.taken:
            verdict.refusals += replaying.again(entry, signed_by, material or material_of(entry, data), again, data)
        yield entry, verdict


def _ground(entry: str, key: Any, slots: Any, data: str | None, known: dict[str, Any]) -> tuple[Any, Any]:
    """The scenario's images and targets, loaded once a scenario; nothing where the server has not signed that it played this scenario,
    for which the entry is then refused. What a scenario names may be code, and none that came with an entry is run."""
    from pathlib import Path

    from blackbox.league.entry import Entry
    from blackbox.league.games import accounts_of
    from blackbox.league.targets import Targets
    from blackbox.league.verify import material_of

    try:
        digest = accounts_of(Path(entry), Entry.read(entry), key)[0].scenario_hash
    except Exception:  # whatever it is, `verify` says it
        return None, None
    if (base := Path(data or ".").resolve()).is_relative_to(Path(entry).resolve()):
        raise ValueError(
            f"Expected the scenario's own files outside of entries, but they would be looked for in {base}, which came with {entry}. Run "
            "it from another folder, or give --data."
        )
    if digest not in known:
        material = material_of(entry, data)
        filled = {slot.name for slot in slots.slots} if slots else set()
        only = [target.name for target in material.scenario.targets if not target.sealed or target.name in filled]
        known[digest] = material, Targets(material, slots, data, only)
    found: tuple[Any, Any] = known[digest]
    return found

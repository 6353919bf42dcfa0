"""``blackbox league table``: verify entries, and write a static site on those that are taken."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from blackbox.cli.exits import GATE, Exit
from blackbox.cli.league_verify import refusal, verdicts
from blackbox.cli.progress import say

if TYPE_CHECKING:
    from blackbox.league.verify import Verdict


def run(
    entries: list[str], out: str, key: str, sealed: str | None, journal: str | None, signed_only: bool, data: str | None, quiet: bool
) -> None:  # fmt: skip
    """Write the site; exit code 4 when an entry was refused, which is named in it and is in none of its tables."""
    from blackbox.league import scenario as scenarios
    from blackbox.league.entry import SCENARIO, Entry, begun
    from blackbox.league.signing import key_id, public
    from blackbox.league.site import DATA, INDEX, Played, Site

    played: list[Played] = []
    refused: dict[str, Verdict] = {}
    for folder in filter(begun, entries):
        say(f"not finished     {folder}: no session came to its end, and it is left out. The command that began it goes on with it", quiet)
    entries = [folder for folder in entries if not begun(folder)]
    for folder, verdict in verdicts(entries, key, sealed, journal, signed_only, data):
        if not verdict.taken:
            refused[folder] = verdict
            continue
        scenario, _ = scenarios.read(Path(folder) / SCENARIO)
        played.append(Played(Entry.read(folder), scenario, verdict.checked, verdict.notes, _shown(folder)))
    told = "\n".join(refusal(folder, verdict) for folder, verdict in refused.items())
    if not played:
        raise Exit(GATE, "\n".join(filter(None, [told, "No entry is left, and nothing was written."])))
    given = {"--key": key, "--sealed": sealed, "--server-journal": journal, "--data": data}
    options = [word for name, value in given.items() if value is not None for word in (name, _shown(value))]
    options += ["--signed-only"] * signed_only
    command = shlex.join(["blackbox", "league", "table", *map(_shown, entries), *options, "--out", _shown(out)])
    path, reasons = Path(out), {Path(folder).name: verdict.refusals for folder, verdict in refused.items()}
    site = Site(played, reasons, key_id(public(key)), command, options, None if data is None else _shown(data))
    pages = site.write(path)
    say(f"table            {len(played)} of {len(entries)} entries: {path / INDEX}.html", quiet)
    say(f"saved            {path}/: {len(pages)} pages, as HTML and Markdown, and {DATA}", quiet)
    if refused:
        raise Exit(GATE, told)


def _shown(path: str) -> str:
    """A path as the site names it, so that its commands can be copied: from here on where it is below this folder, else as it was given."""
    where = Path(path).resolve()
    return str(where.relative_to(Path.cwd())) if where.is_relative_to(Path.cwd()) else path

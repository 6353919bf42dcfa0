"""``blackbox league table``: verify entries, and write a static site on those that are taken."""

from __future__ import annotations

import shlex
from pathlib import Path

from blackbox.cli.exits import GATE, Exit
from blackbox.cli.league_verify import verdicts
from blackbox.cli.progress import say


def run(
    entries: list[str], out: str, key: str, sealed: str | None, journal: str | None, signed_only: bool, data: str | None, quiet: bool
) -> None:  # fmt: skip
    """Write the site; exit code 4 when an entry was refused, which is named in it and is in none of its tables."""
    from blackbox.league import scenario as scenarios
    from blackbox.league.entry import SCENARIO, Entry
    from blackbox.league.signing import key_id, public
    from blackbox.league.site import DATA, INDEX, Played, Site

    played, refused = [], {}
    for folder, verdict in verdicts(entries, key, sealed, journal, signed_only, data):
        if not verdict.taken:
            refused[folder] = verdict.refusals
            continue
        played.append(Played(Entry.read(folder), scenarios.read(Path(folder) / SCENARIO)[0], verdict.checked, verdict.notes))
    told = "\n".join(line for folder, why in refused.items() for line in (f"{folder} is refused:", *(f"  {reason}" for reason in why)))
    if not played:
        raise Exit(GATE, f"{told}\nNo entry is left, and nothing was written.")
    words = [*map(_shown, entries), "--key", _shown(key), *([] if data is None else ["--data", _shown(data)]), "--out", _shown(out)]
    command = shlex.join(["blackbox", "league", "table", *words, *["--signed-only"] * signed_only])
    path = Path(out)
    pages = Site(played, {Path(folder).name: why for folder, why in refused.items()}, key_id(public(key)), command).write(path)
    say(f"table            {len(played)} of {len(entries)} entries: {path / INDEX}.html", quiet)
    say(f"saved            {path}/: {len(pages)} pages, as HTML and Markdown, and {DATA}", quiet)
    if refused:
        raise Exit(GATE, told)


def _shown(path: str) -> str:
    """A path as the site names it, which others read: from here on, or its last name alone."""
    where = Path(path).resolve()
    return str(where.relative_to(Path.cwd())) if where.is_relative_to(Path.cwd()) else where.name

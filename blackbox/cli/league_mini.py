"""``blackbox league mini``: a whole league in minutes: keys, a sealed target, a server in another process, entries, the table."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from blackbox.cli import run_folder
from blackbox.cli.progress import say

SCENARIO = "mini"
ENTRIES = {"noise": [], "square": [], "signhunter": [], "hybrid": ["cnn"]}
"""The attacks that play, with their surrogates of the pool. (On images so small ripples is Square.)"""


def run(out: str, attacks: str | None, quiet: bool) -> None:
    """Play, verify, write the table; the keys are of this run alone, and are removed with its private files."""
    from blackbox.cli import league_table
    from blackbox.league import scenario as scenarios
    from blackbox.league import sealed, signing
    from blackbox.league.client import Player
    from blackbox.league.play import Attempt, play
    from blackbox.league.process import served
    from blackbox.plugins import short
    from blackbox.specs import parse

    names = parse.words(attacks) if attacks else list(ENTRIES)
    path = run_folder.create(out, "league")
    for part in ("entries", "site"):
        shutil.rmtree(path / part, ignore_errors=True)
    slots = [target.name for target in scenarios.read(SCENARIO)[0].targets if target.sealed]
    with tempfile.TemporaryDirectory(prefix="blackbox-league-") as own:
        private, public = signing.make(own)
        sealed.make(Path(own) / "sealed.toml", slots, [])
        say(f"keys, sealed     {own}, which only you may read", quiet)
        options = ["--scenario", SCENARIO, "--key", private, "--journal", f"{own}/league.sqlite", "--sealed", f"{own}/sealed.toml"]
        with served(*options) as url:
            say(f"serving          {SCENARIO} at {url}, in a process of its own", quiet)
            for name in names:
                say(f"plays            {name}", quiet)
                attempt = Attempt(name, surrogates=list(ENTRIES.get(name, [])))
                play(attempt, SCENARIO, Player(url, "me"), path / "entries" / short(name), None, lambda line: say(f"  {line}", quiet))
        for kept in (public, Path(own) / "sealed.toml", Path(own) / "league.sqlite"):  # the season is over: all of it is published
            shutil.copyfile(kept, path / kept.name)
    folders = [str(path / "entries" / short(name)) for name in names]
    league_table.run(
        folders, str(path / "site"), str(path / signing.PUBLIC), str(path / "sealed.toml"), str(path / "league.sqlite"), False, None, quiet
    )  # fmt: skip
    run_folder.write_config(path, {"verb": "league", "scenario": SCENARIO, "attacks": names})

"""``blackbox league mini``: a whole league in minutes: keys, a sealed target, a server in another process, entries, the table."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
        with _served(private, Path(own)) as url:
            say(f"serving          {SCENARIO} at {url}, in a process of its own", quiet)
            for name in names:
                say(f"plays            {name}", quiet)
                attempt = Attempt(name, surrogates=list(ENTRIES.get(name, [])))
                play(attempt, SCENARIO, Player(url, "me"), path / "entries" / name, None, lambda line: say(f"  {line}", quiet))
        for kept in (public, Path(own) / "sealed.toml", Path(own) / "league.sqlite"):  # the season is over: all of it is published
            shutil.copyfile(kept, path / kept.name)
    folders = [str(path / "entries" / name) for name in names]
    league_table.run(
        folders, str(path / "site"), str(path / signing.PUBLIC), str(path / "sealed.toml"), str(path / "league.sqlite"), False, None, quiet
    )  # fmt: skip
    run_folder.write_config(path, {"verb": "league", "scenario": SCENARIO, "attacks": names})


@contextmanager
def _served(private: Path, own: Path) -> Iterator[str]:
    """The address of a server in another process."""
    words = ["serve", "--scenario", SCENARIO, "--key", str(private), "--journal", str(own / "league.sqlite"), "--port", "0", "--quiet"]
    command = [sys.executable, "-m", "blackbox", "league", *words, "--sealed", str(own / "sealed.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("serving"):
                raise RuntimeError("Expected the league's server to start, but it ended. Its message is above.")
            yield line.split()[-1]
        finally:
            process.terminate()

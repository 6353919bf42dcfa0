"""The league's scenarios ``small``, hosted and played on this machine: a server in a process of its own, a process an entrant, the site.

``small`` is CIFAR-10, ``small-imagenet`` photographs and nets for telephones, ``small-faces`` a face descriptor, ``small-moderation`` the
net of a moderation service, ``small-table`` rows of a table and LightGBM. What they need and where it is from:
`experiments.studies.league_grounds`. Writes a folder (sealed slot, data, journal, entries), which is not committed, and the site, of which
all but the HTML is. What was played already is gone on with.

    python -m experiments.studies.league_small
    python -m experiments.studies.league_small --seeds 0,1,2 --site runs/site            # the same with more seeds, another scenario
    python -m experiments.studies.league_small --scenario small-faces
    python -m experiments.studies.league_small --attacks square,noise --site runs/site   # a trial
    python -m experiments.studies.league_small --attacks TorchattacksSquare,FoolboxHopSkipJump,ARTSimBA,ARTSquare   # other toolkits'
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from blackbox.league import scenario
from blackbox.league.process import served
from experiments.peers import entries
from experiments.runner import Real, run, says
from experiments.studies.league_grounds import GROUNDS

THEIRS = ("TorchattacksSquare", "ARTSquare", "ARTSimBA", "FoolboxHopSkipJump", "ARTHopSkipJump")  # with the extra [peers]
PEERS = {name: f"{entries.__file__}:{name}" for name in THEIRS}
WITH_NETS = ("hybrid",)


@dataclass(frozen=True)
class Settings(Real):
    packages: str = says("../packages", "where packages of others are unpacked, see experiments/packaged.py")
    scenario: str = says("small", f"which one: {', '.join(GROUNDS)}", tuple(GROUNDS))
    seeds: tuple[int, ...] = says((), "other seeds than the scenario has, which makes another scenario of it [its own]")
    attacks: tuple[str, ...] = says((), f"that play; other toolkits' are {', '.join(THEIRS)} [those of league_grounds]")
    folder: str = says("runs/league", "where data, keys, journal and entries are, in a folder a scenario")
    keys: str = says("~/blackbox-league-keys", "where the server's keys are, outside any repository")
    site: str = says("docs/league", "where the site is written, in a folder a scenario")

    @property
    def name(self) -> str:
        """Of the folder: the scenario, with the number of its seeds where these are given."""
        return f"{self.scenario}-{len(self.seeds)}-seeds" if self.seeds else self.scenario


def prepare(s: Settings, where: Path) -> Path:
    """Images, targets and surrogates, keys and the sealed slots, in the folder that paths of the scenario start from; its file."""
    where.mkdir(parents=True, exist_ok=True)
    wanted = GROUNDS[s.scenario]
    wanted.fill(where, Path(s.data).resolve(), Path(s.packages).resolve())
    file = where / f"{s.scenario}.toml"
    text = scenario.path_of(s.scenario).read_text(encoding="utf-8")
    file.write_text(with_seeds(text, s.seeds) if s.seeds else text, encoding="utf-8")
    if not (keys := Path(s.keys).expanduser()).exists():
        league("keys", keys)
    shutil.copyfile(keys / "league.pub", where / "league.pub")  # published, unlike the other
    if wanted.sealed and not (where / "sealed.toml").exists():
        league("seal", where / "sealed.toml", "--scenario", file, *(word for model in wanted.sealed for word in ("--model", model)))
    return file


def with_seeds(text: str, seeds: tuple[int, ...]) -> str:
    """A scenario's file with other seeds; it is another version of it."""
    return re.sub(r"(?m)^seeds = .*$", f"version = 2\nseeds = {list(seeds)}", text, count=1)


def league(*words: object) -> None:
    """A command of the league, shown as it is run."""
    command = ["league", *map(str, words)]
    print("blackbox", *command, flush=True)
    subprocess.run([sys.executable, "-m", "blackbox", *command], check=True)


def measure(s: Settings) -> None:
    where, keys, wanted = Path(s.folder).resolve() / s.name, Path(s.keys).expanduser(), GROUNDS[s.scenario]
    file, attacks = prepare(s, where), s.attacks or wanted.attacks
    sealed = ["--sealed", where / "sealed.toml"] if wanted.sealed else []
    options = ["--key", keys / "league.key", "--journal", where / "journal.sqlite", *sealed, "--data", where]
    with served("--scenario", file, *options) as address:
        for attack in attacks:
            known = [word for name in wanted.pool for word in ("--surrogate", name)] if attack in WITH_NETS else []
            played, out = PEERS.get(attack, attack), where / "entries" / attack
            league("run", played, "--scenario", file, "--server", address, "--out", out, "--data", where, *known)
    folders = [where / "entries" / attack for attack in attacks]
    league("table", *folders, "--key", where / "league.pub", *sealed, "--server-journal", where / "journal.sqlite", "--data", where,
           "--out", Path(s.site) / s.name)  # fmt: skip


if __name__ == "__main__":
    run(Settings, measure)

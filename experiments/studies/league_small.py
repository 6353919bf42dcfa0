"""The league's scenario ``small``, hosted and played on this machine: a server in a process of its own, a process an entrant, the site.

Targets, images and what they were made of: ../shared/data/README.md. Writes a folder (sealed slot, data, journal, entries), which is
not committed, and the site, of which all but the HTML is. What was played already is gone on with.

    python -m experiments.studies.league_small
    python -m experiments.studies.league_small --attacks square,noise --site runs/site   # a trial
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import surrogates as sg
from blackbox.league.process import served
from experiments import cases, nets
from experiments.runner import Real, run, says

ATTACKS = ("noise", "square", "ripples", "hop-skip-jump", "hybrid")
WITH_NETS = ("hybrid",)
LOADERS = {"poolcnn": ("pool_cnn", "cifar10_poolcnn_augmix"), "robust": ("resnet_nb", "cifar10_resnet2b_adv"),
           "resnet8": ("resnet8", "cifar10_resnet8_w40")}  # fmt: skip
OWN = {"vgg": nets.Plan("vgg", 45, 4e-3, "raw"), "cnn": nets.Plan("cnn", 60, 4e-3, "raw")}
NETS = """
import sys
sys.path.insert(0, {loaders!r})
def {name}():
    import {module}
    return {module}.load({weights!r})
"""


@dataclass(frozen=True)
class Settings(Real):
    attacks: tuple[str, ...] = says(ATTACKS, "that play")
    folder: str = says("runs/league", "where data, keys, journal and entries are")
    keys: str = says("~/blackbox-league-keys", "where the server's keys are, outside any repository")
    site: str = says("docs/league/small", "where the site is written")


def prepare(s: Settings, where: Path) -> None:
    """Images, targets and surrogates, keys and the sealed slot, in the folder that paths of the scenario start from."""
    where.mkdir(parents=True, exist_ok=True)
    root = Path(s.data).resolve()
    data = cases.raw(root, unfiltered=True)
    np.savez(where / "images.npz", images=(255 * data.images).round().byte().numpy().transpose(0, 2, 3, 1), labels=data.labels.numpy())
    shutil.copyfile(root / "cifar10_raw_train.npz", where / "own.npz")
    loaders = str(root / "loaders")
    parts = [
        NETS.format(loaders=loaders, name=name, module=module, weights=str(root / "weights" / f"{weights}.safetensors"))
        for name, (module, weights) in LOADERS.items()
    ]
    (where / "nets.py").write_text("\n".join(parts))
    for name, plan in OWN.items():
        sg.save_weights(nets.trained(root, plan), where / f"{name}.safetensors")
    if not (keys := Path(s.keys).expanduser()).exists():
        league("keys", keys)
    shutil.copyfile(keys / "league.pub", where / "league.pub")  # published, unlike the other
    if not (where / "sealed.toml").exists():
        league("seal", where / "sealed.toml", "--scenario", "small", "--model", "nets.py:resnet8")


def league(*words: object) -> None:
    """A command of the league, shown as it is run."""
    command = ["league", *map(str, words)]
    print("blackbox", *command, flush=True)
    subprocess.run([sys.executable, "-m", "blackbox", *command], check=True)


def measure(s: Settings) -> None:
    where, keys = Path(s.folder).resolve(), Path(s.keys).expanduser()
    prepare(s, where)
    options = ["--key", keys / "league.key", "--journal", where / "journal.sqlite", "--sealed", where / "sealed.toml", "--data", where]
    with served("--scenario", "small", *options) as address:
        for attack in s.attacks:
            known = [word for name in OWN for word in ("--surrogate", name)] if attack in WITH_NETS else []
            league("run", attack, "--scenario", "small", "--server", address, "--out", where / "entries" / attack, "--data", where, *known)
    entries = [where / "entries" / attack for attack in s.attacks]
    league("table", *entries, "--key", where / "league.pub", "--sealed", where / "sealed.toml", "--server-journal",
           where / "journal.sqlite", "--data", where, "--out", s.site)  # fmt: skip


if __name__ == "__main__":
    run(Settings, measure)

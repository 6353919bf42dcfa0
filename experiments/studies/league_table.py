"""The league's scenario ``small-table``, hosted and played on this machine: rows of a table, LightGBM, one model kept back.

Table, rules and rows are those of `experiments.studies.tabular`; the sealed model is fitted on the other half of what there is to fit on.
Writes a folder (sealed slot, data, models, journal, entries), which is not committed, and the site.

    python -m experiments.studies.league_table
    python -m experiments.studies.league_table --attacks noise,square   # a trial
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blackbox.league.process import served
from experiments.runner import run, says
from experiments.studies.league_small import league
from experiments.studies.tabular import cancer

ATTACKS = ("noise", "square", "simba", "evolution", "bayes-linear")


@dataclass(frozen=True)
class Settings:
    attacks: tuple[str, ...] = says(ATTACKS, "that play")
    folder: str = says("runs/league-table", "where data, models, journal and entries are")
    keys: str = says("~/blackbox-league-keys", "where the server's keys are, outside any repository")
    site: str = says("runs/league-table/site", "where the site is written")


def prepare(s: Settings, where: Path) -> None:
    """Rows, rules and models, keys and the sealed slot, in the folder that paths of the scenario start from."""
    from lightgbm import LGBMClassifier

    where.mkdir(parents=True, exist_ok=True)
    frame, y, kinds = cancer()
    attacked, _, fit = np.split(np.random.default_rng(7).permutation(len(frame)), [180, 260])  # as in the study of tables
    rows = frame.to_numpy(np.float64)
    for seed, (name, some) in enumerate((("trees", fit[::2]), ("kept", fit[1::2]))):
        model = LGBMClassifier(n_estimators=60, n_jobs=1, verbose=-1, random_state=seed).fit(rows[some], y[some])
        model.booster_.save_model(where / f"{name}.txt")
    head = ",".join([*frame.columns, "label"])
    lines = [",".join([*map(repr, rows[i].tolist()), str(y[i])]) for i in attacked]
    (where / "cancer.csv").write_text("\n".join([head, *lines]) + "\n")
    ranges = [f"{json.dumps(name)} = [{float(frame[name].min())!r}, {float(frame[name].max())!r}]" for name in frame.columns]
    words = [f"{kind} = {json.dumps(names)}" for kind, names in kinds.items()]
    (where / "rules.toml").write_text("\n".join(['label = "label"', *words, "[ranges]", *ranges]) + "\n")
    if not (keys := Path(s.keys).expanduser()).exists():
        league("keys", keys)
    shutil.copyfile(keys / "league.pub", where / "league.pub")  # published, unlike the other
    if not (where / "sealed.toml").exists():
        league("seal", where / "sealed.toml", "--scenario", "small-table", "--model", where / "kept.txt")


def measure(s: Settings) -> None:
    where, keys = Path(s.folder).resolve(), Path(s.keys).expanduser()
    prepare(s, where)
    options = ["--key", keys / "league.key", "--journal", where / "journal.sqlite", "--sealed", where / "sealed.toml", "--data", where]
    with served("--scenario", "small-table", *options) as address:
        for attack in s.attacks:
            league("run", attack, "--scenario", "small-table", "--server", address, "--out", where / "entries" / attack, "--data", where)
    entries = [where / "entries" / attack for attack in s.attacks]
    league("table", *entries, "--key", where / "league.pub", "--sealed", where / "sealed.toml", "--server-journal",
           where / "journal.sqlite", "--data", where, "--out", s.site)  # fmt: skip


if __name__ == "__main__":
    run(Settings, measure)

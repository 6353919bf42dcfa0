"""Does the journal survive kill -9 at any moment, with nothing lost and nothing paid twice?

Attackers (Square, a few images, a target that charges by the row and keeps a ledger on disk) are killed at random moments and
started again with the same journal until they end, `experiments.studies.killed`; the ledger is then held against the journal, and
the result against that of a run left alone. Once per kind of target:

  keyed    told a name for each query, so that it charges a query once however often it is asked
  unkeyed  any other: the call that a kill interrupts may be charged again, and the journal shows its rows as in doubt

Of a keyed target nothing may be lost (charged, and not in the journal) or paid twice. Beside the counts stands the largest
chance of a fault a kill that they leave open (Clopper and Pearson, one-sided, 95 %). Both stand behind the reference server;
the committed results, of before, have the keyed target also in a process without a server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from experiments.runner import Book, run, says, tell

TOP = Path(__file__).resolve().parents[2]
KINDS = ("keyed", "unkeyed")
FAULTS = ("lost", "twice", "keys_twice", "different")


@dataclass(frozen=True)
class Settings:
    kills: int = says(200, "of each kind of target")
    kinds: tuple[str, ...] = says(KINDS, "of target, measured anew; the rest is kept from the last run", KINDS)


def kill(folder: Path, kills: int, kind: str = "keyed") -> dict[str, Any]:
    """The accounts after so many kills: kills, runs, rows_a_run, charged, twice, keys_twice, lost, different, in_doubt, seconds."""
    env = {**os.environ, "PYTHONPATH": str(TOP), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "experiments.studies.killed", str(folder), str(kills), kind]
    out = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1800)
    if out.returncode:
        raise RuntimeError(f"Expected the attackers to be killed and to end, but: {out.stderr}")
    return json.loads(out.stdout)  # type: ignore[no-any-return]


def at_most(faults: int, kills: int) -> float:
    """The largest chance of a fault a kill that is compatible with so many: one-sided, exact, at 95 %."""
    interval = binomtest(min(faults, kills), kills, alternative="less").proportion_ci(0.95, method="exact")
    return float(interval.high)


def measure(s: Settings) -> None:
    book = Book("kills", s)
    for kind in s.kinds:
        with tempfile.TemporaryDirectory() as folder:
            said = kill(Path(folder), s.kills, kind)
        said["at_most"] = {name: round(at_most(said[name], said["kills"]), 5) for name in FAULTS}
        tell({"target": kind, **said})
        book.put(**{kind: said})


if __name__ == "__main__":
    run(Settings, measure)

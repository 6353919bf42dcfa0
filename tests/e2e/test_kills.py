"""The journal of a run that is killed: nothing is paid for twice, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

import blackbox as bb
from experiments.studies.kills import kill
from tests.commands import ROOT
from tests.unit.oracle.test_journal import Paid, go, same, whole

__all__ = ["whole"]


def test_a_torn_last_record_is_undone(tmp_path: Path, whole: tuple[bb.AttackResult, Counter[bytes]]) -> None:
    """The write-ahead log cut at many places, as a power cut would: all before the cut is kept, the rest asked by key."""
    code = (
        "import sys, os; sys.path.insert(0, r'{root}'); import tests.unit.oracle.test_journal as t; p = t.Paid(); p.dies_in = 9\n"
        "import torch; torch.set_num_threads(1)\n"
        "p.die = lambda: (torch.save(p.given, r'{path}.given'), os._exit(0))\n"
        "t.go(p, t.Path(r'{path}'))"
    )
    path = tmp_path / "j"
    subprocess.run([sys.executable, "-c", code.format(root=ROOT, path=path)], check=True)
    log = Path(f"{path}-wal")
    bytes_, main = log.read_bytes(), path.read_bytes()
    given = torch.load(f"{path}.given", weights_only=True)
    assert len(bytes_) > 20_000
    carried = set()
    for cut in (1, 100, 5_000, 12_000, 20_000):
        where = tmp_path / f"cut{cut}"
        where.write_bytes(main)
        Path(f"{where}-wal").write_bytes(bytes_[:-cut])
        target = Paid()
        target.given = dict(given)
        before = len(given)
        result = go(target, where)
        assert same(result, whole[0])
        assert before + len(target.charged) == whole[1].total()
        carried.add(result.config["carried"])
    assert len(carried) > 2


@pytest.mark.parametrize("kills", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_kill_9_at_random(tmp_path: Path, kills: int) -> None:
    said = kill(tmp_path, kills)
    assert said["kills"] == kills and said["charged"] > 0
    assert said["twice"] == said["keys_twice"] == said["lost"] == said["different"] == 0, said


def test_kill_9_of_many_requests_at_once(tmp_path: Path) -> None:
    """A JSON service that fails and cuts connections on top."""
    said = kill(tmp_path, 2, "rest")
    assert said["kills"] == 2 and said["charged"] > 0
    assert said["twice"] == said["keys_twice"] == said["lost"] == said["different"] == 0, said


@pytest.mark.slow
def test_kill_9_without_keys_pays_twice_only_for_what_it_says(tmp_path: Path) -> None:
    said = kill(tmp_path, 100, "unkeyed")
    again = 8 * (said["kills"] + said["runs"])  # asked at each start to see whether it is the same target
    assert said["lost"] == said["different"] == 0 and 0 <= said["twice"] <= said["in_doubt"] + again, said

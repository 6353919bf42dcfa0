"""The store: shared, versioned, quick."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blackbox.sweep import Store, StoreError
from blackbox.sweep import store as module


def cell(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "columns": b"x", "seconds": 0.5, "host": "h", "error": "", **more}


def test_what_is_added_is_there_and_the_first_is_kept(tmp_path: Path) -> None:
    with Store(tmp_path / "deep" / "s") as store:
        store.add([cell("a"), cell("b", columns=None, error="no")])
        store.add([cell("a", columns=b"other")])
        assert store.done() == {"a": 0.5} and store.columns(["a", "b"]) == {"a": b"x"}


def test_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Store(tmp_path / "s"), Store(tmp_path / "s")
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    two.owner = (one.owner[0], sleeper.pid)
    try:
        two.add([cell("done")])
        assert two.claim(["a", "b", "done"]) == ["a", "b"]
        assert one.claim(["a", "b", "c"]) == ["c"]
        two.add([cell("a"), cell("b", columns=None, error="no")])
        assert one.claim(["a", "b"]) == ["b"]  # a is done, b failed and is free again
        assert two.claim(["d"]) == ["d"] and one.claim(["d"]) == []
    finally:
        sleeper.kill()
        sleeper.wait()
    assert one.claim(["d"]) == ["d"]  # its owner is dead
    two.owner = ("another machine", 1)
    assert two.claim(["e"]) == ["e"] and one.claim(["e"]) == []
    monkeypatch.setattr(module, "STALE", -1.0)
    assert one.claim(["e"]) == ["e"]
    one.release()
    monkeypatch.setattr(module, "STALE", 60.0)
    two.owner = ("third", 1)
    assert two.claim(["c", "d", "e"]) == ["c", "d", "e"]


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all" * 100)
    with pytest.raises(StoreError, match="Expected .* to be a store of this package"):
        Store(tmp_path / "text")
    Store(tmp_path / "later").close()
    with sqlite3.connect(tmp_path / "later") as db:
        db.execute("UPDATE head SET value = '9'")
    with pytest.raises(StoreError, match="version 1, but .* has version 9"):
        Store(tmp_path / "later")


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        store.add([cell("a")])
        store.db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match="make room and give the same command again"):
            store.add([cell("b", columns=os.urandom(100_000))])
        assert store.done() == {"a": 0.5}


def test_the_list_of_what_is_done_does_not_read_the_results(tmp_path: Path) -> None:
    """Or a store of 100,000 cells is read whole, images and all, before the first is run. Asked of SQLite's own plan, for
    a clock says more of the machine."""
    said: list[str] = []
    with Store(tmp_path / "s") as store:
        store.add([cell("a")])
        store.db.set_trace_callback(said.append)
        assert store.done() == {"a": 0.5}
        store.db.set_trace_callback(None)
        plans = [str(row[3]) for line in said for row in store.db.execute(f"EXPLAIN QUERY PLAN {line}")]
    assert plans and all("COVERING INDEX" in plan for plan in plans), plans

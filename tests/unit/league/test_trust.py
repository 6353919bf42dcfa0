"""Nothing of a stranger's entry is believed, loaded or run before the server's signature is; and one that is broken stops no other."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from blackbox.cli import league_verify
from blackbox.cli.exits import Exit
from tests.league_ground import Ground, edit

RUNS = "from pathlib import Path\nPath('{}').write_text('run')\ndef answer(x):\n    return x\n"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground(tmp_path_factory.mktemp("league"))
    made.play("square", "honest")
    return made


def copied(ground: Ground, name: str) -> Path:
    return Path(shutil.copytree(ground.folder / "honest", ground.folder / name))


def verdict(ground: Ground, *entries: Path, data: str | None = None) -> str:
    """What is said of entries by the command; "" if all are taken."""
    try:
        league_verify.run([*map(str, entries)], str(ground.public), None, None, False, "", False, data or str(ground.folder), quiet=True)
    except Exit as refused:
        return str(refused)
    return ""


def code(ground: Ground, entry: Path) -> None:
    """A scenario beside the entry that names code beside it, as the target, and everything unsigned agrees."""
    (entry / "evil.py").write_text(RUNS.format(ground.folder / "was-run"))
    path = entry / "scenario.toml"
    path.write_text(path.read_text().replace('model = "one.py:answer"', f'model = "{entry / "evil.py"}:answer"'))
    edit(entry, lambda values: values.update(scenario_hash=hashlib.sha256(path.read_bytes()).hexdigest()))


def no_sessions(ground: Ground, entry: Path) -> None:
    code(ground, entry)
    edit(entry, lambda values: values.update(sessions=[]))


BROKEN: dict[str, tuple[Callable[[Ground, Path], object], str]] = {  # what is done to the entry, what is said of it
    "a scenario of its own": (code, "Expected the scenario that the server signed"),
    "a scenario of its own, and no session": (no_sessions, "at least one session"),
    "no TOML": (lambda g, e: (e / "scenario.toml").write_text("= 3"), "Expected the scenario that the server signed"),
    "a folder for a file": (lambda g, e: [(e / "scenario.toml").unlink(), (e / "scenario.toml").mkdir()], "there is no scenario.toml"),
    "versions that are none": (lambda g, e: edit(e, lambda v: v.update(environment={"versions": 5})), "environment.versions: it was 5"),
    "too deep": (lambda g, e: (e / "open-0" / "account.json").write_text("[" * 100_000), "RecursionError"),
    "a result without its columns": (
        lambda g, e: shutil.copyfile(e / "images.safetensors", e / "open-0" / "result" / "examples.safetensors"), "open, seed 0: Expected"
    ),
    "images without a table": (lambda g, e: (e / "images.safetensors").write_bytes(b"\xff" * 9), "cannot be read"),
}  # fmt: skip


def test_each_entry_is_judged_by_itself(ground: Ground) -> None:
    entries = []
    for number, (break_, _) in enumerate(BROKEN.values()):
        entries.append(copied(ground, f"broken{number}"))
        break_(ground, entries[-1])
    said = verdict(ground, *entries, ground.folder / "honest")
    parts = said.split(" is refused:\n")
    assert len(parts) == len(BROKEN) + 1 and str(ground.folder / "honest") not in said
    for part, (name, (_, reason)) in zip(parts[1:], BROKEN.items(), strict=True):
        assert reason in part, name
    assert not (ground.folder / "was-run").exists()


def test_a_scenario_finds_no_code_beside_an_entry(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = copied(ground, "beside")
    (entry / "one.py").write_text(RUNS.format(ground.folder / "was-run"))
    monkeypatch.chdir(entry)
    for data in (str(entry), os.curdir):
        with pytest.raises(ValueError, match="own files outside of entries"):
            verdict(ground, entry, data=data)
    assert not (ground.folder / "was-run").exists()
    assert json.loads((entry / "entry.json").read_text())["floor"] is True

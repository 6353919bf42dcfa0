"""What the README says is run as written: Python blocks, console commands, and the demo's output against the real one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT, Cli, run
from tests.shown import assert_alike, blocks

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(ROOT / "README.md")
FILES = {code.splitlines()[0][2:].strip(): code for kind, code in BLOCKS if kind in ("python", "toml") and code.startswith("# ")}
SCRIPTS = [code for kind, code in BLOCKS if kind == "python" and not code.startswith("# ")]
CONSOLE = [[line[2:] for line in code.splitlines() if line.startswith("$ ")] for kind, code in BLOCKS if kind == "console"]
COMMANDS = [command for block in CONSOLE for command in block]
# the block on channels stands alone; the others work on each other's folders, in the README's order
APART = next(block for block in CONSOLE if any("--channel" in command for command in block))


def test_the_readme_has_what_these_tests_look_for() -> None:
    assert "target.py" in FILES
    assert len(SCRIPTS) == 2
    verbs = [shlex.split(c)[1] for c in COMMANDS]
    assert set(verbs) == {"demo", "attack", "surrogate", "tune", "transfer", "evaluate", "sweep", "report", "list", "doctor"}
    assert verbs.count("attack") == 6
    for path in re.findall(r"\]\((docs/[^)]+)\)", TEXT):
        assert (ROOT / path).stat().st_size < 300_000


@pytest.mark.parametrize("code", SCRIPTS, ids=["ten-lines", "own-attack"])
def test_python_blocks_run(code: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(code)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    out = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert out.returncode == 0, out.stderr
    assert "attack success" in out.stdout


def test_the_recipe_runs(tmp_path: Path) -> None:
    (tmp_path / "recipe.py").write_text(FILES["recipe.py"] + "\nassert (x_adv - data['attacked'].images).abs().max() > 0.1\n")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    out = subprocess.run([sys.executable, "recipe.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stderr


@pytest.mark.parametrize(
    ("commands", "leaves"),
    [
        (
            [c for block in CONSOLE if block is not APART for c in block],
            ("trees/report.html", "t1/transfer.png", "report/report.html", "study/rates.csv", "study-report/report.html"),
        ),
        (APART, ("side/rays/curve.png",)),
    ],
    ids=["own-model", "channels"],
)  # fmt: skip
def test_commands_run(commands: list[str], leaves: tuple[str, ...], tmp_path: Path, said: Cli) -> None:
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    for command in commands:
        program, verb, *rest = shlex.split(command)
        if verb == "demo":
            continue
        assert program == "blackbox"
        # a sweep starts processes, which must find a fresh interpreter; for the others importing torch takes longest
        out = run(verb, *rest, cwd=tmp_path) if verb == "sweep" else said(verb, *rest)
        assert out.returncode == 0, (command, out.stderr)
    for name in leaves:
        assert (tmp_path / "runs" / name).exists()


def test_the_demo_prints_what_the_readme_shows(demo: tuple[str, Path]) -> None:
    shown = next(code for kind, code in BLOCKS if kind == "console" and code.startswith("$ blackbox demo"))
    there, here = shown.splitlines()[1:], demo[0].rstrip().splitlines()
    here = [line.replace(" r/:", " runs/demo/:") for line in here]
    assert_alike(there, here)

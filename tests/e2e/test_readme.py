"""What the README says is run as written: Python blocks and console commands; and the demo prints what the site shows of it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.commands import ROOT, Cli
from tests.shown import assert_alike, blocks

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(ROOT / "README.md")
FILES = {code.splitlines()[0][2:].strip(): code for kind, code in BLOCKS if kind == "python" and code.startswith("# ")}
SCRIPTS = [code for kind, code in BLOCKS if kind == "python" and not code.startswith("# ")]
COMMANDS = [line[2:] for kind, code in BLOCKS if kind == "console" for line in code.splitlines() if line.startswith("$ ")]


def test_its_links_lead_somewhere() -> None:
    assert len(SCRIPTS) == 1 and "target.py" in FILES and len(COMMANDS) == 5
    for path in re.findall(r"\]\((?!https?:)([^)#]+)", TEXT):
        assert (ROOT / path).exists(), path


def test_every_results_file_is_committed() -> None:
    """What README and docs derive their figures from is in the repository (where this is one)."""
    words = ["git", "ls-files", "--others", "experiments/results"]
    assert subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout == ""


def test_the_lines_run(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPTS[0])
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    out = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    assert "attack success" in out.stdout and "mi-fgsm" in out.stdout


def test_the_commands_run(tmp_path: Path, said: Cli) -> None:
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    for command in COMMANDS:
        program, *words = shlex.split(command)
        assert program == "blackbox"
        out = said(*words)
        assert out.returncode == 0, (command, out.stderr)
    for name in ("trees/report.html", "t1/transfer.png", "report/report.html"):
        assert (tmp_path / "runs" / name).exists()


def test_the_demo_prints_what_the_site_shows(demo: tuple[str, Path]) -> None:
    shown = next(code for kind, code in blocks(ROOT / "docs" / "start.md") if kind == "text" and code.startswith("threat model"))
    here = [line.replace(" r/:", " runs/demo/:") for line in demo[0].rstrip().splitlines()]
    assert_alike(shown.splitlines(), here)

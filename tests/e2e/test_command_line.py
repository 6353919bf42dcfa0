"""The command line from a shell: how quick it is, what it loads, what it says, and twice the same."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.commands import ROOT, Cli, run, sentence


def test_help_is_quick_and_imports_no_torch() -> None:
    code = "import sys; sys.argv = ['blackbox', '--help']\nfrom blackbox.cli import run\n"
    code += "try:\n    run()\nexcept SystemExit: pass\n"
    code += "heavy = {'torch', 'numpy', 'scipy', 'sklearn', 'matplotlib', 'torchvision'} & set(sys.modules)\n"
    code += "print('HEAVY', sorted(heavy))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "HEAVY []" in out.stdout, out.stdout + out.stderr
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        help_ = run("--help")
        best = min(best, time.perf_counter() - begin)
    assert help_.returncode == 0
    for verb in ("demo", "attack", "surrogate", "transfer", "list", "doctor"):
        assert verb in help_.stdout
    assert best < 3.0  # 0.1 s on a quiet machine; the bound is for a loaded one


def test_version(cli: Cli) -> None:
    import blackbox

    assert cli("--version").stdout.strip() == blackbox.__version__


def test_same_command_same_outcomes(cli: Cli, tmp_path: Path) -> None:
    for name in ("a", "b"):
        out = cli(
            "attack",
            "--target",
            "digits:svm-rbf",
            "--eps",
            "0.2",
            "--budget",
            "40",
            "--n",
            "12",
            "--quiet",
            "--out",
            name,
        )
        assert out.returncode == 0, out.stderr
        assert out.stdout == ""
    assert (tmp_path / "a" / "outcomes.csv").read_text() == (tmp_path / "b" / "outcomes.csv").read_text()


def test_errors_reach_the_shell(cli: Cli, said: Cli) -> None:
    sentence(cli("attack", "--target", "digits:knn", "--attack", "sqare", "--eps", "0.1"), 2, "Did you mean 'square'")
    sentence(said("attack", "--target", "digits:knn", "--eps", "8"), 2, "Did you mean 8/255")
    sentence(said("attack", "--target", "digits:knn", "--eps", "0.1", "--data", "folder:nowhere"), 2, "nowhere")


def test_doctor_fails_when_the_count_is_wrong(tmp_path: Path) -> None:
    """An oracle that forgets rows is found out."""
    code = (
        "import blackbox.oracle as o\n"
        "rows = o.Oracle.rows.fget\n"
        "o.Oracle.rows = property(lambda self: rows(self) - 1)\n"
        "import sys; sys.argv = ['blackbox', 'doctor']\n"
        "from blackbox.cli import run\n"
        "run()\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert out.returncode == 1, out.stdout + out.stderr
    assert "self-check of counting failed" in out.stderr
    assert "Traceback" not in out.stderr

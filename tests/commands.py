"""The command line as a user meets it: subprocesses."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
Cli = Callable[..., subprocess.CompletedProcess[str]]


def run(
    *words: str, cwd: Path | str | None = None, timeout: float = 300, **env: str
) -> subprocess.CompletedProcess[str]:
    """``python -m blackbox WORDS`` from another folder; standard streams are pipes, so not a terminal."""
    known = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **env}
    known.pop("BLACKBOX_TRACEBACK", None)
    return subprocess.run(
        [sys.executable, "-m", "blackbox", *words], cwd=cwd, env=known, capture_output=True, text=True, timeout=timeout
    )


def sentence(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Exit code, no traceback, and the words in what was said."""
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, (word, result.stderr)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs a command in a folder of its own."""

    def call(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return run(*words, cwd=tmp_path, **env)

    return call


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """As ``cli`` but in this process, because errors are many and importing torch takes seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BLACKBOX_TRACEBACK", raising=False)

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        from blackbox.cli import run as command

        out, err, code = io.StringIO(), io.StringIO(), 0
        monkeypatch.setattr(sys, "argv", ["blackbox", *words])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                command()
            except SystemExit as end:
                code = int(end.code or 0)
        return subprocess.CompletedProcess(list(words), code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> tuple[str, Path]:
    """What the demo printed, and its folder: one run for all tests that look at it, whichever worker they are in."""
    shared = tmp_path_factory.getbasetemp()
    folder = (shared if worker_id == "master" else shared.parent) / "demo"
    with FileLock(f"{folder}.lock"):
        if not (folder / "stdout").exists():
            folder.mkdir(exist_ok=True)
            out = run("demo", "--out", "r", cwd=folder)
            assert out.returncode == 0, out.stderr
            assert "Traceback" not in out.stderr
            (folder / "stdout").write_text(out.stdout)
    return (folder / "stdout").read_text(), folder / "r"

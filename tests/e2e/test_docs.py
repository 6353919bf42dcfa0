"""Every code block of the site runs: a page's blocks in order, in an empty folder, as a reader would run them.

A block that cannot run here has a comment line above it, ``% not run: why``; `test_what_is_not_run` prints how many there are.
"""

from __future__ import annotations

import collections
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

import blackbox as bb
import surrogates as sg

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MADE = ("_build", "_ext", "attacks", "gallery")  # by the build, whose own failure says what is wrong
PAGES = sorted(p for p in DOCS.rglob("*.md") if p.relative_to(DOCS).parts[0] not in MADE)
FENCE = re.compile(
    r"(?:^% not run: (?P<why>[^\n]+)\n\n?)?^```(?P<kind>\{code-cell\} python|\w+)\n(?P<code>.*?)^```$", re.M | re.S
)
NO_CODE = {"text", "bibtex"}  # what a program prints, and the like


@dataclass(frozen=True)
class Block:
    kind: str
    code: str
    why: str | None  # it is not run

    @property
    def name(self) -> str | None:
        """The file that a block shows: its first line is the comment ``# name.py``."""
        found = re.match(r"# ([\w.]+\.(?:py|toml))\n", self.code)
        return found[1] if found else None


def blocks(page: Path) -> list[Block]:
    found = FENCE.finditer(page.read_text("utf-8"))
    return [Block("python" if "code-cell" in f["kind"] else f["kind"], f["code"], f["why"]) for f in found]


def command(line: str, folder: Path) -> None:
    """``blackbox …`` as a shell would run it; in this process, because importing torch takes longest."""
    program, *words = shlex.split(line)
    assert program == "blackbox", f"{line}: only blackbox is run here; mark others with `% not run: why`"
    if words[0] == "sweep":  # starts processes, which must find a fresh interpreter
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-m", program, *words], cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr)
        return
    from blackbox.cli import run

    said, code = io.StringIO(), 0
    before, sys.argv = sys.argv, [program, *words]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            run()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    assert code == 0, (line, said.getvalue())


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: str(p.relative_to(DOCS)))
def test_every_block_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)  # dataclasses look their module up
    printed: str | None = None  # by the block before
    for i, block in enumerate(blocks(page)):
        if block.kind == "text" and printed is not None:
            assert block.code.strip() in printed, f"{page.name}, block {i + 1} is not what the block before prints:\n{printed}"
        printed = None
        if block.why is not None or block.kind in NO_CODE:
            continue
        if block.name:
            (tmp_path / block.name).write_text(block.code, "utf-8")
        elif block.kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(block.code, f"{page.name}, block {i + 1}", "exec"), module.__dict__)
            printed = said.getvalue()
        elif block.kind == "console":
            for line in block.code.splitlines():
                if line.startswith("$ "):
                    command(line[2:], tmp_path)
        else:
            pytest.fail(f"Block {i + 1} is {block.kind}: run it here, or say above it why not: % not run: why")


def test_the_attack_that_the_guide_writes_keeps_the_contract(tmp_path: Path) -> None:
    """Its blocks in one file are a test that passes, as the page says."""
    code = [block.code for block in blocks(DOCS / "how-to" / "write-an-attack.md") if block.kind == "python"]
    assert any("AttackContract" in part for part in code)
    (tmp_path / "test_mine.py").write_text("\n".join(code), "utf-8")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_mine.py"]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout


def test_what_is_not_run() -> None:
    """Nothing is left out without a reason; the reasons, counted, are printed (pytest -s)."""
    every = [b for page in PAGES for b in blocks(page) if b.kind not in NO_CODE]
    reasons = collections.Counter(b.why for b in every if b.why)
    for page in PAGES:  # nothing escapes the pattern
        assert len(blocks(page)) == len(re.findall(r"^```(?:\w|\{code-cell\})", page.read_text("utf-8"), re.M)), page
    print(f"\n{len(every) - sum(reasons.values())} blocks run, {sum(reasons.values())} not:")
    for why, count in reasons.most_common():
        print(f"  {count} {why}")


@pytest.mark.parametrize("package", [bb, sg], ids=["blackbox", "surrogates"])
def test_every_public_name_has_an_example(package: types.ModuleType) -> None:
    """Under a heading of its name, on a page of docs/api, that uses it."""
    text = "\n".join(page.read_text("utf-8") for page in sorted((DOCS / "api").glob("*.md")))
    short = {"blackbox": "bb", "surrogates": "sg"}[package.__name__]
    parts = dict(re.findall(rf"^## {package.__name__}\.(\w+)$(.*?)(?=^## |\Z)", text, re.M | re.S))
    assert sorted(parts) == sorted(package.__all__)
    for name, part in parts.items():
        code = "\n".join(re.findall(r"^```python\n(.*?)^```$", part, re.M | re.S))
        assert re.search(rf"\b{short}\.{name}\b", code), f"{name} has no example that uses {short}.{name}"

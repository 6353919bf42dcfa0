"""Who may import whom (DESIGN, section 2), read off the source; and what must not be imported early."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FACES = ("cli", "report", "app", "sweep", "evaluation", "__main__")
PARTS = {"protocol", "rowwise", "bases"}
MAY: dict[str, set[str]] = {
    "attacks": {*PARTS, "attacks", "candidates", "estimators", "search", "direction", "threat", "prior"},
    "candidates": {*PARTS, "candidates", "attacks", "direction", "prior"},
    "prior": {"rowwise"},
    "estimators": {*PARTS, "estimators"},
    "bases": {*PARTS},
    "search": {*PARTS, "search"},
    "direction": {"rowwise"},
    "rowwise": set(),
    "rng": set(),
    "threat": {"rowwise"},
    "protocol": {"rng", "threat"},
    "statistics": set(),
    "plain_text": {"statistics"},
    "checks": set(),
    "targets": {"targets", "protocol", "checks", "rng", "statistics"},
    "objective": {"oracle", "protocol"},
    "oracle": {"checks", "journal", "protocol", "targets"},
    "journal": {"checkpoint", "targets"},
    "serving": {"checks", "oracle", "protocol", "targets"},
    "ledger": {"protocol"},
    "checkpoint": set(),
    "cohort": {"protocol", "rowwise"},
    "votes": {"cohort", "ledger", "protocol"},
    "lastlook": {"oracle", "threat"},
    "resume": {"checkpoint", "cohort", "protocol"},
    "engine": {
        "rowwise", "oracle", "objective", "ledger", "protocol", "threat", "rng", "checkpoint", "cohort", "resume", "votes", "lastlook",
    },
    "results": {"environment", "ledger", "protocol", "statistics", "threat"},
}
SURROGATES = {
    "oracle", "threat", "objective", "direction", "rng", "results", "statistics", "checks", "rowwise", "protocol", "checkpoint",
    "prior",
}  # fmt: skip
LATE = {"torchvision", "matplotlib", "sklearn", "gradio", "dask", "distributed", "onnxruntime", "rich", "typer", "pandas", "timm"}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def part(path: Path) -> str:
    """The first name below the package: attacks, engine, cli, ..."""
    return path.relative_to(ROOT).with_suffix("").parts[1]


def imported(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(dotted name, line, at module top) of every import that runs; those for type checkers only do not."""
    tree = ast.parse(path.read_text())

    def walk(node: ast.AST, top: bool) -> Iterator[tuple[str, int, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno, top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: imports are absolute here"
                yield from ((f"{child.module}.{alias.name}", child.lineno, top) for alias in child.names)
            inner = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from walk(child, top and not inner)

    yield from walk(tree, True)


@pytest.mark.parametrize("path", sources("blackbox"), ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_inside_blackbox(path: Path) -> None:
    me = part(path)
    for name, line, _ in imported(path):
        first, *rest = name.split(".")
        where = f"{path.relative_to(ROOT)}:{line} imports {name}"
        if first == "surrogates":
            assert me in FACES, f"{where}: only the faces may import surrogates"
        if first == "blackbox" and me in MAY:
            assert rest and rest[0] in MAY[me], f"{where}: {me} may import {sorted(MAY[me])}"


@pytest.mark.parametrize("path", sources("surrogates"), ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_from_surrogates(path: Path) -> None:
    for name, line, _ in imported(path):
        first, *rest = name.split(".")
        if first == "blackbox":
            assert rest and rest[0] in SURROGATES, f"{path.relative_to(ROOT)}:{line} imports {name}: may be {sorted(SURROGATES)}"


@pytest.mark.parametrize("path", [*sources("blackbox"), *sources("surrogates")], ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    for name, line, top in imported(path):
        if part(path) == "cli" and name.split(".")[0] in ("typer", "rich"):
            continue
        assert not (top and name.split(".")[0] in LATE), f"{path.relative_to(ROOT)}:{line} imports {name} at module top"


@pytest.mark.parametrize("path", sources("blackbox/attacks"), ids=lambda p: p.name)
def test_attacks_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 200, "one paper a file, short enough to read beside it"


def test_the_walk_sees_a_forbidden_import(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import surrogates\n"
        "try:\n    import matplotlib.pyplot\nexcept ImportError:\n    pass\ndef f():\n    from blackbox.oracle import Oracle\n"
    )
    assert list(imported(file)) == [
        ("typing.TYPE_CHECKING", 1, True),
        ("matplotlib.pyplot", 5, True),
        ("blackbox.oracle.Oracle", 9, False),
    ]


def fresh(code: str) -> str:
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return out.stdout.strip()


def test_importing_the_package_imports_no_torch() -> None:
    assert fresh("import sys, blackbox; print('torch' in sys.modules)") == "False"


def test_importing_testing_is_cheap() -> None:
    code = "import sys, blackbox.testing; print([m for m in ('torch', 'pytest', 'hypothesis') if m in sys.modules])"
    assert fresh(code) == "[]"
    code = "import sys; from blackbox.testing import Affine; print([m for m in ('pytest', 'hypothesis') if m in sys.modules])"
    assert fresh(code) == "[]"
    code = "import sys; from blackbox.testing import AttackContract; print('hypothesis' in sys.modules)"
    assert fresh(code) == "False"


def test_every_public_name_can_be_had() -> None:
    import blackbox
    import blackbox.testing

    for module in (blackbox, blackbox.testing):
        for name in module.__all__:
            assert getattr(module, name) is not None
        with pytest.raises(AttributeError, match="no_such_name"):
            _ = module.no_such_name

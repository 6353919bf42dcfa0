"""Who may import whom and how long a file may be, read off the source: each test lists its offenders."""

from __future__ import annotations

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Each room or file may import those before it, and no other.
_ORDER = """
    checks lazy moved rng rowwise environment
    threat areas bounds tabular statistics tariff checkpoint plain_text plugins change
    status protocol adopted start_images direction answer
    search stealth ascent prior turns per_image
    proposals estimators placing candidates attacks
    targets channels defences oracle
    goals answer engine given placed loggers results run image_set
    testing serving
    specs evaluation sweep report saved
    league
    app cli __main__
"""
_ORDER_OF_SURROGATES = "data nets crafting transfer training acquisition analysis"
# Of what stands before them, these may import no more than this.
ONLY = {
    "attacks": "adopted areas ascent candidates direction estimators plain_text plugins prior proposals protocol rowwise search stealth "
    "threat",
    "candidates": "ascent direction prior proposals protocol rowwise search",
    "engine": "answer bounds checkpoint goals oracle protocol rng rowwise tabular tariff threat",
}
# What surrogates build on: nothing that searches, runs or reports.
_GROUND = (
    "answer areas ascent bounds change checkpoint checks direction estimators goals loggers oracle "
    "placing plain_text plugins prior protocol results rng rowwise statistics targets threat"
)
_FACES = "specs evaluation sweep report saved league cli app"  # they know surrogates
_LATE = (
    "torchvision matplotlib sklearn gradio dask distributed onnxruntime rich typer pandas pyarrow timm jinja2 httpx starlette "
    "transformers keras jax xgboost lightgbm robustbench ai_edge_litert tensorboard wandb mlflow optuna ray PIL cryptography"
)
BLACKBOX, SURROGATES = _ORDER.split(), _ORDER_OF_SURROGATES.split()
GROUND, FACES, LATE = set(_GROUND.split()), set(_FACES.split()), set(_LATE.split())

CIRCLES = {"blackbox.sweep": "Study.run, the method, imports late what runs a study"}  # room -> why
LONG_FILES: dict[str, str] = {}  # file -> why it is longer than 300 lines
LONG_FUNCTIONS: dict[str, str] = {}  # file:function -> why its code is longer than 60 lines
LONG_ATTACKS: dict[str, str] = {}  # file -> why it is longer than 150 lines


@cache
def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(dotted name, line, at module top) of every import that runs; those for type checkers only do not."""

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

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True)


def arrows(package: str) -> Iterator[tuple[str, str, str]]:
    """(room, what it imports, where) of the imports in a package, without those of its public face."""
    for path in sources(package):
        room = path.relative_to(ROOT).with_suffix("").parts[1]
        if room != "__init__":
            for name, line, _ in imported(path):
                yield room, name, f"{path.relative_to(ROOT)}:{line} imports {name}"


def may(room: str, other: str, order: list[str]) -> bool:
    return other == room or (other in order and order.index(other) < order.index(room))


def test_arrows_between_the_rooms_of_blackbox() -> None:
    bad = []
    for room, name, where in arrows("blackbox"):
        first, *rest = name.split(".")
        assert room in BLACKBOX, f"{room} has no place in the order of rooms"
        if first == "surrogates" and room not in FACES:
            bad.append(f"{where}: only {sorted(FACES)} know surrogates")
        if first == "blackbox" and rest and not rest[0].startswith("__"):
            narrow = ONLY.get(room)
            if not may(room, rest[0], BLACKBOX) or (narrow and rest[0] != room and rest[0] not in narrow.split()):
                bad.append(where)
    assert not bad, "\n".join(bad)


def test_arrows_of_surrogates() -> None:
    bad = []
    for room, name, where in arrows("surrogates"):
        first, *rest = name.split(".")
        assert room in SURROGATES, f"{room} has no place in the order of rooms"
        if (first == "blackbox" and rest[0] not in GROUND) or (first == "surrogates" and not may(room, rest[0], SURROGATES)):
            bad.append(where)
    assert not bad, "\n".join(bad)


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    bad = []
    for path in [*sources("blackbox"), *sources("surrogates")]:
        late = LATE - ({"typer", "rich"} if "cli" in path.parts or path.name == "options.py" else set())
        early = [(name, line) for name, line, top in imported(path) if top and name.split(".")[0] in late]
        bad += [f"{path.relative_to(ROOT)}:{line} imports {name}" for name, line in early]
    assert not bad, "\n".join(bad)


def test_no_files_import_each_other_in_a_circle() -> None:
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in ("blackbox", "surrogates")
        for path in sources(package)
    }
    graph: dict[str, set[str]] = defaultdict(set)
    for module, path in files.items():
        for name, _, _ in imported(path):
            graph[module].add(name if name in files else name.rpartition(".")[0])
    reach: dict[str, set[str]] = {}
    for module in files:
        seen, queue = set(), list(graph[module])
        while queue:
            other = queue.pop()
            if other in files and other not in seen:
                seen.add(other)
                queue += graph[other]
        reach[module] = seen
    circles = {tuple(sorted({a, *(b for b in reach[a] if a in reach[b])})) for a in files if a in reach[a]}
    rooms = {circle: " <-> ".join(sorted({".".join(f.split(".")[:2]) for f in circle})) for circle in sorted(circles)}
    bad = [f"{room}: {', '.join(circle)}" for circle, room in rooms.items() if room not in CIRCLES]
    assert not bad, "\n".join(bad)


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
    assert may("engine", "oracle", BLACKBOX) and not may("oracle", "engine", BLACKBOX) and not may("attacks", "engine", BLACKBOX)


# -- sizes -------------------------------------------------------------------------------------------------------


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def written(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The first line of a function's code, below its signature and docstring."""
    body = node.body[ast.get_docstring(node) is not None :] or node.body
    return body[0].lineno


def test_files_and_functions_are_short() -> None:
    everything = [*sources("blackbox"), *sources("surrogates")]
    names = {path: str(path.relative_to(ROOT)) for path in everything}
    bad = [f"{n}: {length(p)} lines" for p, n in names.items() if length(p) > 300 and n not in LONG_FILES]
    for path, name in names.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                size = (node.end_lineno or node.lineno) - written(node) + 1
                if size > 60 and f"{name}:{node.name}" not in LONG_FUNCTIONS:
                    bad.append(f"{name}:{node.name}: {size} lines")
    assert not bad, "\n".join(bad)


def test_attacks_are_short() -> None:
    """One paper a file, short enough to read beside it."""
    found = {str(path.relative_to(ROOT)): length(path) for path in sources("blackbox/attacks")}
    bad = [f"{name}: {lines} lines" for name, lines in found.items() if lines > 150 and name not in LONG_ATTACKS]
    assert not bad, "\n".join(bad)


# -- public names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["blackbox", "blackbox.testing", "surrogates"])
def test_every_public_name_can_be_had(module: str) -> None:
    package = importlib.import_module(module)
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name

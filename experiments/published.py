"""Every figure that README and docs may show: a name, and how it follows from committed rows.

A mark on a page, ``<!-- m: mean hybrid square -->``, names a function below and gives it its words; ``python -m
experiments.tables`` writes the answer into the page, and with ``--check`` says what would change. The functions give figures with
intervals (`Figure`, `bb.Rate`, `Spread`), whole numbers that count what was done, tables of these, and `Words`; nothing else can
be told. To publish a new measurement, write a function here.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blackbox as bb
import surrogates as sg
from experiments import marks
from experiments.measurements import ROOT, Words, results, told

FIGURES: dict[str, Callable[..., Any]] = {}
# Pages whose figures are still written by hand, on ground that is to be replaced: take a page out when its figures are named below.
OWED = [
    "adversarial-training", "detectors", "how-many-queries", "index", "interruptions", "one-ray", "other-toolkits", "presets",
    "queries-or-surrogates", "settings", "smallest-change", "speed", "substitute", "transfer-rates", "why-it-transfers",
]  # fmt: skip


def figure(made: Callable[..., Any]) -> Callable[..., Any]:
    """A mark may name this function: with - for _."""
    FIGURES[made.__name__.replace("_", "-")] = made
    return made


def shown(words: str) -> str:
    """The text of a mark: ``mean hybrid square`` -> ``44.2 [35.4, 53.9] (n = 200)``.

    Raises:
        ValueError: no such function, no rows for it, or a number without an interval.
    """
    name, *rest = shlex.split(words)
    if name not in FIGURES:
        raise ValueError(f"Expected a mark to name a function of experiments/published.py ({', '.join(FIGURES)}), but it was {name!r}.")
    try:
        return told(FIGURES[name](*rest))
    except TypeError as error:
        raise ValueError(f"Expected words that {name} takes, but they were {rest}: {error}.") from error


def pages() -> list[Path]:
    """What is walked: README and the site's text, without what a build makes of it."""
    made = ("_build", "attacks", "gallery")
    docs = [p for p in (ROOT / "docs").rglob("*") if p.suffix in (".md", ".ipynb") and p.relative_to(ROOT / "docs").parts[0] not in made]
    more = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "experiments/README.md", "docs/attacks.toml")]
    owed = {ROOT / "docs" / "results" / f"{name}.md" for name in OWED}
    return [p for p in [*more, *sorted(docs), *sorted((ROOT / "examples").glob("*.py"))] if p not in owed]


def strict(path: Path) -> bool:
    """Whether a page is there for claims: on it any number is one."""
    inner = path.relative_to(ROOT).as_posix()
    return inner in ("README.md", "docs/index.md") or inner.startswith("docs/results/")


def read(path: Path) -> str:
    """A page's text; of a notebook the cells of text, of a program the docstrings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        return "\n\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown")
    return docstrings(text) if path.suffix == ".py" else text


def docstrings(source: str) -> str:
    """All docstrings of a module, each where it stands, so that line numbers hold."""
    lines = [""] * (source.count("\n") + 2)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node):
            said = node.body[0]
            text = ast.get_docstring(node, clean=False) or ""
            lines[said.lineno - 1 : said.lineno - 1 + text.count("\n") + 1] = text.split("\n")
    return "\n".join(lines)


def amiss(path: Path, text: str | None = None) -> list[str]:
    """What is wrong with a page, each in a sentence: numbers without a mark, marks that are not what rows say."""
    text = read(path) if text is None else text
    where, found = path.relative_to(ROOT).as_posix(), []
    try:
        for kind, words, inside in marks.marks(text):
            if kind == "cited" and not re.search(r"(19|20)\d\d|arXiv", words):
                found.append(f"{where}: Expected a source with its year behind cited:, but it was {words!r}.")
            if kind == "m" and (now := shown(words)) != inside:
                found.append(f"{where}: Expected {now!r} in the mark {words!r}, but it was {inside!r}. Run python -m experiments.tables.")
    except ValueError as error:
        found.append(f"{where}: {error}")
    found += [
        f"{where}, {number}: a number that no mark derives from rows. Name it in experiments/published.py and write "
        "<!-- m: NAME --><!-- /m -->; if it is no measurement, experiments/marks.py has the list of those."
        for number in marks.unmarked(text, strict(path))
    ]
    return found


def write(check: bool = False) -> list[str]:
    """Writes what marks say into all pages; the names of those that changed, or (check) that would."""
    changed = []
    for path in (p for p in pages() if p.suffix == ".md"):
        text = path.read_text(encoding="utf-8")
        new = marks.rewritten(text, shown)
        if new != text:
            changed.append(path.relative_to(ROOT).as_posix())
            if not check:
                path.write_text(new, encoding="utf-8")
    return changed


# -- the figures ---------------------------------------------------------------------------------------------------


@figure
def attacks() -> int:
    """How many attacks the registry has."""
    return len(bb.attacks.names())


@figure
def presets() -> int:
    """How many presets the registry has."""
    return len(sg.presets.names())


@figure
def command(source: str) -> Words:
    """The command that made a results file."""
    found = results(source)
    if "command" not in found:
        raise ValueError(f"Expected experiments/results/{source}.json to say its command, but it does not.")
    return Words(f"`{found['command']}`")

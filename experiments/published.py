"""Every figure that README and docs may show: a name, and how it follows from committed rows.

A mark on a page, ``<!-- m: mean hybrid square -->``, names a function below, or of the modules in `MORE`, and gives it its words;
``python -m experiments.tables`` writes the answer into the page, and with ``--check`` says what would change. The functions give
figures with intervals (`Figure`, `bb.Rate`, `Spread`), whole numbers that count what was done, tables of these, and `Words`; nothing
else can be told. To publish a new measurement, write a function here; what stands in a results file as outcomes or with its interval
needs none: ``experiments/paths.py`` finds it.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path

import blackbox as bb
import surrogates as sg
from experiments import (
    bad_queries,
    ceilings,
    defended,
    marks,
    nearest,
    paths,
    published_bayesian,
    published_constants,
    published_extraction,
    published_families,
    published_goals,
    published_many,
    published_patches,
    published_photographs,
    published_ripples,
    published_runs,
    published_studies,
    published_tabular,
    robust_nets,
    shared_budgets,
)
from experiments.measurements import ROOT, Rows, ground, has, results, rows
from experiments.peers import published as published_peers
from experiments.publishable import FIGURES, Figure, Table, Words, figure, told

# whose figures marks may name too
MORE = (
    paths, bad_queries, nearest, ceilings, defended, published_constants, published_studies, published_ripples, published_runs,
    published_bayesian, published_extraction, published_families, published_goals, published_many, published_patches,
    published_photographs, published_peers, published_tabular,
    robust_nets, shared_budgets,
)  # fmt: skip


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
    league = [path.parent for path in (ROOT / "docs" / "league").glob("*/table.json")]  # pages made of these rows, by blackbox league table
    docs = [p for p in (ROOT / "docs").rglob("*") if p.suffix in (".md", ".ipynb") and p.relative_to(ROOT / "docs").parts[0] not in made]
    docs = [p for p in docs if not any(room in p.parents for room in league)]
    names = ("README.md", "CONTRIBUTING.md", "experiments/README.md", "experiments/RESULTS.md", "docs/attacks.toml")
    more = [ROOT / name for name in names]
    return [*more, *sorted(docs), *sorted((ROOT / "examples").glob("*.py"))]


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
        f"{where}, {cell}: a mean without an interval. Give it as a Figure of experiments/publishable.py."
        for cell in marks.bare_means(text)
    ]
    if path == ROOT / "experiments" / "RESULTS.md":
        return found  # written as a whole
    found += [
        f"{where}, {number}: a number that no mark derives from rows. Name it in experiments/published.py and write "
        "<!-- m: NAME --><!-- /m -->; if it is no measurement, experiments/marks.py has the list of those."
        for number in marks.unmarked(text, strict(path))
    ]
    return found


def write(check: bool = False) -> list[str]:
    """Writes what marks say into all pages; the names of those that changed, or (check) that would."""
    changed = []
    for path in (p for p in pages() if p.suffix == ".md" and p.name != "RESULTS.md"):
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


# -- queries: of experiments.studies.queries, where an attack is square, or "hybrid, two", or a peer's -------------------


def queried(target: str, attack: str, access: str = "scores", goal: str = "untargeted", among: str = "") -> Rows:
    """The rows of an attack on a target, ours or a peer's; among: on other images than the target's own."""
    stem = f"queries/{target}{'-' if among else ''}{among}"
    peers = f"{stem}_peers"
    theirs = has(peers) and any(r["attack"] == attack for r in results(peers)["rows"])
    return rows(peers if theirs else stem, attack=attack, access=access, goal=goal)


@figure
def mean(target: str, attack: str, *more: str) -> Figure:
    """Mean queries, the clean check charged, failures at the budget: ``mean densenet square``, ``mean densenet rays labels``."""
    return queried(target, attack, *more).mean()


@figure
def fooled(target: str, attack: str, *more: str) -> Figure:
    """The share of images fooled within the budget."""
    return queried(target, attack, *more).rate()


@figure
def over(target: str, attack: str, other: str, *more: str) -> Figure:
    """Mean queries of an attack over those of another on the same images."""
    return queried(target, attack, *more).over(queried(target, other, *more))


@figure
def images(target: str, among: str = "") -> int:
    """How many images of the ground a target was attacked on: those that it has right."""
    return len(results(f"queries/{target}{'-' if among else ''}{among}")["ids"])


def everywhere(access: str, goal: str, names: str, attacks: tuple[str, ...]) -> list[tuple[str, list[Rows | None]]]:
    """(title, rows of each attack, None where there are none) of the targets that have rows of the first. names: a,b or all."""
    out = []
    for name, target in ground()["targets"].items():
        if target["use"] == "reporting" and (names == "all" or name in names.split(",")):
            found = [queried(name, attack, access, goal) if asked(name, attack, access, goal) else None for attack in attacks]
            out += [(target["title"], found)] if found[0] is not None else []
    return out


def asked(target: str, attack: str, access: str, goal: str) -> bool:
    """Has an attack been measured on a target?"""
    files = [results(name) for name in (f"queries/{target}", f"queries/{target}_peers") if has(name)]
    return any((r["attack"], r["access"], r["goal"]) == (attack, access, goal) for found in files for r in found["rows"])


@figure
def query_table(access: str, goal: str, targets: str, *attacks: str) -> Table:
    """Mean queries of attacks on targets (a,b or all) that have rows of the first; with the share fooled, where it is not all."""
    lines = [
        [title, found[0].n, drawn(found), *("–" if r is None else r.mean() if r.found.all() else [r.mean(), r.rate()] for r in found)]
        for title, found in everywhere(access, goal, targets, attacks) if found[0] is not None
    ]  # fmt: skip
    return Table(["target", "images", "seeds", *attacks], lines)


def drawn(found: list[Rows | None]) -> str:
    """How many seeds stand behind the rows: a number, or one an attack where they differ."""
    counts = [str(len(r.rows)) if r is not None else "–" for r in found]
    return counts[0] if len(set(counts) - {"–"}) == 1 else ", ".join(counts)


@figure
def median_table(access: str, goal: str, targets: str, *attacks: str) -> Table:
    """The same with the median image instead of the mean: a mean of few queries hangs on a few images that need many."""
    some = everywhere(access, goal, targets, attacks)
    lines = [[title, found[0].n, *("–" if r is None else r.median() for r in found)] for title, found in some if found[0] is not None]
    return Table(["target", "images", *attacks], lines)


@figure
def mean_table(access: str, goal: str, targets: str, *attacks: str) -> Table:
    """The same with mean queries alone, for where room is short."""
    some = everywhere(access, goal, targets, attacks)
    lines = [[title, found[0].n, *("–" if r is None else r.mean() for r in found)] for title, found in some if found[0] is not None]
    return Table(["target", "images", *attacks], lines)


@figure
def ratio_table(access: str, goal: str, targets: str, base: str, *attacks: str) -> Table:
    """Mean queries of attacks over those of the base, on targets (a,b or all) that have rows of the base."""
    lines = [
        [title, found[0].n, *("–" if r is None else r.over(found[0]) for r in found[1:])]
        for title, found in everywhere(access, goal, targets, (base, *attacks)) if found[0] is not None
    ]  # fmt: skip
    return Table(["target", "images", *(f"{attack} over {base}" for attack in attacks)], lines)


@figure
def least_and_most(access: str, goal: str, attack: str, base: str) -> Words:
    """Mean queries of an attack over those of the base: the target where that is least and the one where it is most."""
    some = [(found[1].over(found[0]), title) for title, found in everywhere(access, goal, "all", (base, attack)) if found[0] and found[1]]
    if len(some) < 2:
        return Words("(not measured yet)")
    (least, here), (most, there) = min(some, key=_value), max(some, key=_value)
    return Words(f"{told(least)} ({here}) and {told(most)} ({there})")


def _value(found: tuple[Figure, str]) -> float:
    return found[0].value


@figure
def ground_table() -> Table:
    """The targets that are reported on, and their images."""
    tables = ground()
    lines = [
        [t["title"], t["family"], "yes" if t["robust"] else "no", tables["images"][t["images"]]["what"], t["threat"]]
        for t in tables["targets"].values() if t["use"] == "reporting"
    ]  # fmt: skip
    return Table(["target", "family", "adversarially trained", "images", "threat"], lines)


@figure
def chosen_table() -> Table:
    """What was chosen, on what, and whether rows show it."""
    tables = ground()
    on = {what: ", ".join(tables["targets"][name]["title"] for name in how["targets"]) for what, how in tables["chosen"].items()}
    lines = [
        [what, how["by"], on[what] or how["on"], "kept" if how.get("rows") else "no"] for what, how in tables["chosen"].items()
    ]  # fmt: skip
    return Table(["what was chosen", "by", "on", "rows"], lines)

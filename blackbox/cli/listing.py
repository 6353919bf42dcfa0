"""``blackbox list``: attacks, goals, channels, presets, targets, models and data."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from blackbox.plain_text import did_you_mean

_DATA = (
    ("digits", "1,797 handwritten digits of 8×8 pixels, embedded in scikit-learn; nothing to download"),
    ("folder:PATH", "one folder of images a class (--size, --class-names)"),
    ("npz:PATH", "a numpy file with the arrays images and labels"),
)


def run(what: str) -> None:
    """Print one list, or all."""
    lists: dict[str, Callable[[], tuple[str, list[str], list[list[str]]]]] = {
        "attacks": _attacks, "goals": _goals, "channels": _channels, "presets": _presets, "targets": _targets, "models": _models,
        "data": _data,
    }  # fmt: skip
    if what != "all" and what not in lists:
        hint = did_you_mean(what, lists)
        raise ValueError(f"Expected one of {', '.join(lists)} or all, but it was {what!r}.{hint}")
    for i, name in enumerate(lists if what == "all" else [what]):
        if i:
            print()
        _show(*lists[name]())


def _show(title: str, head: list[str], rows: list[list[str]]) -> None:
    """A table: in columns on a terminal, tab-separated in a pipe."""
    if not sys.stdout.isatty():
        print(f"# {title}")
        for row in [head, *rows]:
            print("\t".join(row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _attacks() -> tuple[str, list[str], list[list[str]]]:
    from blackbox import attacks
    from blackbox.report import measured

    rows = []
    for name in attacks.names():
        try:
            kind = attacks.get(name)
        except ValueError as error:  # a package's, which does not load: the others are listed
            rows.append([name, "", "", str(error), "-"])
            continue
        paper = _paper(sys.modules[kind.__module__].__doc__)
        rows.append([name, kind.access.name.lower(), " ".join(kind.norms), paper, measured.shortest(name)])
    return (
        "attacks through queries",
        ["name", "needs", "norms", "paper", "measured queries (failures at the budget)"],
        rows,
    )


def _goals() -> tuple[str, list[str], list[list[str]]]:
    from blackbox.specs.goal_text import FORMS

    return "what an attack may be after (blackbox attack --goal)", ["goal", "reached when"], [list(form) for form in FORMS]


def _channels() -> tuple[str, list[str], list[list[str]]]:
    from blackbox.specs import channels

    rows = [[channels.usage(name), _first(channels.find(name).__doc__)] for name in channels.NAMES]
    return "what may stand before a target (blackbox attack --channel)", ["channel", "what it does"], rows


def _paper(doc: str | None) -> str:
    """The paper named in the first sentence of a module: "Title (Authors year, arXiv:number)."."""
    first = _first(doc).rstrip(".")
    found = re.search(r"\(([^()]*\d{4}.*)\)$", first)
    return found.group(1) if found else first


def _first(doc: str | None) -> str:
    """The first paragraph of a docstring, in one line."""
    return re.sub(r"\s+", " ", (doc or "").strip().split("\n\n")[0])


def _presets() -> tuple[str, list[str], list[list[str]]]:
    from surrogates.crafting import presets

    found = [presets.get(name) for name in presets.names()]
    rows = [[p.name, f"{p.cost():,}", p.composes, p.source] for p in found]
    return (
        "attacks crafted on surrogates (blackbox transfer); G: gradients an image; others join by name: ni-di-ti-fgsm",
        ["name", "G", "composes", "paper"],
        rows,
    )


def _targets() -> tuple[str, list[str], list[list[str]]]:
    from blackbox.specs import digits

    rows = [[f"digits:{name}", what] for name, what in digits.WHAT.items()]
    return "built-in targets", ["name", "what it is"], [*rows, ["digits:all", "all of them"]]


def _models() -> tuple[str, list[str], list[list[str]]]:
    from blackbox.specs import loaders
    from surrogates.nets import registry as models

    kinds = {each.form: each.what for each in (*loaders.TABLE, *loaders.by_prefix().values())}
    nets = [[name, "net"] for name in models.names() if not name.startswith("torchvision:")]
    zoo = len(models.names()) - len(nets)
    return "models", ["spec", "what it is"], [
        *map(list, kinds.items()), *nets, ["torchvision:NAME", f"{zoo} classifiers of torchvision, by its names"],
    ]  # fmt: skip


def _data() -> tuple[str, list[str], list[list[str]]]:
    from surrogates.data import loaders

    kin = [[f"{name}:ROOT", "torchvision's copy under ROOT; never downloaded"] for name in loaders.TORCHVISION]
    return "data", ["spec", "what it is"], [*map(list, _DATA), *kin]

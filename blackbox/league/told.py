"""A scenario in a few lines: what is played, what the attacker has, and how much of the surrogates' data is the targets'."""

from __future__ import annotations

import os
import re
from pathlib import Path

from blackbox.league.material import load, overlap
from blackbox.league.scenario import Scenario, path_of, read
from blackbox.league.sealed import WEIGHTS
from blackbox.plain_text import lay

_FILES = {".py", ".toml", ".pth", *WEIGHTS}
_FOLDERS = ("hf", "folder", "clip")


def of_scenario(path: str, data: str | None = None) -> tuple[str, str]:
    """The lines; and why not all is known, a sentence, empty where it is. Files of targets and surrogates that are not there are lines.

    Raises:
        ValueError, FileNotFoundError: it is no scenario, or its data are others than it says.
    """
    s, digest = read(path)
    a, m, lacks = s.attacker, None, ""
    try:
        m = load(path, data)
    except FileNotFoundError as error:
        lacks = f"{error} What belongs there is said in {path_of(path)}."
    kind = "images" if s.images.table is None else "rows"
    images = s.images.data if m is None else f"{len(m.ids)} {kind} of {s.images.data}, {'×'.join(map(str, m.levels.shape[1:]))}"
    rows = [
        ["scenario", f"{s.name} {s.version}, {digest[:12]}"],
        ["targets", ", ".join(f"{t.name} ({'sealed' if t.sealed else t.model})" for t in s.targets)],
        ["surrogates", ", ".join(f"{each.name} ({each.model})" for each in s.surrogates) or "none"],
        ["images", images if m is None else f"{images}, {m.classes} classes"],
        ["goal", s.wanted if m is None or m.goal is None else str(m.goal)],
        ["threat", s.threat + (f", mask {s.mask}" if s.mask else "")],
        ["attacker", f"{a.access}, {a.feedback}; data: {a.quality}, {a.quantity:,} images"],
        ["between", ", ".join([*s.defences, *s.channels]) or "nothing"],
        ["budget", f"{s.budget:,} queries an image, seeds {', '.join(map(str, s.seeds))}"],
        *([] if s.prices is None else [["tariff", str(s.prices)]]),
    ]
    rows += [["lacking", f"{file}, of {' and '.join(whose)}"] for file, whose in lacking(s, data).items()]
    for surrogate, target, share, seen in [] if m is None else overlap(m, data):
        own, attacked = _share(share, "of its training images are the target's"), _share(seen, "of the attacked images were in them")
        rows.append(["overlap", f"{surrogate} with {target}: {own}; {attacked}"])
    return lay(rows, left=2), lacks


def lacking(scenario: Scenario, data: str | os.PathLike[str] | None = None) -> dict[str, list[str]]:
    """The files and folders that the models of a scenario name and that are not there, and whose they are."""
    base, out = Path(data or "."), dict[str, list[str]]()
    models = [(t.name, t.model) for t in scenario.targets if t.model] + [(each.name, each.model) for each in scenario.surrogates]
    for name, model in models:
        head, _, rest = model.partition("#")[0].partition(":")
        named = [rest] if head in _FOLDERS else [word for word in re.split("[:#,=]", model) if Path(word).suffix in _FILES]
        for file in named if head not in ("http", "https") else []:
            if not (base / file).exists():
                out.setdefault(file, []).append(name)
    return out


def _share(share: float | None, what: str) -> str:
    return f"unknown what share {what}" if share is None else f"{100 * share:.0f} % {what}"

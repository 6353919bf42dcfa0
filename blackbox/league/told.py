"""A scenario in a few lines: what is played, what the attacker has, and how much of the surrogates' data is the targets'."""

from __future__ import annotations

from blackbox.league.material import load, overlap
from blackbox.plain_text import lay


def of_scenario(path: str, data: str | None = None) -> str:
    """The lines. Raises: ValueError, FileNotFoundError; it is no scenario, or its data are not there."""
    m = load(path, data)
    s, a = m.scenario, m.scenario.attacker
    images = f"{len(m.ids)} images of {s.images.data}, {'×'.join(map(str, m.levels.shape[1:]))}, {m.classes} classes"
    rows = [
        ["scenario", f"{s.name} {s.version}, {m.hash[:12]}"],
        ["targets", ", ".join(f"{t.name} ({'sealed' if t.sealed else t.model})" for t in s.targets)],
        ["images", images],
        ["goal", str(m.goal or s.wanted)],
        ["threat", s.threat + (f", mask {s.mask}" if s.mask else "")],
        ["attacker", f"{a.access}, {a.feedback}; data: {a.quality}, {a.quantity:,} images"],
        ["between", ", ".join([*s.defences, *s.channels]) or "nothing"],
        ["budget", f"{s.budget:,} queries an image, seeds {', '.join(map(str, s.seeds))}"],
        *([] if s.prices is None else [["tariff", str(s.prices)]]),
    ]
    for surrogate, target, share, seen in overlap(m, data):
        own, attacked = _share(share, "of its training images are the target's"), _share(seen, "of the attacked images were in them")
        rows.append(["overlap", f"{surrogate} with {target}: {own}; {attacked}"])
    return lay(rows, left=2)


def _share(share: float | None, what: str) -> str:
    return f"unknown what share {what}" if share is None else f"{100 * share:.0f} % {what}"

"""A League as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from blackbox.statistics.bootstrap import TwoLevel
from surrogates.transfer.noise import KINDS
from surrogates.transfer.render import NOISE, cell, noise_kinds, size

if TYPE_CHECKING:
    from blackbox.threat import Threat
    from experiments.studies.league_result import Entry, League


def percent(rate: TwoLevel) -> str:
    """``74 % [69, 78]``, or a dash for a rate of nothing."""
    return f"{100 * rate.value:.0f} % [{100 * rate.low:.0f}, {100 * rate.high:.0f}]" if rate.n else "–"


def table(league: League) -> str:
    """See `League.table`."""
    blocks = [block for threat in league.crafted.threats for block in _blocks(league, threat)]
    runs = len(league.crafted.rows_of(league.source))
    head = (
        f"{league.source} -> {league.target}, given {league.given}: {len(league.crafted)} images, {runs} run{'s' * (runs > 1)}; "
        "95 % bootstrap intervals over runs and images."
    )
    notes = [
        "G: gradients an image. RMS in units of 1/255. equal RMS: every change cut to the shortest of all entries, image by image.",
        "*: on the Pareto front of rate (as crafted) against G. rank: 1 is best, at equal RMS, with its bootstrap interval.",
    ]
    if league.dropped:
        notes.append("Too costly for one step: " + ", ".join(f"{p} at G = {g}" for p, g in league.dropped) + ".")
    return "\n".join([head, *blocks, *notes])


def _blocks(league: League, threat: Threat) -> list[str]:
    front = {e.attack for e in league.front(threat)}
    lines = ["", f"{threat}"]
    for name, matrix in (("as crafted", league.crafted), ("equal RMS", league.matched)):
        e = matrix.threats.index(threat)
        for k in noise_kinds(matrix, e):
            rate = matrix.noise_rate(league.target, threat, KINDS[k])
            lines.append(
                f"  noise, {NOISE[KINDS[k]]}, {name}: {cell(rate)} of the target's right ones, "
                f"RMS {size(matrix.noise_l2[e, k], matrix.d):.1f}"
            )
    for effort in sorted({entry.effort for entry in league.entries}):
        found = league.ranks(threat, effort, matched=True)
        by_name = {entry.preset: entry for entry in league.entries if entry.effort == effort}
        rows = [["", f"G <= {effort}", "T", "G", "RMS", "as crafted", "equal RMS", "rank", "best"]]
        for i, preset in enumerate(found.names):
            entry = by_name[preset]
            rank = f"{found.rank[i]:g} [{found.low[i]:g}, {found.high[i]:g}]"
            rows.append([
                "*" if entry.attack in front else "", preset, str(entry.steps), str(entry.cost), f"{_rms(league, entry, threat):.1f}",
                percent(league.rate(entry, threat)), percent(league.rate(entry, threat, True)), rank, f"{100 * found.first[i]:.0f} %",
            ])  # fmt: skip
        width = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
        lines += [
            "  "
            + "  ".join(t.ljust(w) if j < 2 else t.rjust(w) for j, (t, w) in enumerate(zip(row, width, strict=True)))
            for row in rows
        ]
    return lines


def _rms(league: League, entry: Entry, threat: Threat) -> float:
    m = league.crafted
    rows = m.rows_of(league.source)
    return size(m.l2[np.array(rows), m.attacks.index(entry.attack), m.threats.index(threat)], m.d)

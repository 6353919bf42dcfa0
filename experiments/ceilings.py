"""Tables of what the white-box ensemble leaves standing, from the rows of `experiments.studies.ceiling`."""

from __future__ import annotations

import numpy as np

from experiments.measurements import of_targets
from experiments.publishable import Spread, Table, figure, mean_of, share_of


@figure
def ceiling_table() -> Table:
    """What one PGD, the white-box ensemble and Square's queries leave of the images that a target has right; gradients and time."""
    lines = []
    for _, title, kept in of_targets("ceiling"):
        by = {attack: [r for r in kept["rows"] if r["attack"] == attack] for attack in ("pgd", "ensemble", "square")}
        pgd, ensemble, square = (np.array([r["found"] for r in some], dtype=bool) for some in by.values())
        times = sorted(b["seconds"] / a["seconds"] for a, b in zip(by["pgd"], by["ensemble"], strict=True))
        lines.append([
            title, len(kept["ids"]), *(share_of(~found) for found in (pgd, ensemble, square)),
            *(int((square.any(0) & ~found.any(0)).sum()) for found in (pgd, ensemble)), mean_of([r["gradients"] for r in by["ensemble"]]),
            Spread(float(np.median(times)), times[0], times[-1], len(times)),
        ])  # fmt: skip
    columns = ["one PGD leaves", "the ensemble leaves", "Square leaves", "Square beyond PGD", "Square beyond the ensemble"]
    columns += ["gradients an image", "time over PGD's"]
    return Table(["target", "images", *columns], lines)


@figure
def broken_table() -> Table:
    """Of all images and seeds: how many each attack of the ensemble broke that those before it had not."""
    names, lines = dict[str, None](), []
    for _, title, kept in of_targets("ceiling"):
        some = [r for r in kept["rows"] if r["attack"] == "ensemble"]
        names.update(dict.fromkeys(attack for r in some for attack in r["attacks"]))
        by = {attack: sum(r["broken by"].count(i) for r in some for i, a in enumerate(r["attacks"]) if a == attack) for attack in names}
        lines.append([title, len(some) * len(some[0]["found"]), by])
    return Table(["target", "n", *names], [[title, n, *(by.get(attack, 0) for attack in names)] for title, n, by in lines])

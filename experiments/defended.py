"""Tables of what defences that answer back leave, from the rows of `experiments.studies.defences`."""

from __future__ import annotations

from typing import Any

import blackbox as bb
from experiments.measurements import grounded, of_targets, results
from experiments.publishable import Figure, Table, figure, mean_of, share_of

DETECTORS = ("none", "blacklight", "piha", "qpa")
STREAMS = ("different images", "frames of clips")
ALONE, KNOWS = "attacker as it is", "attacker who knows it"


def row(found: dict[str, Any], defence: str, attack: str, knowing: bool) -> dict[str, Any] | None:
    """The outcomes of one attack, image by image."""
    key = {"defence_name": defence, "attack": attack, "knowing": knowing}
    return next((r for r in found["rows"] if all(r[k] == v for k, v in key.items())), None)


def benign(found: dict[str, Any], defence: str, what: str) -> bb.Rate | str:
    """Of benign queries the share flagged, or of all images those that are right."""
    said = next((r.get(what, "") for r in found["benign"] if r["defence_name"] == defence), "")
    return bb.Rate(said.count("1"), len(said)) if said else "–"


def fooled(made: dict[str, Any] | None) -> Figure | str:
    return "–" if made is None else share_of(made["found"])


def rejected(made: dict[str, Any] | None) -> Figure | str:
    """Queries rejected an image."""
    return "–" if made is None or not any(made["flagged"]) else mean_of([made["flagged"]])


@figure
def defended(target: str, defence: str, attack: str, who: str) -> Figure:
    """The share of images fooled behind a defence; ``who``: "alone", or "knowing" it."""
    found = results(f"defences/{target}")
    grounded(f"defences/{target}", found, [r["seed"] for r in found["rows"]])
    made = row(found, defence, attack, who == "knowing")
    if made is None:
        raise ValueError(f"Expected a row of {attack} on {defence}, {who}, in defences/{target}.json, but there is none.")
    return share_of(made["found"])


@figure
def rejecting_table() -> Table:
    """Detectors that reject: fooled by each attacker, queries rejected an image, benign queries flagged."""
    lines = []
    for _, title, found in of_targets("defences"):
        for defence in DETECTORS:
            alarms = [benign(found, defence, stream) for stream in STREAMS]
            for attack in ("square", "hop-skip-jump", "ripples"):
                alone, knows = (row(found, defence, attack, k) for k in (False, True))
                if alone is None:
                    continue
                flagged = [rejected(made) for made in (alone, knows)]
                lines.append([title, len(alone["found"]), defence, attack, fooled(alone), fooled(knows), *flagged, *alarms])
    columns = [ALONE, KNOWS, "rejected an image", "rejected, knowing", *(f"benign flagged, {s}" for s in STREAMS)]
    return Table(["target", "images", "detector", "attack", *columns], lines)


@figure
def bent_table() -> Table:
    """Noise and bent scores: robust accuracy among the images that the net has right, by attacker; clean accuracy of all."""
    lines = []
    for _, title, found in of_targets("defences"):
        for defence in ("none", "random features", "input noise", "aaa"):
            alone, knows = (row(found, defence, "square", k) for k in (False, True))
            if alone is not None:
                left = ["–" if made is None else share_of([not hit for hit in made["found"]]) for made in (alone, knows)]
                lines.append([title, len(alone["found"]), defence, *left, benign(found, defence, "clean")])
    return Table(["target", "images", "defence", f"left by an {ALONE}", f"left by an {KNOWS}", "clean accuracy"], lines)

"""Tables of searches by queries on adversarially trained nets, from the rows of `experiments.studies.robust`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from blackbox import statistics
from experiments.measurements import grounded, has, of_targets, results
from experiments.publishable import Figure, Table, figure, mean_of, ratio_of, share_of


def _ensemble(name: str, kept: dict[str, Any]) -> np.ndarray | None:
    """[seeds, n] what the white-box ensemble fooled; None where it was not measured."""
    if has(source := f"ceiling/{name}"):
        white = results(source)
        grounded(source, white, [r["seed"] for r in white["rows"]])
        if white["ids"] != kept["ids"]:
            raise ValueError(f"Expected the images of {source}.json in robust/{name}.json, but they are others. Measure one anew.")
        kept = white
    some = [r["found"] for r in kept["rows"] if r["attack"] == "ensemble"]
    return np.array(some, dtype=bool) if some else None


def _above(found: np.ndarray, white: np.ndarray) -> Figure:
    """Of the images the share that stands, less the share that stands after the ensemble."""
    return Figure.of(statistics.mean_estimate(white.mean(0) - found.mean(0), bounds=(-1.0, 1.0)), percent=True)


@figure
def robust_table(use: str = "reporting", *budgets: str) -> Table:
    """What searches leave of the images that a target has right, how far that is from the ensemble, and their queries."""
    lines = []
    for name, title, kept in of_targets("robust", use):
        white, n = _ensemble(name, kept), len(kept["ids"])
        if white is not None:
            lines.append([title, n, "white-box ensemble", "", share_of(~white), "", ""])
        rows = [r for r in kept["rows"] if "queries" in r and (not budgets or str(r["budget"]) in budgets)]
        for attack, budget in dict.fromkeys((r["attack"], r["budget"]) for r in rows):
            some = [r for r in rows if (r["attack"], r["budget"]) == (attack, budget)]
            found, queries = (np.array([r[k] for r in some]) for k in ("found", "queries"))
            found = found.astype(bool)
            lines.append([
                title, n, attack, budget, share_of(~found), "" if white is None else _above(found, white),
                mean_of(queries, budget),
            ])  # fmt: skip
    return Table(["target", "images", "attack", "budget", "leaves", "above the ensemble", "mean queries"], lines)


@figure
def robust_surrogates_table() -> Table:
    """Surrogates that are trained adversarially too, on robust targets: what is left beside searches without, and with ordinary ones."""
    lines = []
    for name, title, kept in of_targets("queries", "reporting"):
        rows = [r for r in kept["rows"] if (r["access"], r["goal"], r["seed"]) == ("scores", "untargeted", 0)]
        robust = [r for r in rows if r["attack"].endswith("two, adv")]
        if not robust or (white := _ensemble(name, kept)) is None:
            continue
        plain = {r["attack"].removesuffix(", adv") for r in robust} | {"ripples"}
        for r in sorted((r for r in rows if r["attack"] in plain or r in robust), key=lambda r: str(r["attack"])):
            found, queries = np.array([r["found"]], dtype=bool), np.array([r["queries"]])
            above = _above(found, white)
            lines.append([title, len(kept["ids"]), r["attack"], share_of(~found), above, mean_of(queries, r["budget"])])
    return Table(["target", "images", "attack", "leaves", "above the ensemble", "mean queries"], lines)


@figure
def handover_table() -> Table:
    """The rows on which `ripples-linear`'s settings were chosen: what is fooled, mean queries, and these over those of ripples."""
    lines = []
    for _, title, kept in of_targets("handover", "choosing"):
        plain = next(r for r in kept["rows"] if r["attack"] == "ripples")
        for r in kept["rows"]:
            queries, budget = np.array(r["queries"]), r["budget"]
            same = r["queries"] == plain["queries"]
            over = "" if r is plain else "the same" if same else ratio_of(queries, np.array(plain["queries"]), budget)
            lines.append([title, len(kept["ids"]), r["attack"], share_of(np.array(r["found"], dtype=bool)), mean_of(queries, budget), over])
    return Table(["target", "images", "attack", "fooled", "mean queries", "over ripples"], lines)


@figure
def proposal_table() -> Table:
    """What one proposal gains on average, of the way that is left, from corners that have a share of the right signs."""
    source = "robust/proposals"
    kept = results(source)
    grounded(source, kept, [r["seed"] for r in kept["rows"]], "choosing")
    shares = list(dict.fromkeys(r["share"] for r in kept["rows"]))
    by = {(r["proposal"], r["share"]): mean_of(r["gain"]) for r in kept["rows"]}
    names = dict.fromkeys(r["proposal"] for r in kept["rows"])
    lines = [[name, len(kept["ids"]), *(replace(by[name, share], percent=True, digits=2) for share in shares)] for name in names]
    return Table(["proposal", "images", *(f"{share:.0%} right" for share in shares)], lines)

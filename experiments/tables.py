"""Writes experiments/RESULTS.md from what the other experiments left in experiments/results.

python -m experiments.tables
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import blackbox as bb

RESULTS = Path("experiments/results")


def load(name: str) -> dict[str, Any] | None:
    """One experiment's JSON, or None where it has not been run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def queries(name: str) -> list[str]:
    """The table of `experiments.query_efficiency`."""
    found = load(f"query_efficiency_{name}")
    if found is None:
        return []
    lines = [
        f"## Queries: {name}",
        "",
        f"`python -m experiments.query_efficiency --only {name}`; the first images that the target has right, in file order; "
        "failures charged at the budget. With several seeds the success counts images of all runs, and its interval takes them "
        "for independent, which they are not quite.",
        "",
        "| target | threat | attack | images | seeds | budget | success [95 % Wilson] | mean queries | median |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in found["rows"]:
        rate = bb.Rate(*r["success"])
        mean = f"{r['mean']:.1f}" + (f" ({', '.join(f'{m:.1f}' for m in r['means'])})" if len(r["means"]) > 1 else "")
        lines.append(
            f"| {r['target']} | {r['threat']} | {r['attack']} | {r['images']} | {len(r['means'])} | {r['budget']} | {rate} "
            f"| {mean} | {r['median']:g} |"
        )
    return [*lines, ""]


def speed() -> list[str]:
    """The table of `experiments.speed`."""
    found = load("speed")
    if found is None:
        return []
    lines = [
        "## Speed",
        "",
        f"`python -m experiments.speed`; {found['machine']['threads']} thread(s), torch {found['machine']['torch']}; "
        "median of the pairwise ratios, smallest and largest.",
        "",
        "| ratio | target | attack | images | rows | wall time over forward time |",
        "|---|---|---|---|---|---|",
    ]
    for r in found["rows"]:
        lines.append(
            f"| {r['ratio']} | {r['target']} | {r['attack']} | {r['n']} | {r['rows']:,} "
            f"| {r['median']:.3f} [{min(r['all']):.3f}, {max(r['all']):.3f}] |"
        )
    return [*lines, ""]


def memory() -> list[str]:
    """The line of `experiments.memory`."""
    found = load("memory")
    if found is None:
        return []
    sizes = ", ".join(f"{size:.2f} GB with {kind} directions" for kind, size in found["gigabytes"].items())
    return [
        "## Memory",
        "",
        f"`python -m experiments.memory`; {found['settings']['images']:,} images of 3x32x32, NES with "
        f"{found['settings']['directions']} directions, peak on top of the interpreter: {sizes}.",
        "",
    ]


def main() -> None:
    head = ["# Results", "", "Made by `python -m experiments.tables` from `experiments/results/*.json`.", ""]
    text = "\n".join([*head, *queries("search"), *queries("differences"), *speed(), *memory()])
    Path("experiments/RESULTS.md").write_text(text.rstrip() + "\n")
    print(text)


if __name__ == "__main__":
    main()

"""Writes experiments/RESULTS.md from what the other experiments left in experiments/results, and what `blackbox list` shows.

python -m experiments.tables
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import blackbox as bb
from experiments import measured, tables_transfer
from experiments.stored import load


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
    elsewhere = dict.fromkeys(r["ratio"] for r in found["rows"] if "machine" in r)
    older = f" ({', '.join(elsewhere)}: an earlier run on another machine)" if elsewhere else ""
    lines = [
        "## Speed",
        "",
        f"`python -m experiments.speed`; {found['machine']['threads']} thread(s), torch {found['machine']['torch']}; "
        f"{found['machine'].get('cpu', '')}; median of the pairwise ratios, smallest and largest{older}.",
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


def hybrid(name: str, title: str, command: str) -> list[str]:
    """A table of `experiments.hybrid`."""
    found = load(name)
    if found is None:
        return []
    rows = found["rows"]
    lines = [
        f"## {title}",
        "",
        f"`{command}`; {rows[0]['target']}, {rows[0]['threat']}, correctly classified images, budget {rows[0]['budget']}, failures "
        "charged at it, the clean check left out; an image's queries are averaged over the seeds before the standard error over "
        f"images is taken. Surrogates: {found['surrogates']}. "
        "Targeted: the next class. Wall time with all crafts, on a machine with other work.",
        "",
        "| what | shown | images × seeds | success of each seed | mean queries (standard error) | median | gradients an image | wall, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, count in dict.fromkeys((r["attack"], r["images"]) for r in rows):
        some = [r for r in rows if (r["attack"], r["images"]) == (name, count)]
        each = np.mean([np.where(r["found"], np.array(r["queries"]) - 1, r["budget"]) for r in some], 0)
        prior = f"{np.mean([r['prior']['gradients_per_image'] for r in some]):.0f}" if some[0]["prior"] else "-"
        seconds = ", ".join(f"{r['seconds']:.0f}" for r in some)
        lines.append(
            f"| {name} | {some[0]['access']} | {count} × {len(some)} | {', '.join(str(r['success'][0]) for r in some)} of {count} "
            f"| {each.mean():.1f} ({each.std(ddof=1) / len(each) ** 0.5:.1f}) | {np.median(each):.1f} | {prior} "
            f"| {seconds} |"
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


PARTS = {
    "linf": "Scores, Linf",
    "linf-mnist": "Scores, Linf",
    "l2": "Scores, L2",
    "pixels": "Scores, few pixels",
    "labels": "Labels only, Linf",
    "near": "Labels only, smallest L2 distance",
    "near-long": "Labels only, smallest L2 distance",
}


def peers() -> list[str]:
    """The tables of `experiments.benchmark_peers`: ours and the peers' side by side."""
    found = load("benchmark_peers")
    if found is None:
        return []
    used = ", ".join(f"{package} {version}" for package, version in found["versions"].items())
    lines = [
        "## Side by side with the peers",
        "",
        f"`python -m experiments.benchmark_peers` (and `--time`); {used}. The first images that the target "
        "has right, in file order; the same images, budget and counter for all; failures charged at the budget; peers in "
        "italics, with their defaults. Successes count images of all seeds. Last column: wall time over the bare forward time "
        "of the same calls, each made beside the attack's own; median of five runs [smallest, largest].",
        "",
    ]
    clocks = {(t["part"], t["attack"]): t for t in found["times"]}
    for part, title in PARTS.items():
        chosen = [r for r in found["rows"] if r["part"] == part]
        if not chosen:
            continue
        first = chosen[0]
        at = sorted((k for k in first if k.startswith("median distance at ")), key=lambda k: int(k.split()[-1]))
        lines += [
            f"### {title}: {first['target']}, {first['threat']}, {first['n']} images, {len(first['seeds'])} seed(s), "
            f"budget {first['budget']}",
            "",
            f"| attack | {' | '.join(at) if at else 'success [95 % Wilson] | mean queries (by seed) | median'} | wall / forward |",
            "|---|" + "---|" * (len(at) + 1 if at else 4),
        ]
        for r in sorted(chosen, key=lambda r: r[at[0]] if at else r["mean"]):
            name = f"*{r['attack']}*" if r["peer"] else r["attack"]
            timed = clocks.get((part, r["attack"]))
            wall = f"{timed['wall / forward']:.2f} [{min(timed['all']):.2f}, {max(timed['all']):.2f}]" if timed else "-"
            if r["note"]:
                name += f" (raised: {r['note']})"
            if at:
                reached = " | ".join(f"{r[k]:.3f}" for k in at)
            else:
                seeds = f" ({', '.join(f'{m:.1f}' for m in r['mean by seed'])})" if len(r["mean by seed"]) > 1 else ""
                reached = f"{r['success']} | {r['mean']:.1f}{seeds} | {r['median']:g}"
            lines.append(f"| {name} | {reached} | {wall} |")
        lines += ["", *standing(chosen)]
    return lines


def standing(rows: list[dict[str, Any]]) -> list[str]:
    """What the portfolio of ours leaves standing that a peer breaks, over images and seeds."""
    if not any(r["peer"] for r in rows) or "first" not in rows[0]:
        return []
    broken = {
        peer: {
            (s, i)
            for r in rows
            if r["peer"] == peer
            for s, row in enumerate(r["first"])
            for i, q in enumerate(row)
            if q
        }
        for peer in (True, False)
    }
    cases = len(rows[0]["first"]) * rows[0]["n"]
    images = {peer: {i for _, i in found} for peer, found in broken.items()}  # with any seed
    return [
        f"Of {cases} images x seeds at least one of ours breaks {len(broken[False])}, a peer {len(broken[True])}; "
        f"broken by a peer and by none of ours: {len(broken[True] - broken[False])}. Of {rows[0]['n']} images, with any seed: "
        f"{len(images[False])}, {len(images[True])}, {len(images[True] - images[False])}.",
        "",
    ]


def main() -> None:
    head = ["# Results", "", "Made by `python -m experiments.tables` from `experiments/results/*.json`.", ""]
    searches = [*queries("search"), *queries("differences"), *queries("targeted")]
    both = [
        *hybrid("hybrid", "Surrogates and queries in one budget", "python -m experiments.hybrid"),
        *hybrid("hybrid_mnist", "The same on MNIST", "python -m experiments.hybrid --target mnist"),
        *hybrid(
            "hybrid_squeezenet",
            "The same where no good surrogate is at hand",
            "python -m experiments.hybrid --target squeezenet",
        ),
    ]
    text = "\n".join([*head, *searches, *both, *peers(), *speed(), *memory(), *tables_transfer.all_tables()])
    Path("experiments/RESULTS.md").write_text(text.rstrip() + "\n")
    print(text)
    measured.main()


if __name__ == "__main__":
    main()

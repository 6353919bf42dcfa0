"""Writes experiments/RESULTS.md from what the experiments left in experiments/results, and what `blackbox list` shows.

    python -m experiments.tables

A table is a function of one results file: a title, the command and what is measured in a sentence, the columns and the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.stats import binomtest

import blackbox as bb
from experiments import measured
from experiments.peers.transfer import SHARED
from experiments.runner import RESULTS, load

OUT = Path("experiments/RESULTS.md")
Found = dict[str, Any]


def table(columns: str | Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    """Markdown; a bar in a cell would end it. columns: names, or one text with bars between them."""
    head = columns.split(" | ") if isinstance(columns, str) else list(columns)
    lines = [head, ["---"] * len(head), *([str(cell).replace("|", "/") for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]


def section(title: str, command: str, told: str, *lines: Iterable[str]) -> list[str]:
    return [f"## {title}", "", f"`python -m {command}`; {told}", "", *(line for some in lines for line in some)]


def within(middle: float, values: Iterable[float], form: str = ".3f") -> str:
    """``1.02 [1.01, 1.05]``: a median, the smallest and the largest."""
    some = list(values)
    return f"{middle:{form}} [{min(some):{form}}, {max(some):{form}}]"


def rate(hit: Iterable[int]) -> str:
    return str(bb.Rate(*hit))


def queries(part: str, found: Found) -> list[str]:
    def row(r: Found) -> list[Any]:
        each = f" ({', '.join(f'{m:.1f}' for m in r['means'])})" if len(r["means"]) > 1 else ""
        return [r["target"], r["threat"], r["attack"], r["images"], len(r["means"]), r["budget"], rate(r["success"]),
                f"{r['mean']:.1f}{each}", f"{r['median']:g}"]  # fmt: skip

    return section(
        f"Queries: {part}", f"experiments.studies.query_efficiency --only {part}",
        "the first images that the target has right, in file order; failures charged at the budget. With several seeds the success "
        "counts images of all runs, and its interval takes them for independent, which they are not quite.",
        table("target | threat | attack | images | seeds | budget | success [95 % Wilson] | mean queries | median",
              map(row, found["rows"])),
    )  # fmt: skip


def hybrid(title: str, more: str, found: Found) -> list[str]:
    rows = found["rows"]

    def row(name: str, count: int) -> list[Any]:
        some = [r for r in rows if (r["attack"], r["images"]) == (name, count)]
        each = np.mean([np.where(r["found"], np.array(r["queries"]) - 1, r["budget"]) for r in some], 0)
        error = f"{each.std(ddof=1) / len(each) ** 0.5:.1f}" if len(each) > 1 else "-"
        gradients = f"{np.mean([r['prior']['gradients_per_image'] for r in some]):.0f}" if some[0]["prior"] else "-"
        return [name, some[0]["access"], f"{count} × {len(some)}", f"{', '.join(str(r['success'][0]) for r in some)} of {count}",
                f"{each.mean():.1f} ({error})", f"{np.median(each):.1f}", gradients,
                ", ".join(f"{r['seconds']:.0f}" for r in some)]  # fmt: skip

    keys = dict.fromkeys((r["attack"], r["images"]) for r in rows)
    columns = "what | shown | images × seeds | success of each seed | mean queries (standard error) | median | gradients an image | wall, s"
    return section(
        title, f"experiments.studies.hybrid{more}",
        f"{rows[0]['target']}, {rows[0]['threat']}, correctly classified images, budget {rows[0]['budget']}, failures charged at it, "
        "the clean check left out; an image's queries are averaged over the seeds before the standard error over images is taken. "
        f"Surrogates: {found['surrogates']}. Targeted: the next class. Wall time with all crafting, on a machine with other work.",
        table(columns, (row(*key) for key in keys)),
    )  # fmt: skip


TITLES = {
    "linf": "Scores, Linf", "linf-mnist": "Scores, Linf", "l2": "Scores, L2", "pixels": "Scores, few pixels",
    "labels": "Labels only, Linf", "near": "Labels only, smallest L2 distance", "near-long": "Labels only, smallest L2 distance",
}  # fmt: skip


def peers(found: Found) -> list[str]:
    """Ours and the peers' side by side."""
    used = found.get("peers") or found["versions"]
    packages = ", ".join(f"{package} {version}" for package, version in used.items())
    clocks = {(t["part"], t["attack"]): t for t in found["times"]}
    lines = section(
        "Side by side with the peers", "experiments.peers.benchmark",
        f"and with `--time`; {packages}. The first images that the target has right, in file order; the same images, budget and "
        "counter for all; failures charged at the budget; peers in italics, with their defaults. Successes count images of all "
        "seeds. Last column: wall time over the bare forward time of the same calls, each made beside the attack's own; median of "
        "five runs [smallest, largest].",
    )  # fmt: skip
    for part, title in TITLES.items():
        rows = [r for r in found["rows"] if r["part"] == part]
        if not rows:
            continue
        one = rows[0]
        at = sorted((k for k in one if k.startswith("median distance at ")), key=lambda k: int(k.split()[-1]))

        def row(r: Found, part: str = part, at: list[str] = at) -> list[str]:
            name = (f"*{r['attack']}*" if r["peer"] else r["attack"]) + (f" (raised: {r['note']})" if r["note"] else "")
            timed = clocks.get((part, r["attack"]))
            seeds = f" ({', '.join(f'{m:.1f}' for m in r['mean by seed'])})" if not at and len(r["mean by seed"]) > 1 else ""
            reached = [f"{r[k]:.3f}" for k in at] or [r["success"], f"{r['mean']:.1f}{seeds}", f"{r['median']:g}"]
            return [name, *reached, within(timed["wall / forward"], timed["all"], ".2f") if timed else "-"]

        columns = ["attack", *(at or ["success [95 % Wilson]", "mean queries (by seed)", "median"]), "wall / forward"]
        lines += [
            f"### {title}: {one['target']}, {one['threat']}, {one['n']} images, {len(one['seeds'])} seed(s), budget {one['budget']}", "",
            *table(columns, (row(r) for r in sorted(rows, key=lambda r: r[at[0]] if at else r["mean"]))), *standing(rows),
        ]  # fmt: skip
    return lines


def standing(rows: list[Found]) -> list[str]:
    """What the portfolio of ours leaves standing that a peer breaks, over images and seeds."""
    if not any(r["peer"] for r in rows) or "first" not in rows[0]:
        return []
    hits = {
        peer: {(s, i) for r in rows if r["peer"] == peer for s, row in enumerate(r["first"]) for i, q in enumerate(row) if q}
        for peer in (True, False)
    }
    images = {peer: {i for _, i in some} for peer, some in hits.items()}  # with any seed
    return [
        f"Of {len(rows[0]['first']) * rows[0]['n']} images x seeds at least one of ours breaks {len(hits[False])}, a peer "
        f"{len(hits[True])}; broken by a peer and by none of ours: {len(hits[True] - hits[False])}. Of {rows[0]['n']} images, with any "
        f"seed: {len(images[False])}, {len(images[True])}, {len(images[True] - images[False])}.",
        "",
    ]


def speed(found: Found) -> list[str]:
    def row(r: Found) -> list[Any]:
        of = ", ".join(str(r[k]) for k in ("target", "attack", "what") if k in r)
        return [r["part"], r["ratio"], of, r["device"], r.get("torch", ""), within(r["median"], (r["low"], r["high"]))]

    return section(
        "Speed", "benchmarks",
        "all ratios; what each is stands at the head of `benchmarks/nets.py`, `services.py` and `sweeps.py`. Median of what was "
        "measured in turn; smallest and largest, of the endpoint and the journal the 95 % bootstrap interval of the median.",
        table(("part", "ratio", "of", "device", "torch", "median"), map(row, found["rows"])),
    )  # fmt: skip


def matrix(found: Found) -> list[str]:
    told = (
        f"{found['settings']['images']} test images in an order drawn once; own nets (`experiments/nets.py`): trained on 6,000 images "
        "of one's own, no answer of a target. Figure: docs/transfer_cifar.png."
    )
    text = (RESULTS / "transfer_matrix.txt").read_text().rstrip()
    return section("Transfer matrix", "experiments.studies.transfer_matrix", told, ["```", text, "```", ""])


def pairs(found: Found) -> list[str]:
    """Shared presets, and the best of ours against the best of theirs."""
    lines = section(
        "Presets beside torchattacks'", "experiments.peers.transfer",
        "to the public ResNet-32, from the public ResNet-20 or from a VGG trained on other images; images that both have right, in an "
        "order drawn once; equal gradients an image where a preset is shared. In pairs: images that one alone fools, and McNemar's "
        "exact p.",
    )  # fmt: skip
    for eps, source, n, seed in sorted({(row["eps"], row["source"], row["n"], row["seed"]) for row in found["rows"]}):
        rows = {r["attack"]: r for r in found["rows"] if (r["eps"], r["source"], r["n"], r["seed"]) == (eps, source, n, seed)}

        def row(name: str, rows: dict[str, Found] = rows) -> list[Any]:
            preset, _, step = name.partition(", step")
            peer = rows.get(f"torchattacks {SHARED[preset][1]}{', step' + step if step else ''}") if preset in SHARED else None
            beside = [peer["attack"].removeprefix("torchattacks "), peer["rate"], *paired(rows[name], peer)] if peer else [""] * 5
            return [name, rows[name]["rate"], *beside]

        mine, theirs = ([r for r in rows.values() if r["peer"] == peer] for peer in (False, True))
        columns = ("ours (joined by /)", "", "torchattacks", "", "ours alone", "theirs alone", "p")
        lines += [f"### Linf {eps:g}/255, from the {'ResNet-20' if source == 'given' else 'own VGG'}, {n} images, seed {seed}", ""]
        lines += table(columns, (row(r["attack"]) for r in mine))
        if mine and theirs:
            a, b = (max(some, key=lambda r: len(r["fooled"])) for some in (mine, theirs))
            alone, other, p = paired(a, b)
            lines += [
                f"The best of ours, {a['attack']} ({a['rate']}), against the best of theirs, {b['attack']} ({b['rate']}): {alone} images "
                f"fooled by ours alone, {other} by theirs alone, p = {p} (both chosen on these images).", "",
            ]  # fmt: skip
    return lines


def paired(one: Found, other: Found) -> list[Any]:
    a, b = set(one["fooled"]), set(other["fooled"])
    only, rest = len(a - b), len(b - a)
    return [only, rest, f"{binomtest(only, only + rest).pvalue if only + rest else 1.0:.2g}"]


def league(found: Found) -> list[str]:
    s = found["settings"]
    lines = section(
        "Which preset is worth its gradients", f"experiments.studies.transfer_league --images {s['images']}",
        "ResNet-20 to ResNet-32, images both have right; 95 % bootstrap intervals over images. G: gradients an image; RMS in 255ths. "
        "Equal RMS: every change cut to the shortest of all presets, image by image. Bold: on the Pareto front of rate (as crafted) "
        "against G. Rank: 1 is best, at equal RMS, with its bootstrap interval. Noise: " + "; ".join(found["noise"]) + ".",
    )  # fmt: skip

    def share(r: Found) -> str:
        return f"{100 * r['rate']:.0f} % [{100 * r['low']:.0f}, {100 * r['high']:.0f}]"

    def row(r: Found) -> list[Any]:
        equal = r["equal RMS"]
        low, high = equal["rank"][1:]
        return [f"**{r['preset']}**" if r["front"] else r["preset"], r["steps"], r["cost"], f"{r['rms']:.1f}", share(r["as crafted"]),
                share(equal), f"{equal['rank'][0]:g} [{low:g}, {high:g}]", f"{100 * equal['best']:.0f} %"]  # fmt: skip

    for threat, effort in dict.fromkeys((r["threat"], r["effort"]) for r in found["rows"]):
        some = [r for r in found["rows"] if (r["threat"], r["effort"]) == (threat, effort)]
        lines += [f"### {threat}, G ≤ {effort}", ""]
        columns = ("preset", "T", "G", "RMS", "as crafted", "equal RMS", "rank", "best")
        lines += table(columns, map(row, sorted(some, key=lambda r: r["equal RMS"]["rank"][0])))
    return lines


def practical(found: Found) -> list[str]:
    s, of = found["settings"], found["references"]

    def row(r: Found) -> list[Any]:
        return [r["run"]["name"], rate(r["points"][-1]["agreement"]), *(rate(r["last"][k]["fgsm"]["all"]) for k in ("one", "three"))]

    return section(
        "A substitute from the target's answers", "experiments.studies.practical_blackbox",
        f"MNIST LeNet, {s['queries']:,} queries, FGSM at eps {s['eps']:g}, {s['attacked']:,} attacked images; misclassified by the "
        f"target, of all images (Papernot et al. 2017: 84.24 %). Noise of the same size: {rate(of['noise']['all'])}; FGSM on the target "
        f"itself: {rate(of['fgsm on the target']['all'])}. Figure: experiments/results/practical_blackbox.png.",
        table("what the target shows, how the queries are spent | agreement | one substitute | three, from the same answers",
              map(row, found["rows"])),
    )  # fmt: skip


# Szegedy et al. 2013, table 4: errors in % where the nets (in the order below) are shown what was crafted on one of them
TABLE_4 = {"minimal": ((100, 26.2, 5.9), (6.25, 100, 5.1), (8.2, 8.2, 100)), "amplified": ((100, 98, 43), (96, 100, 22), (27, 50, 100))}


def across_sets(found: Found) -> list[str]:
    s = found["settings"]
    lines = section(
        "Across training sets (Szegedy et al. 2013, table 4)", f"experiments.lectures.intriguing_properties --images {s['images']}",
        f"MNIST, L-BFGS, {s['images']} images; of those that both nets have right, those that the second gets wrong, 95 % intervals; "
        f"amplified: each change to RMS {s['rms']:g}. The net with a prime saw the other {s['half']:,} images. In brackets the paper's "
        "figure, of all images. Noise: as long as each change.",
    )  # fmt: skip
    for title, kind in (("across training sets", "minimal"), ("across training sets, amplified", "amplified")):
        nets = list(found[title][0]["cells"])
        groups: dict[str, list[int]] = {"the same images": [0, 0], "other images": [0, 0]}
        rows = []
        for row in found[title]:
            cells, source, noise = row["cells"], row["source"], row["what"].endswith("noise")
            told = [rate((cells[net]["k"], cells[net]["n"])) for net in nets]
            if not noise:
                told = [f"{text} [{theirs:g}]" for text, theirs in zip(told, TABLE_4[kind][nets.index(source)], strict=True)]
                for net in set(nets) - {source}:
                    group = groups["other images" if ("'" in net) != ("'" in source) else "the same images"]
                    group[0], group[1] = group[0] + cells[net]["k"], group[1] + cells[net]["n"]
            rows.append([f"{source}{', noise' if noise else ''}", *told])
        pooled = "; ".join(f"to another net of {name} {rate(group)}" for name, group in groups.items())
        lines += [*table([f"crafted on ({kind})", *nets], rows), f"Pooled: {pooled}.", ""]
    return lines


def protects(more: str, found: Found) -> list[str]:
    rows = {name: net["wrong"] for name, net in found["nets"].items()}
    told = f"{found['data']}, {found['arch']}, Linf {found['eps']:g}; wrong when changed, of the images a target has right [95 % Wilson]."
    body = ([attack, *(rate(row[attack]) for row in rows.values())] for attack in next(iter(rows.values())))
    title = f"What adversarial training protects from: {found['data']}"
    return section(title, f"experiments.lectures.adversarial_training {more}", told, table(["", *rows], body))


def nearest(found: Found) -> list[str]:
    s = found["settings"]

    def row(r: Found) -> list[Any]:
        reached, a = [d for d in r["distance"] if d is not None], r["against"]
        return [r["mode"], r["attack"], rate(r["success"]), f"{median(reached) if reached else math.nan:.3f}",
                f"{a['ratio']:.3f} [{a['low']:.3f}, {a['high']:.3f}]", f"{a['nearer']} of {a['n']}"]  # fmt: skip

    return section(
        "How small can a change be?", f"experiments.peers.minimum_norm --images {s['images']}",
        f"{found['target']}, {s['images']} images it has right, in file order; C&W with {s['iterations']} iterations and "
        f"{s['searches']} searches, ours and foolbox's (ART's: a tenth); L2 of what succeeded; median ratio to our L-BFGS over the "
        "images that both fooled, 95 % bootstrap interval.",
        table("towards | attack | success [95 % Wilson] | median L2 | ratio to L-BFGS | nearer than L-BFGS", map(row, found["rows"])),
    )  # fmt: skip


def agreement(found: Found) -> list[str]:
    s = found["settings"]

    def row(r: Found) -> list[Any]:
        identical = f"{r['images identical']} of {r['images']}"
        return [r["pairing"], r["ours"], f"{r['apart']:,} of {r['entries']:,}", identical, f"{r['largest']:.1g}"]

    return section(
        "The peers' presets, entry by entry", f"experiments.peers.agreement --images {s['images']}",
        f"CIFAR ResNet-20, {s['images']} images, {s['steps']} steps, float64, the same draws; the peers set up to do what the papers "
        "say (see the experiment's head). Entries that differ by more than 1e-9 after all steps.",
        table(("", "ours", "entries apart", "images identical", "largest difference"), map(row, found["rows"])),
    )  # fmt: skip


SECTIONS: tuple[tuple[str, Callable[[Found], list[str]]], ...] = (
    *((f"query_efficiency_{p}", lambda f, p=p: queries(p, f)) for p in ("search", "differences", "targeted")),
    ("hybrid", lambda f: hybrid("Surrogates and queries in one budget", "", f)),
    ("hybrid_mnist", lambda f: hybrid("The same on MNIST", " --target mnist", f)),
    ("hybrid_squeezenet", lambda f: hybrid("The same where no good surrogate is at hand", " --target squeezenet", f)),
    ("benchmark_peers", peers), ("benchmarks", speed), ("transfer_matrix", matrix),
    ("transfer_peers", pairs), ("transfer_league", league), ("practical_blackbox", practical), ("intriguing_properties", across_sets),
    ("adversarial_training_protects", lambda f: protects("--eps 0.2 --epochs 30 --budgets 100,1000 --name protects", f)),
    ("adversarial_training_mnist_test", lambda f: protects("--data npz:…/mnist_test.npz --arch lenet", f)),
    ("minimum_norm", nearest), ("peer_agreement", agreement),
)  # fmt: skip


def sections() -> Iterator[str]:
    """The lines of all tables whose experiment has been run."""
    yield from ("# Results", "", "Made by `python -m experiments.tables` from `experiments/results/*.json`.", "")
    for name, make in SECTIONS:
        if found := load(name):
            yield from make(found)


def main() -> None:
    OUT.write_text("\n".join(sections()).rstrip() + "\n", encoding="utf-8")
    print(f"wrote {OUT}")
    measured.main()


if __name__ == "__main__":
    main()

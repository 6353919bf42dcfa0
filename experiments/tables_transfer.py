"""The tables on surrogates and transfer in experiments/RESULTS.md; `experiments.tables` writes the file."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median
from typing import Any

from scipy.stats import binomtest

import blackbox as bb
from experiments.stored import RESULTS, load
from experiments.transfer_peers import SHARED


def matrix() -> list[str]:
    """The matrix of `experiments.transfer_matrix`."""
    path = RESULTS / "transfer_matrix.txt"
    found = load("transfer_matrix")
    if found is None:
        return []
    return [
        "## Transfer matrix",
        "",
        f"`python -m experiments.transfer_matrix`; {found['settings']['images']} test images in an order drawn once; own nets "
        "(`experiments/own.py`): trained on 6,000 images of one's own, no answer of a target. Figure: docs/transfer_cifar.png.",
        "",
        "```",
        path.read_text().rstrip(),
        "```",
        "",
    ]


def pairs() -> list[str]:
    """The tables of `experiments.transfer_peers`: shared presets, and the best of ours against the best of theirs."""
    found = load("transfer_peers")
    if found is None:
        return []
    lines = [
        "## Presets beside torchattacks'",
        "",
        "`python -m experiments.transfer_peers`; to the public ResNet-32, from the public ResNet-20 or from a VGG trained on other "
        "images; images that both have right, in an order drawn once; equal "
        "gradients an image where a preset is shared. In pairs: images that one alone fools, and McNemar's exact p.",
        "",
    ]
    settings = sorted({(row["eps"], row["source"], row["n"], row["seed"]) for row in found["rows"]})
    for eps, source, n, seed in settings:
        rows = {r["attack"]: r for r in found["rows"] if (r["eps"], r["source"], r["n"], r["seed"]) == (eps, source, n, seed)}
        lines += [
            f"### Linf {eps:g}/255, from the {'ResNet-20' if source == 'given' else 'own VGG'}, {n} images, seed {seed}",
            "",
            "| ours (joined by /) | | torchattacks | | ours alone | theirs alone | p |",
            "|---|---|---|---|---|---|---|",
        ]
        partner = {name: peer_of(name) for name in rows if not rows[name]["peer"]}
        for name, peer in partner.items():
            shown = f"| {name.replace('|', '/')} | {rows[name]['rate']} "
            if peer in rows:
                shown += f"| {peer.removeprefix('torchattacks ')} | {rows[peer]['rate']} | {paired(rows[name], rows[peer])} |"
            lines.append(shown if peer in rows else shown + "| | | | | |")
        lines += ["", *leaders(rows), ""]
    return lines


def peer_of(name: str) -> str:
    """The peer's label beside one of ours, "" where it has no such attack."""
    preset, _, step = name.partition(", step")
    return f"torchattacks {SHARED[preset][1]}{', step' + step if step else ''}" if preset in SHARED else ""


def leaders(rows: dict[str, Any]) -> list[str]:
    """The best of ours against the best of theirs."""
    ours = max((r for r in rows.values() if not r["peer"]), key=lambda r: len(r["fooled"]), default=None)
    theirs = max((r for r in rows.values() if r["peer"]), key=lambda r: len(r["fooled"]), default=None)
    if ours is None or theirs is None:
        return []
    alone, other, p = paired(ours, theirs).split(" | ")
    return [
        f"The best of ours, {ours['attack']} ({ours['rate']}), against the best of theirs, {theirs['attack']} ({theirs['rate']}): "
        f"{alone} images fooled by ours alone, {other} by theirs alone, p = {p} (both chosen on these images)."
    ]


def paired(one: dict[str, Any], other: dict[str, Any]) -> str:
    a, b = set(one["fooled"]), set(other["fooled"])
    only, rest = len(a - b), len(b - a)
    p = binomtest(only, only + rest).pvalue if only + rest else 1.0
    return f"{only} | {rest} | {p:.2g}"


def practical() -> list[str]:
    """The table of `experiments.practical_blackbox`."""
    found = load("practical_blackbox")
    if found is None:
        return []
    s = found["settings"]
    lines = [
        "## A substitute from the target's answers",
        "",
        f"`python -m experiments.practical_blackbox`; MNIST LeNet, {s['queries']:,} queries, FGSM at eps {s['eps']:g}, {s['attacked']:,} "
        "attacked images; misclassified by the target, of all images (Papernot et al. 2017: 84.24 %). Noise of the same size: "
        f"{bb.Rate(*found['references']['noise']['all'])}; FGSM on the target itself: "
        f"{bb.Rate(*found['references']['fgsm on the target']['all'])}. Figure: experiments/results/practical_blackbox.png.",
        "",
        "| what the target shows, how the queries are spent | agreement | one substitute | three, from the same answers |",
        "|---|---|---|---|",
    ]
    for row in found["rows"]:
        agreement = bb.Rate(*row["points"][-1]["agreement"])
        one, three = (bb.Rate(*row["last"][key]["fgsm"]["all"]) for key in ("one", "three"))
        lines.append(f"| {row['run']['name']} | {agreement} | {one} | {three} |")
    return [*lines, ""]


# Szegedy et al. 2013, table 4: errors in % where the nets (in the order below) are shown what was crafted on one of them
TABLE_4 = {"minimal": ((100, 26.2, 5.9), (6.25, 100, 5.1), (8.2, 8.2, 100)), "amplified": ((100, 98, 43), (96, 100, 22), (27, 50, 100))}


def across_sets() -> list[str]:
    """Table 4 of Szegedy et al. 2013, from `experiments.intriguing_properties`."""
    found = load("intriguing_properties")
    if found is None:
        return []
    s = found["settings"]
    lines = [
        "## Across training sets (Szegedy et al. 2013, table 4)",
        "",
        f"`python -m experiments.intriguing_properties --images {s['images']}`; MNIST, L-BFGS, {s['images']} images; of those that both "
        f"nets have right, those that the second gets wrong, 95 % intervals; amplified: each change to RMS {s['rms']:g}. The net with a "
        f"prime saw the other {s['half']:,} images. In brackets the paper's figure, of all images. Noise: as long as each change.",
        "",
    ]
    for title, kind in (("across training sets", "minimal"), ("across training sets, amplified", "amplified")):
        rows = found[title]
        nets = list(rows[0]["cells"])
        lines += [f"| crafted on ({kind}) | {' | '.join(nets)} |", "|---" * (len(nets) + 1) + "|"]
        groups: dict[str, list[int]] = {"the same images": [0, 0], "other images": [0, 0]}
        for row in rows:
            cells = row["cells"]
            noise = row["what"].endswith("noise")
            told = [str(bb.Rate(cells[net]["k"], cells[net]["n"])) for net in nets]
            if not noise:
                paper = TABLE_4[kind][nets.index(row["source"])]
                told = [f"{text} [{theirs:g}]" for text, theirs in zip(told, paper, strict=True)]
                for net in set(nets) - {row["source"]}:
                    group = groups["other images" if ("'" in net) != ("'" in row["source"]) else "the same images"]
                    group[0], group[1] = group[0] + cells[net]["k"], group[1] + cells[net]["n"]
            lines.append(f"| {row['source']}{', noise' if noise else ''} | {' | '.join(told)} |")
        pooled = "; ".join(f"to another net of {name} {bb.Rate(*group)}" for name, group in groups.items())
        lines += ["", f"Pooled: {pooled}.", ""]
    return lines


def shares(name: str, title: str, what: str) -> list[str]:
    """`experiments.craft_speed` and `experiments.training_speed`: rates over those of the bare loop."""
    found = load(name)
    if found is None:
        return []
    lines = [
        f"## {title}",
        "",
        f"`python -m experiments.{name}`; {what}; median of {len(found['rows'][0]['all'])} turns [smallest, largest].",
        "",
        "| | over bare |",
        "|---|---|",
    ]
    for row in found["rows"]:
        middle = row.get("share", row.get("median"))
        lines.append(
            f"| {row.get('what', row.get('loop'))} | {middle:.3f} [{min(row['all']):.3f}, {max(row['all']):.3f}] |"
        )
    return [*lines, ""]


def agreement() -> list[str]:
    """`experiments.peer_agreement`: entry by entry beside the peers."""
    found = load("peer_agreement")
    if found is None:
        return []
    s = found["settings"]
    lines = [
        "## The peers' presets, entry by entry",
        "",
        f"`python -m experiments.peer_agreement{asked('peer_agreement')}`; CIFAR ResNet-20, "
        f"{s['images']} images, {s['steps']} steps, float64, the same draws; the "
        "peers set up to do what the papers say (see the experiment's head). Entries that differ by more than 1e-9 after all steps.",
        "",
        "| | ours | entries apart | images identical | largest difference |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {row['pairing']} | {row['ours'].replace('|', '/')} | {row['apart']:,} of {row['entries']:,} | "
            f"{row['images identical']} of {row['images']} | {row['largest']:.1g} |"
        )
    return [*lines, ""]


def nearest() -> list[str]:
    """`experiments.minimum_norm`: distances beside the peers'."""
    found = load("minimum_norm")
    if found is None:
        return []
    s = found["settings"]
    lines = [
        "## How small can a change be?",
        "",
        f"`python -m experiments.minimum_norm{asked('minimum_norm')}`; {found['target']}, "
        f"{s['images']} images it has right, in file order; C&W with "
        f"{s['iterations']} iterations and {s['searches']} searches, ours and foolbox's (ART's: a tenth); L2 of what succeeded; "
        "median ratio to our L-BFGS over the images that both fooled, 95 % bootstrap interval.",
        "",
        "| towards | attack | success [95 % Wilson] | median L2 | ratio to L-BFGS | nearer than L-BFGS |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        reached, a = [d for d in row["distance"] if d is not None], row["against"]
        lines.append(
            f"| {row['mode']} | {row['attack']} | {bb.Rate(*row['success'])} | {median(reached) if reached else math.nan:.3f} | "
            f"{a['ratio']:.3f} [{a['low']:.3f}, {a['high']:.3f}] | {a['nearer']} of {a['n']} |"
        )
    return [*lines, ""]


def asked(name: str) -> str:
    """The option that says for how many images an experiment was run."""
    found = load(name)
    return f" --images {found['settings']['images']}" if found else ""


def text(name: str, title: str, path: Path) -> list[str]:
    """An experiment that writes its own table."""
    if not path.exists():
        return []
    return [
        f"## {title}",
        "",
        f"`python -m experiments.{name}`",
        "",
        "```",
        path.read_text().split("\n\nThe best against")[0].rstrip(),
        "```",
        "",
    ]


def all_tables() -> list[str]:
    """Everything on surrogates and transfer."""
    return [
        *matrix(),
        *pairs(),
        *text(f"transfer_league{asked('transfer_league')}", "Which recipe is worth its gradients", RESULTS / "transfer_league.txt"),
        *practical(),
        *across_sets(),
        *text("defences", "What adversarial training protects from: digits", RESULTS / "defences_digits.txt"),
        *text("defences --data …", "The same on MNIST", RESULTS / "defences_mnist.txt"),
        *nearest(),
        *agreement(),
        *shares(
            "craft_speed",
            "Speed of crafting",
            "images/s over those of the bare forward and backward pass of the net as it is, at its best batch size, one thread",
        ),
        *shares("training_speed", "Speed of training", "images/s over those of a bare PyTorch loop"),
    ]

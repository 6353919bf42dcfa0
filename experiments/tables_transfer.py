"""The tables on surrogates and transfer in experiments/RESULTS.md; `experiments.tables` writes the file."""

from __future__ import annotations

from pathlib import Path
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
        "`python -m experiments.transfer_peers`; ResNet-20 to ResNet-32, images that both have right, in an order drawn once; equal "
        "gradients an image where a preset is shared. In pairs: images that one alone fools, and McNemar's exact p.",
        "",
    ]
    settings = sorted({(row["eps"], row["source"], row["n"], row["seed"]) for row in found["rows"]})
    for eps, source, n, seed in settings:
        rows = {r["attack"]: r for r in found["rows"] if (r["eps"], r["source"], r["n"], r["seed"]) == (eps, source, n, seed)}
        lines += [
            f"### Linf {eps:g}/255, {source} ResNet-20, {n} images, seed {seed}",
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


def shares(name: str, title: str, what: str) -> list[str]:
    """`experiments.craft_speed` and `experiments.training_speed`: rates over those of the bare loop."""
    found = load(name)
    if found is None:
        return []
    lines = [
        f"## {title}",
        "",
        f"`python -m experiments.{name}`; {what}; median of the turns [smallest, largest].",
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
        *text("transfer_league", "Which recipe is worth its gradients", RESULTS / "transfer_league.txt"),
        *practical(),
        *shares(
            "craft_speed",
            "Speed of crafting",
            "images/s over those of the bare forward and backward pass at its best batch size",
        ),
        *shares("training_speed", "Speed of training", "images/s over those of a bare PyTorch loop"),
    ]

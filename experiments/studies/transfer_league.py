"""Which crafting preset is worth its gradients? ResNet-20 to ResNet-32 on CIFAR, at equal effort and equal size.

Test images that both nets have right; Linf 4/255 and 8/255; every preset with as many steps and copies as G gradients an image
buy, the images as crafted and cut to one RMS. Success is the target's error on them; 95 % bootstrap intervals over images, exact
McNemar tests of the best against each, at the largest G. Also what foretells it: the alignment of the two nets' gradients, and
the same by two-query probes through an oracle. One surrogate, trained once: the intervals are about images alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import blackbox as bb
import surrogates as sg
from blackbox.report import style
from experiments.cases import both_right, photos, resnet
from experiments.figures import dots, sheet
from experiments.runner import DOCS, Book, Real, run, says, tell
from experiments.studies.league import League, league

PRESETS = (
    "fgsm", "i-fgsm", "pgd", "mi-fgsm", "ni-fgsm", "pi-fgsm", "emi-fgsm", "vmi-fgsm", "gra", "pgn", "di-fgsm", "dem", "ti-fgsm",
    "si-fgsm", "admix", "ssa", "sia", "bsr", "mi-di-ti-fgsm", "mi-di-ti-si-fgsm",
)  # fmt: skip


@dataclass(frozen=True)
class Settings(Real):
    images: int = says(200, "attacked")
    presets: tuple[str, ...] = says(PRESETS, "that take part")
    efforts: tuple[int, ...] = says((10, 50), "G, gradients an image")
    eps: tuple[int, ...] = says((4, 8), "Linf, in 255ths")
    probed: int = says(20, "images for the two-query probe")
    keep: str | None = says(None, "folder for the raw outcomes, two transfer matrices")
    seed: int = 0


def case(s: Settings) -> tuple[torch.nn.Module, torch.nn.Module, torch.Tensor, torch.Tensor]:
    """The two nets, and the first images that both have right."""
    nets, data = [resnet(s.root, d) for d in (20, 32)], photos(s.root)
    # file order is by class: take them in turn, so that the first hundred hold all ten
    turn = torch.argsort(torch.arange(len(data)) % (len(data) // len(data.classes)), stable=True)
    right = both_right(nets, data.take(turn[: 2 * s.images]))
    if len(right) < s.images:
        raise ValueError(f"Expected {s.images} images that both nets have right, but found {len(right)}.")
    return nets[0], nets[1], right.images[: s.images], right.labels[: s.images]


def rows(found: League) -> list[dict[str, Any]]:
    """Every entry at every eps; RMS in 255ths."""
    out = []
    for e, threat in enumerate(found.crafted.threats):
        front = {entry.attack for entry in found.front(threat)}
        for a, entry in enumerate(found.entries):
            rms = 255 * float(found.crafted.l2[0, a, e].mean()) / found.crafted.d**0.5
            row: dict[str, Any] = {"threat": str(threat), **asdict(entry), "front": entry.attack in front, "rms": rms}
            for name, matched in (("as crafted", False), ("equal RMS", True)):
                rate, ranks = found.rate(entry, threat, matched), found.ranks(threat, entry.effort, matched)
                i = ranks.names.index(entry.preset)
                row[name] = {"rate": rate.value, "low": rate.low, "high": rate.high, "n": rate.n, "best": float(ranks.first[i]),
                             "rank": [float(v[i]) for v in (ranks.rank, ranks.low, ranks.high)]}  # fmt: skip
            out.append(row)
    return out


def against_the_best(found: League) -> list[str]:
    """The best at the largest effort against every other there; p is not adjusted for their number."""
    lines, most = [], max(e.effort for e in found.entries)
    for threat in found.crafted.threats:
        for name, matrix, matched in (("as crafted", found.crafted, False), ("equal RMS", found.matched, True)):
            best, *others = [f"{n} @ {most}" for n in found.ranks(threat, most, matched).names]
            for other in others:
                test = sg.compare(matrix, best, other, source=found.source, target=found.target, threat=threat)
                lines.append(f"{threat}, {name}: {test}")
    return lines


def why(s: Settings, source: torch.nn.Module, target: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
    """Gradient alignment, with the target's gradients and with queries alone."""
    x, y, probe = x[: s.probed], y[: s.probed], sg.DirectionalProbe()
    true = sg.alignment(source, target, x, y, loss="margin")
    seen = probe({"resnet20": source}, bb.Oracle(target, "scores", 10), x, y, seed=s.seed)
    return {
        "images": len(x), "queries": seen.queries, "cosine": str(true.mean), "cosine by queries": str(seen.mean("resnet20")),
        "error of the cosine, root mean square": float(np.sqrt(np.mean((seen.cosine[0] - true.cosine) ** 2))),
        "relative error of the size, root mean square": float(np.sqrt(np.mean((seen.size / true.target_size - 1) ** 2))),
    }  # fmt: skip


def measure(s: Settings) -> None:
    source, target, x, y = case(s)
    threats, book = [bb.Linf(e / 255) for e in s.eps], Book("transfer_league", s)
    book.found.clear()  # ranks are of all entries together
    book.put(why=why(s, source, target, x, y))
    tell(book.found["why"])
    hidden = {"resnet32": bb.Oracle(target, "labels", 10)}
    found = league({"resnet20": source}, hidden, x, y, s.presets, s.efforts, threats, seed=s.seed, progress=print)
    if s.keep:
        for name, matrix in (("crafted", found.crafted), ("matched", found.matched)):
            matrix.save(Path(s.keep) / name)
    tests = against_the_best(found)
    kinds = {"linf": "uniform, same Linf", "rms": "Gaussian, same RMS"}
    noise = [f"{t}, {told}: {found.crafted.noise_rate('resnet32', t, kind)}" for t in threats for kind, told in kinds.items()]
    book.put(rows=rows(found), noise=noise, dropped=found.dropped, **{"against the best": tests})
    print(*noise, *tests, draw(found, DOCS / "transfer_league.png"), sep="\n", flush=True)


def draw(found: League, path: Path) -> Path:
    """For each threat, rate against G with the Pareto front, and the ranks at the largest effort."""
    threats, most = found.crafted.threats, max(e.effort for e in found.entries)
    high = max(4.2, 0.24 * sum(e.effort == most for e in found.entries) + 1.2)
    under = (
        f"{len(found.crafted)} images, given {found.given} · bars: 95 % bootstrap over runs and images · "
        "left: as crafted; dashed: noise of the same RMS · right: at equal RMS"
    )
    title = f"Transfer league, {found.source} to {found.target}"
    with sheet(path, title, under, 12.5, high * len(threats) + 0.6, len(threats), 2, width_ratios=(1.5, 1)) as (_, axes):
        for threat, (left, right) in zip(threats, axes, strict=True):
            _front(found, threat, left)
            r = found.ranks(threat, most, matched=True)
            names = [f"{name}  {100 * v:.0f} %" for name, v in zip(r.names, r.value, strict=True)]
            dots(right, names, {"": list(zip(r.rank, r.low, r.high, strict=True))})
            right.set(xlim=(0.5, len(names) + 0.5), xlabel="rank at equal RMS (1 is best)", title=f"ranks at G ≤ {most}")
    return path


def _front(found: League, threat: bb.Threat, axes: Any) -> None:
    front = found.front(threat)
    noise = found.crafted.noise_rate(found.target, threat, "rms")
    axes.axhline(100 * noise.value if noise.n else 0, color=style.PALE, lw=1, ls="--", zorder=1)
    for i, entry in enumerate(found.entries):
        on, rate = entry in front, found.rate(entry, threat)
        beside = 1.0 if on else 1 + 0.25 * (i / max(len(found.entries) - 1, 1) - 0.5)  # many have the same G
        error = [[100 * (rate.value - rate.low)], [100 * (rate.high - rate.value)]]
        axes.errorbar(entry.cost * beside, 100 * rate.value, yerr=error, fmt="o", ms=5.5 if on else 3.5, lw=0.9,
                      color=style.COLOURS[0 if on else 1], alpha=1.0 if on else 0.45, zorder=2 + on)  # fmt: skip
    best = [100 * found.rate(e, threat).value for e in front]
    axes.plot([e.cost for e in front], best, color=style.COLOURS[0], lw=1.2)
    for j, (entry, value) in enumerate(zip(front, best, strict=True)):
        axes.annotate(entry.preset, (entry.cost, value), (-6, 7 + 10 * (j % 2)), textcoords="offset points", ha="right",
                      fontsize=8.5, color=style.COLOURS[0])  # fmt: skip
    costs = sorted({e.effort for e in found.entries} | {e.cost for e in front})
    axes.set_xscale("log")
    axes.set_xticks(costs, [str(c) for c in costs])
    axes.minorticks_off()
    axes.set(xlim=(costs[0] / 2.2, costs[-1] * 1.4), ylim=(0, 108), xlabel="G, gradients an image", ylabel="transfer rate, %",
             title=f"{threat}: what is worth its cost")  # fmt: skip


if __name__ == "__main__":
    run(Settings, measure)

"""Which crafting preset is worth its gradients? At equal effort, chosen on some nets and images and reported on others.

Every preset with as many steps and copies as G gradients an image buy, Linf 8/255. From the public ResNet-20 and from a small VGG
of one's own. Of each source and G the best is chosen on the ground for choosing (images, and targets that are reported on nowhere),
and then compared on the reporting ground with every other preset, image by image: the share of the targets that an image fools, exact
McNemar tests of each target, adjusted for their number (Holm). Rates: of the images that the target has right. One training a
source, one seed: the intervals are about images alone. ``tests``: of all that was compared, not of what turned out best.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import blackbox as bb
import surrogates as sg
from experiments import ground
from experiments.figures import dots, sheet
from experiments.runner import DOCS, Book, Real, counted, each, run, says, tell
from experiments.studies.league import at_effort

PRESETS = ("fgsm", "i-fgsm", "mi-fgsm", "pi-fgsm", "vmi-fgsm", "di-fgsm", "si-fgsm", "mi-di-ti-fgsm")
# source -> the targets its presets are chosen on
CHOOSING = {"public resnet20": ("own_vgg", "own_cnn", "cnna_adv"), "own vgg": ("resnet20", "own_cnn", "cnna_adv")}


@dataclass(frozen=True)
class Settings(Real):
    images: int = says(110, "attacked, to report")
    choosing: int = says(60, "attacked, to choose")
    targets: tuple[str, ...] = says(("resnet32", "densenet", "poolcnn"), "that are reported on")
    sources: tuple[str, ...] = says(tuple(CHOOSING), "nets crafted on", CHOOSING)
    presets: tuple[str, ...] = says(PRESETS, "that take part")
    efforts: tuple[int, ...] = says((10,), "G, gradients an image")
    eps: int = says(8, "Linf, in 255ths")
    seed: int = 0


def crafted_on(name: str, root: Path) -> Any:
    return ground.net("resnet20", root) if name == "public resnet20" else ground.members("two", root)[0]


def attacked(s: Settings, use: str, targets: tuple[str, ...]) -> dict[str, Any]:
    """The images of a use of the ground, and its targets behind oracles."""
    count = s.images if use == "reporting" else s.choosing
    data, ids = ground.images("raw" if use == "reporting" else "raw-filtered", s.root)
    oracles = {name: bb.Oracle(ground.net(name, s.root), "labels", 10) for name in targets}
    x, y = data.images[:count], data.labels[:count]
    right = {name: oracle(x).label.cpu() == y for name, oracle in oracles.items()}
    return {"x": x, "y": y, "ids": ids[:count].numpy(), "oracles": oracles, "right": right}


def shown(s: Settings, net: Any, preset: sg.presets.Preset, on: dict[str, Any], seed: int) -> dict[str, Any]:
    """A row: what the targets make of a preset's examples, image by image; 1 fooled, 0 not, - wrong as it is."""
    x, y, threat = on["x"], on["y"], bb.Linf(s.eps / 255)
    made = sg.craft(net, x, y, preset, threat=threat, seed=seed, ids=on["ids"])
    found = {name: each(oracle(made).label.cpu() != y, on["right"][name]) for name, oracle in on["oracles"].items()}
    rms = 255 * float((made - x).flatten(1).square().mean(1).sqrt().mean())
    return {"steps": preset.steps, "gradients": preset.cost(), "composes": preset.composes, "rms": round(rms, 3), "fooled": found}


def share(row: dict[str, Any]) -> float:
    """Of a row, the mean of its targets' rates."""
    return float(np.mean([k / n for k, n in map(counted, row["fooled"].values())]))


def compared(rows: list[dict[str, Any]], best: dict[str, Any]) -> list[dict[str, Any]]:
    """The chosen preset of each source and G against every other, on each target: McNemar's exact p, and Holm's."""
    out = []
    for row in rows:
        chosen = best[row["source"]][str(row["effort"])]["preset"]
        if row["preset"] == chosen:
            continue
        (first,) = (r for r in rows if (r["source"], r["effort"], r["preset"]) == (row["source"], row["effort"], chosen))
        for target, theirs in row["fooled"].items():
            a, b = (np.array([c == "1" for c in marks if c != "-"]) for marks in (first["fooled"][target], theirs))
            found = bb.statistics.mcnemar(a, b)
            out.append({"source": row["source"], "effort": row["effort"], "target": target, "chosen": chosen, "other": row["preset"],
                        "chosen alone": found.first_only, "other alone": found.second_only, "p": found.p})  # fmt: skip
    for test, p in zip(out, bb.statistics.holm([t["p"] for t in out]), strict=True):
        test["p adjusted"] = float(p)
    return out


def measure(s: Settings) -> None:
    book = Book("transfer_league", s, same=("images", "choosing", "targets", "eps", "seed"))
    best: dict[str, Any] = {}
    for use in ("choosing", "reporting"):
        seed = s.seed if use == "reporting" else ground.seeds("choosing")[0]
        for source in s.sources:
            on = attacked(s, use, s.targets if use == "reporting" else CHOOSING[source])
            net = crafted_on(source, s.root)
            for effort, name in product(s.efforts, s.presets):
                preset = at_effort(sg.presets.get(name), effort)
                if preset is not None:
                    key = {"source": source, "effort": effort, "preset": name, "images": len(on["y"])}
                    book.row(lambda net=net, preset=preset, on=on, seed=seed: shown(s, net, preset, on, seed), among=use, **key)
            best[source] = {}
            for effort in s.efforts:
                some = [r for r in book.found["choosing"] if (r["source"], r["effort"]) == (source, effort)]
                first = max(some, key=share)
                best[source][str(effort)] = {"preset": first["preset"], "rate there": share(first)}
    found = compared(book.found["reporting"], best)
    book.put(chosen=best, tests=found)
    for test in found:
        if test["p adjusted"] < 0.05:
            tell(test)
    draw(book.found, s, DOCS / "transfer_league.png")


def draw(found: dict[str, Any], s: Settings, path: Path) -> Path:
    """A panel for each source and G: rates of all presets on each target; the chosen one marked."""
    rows = found["reporting"]
    under = (
        f"Linf {s.eps}/255, {s.images} raw images, of those that the target has right;\n95 % Wilson intervals over images; "
        "* chosen on other images and targets"
    )
    panels = list(product(s.sources, s.efforts))
    high = 0.36 * len(s.presets) + 1.1
    with sheet(path, "What a preset makes of as many gradients", under, 3.8 + 3.8 * len(s.efforts), high * len(s.sources) + 1.0,
               len(s.sources), len(s.efforts), sharex=True) as (made, axes):  # fmt: skip
        made.get_layout_engine().set(rect=(0.005, 0, 0.99, 1 - 0.85 / (high * len(s.sources) + 1.0)))
        for (source, effort), one in zip(panels, axes.flat, strict=True):
            some = sorted((r for r in rows if (r["source"], r["effort"]) == (source, effort)), key=share, reverse=True)
            star = found["chosen"][source][str(effort)]["preset"]
            names = [f"{r['preset']} *" if r["preset"] == star else r["preset"] for r in some]
            dots(one, names, {target: [counted(r["fooled"][target]) for r in some] for target in s.targets}, 0.2)
            one.set(xlim=(-2, 102), title=f"from {source}, at most {effort} gradients")
        for one in axes[-1]:
            one.set_xlabel("target fooled, %")
        made.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(s.targets))
    return path


if __name__ == "__main__":
    run(Settings, measure)

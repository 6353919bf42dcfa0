"""How often do examples crafted on one net fool another, and do the gradients of the two foretell it?

Targets: those of the ground (`experiments.ground`) that are reported on, behind oracles that show labels. Sources: the public
ResNet-20, of the ResNet-32's makers, and nets that the attacker trains without a single answer of a target: a small VGG, a small
CNN and both together, on images that the targets learned from too (raw) and on images that they did not (unseen). Attacked: all raw
images. Then, on the first of them, the cosine of the margins' gradients of each source and target, beside the rate of one FGSM step:
their rank correlation over all pairs (Demontis et al. 2019, arXiv:1809.02861). One training a source: intervals are over images.
Besides the results: every outcome (transfer_matrix/), the table as text, and docs/transfer_cifar.png.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

import blackbox as bb
import surrogates as sg
from experiments import ground
from experiments.figures import dots, sheet
from experiments.runner import DOCS, RESULTS, Found, Real, count, run, says, tell

RAW, UNSEEN = "own {}, images of the targets", "own {}, unseen images"


@dataclass(frozen=True)
class Settings(Real):
    targets: tuple[str, ...] = says((), "of the ground [all for reporting on CIFAR-10]")
    images: int | None = says(None, "attacked, the first of the raw ones [all]")
    eps: tuple[int, ...] = says((4, 8), "in 255ths")
    attacks: tuple[str, ...] = says(("fgsm", "mi-fgsm"), "presets")
    probed: int = says(100, "images, of the first, on which gradients are compared")
    seed: int = 0


def sources(root: Path) -> dict[str, nn.Module | list[nn.Module]]:
    """Name -> net, or nets whose logits are averaged."""
    found: dict[str, Any] = {"public resnet20": ground.net("resnet20", root)}
    for name, prior in ((RAW, "two"), (UNSEEN, "two-unseen")):
        vgg, cnn = ground.members(prior, root)
        found |= {name.format("vgg"): vgg, name.format("cnn"): cnn, name.format("vgg + cnn"): [vgg, cnn]}
    return found


def foretold(s: Settings, matrix: sg.TransferMatrix, crafted_on: dict[str, Any], hidden: dict[str, nn.Module]) -> dict[str, Any]:
    """Of each source and target the cosine of their gradients, image by image, and the rank correlation with one FGSM step's rate."""
    threat, n = matrix.threats[0], s.probed
    data, _ = ground.images("raw", s.root)
    x, y, rows, hits, among = data.images[:n], data.labels[:n], [], [], []
    for source, nets in crafted_on.items():
        for target, net in hidden.items():
            each = sg.alignment(nets, net, x, y, loss="margin").cosine
            fooled, known, _ = matrix.outcomes(source, target, "fgsm", threat)
            hits, among = [*hits, fooled[0]], [*among, known[0]]
            rows.append({"source": source, "target": target, "cosine": round(float(np.nanmean(each)), 4),
                         "each": [round(float(v), 3) for v in each], "fooled": count(fooled[0], known[0])})  # fmt: skip
            tell(rows[-1])
    rho = sg.rank_correlation([row["cosine"] for row in rows], np.stack(hits), np.stack(among))
    tell({"rank correlation of cosine and transfer": str(rho)})
    return {"rows": rows, "rank correlation": [rho.value, rho.low, rho.high, rho.n], "images": len(y), "threat": str(threat)}


def measure(s: Settings) -> Found:
    hidden = {name: ground.net(name, s.root) for name in s.targets or ground.targets("reporting", "cifar")}
    data, ids = ground.images("raw", s.root)
    some, ids = data.take(slice(0, s.images)), ids[: s.images]
    crafted_on = sources(s.root)
    accuracy = {name: sg.accuracy(net, some) for name, net in crafted_on.items() if not isinstance(net, list)}
    tell({"right on the images attacked": "", **accuracy})
    oracles = {name: bb.Oracle(net, "labels", 10) for name, net in hidden.items()}
    threats = [bb.Linf(e / 255) for e in s.eps]
    matrix = sg.transfer_matrix(
        crafted_on, oracles, some.images, some.labels, s.attacks, threats, seed=s.seed, ids=ids.numpy(), progress=print
    )
    text = matrix.table()
    print(text)
    matrix.save(RESULTS / "transfer_matrix")
    draw(matrix, DOCS / "transfer_cifar.png")
    (RESULTS / "transfer_matrix.txt").write_text(text + "\n")
    return {
        "sources": {name: {"accuracy": [r.k, r.n]} for name, r in accuracy.items()},
        "learned": {name: ground.learned(prior) for name, prior in ((RAW, "two"), (UNSEEN, "two-unseen"))},
        "foretold": foretold(s, matrix, crafted_on, hidden),
    }, None  # fmt: skip


def draw(matrix: sg.TransferMatrix, path: Path, preset: str = "mi-fgsm") -> Path:
    """A panel for each eps: the rate of one preset on every target, from every source and of noise."""
    under = (
        f"{preset}; {len(matrix)} raw test images, of those that a target has right;\n95 % Wilson intervals; one training a source"
    )
    names = [name for name in matrix.sources if "vgg + cnn" in name or name == "public resnet20"]
    with sheet(path, "How often do examples of one net fool another?", under, 7.4, 9.4, len(matrix.threats), sharex=True) as (made, axes):
        made.get_layout_engine().set(rect=(0.005, 0, 0.99, 1 - 0.85 / 9.4))
        for threat, one in zip(matrix.threats, axes[:, 0], strict=True):
            groups = {name: [matrix.rate(name, t, preset, threat) for t in matrix.targets] for name in names}
            groups["noise of the same size"] = [matrix.noise_rate(t, threat, "linf") for t in matrix.targets]
            dots(one, matrix.targets, {name: [[r.k, r.n] for r in rates] for name, rates in groups.items()}, 0.18)
            one.set(xlim=(-2, 102), title=str(threat))
        axes[-1, 0].set_xlabel("target fooled, %")
        made.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return path


if __name__ == "__main__":
    run(Settings, measure)

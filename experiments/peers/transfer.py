"""Transfer of shared presets, ours and torchattacks', from the same net to the same target, on the same images.

ResNet-20 to ResNet-32, images that both nets have right, equal G (gradients an image). Both run at the papers' step of eps / 10,
which is our default, and at 2/255, which is the peer's. Every image's outcome is kept, so that differences are tested in pairs
(McNemar's exact test). ``--source trained`` crafts on a small VGG trained on the attacker's own images (`experiments.nets`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from experiments import nets
from experiments.cases import both_right, photos, resnet
from experiments.runner import Book, Real, run, says


@dataclass(frozen=True)
class Settings(Real):
    images: int = says(500, "that both nets have right")
    eps: float = says(4.0, "in 255ths")
    source: str = says("given", "the public ResNet-20, given, or the own VGG, trained", ("given", "trained"))
    seed: int = says(0, "of the draws; the images stay the same")
    only: str = says("", "attacks whose name, ours or the peer's, has this in it")


Craft = Callable[[nn.Module, Tensor, Tensor, bb.Threat, int], Tensor]


def ours(preset: str | sg.presets.Preset, step: float | None) -> Craft:
    length = None if step is None else step / 255
    return lambda net, x, y, threat, seed: sg.craft(net, x, y, preset, threat=threat, step=length, seed=seed)


def peer(kind: str, step: float | None, **options: Any) -> Craft:
    """``step``: in 255ths; None for eps / T."""

    def made(net: nn.Module, x: Tensor, y: Tensor, threat: bb.Threat, seed: int) -> Tensor:
        import torchattacks

        torch.manual_seed(seed)
        length = {} if kind == "FGSM" else {"alpha": threat.eps / 10 if step is None else step / 255, "steps": 10}
        return getattr(torchattacks, kind)(net, eps=threat.eps, **length, **options)(x, y).detach()

    return made


def five(name: str) -> sg.presets.Preset:
    """Variance tuning with torchattacks' 5 neighbours instead of the paper's 20, so that G is the same."""
    return sg.presets.get(name).swap(sg.parts.Neighbourhood(count=5, beta=1.5))


# shared presets: ours beside the peer's class and the options that make it the same attack
SHARED: dict[str, tuple[sg.presets.Preset, str, dict[str, Any]]] = {
    "fgsm": (sg.presets.get("fgsm"), "FGSM", {}),
    "i-fgsm": (sg.presets.get("i-fgsm"), "BIM", {}),
    "mi-fgsm": (sg.presets.get("mi-fgsm"), "MIFGSM", {}),
    "ni-fgsm": (sg.presets.get("ni-fgsm"), "NIFGSM", {}),
    "di-fgsm": (sg.presets.get("di-fgsm"), "DIFGSM", {"decay": 1.0}),
    "ti-fgsm": (sg.presets.get("ti-fgsm"), "TIFGSM", {"decay": 1.0, "diversity_prob": 0.0}),
    "si-fgsm": (sg.presets.get("si-fgsm"), "SINIFGSM", {}),
    "vmi-fgsm, N = 5": (five("vmi-fgsm"), "VMIFGSM", {}),
    "vni-fgsm, N = 5": (five("vni-fgsm"), "VNIFGSM", {}),
}
CHEAP = 20  # gradients an image up to which both steps are measured; dearer ones take the peer's step alone
BPAS = sg.presets.get("bpa")
# what torchattacks cannot combine; those with BPA were found on 120 other images, drawn from the same test set
COMBINED: dict[str, str | sg.presets.Preset] = {
    "mi-di-ti-fgsm": "mi-di-ti-fgsm", "mi-di-ti-si-fgsm": "mi-di-ti-si-fgsm", "dem": "dem", "bpa": BPAS,
    "bpa | SI(copies=2)": BPAS | sg.parts.SI(copies=2), "vmi-fgsm, N = 5 | BPA": five("vmi-fgsm") | sg.parts.BPA(),
}  # fmt: skip


def attacks() -> dict[str, tuple[bool, Craft]]:
    """label -> (is it a peer's?, craft)."""
    out: dict[str, tuple[bool, Craft]] = {}
    for label, (preset, kind, options) in SHARED.items():
        for step in (None,) if kind == "FGSM" else (None, 2.0) if preset.cost() <= CHEAP else (2.0,):
            note = "" if kind == "FGSM" else ", step eps/10" if step is None else ", step 2/255"
            out[f"{label}{note}"] = (False, ours(preset, step))
            out[f"torchattacks {kind}{note}"] = (True, peer(kind, step, **options))
    return out | {f"{label}, step 2/255": (False, ours(preset, 2.0)) for label, preset in COMBINED.items()}


def measure(s: Settings) -> None:
    source = resnet(s.root, 20) if s.source == "given" else nets.trained(s.root, nets.VGG)
    target, threat, book = resnet(s.root, 32), bb.Linf(s.eps / 255), Book("transfer_peers", s)
    data = both_right((source, target), photos(s.root))
    some = data.take(torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[: s.images])  # file order is by class
    x, y = some.images, some.labels

    def shown(label: str, craft: Craft) -> dict[str, Any]:
        begin = time.perf_counter()
        x_adv = craft(source, x, y, threat, s.seed)
        seconds, farthest = time.perf_counter() - begin, float(threat.distance(x_adv, x).max())
        assert farthest <= threat.eps + 1e-6, f"{label} left the threat: {farthest}"
        fooled = sg.predict(target, x_adv) != y
        rate = bb.Rate(int(fooled.sum()), len(x))
        return {"rate": str(rate), "fooled": fooled.nonzero()[:, 0].tolist(), "seconds": seconds}

    for label, (theirs, craft) in attacks().items():
        if s.only.lower() in label.lower():
            key = {"eps": s.eps, "source": s.source, "n": len(x), "seed": s.seed, "attack": label, "peer": theirs}
            book.row(lambda label=label, craft=craft: shown(label, craft), **key)


if __name__ == "__main__":
    run(Settings, measure)

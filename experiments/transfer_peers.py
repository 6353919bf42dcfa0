"""Transfer of shared presets, ours and torchattacks', from the same net to the same target, on the same images.

    pip install 'blackbox-transfer[peers]'
    python -m experiments.transfer_peers --data ../shared/data [--eps 4 --images 500 --source trained]

ResNet-20 -> ResNet-32, images that both nets have right, equal G (gradients an image). Both run at the papers' step of
eps / 10, which is our default, and at 2/255, which is the peer's. Every image's outcome is kept, so that differences are tested in pairs
(McNemar's exact test). ``--source trained`` crafts on a small VGG trained here, on the attacker's 6,000 images alone (`own`).
Writes experiments/results/transfer_peers.json; what is there already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from experiments import own
from experiments.real import resnet
from surrogates.crafting.parts import BPA, SI, Neighbourhood

OUT = Path("experiments/results/transfer_peers.json")


@dataclass(frozen=True)
class Settings:
    data: str = "../shared/data"
    images: int = 500
    eps: float = 4.0  # in 255ths
    source: str = "given"
    seed: int = 0


Craft = Callable[[torch.nn.Module, Tensor, Tensor, bb.Threat, int], Tensor]


def ours(preset: str | sg.presets.Preset, step: float | None) -> Craft:
    length = None if step is None else step / 255
    return lambda net, x, y, threat, seed: sg.craft(net, x, y, preset, threat=threat, step=length, seed=seed)


def peer(kind: str, step: float | None, **options: Any) -> Craft:
    """``step``: in 255ths; None for eps / T."""

    def run(net: torch.nn.Module, x: Tensor, y: Tensor, threat: bb.Threat, seed: int) -> Tensor:
        import torchattacks

        torch.manual_seed(seed)
        length = {} if kind == "FGSM" else {"alpha": threat.eps / 10 if step is None else step / 255, "steps": 10}
        return getattr(torchattacks, kind)(net, eps=threat.eps, **length, **options)(x, y).detach()

    return run


def five(name: str) -> sg.presets.Preset:
    """Variance tuning with torchattacks' 5 neighbours instead of the paper's 20, so that G is the same."""
    return sg.presets.get(name).swap(Neighbourhood(count=5, beta=1.5))


# shared presets: ours beside the peer's class and the options that make it the same attack
SHARED: dict[str, tuple[str | sg.presets.Preset, str, dict[str, Any]]] = {
    "fgsm": ("fgsm", "FGSM", {}),
    "i-fgsm": ("i-fgsm", "BIM", {}),
    "mi-fgsm": ("mi-fgsm", "MIFGSM", {}),
    "ni-fgsm": ("ni-fgsm", "NIFGSM", {}),
    "di-fgsm": ("di-fgsm", "DIFGSM", {"decay": 1.0}),
    "ti-fgsm": ("ti-fgsm", "TIFGSM", {"decay": 1.0, "diversity_prob": 0.0}),
    "si-fgsm": ("si-fgsm", "SINIFGSM", {}),
    "vmi-fgsm, N = 5": (five("vmi-fgsm"), "VMIFGSM", {}),
    "vni-fgsm, N = 5": (five("vni-fgsm"), "VNIFGSM", {}),
}
CHEAP = 20  # gradients an image up to which both steps are measured; dearer ones take the peer's step alone


def combinations() -> dict[str, str | sg.presets.Preset]:
    """What torchattacks cannot combine. Those with BPA were found on 120 other images, drawn from the same test set."""
    bpa = sg.presets.get("bpa")
    return {
        "mi-di-ti-fgsm": "mi-di-ti-fgsm",
        "mi-di-ti-si-fgsm": "mi-di-ti-si-fgsm",
        "dem": "dem",
        "bpa": bpa,
        "bpa | SI(copies=2)": bpa | SI(copies=2),
        "vmi-fgsm, N = 5 | BPA": five("vmi-fgsm") | BPA(),
    }


def attacks() -> dict[str, tuple[bool, Craft]]:
    """label -> (is it a peer's?, craft)."""
    out: dict[str, tuple[bool, Craft]] = {}
    for label, (preset, kind, options) in SHARED.items():
        cost = (sg.presets.get(preset) if isinstance(preset, str) else preset).cost()
        for step in (None,) if kind == "FGSM" else (None, 2.0) if cost <= CHEAP else (2.0,):
            note = "" if kind == "FGSM" else ", step eps/10" if step is None else ", step 2/255"
            out[f"{label}{note}"] = (False, ours(preset, step))
            out[f"torchattacks {kind}{note}"] = (True, peer(kind, step, **options))
    return out | {f"{label}, step 2/255": (False, ours(preset, 2.0)) for label, preset in combinations().items()}


def nets(settings: Settings) -> tuple[torch.nn.Module, torch.nn.Module]:
    root = Path(settings.data)
    return resnet(root, 20) if settings.source == "given" else own.trained(root, own.VGG), resnet(root, 32)


def images(settings: Settings, source: torch.nn.Module, target: torch.nn.Module) -> tuple[Tensor, Tensor]:
    """The first images, in an order shuffled by a fixed draw, that both nets have right (in file order they come by class)."""
    data = sg.load(f"folder:{Path(settings.data) / 'cifar10' / 'test'}")
    right = (sg.predict(source, data.images) == data.labels) & (sg.predict(target, data.images) == data.labels)
    index = right.nonzero()[:, 0]
    index = index[torch.randperm(len(index), generator=torch.Generator().manual_seed(0))][: settings.images]
    return data.images[index], data.labels[index]


def load() -> list[dict[str, Any]]:
    return json.loads(OUT.read_text())["rows"] if OUT.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=Settings.data)
    parser.add_argument("--eps", type=float, default=Settings.eps, help="in 255ths")
    parser.add_argument("--images", type=int, default=Settings.images)
    parser.add_argument("--source", choices=("given", "trained"), default=Settings.source)
    parser.add_argument("--seed", type=int, default=Settings.seed, help="of the draws; the images stay the same")
    parser.add_argument("--only", default="", help="attacks whose name, ours or the peer's, has this in it")
    given = vars(parser.parse_args())
    only = given.pop("only").lower()
    settings = Settings(**given)
    source, target = nets(settings)
    x, y = images(settings, source, target)
    threat = bb.Linf(settings.eps / 255)
    key = {"eps": settings.eps, "source": settings.source, "n": len(x), "seed": settings.seed}
    for label, (theirs, craft) in attacks().items():
        if only not in label.lower():
            continue
        if any(row["attack"] == label and all(row[k] == v for k, v in key.items()) for row in load()):
            continue
        begin = time.perf_counter()
        x_adv = craft(source, x, y, threat, settings.seed)
        seconds = time.perf_counter() - begin
        reach = float(threat.distance(x_adv, x).max())
        assert reach <= threat.eps + 1e-6, f"{label} left the threat: {reach}"
        fooled = sg.predict(target, x_adv) != y
        rate = bb.Rate(int(fooled.sum()), len(x))
        row = {**key, "attack": label, "peer": theirs, "rate": str(rate), "fooled": fooled.nonzero()[:, 0].tolist(), "seconds": seconds}
        OUT.write_text(json.dumps({"settings": asdict(settings), "rows": [*load(), row]}) + "\n")
        print(f"eps {settings.eps:g}/255  {settings.source:8} {label:36} {rate}  {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()

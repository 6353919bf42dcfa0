"""Transfer of shared presets, ours and torchattacks', from the same net to the same targets, on the same images.

A preset of ours stands beside the class of the peer that computes the same, with the same kernel, look-ahead, resizing and number of
gradients (G). Which of each side's attacks is the best is told on choosing ground (own VGG to the public ResNet-20, `--use choosing`);
what it does is told on reporting ground, from the own VGG and from the public ResNet-20. Kept is, for each target, which of the images
that it has right were fooled, so that differences are tested in pairs (McNemar's exact test).
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
from experiments import ground
from experiments.cases import Case
from experiments.runner import Book, Real, load, run, says

RESULT = "transfer_beside_peers"
SOURCES, TARGETS = {"choosing": ("own VGG",), "reporting": ("own VGG", "ResNet-20")}, {
    "choosing": ("resnet20",), "reporting": ("resnet32", "resnet8", "poolcnn"),
}  # fmt: skip


@dataclass(frozen=True)
class Settings(Real):
    use: tuple[str, ...] = says(("choosing", "reporting"), "of the ground", ground.USES)
    eps: float = says(8.0, "in 255ths")
    step: float = says(2.0, "in 255ths: the peer's default")
    only: str = says("", "attacks whose name, ours or the peer's, has this in it")


Craft = Callable[[nn.Module, Tensor, Tensor, bb.Threat, float, int], Tensor]  # net, x, y, threat, step, seed


def ours(preset: str | sg.presets.Preset) -> Craft:
    def made(net: nn.Module, x: Tensor, y: Tensor, threat: bb.Threat, step: float, seed: int) -> Tensor:
        length = None if sg.presets.get(preset).steps == 1 else step  # one step goes the whole way
        return sg.craft(net, x, y, preset, threat=threat, step=length, seed=seed)

    return made


def peer(kind: str, **options: Any) -> Craft:
    def made(net: nn.Module, x: Tensor, y: Tensor, threat: bb.Threat, step: float, seed: int) -> Tensor:
        import torchattacks

        torch.manual_seed(seed)
        length = {} if kind == "FGSM" else {"alpha": step, "steps": 10}
        return getattr(torchattacks, kind)(net, eps=threat.eps, **length, **options)(x, y).detach()

    return made


P = sg.parts
# ours beside the peer's class and the options that make it the same attack
SHARED: dict[str, tuple[sg.presets.Preset, str, dict[str, Any]]] = {
    "fgsm": (sg.presets.get("fgsm"), "FGSM", {}),
    "i-fgsm": (sg.presets.get("i-fgsm"), "BIM", {}),
    "mi-fgsm": (sg.presets.get("mi-fgsm"), "MIFGSM", {}),
    "ni-fgsm": (sg.presets.get("ni-fgsm"), "NIFGSM", {}),
    "di-fgsm": (sg.presets.get("di-fgsm"), "DIFGSM", {"decay": 1.0, "resize_rate": 1.1, "diversity_prob": 0.5}),
    "ti-fgsm, 3 pixels": (
        sg.presets.get(P.Momentum() | P.TI(3)), "TIFGSM", {"decay": 1.0, "diversity_prob": 0.0, "len_kernel": 3},
    ),
    "ti-fgsm, 15 pixels": (sg.presets.get(P.Momentum() | P.TI(15)), "TIFGSM", {"decay": 1.0, "diversity_prob": 0.0}),
    "si-ni-fgsm": (sg.presets.get("si-fgsm") | P.LookAhead(), "SINIFGSM", {}),
    "vmi-fgsm, N = 5": (sg.presets.get("vmi-fgsm").swap(P.Neighbourhood(count=5, beta=1.5)), "VMIFGSM", {}),
}  # fmt: skip
BPAS = sg.presets.get("bpa")
COMBINED: dict[str, str | sg.presets.Preset] = {  # what torchattacks has not
    "mi-di-ti-fgsm": "mi-di-ti-fgsm", "mi-di-ti-si-fgsm": "mi-di-ti-si-fgsm", "bpa": BPAS, "bpa | SI(copies=2)": BPAS | P.SI(copies=2),
}  # fmt: skip


def attacks() -> dict[str, tuple[bool, Craft]]:
    """label -> (is it a peer's?, craft)."""
    out: dict[str, tuple[bool, Craft]] = {}
    for label, (preset, kind, options) in SHARED.items():
        out[label] = (False, ours(preset))
        out[beside(label)] = (True, peer(kind, **options))
    return out | {label: (False, ours(preset)) for label, preset in COMBINED.items()}


def beside(label: str) -> str:
    """The peer's name of a shared preset."""
    more = label.partition(", ")[2]
    return f"torchattacks {SHARED[label][1]}" + (f", {more}" if more else "")


def best(peer: bool, eps: float) -> str:
    """The attack of ours, or of theirs, that fooled most on choosing ground.

    Raises:
        ValueError: it has not been measured there.
    """
    rows = [r for r in (load(RESULT) or {"rows": []})["rows"] if (r["use"], r["peer"], r["eps"]) == ("choosing", peer, eps)]
    if not rows:
        raise ValueError("Expected rows of the choosing ground, but there are none. Run python -m experiments.peers.transfer.")
    return str(max(rows, key=lambda r: sum(map(sum, r["fooled"].values())))["attack"])


def source_of(name: str, s: Settings) -> nn.Module:
    return ground.members("two", s.root)[0] if name == "own VGG" else ground.net("resnet20", s.root)


@dataclass(frozen=True)
class Ground:
    """Images, their places in the file, and the targets with the images that each has right."""

    data: sg.Dataset
    places: Tensor
    cases: dict[str, Case]

    def shown(self, net: nn.Module, craft: Craft, threat: bb.Threat, step: float, seed: int) -> dict[str, Any]:
        """What the examples of one attack on ``net`` do to each target."""
        begin = time.perf_counter()
        x_adv = craft(net, self.data.images, self.data.labels, threat, step, seed)
        seconds, farthest = time.perf_counter() - begin, float(threat.distance(x_adv, self.data.images).max())
        assert farthest <= threat.eps + 1e-6, f"it left the threat: {farthest}"
        fooled, ids = {}, {}
        for name, case in self.cases.items():
            assert case.ids is not None
            at = torch.isin(self.places, case.ids)
            fooled[name] = (sg.predict(case.net, x_adv[at]) != self.data.labels[at]).int().tolist()
            ids[name] = self.places[at].tolist()
        return {"fooled": fooled, "ids": ids, "seconds": round(seconds, 1)}


def measure(s: Settings) -> None:
    threat, book = bb.Linf(s.eps / 255), Book(RESULT, s)
    for use in s.use:
        cases = {name: ground.case(name, s.root, use=use) for name in TARGETS[use]}
        on = Ground(*ground.images(next(iter(cases.values())).among, s.root), cases)
        seed = ground.seeds(use)[0]
        for source in SOURCES[use]:
            net = source_of(source, s)
            for label, (theirs, craft) in attacks().items():
                if s.only.lower() in label.lower():
                    key = {"use": use, "source": source, "eps": s.eps, "step": s.step, "seed": seed, "attack": label, "peer": theirs}
                    book.row(lambda on=on, given=(net, craft, threat, s.step / 255, seed): on.shown(*given), **key)


if __name__ == "__main__":
    run(Settings, measure)

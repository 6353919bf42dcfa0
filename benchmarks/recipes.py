"""How long does each crafting recipe take beside the bare passes that its gradients need?

Recipes of 2023 and later, and older ones that torchattacks has too, each thinned to about as many gradients; on a ResNet-20, those for
attention on a small ViT, where torch's attention that computes the map is a row too. Bare: forward and backward passes of the net as it
is, without graph of its weights, at its best batch size.
Above 1: slower than these. Ours folds batch norms where a recipe leaves the net alone, so it may be below.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch.nn.attention import SDPBackend, sdpa_kernel

import surrogates as sg
from benchmarks.clock import seconds, spread
from benchmarks.nets import Row, best_size, cases, passes
from experiments.studies.league import at_effort

NEW = ("ops", "l2t", "decowa", "stm", "awt", "fgsra", "mumodig", "p2fa")
ATTENTION = ("pna-patchout", "tgr", "vdc", "att", "fpr", "ll2s")
SHARED = {
    "i-fgsm": "BIM", "pgd": "PGD", "mi-fgsm": "MIFGSM", "ni-fgsm": "NIFGSM", "di-fgsm": "DIFGSM", "ti-fgsm": "TIFGSM",
    "si-fgsm": "SINIFGSM", "vmi-fgsm": "VMIFGSM", "vni-fgsm": "VNIFGSM",
}  # fmt: skip
# torchattacks' option, what it is, gradients beside the copies
COPIES = {"SINIFGSM": ("m", 5, 0), "VMIFGSM": ("N", 5, 1), "VNIFGSM": ("N", 5, 1)}


def thin(name: str, gradients: int) -> sg.presets.Preset:
    """A recipe with at most so many gradients; P2FA, whose features take most of them, with six of these."""
    preset = sg.presets.get(name)
    preset = preset.swap(sg.parts.P2FA(count=6)) if name == "p2fa" else preset
    return at_effort(preset, gradients) or preset


def recipes(s: Any) -> Iterator[Row]:
    count, effort = (4, 8) if s.quick else (32, 20)  # whole calls: ours pads the last one
    own = str(s.device) == "cpu"
    case = cases(s, count)[1]
    vit = sg.build("vit", 10, (3, 32, 32), seed=0).to(s.device)
    x, y, threat = case.images, case.labels, case.threat
    for kind, net, names in (("ResNet-20", case.net, (*SHARED, *NEW)), ("small ViT", vit, ("mi-fgsm", *ATTENTION))):
        net.requires_grad_(False)
        sizes = [size for size in (8, 16, 32) if size <= count] or [count]
        size = best_size(sizes, lambda size, net=net: 1 / min(seconds(partial(passes, net, x, y, size), s.device, own) for _ in range(2)))
        calls: dict[str, tuple[int, Callable[[], object]]] = {}
        for name in names:
            preset = thin(name, effort)
            calls[f"ours, {name}"] = preset.cost(), partial(sg.craft, net, x, y, preset, threat=threat)
            if kind == "ResNet-20" and name in SHARED and importlib.util.find_spec("torchattacks"):
                calls[f"torchattacks {SHARED[name]}"] = theirs(SHARED[name], net, x, y, threat.eps, effort, size)
        if net is vit:
            calls["bare, attention map in full"] = effort, partial(in_full, partial(passes, net, x, y, size, effort))
        for label, (gradients, call) in calls.items():
            call()
            alone = partial(passes, net, x, y, size, gradients)
            pairs = [(seconds(call, s.device, own), seconds(alone, s.device, own)) for _ in range(s.repeats)]
            yield "time over bare passes", {"what": f"{label}, {kind}", "gradients": gradients, **spread([a / b for a, b in pairs])}


def in_full(call: Callable[[], object]) -> None:
    """A call with torch's attention that computes the map, in place of the fused one: what a recipe for attention needs at least."""
    with sdpa_kernel(SDPBackend.MATH):
        call()


def theirs(kind: str, net: Any, x: Any, y: Any, eps: float, gradients: int, size: int) -> tuple[int, Callable[[], object]]:
    """One of torchattacks' classes at about so many gradients in batches of the best size: their number, and the call."""
    import torchattacks

    option, copies, more = COPIES.get(kind, ("", 1, 0))
    steps = max(gradients // (copies + more), 1)
    attack = getattr(torchattacks, kind)(net, eps=eps, alpha=eps / steps, steps=steps, **({option: copies} if option else {}))

    def call() -> None:
        for some, labels in zip(x.split(size), y.split(size), strict=True):
            attack(some, labels)

    return steps * (copies + more), call

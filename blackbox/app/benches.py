"""Benches: of the embedded digits, and of models and images that the command line names."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

import surrogates as sg
from blackbox import specs
from blackbox.app import opening
from blackbox.app.bench import THUMBNAILS, Bench, Once, photographs
from blackbox.specs import digits

if TYPE_CHECKING:
    from blackbox.specs import Images, Nets

_MOST, _MOST_OF_PHOTOGRAPHS, _START_OF_PHOTOGRAPHS = 0.1, 16 / 255, 4 / 255
_BISECTED = 8  # images of a model of one's own: each costs it a few queries


def asked_for(targets: list[str], surrogates: list[str], images: Images, nets: Nets, most: float | None, seed: int) -> Bench:
    """The bench that the command line asks for: the embedded digits when it asks for nothing. Call `Preparation` before it is
    shown: nets are trained and images chosen by its steps.

    Args:
        most: the end of the slider; by default 0.1, and 16/255 for photographs.

    Raises:
        ValueError: data or surrogates without a target. Else as `own_bench`.
    """
    if not targets and not surrogates and images.data == "digits":
        return digits_bench(seed, most)
    if not targets:
        raise ValueError(
            "Expected --target, the model to examine, beside --data or --surrogate, but there was none. "
            "Without any of them the page shows the embedded digits."
        )
    return own_bench(targets, surrogates, images, nets, most, seed)


def digits_bench(seed: int = 0, most: float | None = None) -> Bench:
    """The embedded digits: six hidden targets, and two surrogates, one taught by a target's labels and one by true labels."""
    data, own = digits.parts()["attack"], digits.parts()["surrogate"]

    def taught() -> nn.Module:
        """As the demo's: from the answers of svm-rbf to 1,600 images, labels alone."""
        net = sg.build("mlp", classes=10, shape=own.shape, seed=seed)
        recipe = sg.Recipe(epochs=10, optimiser="adam", lr=2e-3)
        teacher = digits.oracle("svm-rbf", "labels", 256)
        return ready(sg.train(net, sg.acquire.widened(own, 1600, seed), recipe, seed=seed, teacher=teacher, queries=1600))

    def supervised() -> nn.Module:
        net = sg.build("cnn", classes=10, shape=own.shape, seed=seed)
        return ready(sg.train(net, own, sg.Recipe(epochs=30, optimiser="adam", lr=2e-3), seed=seed))

    names = sorted(digits.NAMES, key=lambda name: name != "svm-rbf")
    targets = {name: Once(partial(_digits_target, name, data)) for name in names}
    nets = {
        "mlp, taught by svm-rbf's labels": Once(taught),
        "cnn, trained on 400 own digits": Once(supervised),
        "mlp target itself (white box)": Once(lambda: ready(targets["mlp"]().net)),
    }
    bench = Bench(data, nets, targets, what=digits.WHAT, most=most or _MOST, reach=0.2)
    bench.prepare = [
        ("fitting the hidden target, support vectors, to 900 digits", lambda: _made(targets["svm-rbf"])),
        ("training the surrogate, a small net, on the target's answers to 1,600 images", lambda: _made(nets[next(iter(nets))])),
        ("choosing the first image: one on which a change fools both", lambda: opening.arranged(bench, THUMBNAILS)),
    ]
    return bench


def _made(value: Once[Any]) -> None:
    value()


def _digits_target(name: str, data: sg.Dataset) -> specs.Model:
    return specs.models(f"digits:{name}", data)[0]


def own_bench(target: list[str], surrogate: list[str], images: Images, nets: Nets, most: float | None, seed: int = 0) -> Bench:
    """From specs of the command line. Without a surrogate the targets that are nets stand for it: a white box.

    Raises:
        ValueError, FileNotFoundError: a spec that names nothing, or models and images that do not fit.
    """
    chosen = specs.images(images, seed)
    data = chosen.data
    count = nets.classes or len(data.classes)
    found: dict[str, specs.Model] = {}
    for model in specs.several(target, chosen, count, nets, seed):
        found[specs.free(model.name, found)] = model
    sources = specs.sources(surrogate, "--surrogate", chosen, count, nets, seed)
    sources = sources or {f"{name} itself (white box)": m.net for name, m in found.items() if m.net is not None}
    if not sources:
        raise ValueError(
            f"Expected --surrogate, a net to take gradients of, because {target[0]} has none. Train one from its answers: "
            f"blackbox surrogate --target {target[0]}"
        )
    made = {name: Once(partial(ready, net, nets.device)) for name, net in sources.items()}
    targets = {name: Once(partial(_as_it_is, model)) for name, model in found.items()}
    photos = photographs(data)
    most = most or (_MOST_OF_PHOTOGRAPHS if photos else _MOST)
    reach = 0.2 if data.images[0].numel() < 1000 else 8 / 255
    start = min(_START_OF_PHOTOGRAPHS, most / 2) if photos else 0.0
    bench = Bench(data, made, targets, device=nets.device, most=most, reach=reach, start=start)
    words = f"choosing the first image among {min(THUMBNAILS, len(data))}: one on which a change fools both models"
    bench.prepare = [(words, lambda: opening.arranged(bench, THUMBNAILS, THUMBNAILS, _BISECTED))]
    return bench


def _as_it_is(model: specs.Model) -> specs.Model:
    return model


def ready(net: Any, device: str | None = None) -> nn.Module:
    """For good in eval mode and without parameter gradients, so that several visitors may use it at a time."""
    net = net if device is None else net.to(device)
    return net.eval().requires_grad_(False)  # type: ignore[no-any-return]

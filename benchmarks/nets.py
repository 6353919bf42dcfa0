"""How near to the bare net do attacks, crafting and training run?

speed     *same calls*: wall time of the attack over that of the bare net on the very same calls: the sizes, the order, and the
          images that the attack asked about; each bare call is made beside the attack's own. *best rate*: over the time of
          the bare net on as many rows as were counted, at its best batch size; the wall time holds the uncharged check of every
          claimed success too.
craft     gradients of ten steps over those of the bare forward and backward pass, through the net as it is, at its best batch
          size. Ours finds its call size by itself and folds batch norms, so it may be above 1; how far the folded net alone is, is a
          row of its own. torchattacks, where it is installed,
          is given all images at once, and in batches of the best size.
training  images a second of one epoch of `surrogates.train` over those of the loop everybody writes (shuffled batches, loss,
          backward, step; no augmentation, nothing recorded).

With the data folder they run on its nets and images, without it on the same architectures with random weights.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from benchmarks.clock import bare, over_bare, seconds, spread
from experiments.cases import Case, cifar, mnist, photos
from surrogates.nets import folded

Row = tuple[str, dict[str, Any]]


def cases(s: Any, count: int) -> list[Case]:
    """MNIST's LeNet and CIFAR's ResNet-20, on the device; random weights are never fooled at their eps."""
    if s.root.is_dir():
        found = [mnist(s.root, count), cifar(s.root, count)]
    else:
        found = []
        for name, arch, shape in (("LeNet, random weights", "lenet", (1, 28, 28)), ("ResNet-20, random weights", "resnet20", (3, 32, 32))):
            net, x = sg.build(arch, 10, shape, seed=0).eval(), torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
            found.append(Case(name, net, x, sg.predict(net, x), bb.Linf(1e-6), x))
    return [Case(c.name, c.net.to(s.device), c.images.to(s.device), c.labels.to(s.device), c.threat, c.own) for c in found]


def attack(case: Case, name: str, budget: int) -> bb.Oracle:
    """One attack; its oracle, which has counted."""
    oracle = bb.Oracle(case.net, access="scores", classes=10)
    chosen = bb.attacks.build(name, **({"method": "groups"} if name == "fd-ifgsm" else {}))
    bb.attack(oracle, case.images, case.labels, chosen, case.threat, budget)
    return oracle


def best_size(sizes: list[int], rate: Callable[[int], float]) -> int:
    return max(sizes, key=rate)


def speed(s: Any) -> Iterator[Row]:
    few, many, long, short = (4, 8, 6, 6) if s.quick else (100, 1000, 1000, 105)
    for case in cases(s, few):
        for name in ("square", "simba", "nes", "fd-ifgsm"):
            budget = long if name == "square" else short  # square needs few queries; the ratio needs no complete run
            counted = attack(case, name, budget).rows  # not timed: the first calls of a net and of an attack are slow
            ratios = [over_bare(case.net, partial(attack, case, name, budget)) for _ in range(s.repeats)]
            yield "wall over bare, same calls", {"target": case.name, "attack": name, "n": few, "rows": counted, **spread(ratios)}
    case = cases(s, many)[1]

    def calls(size: int, rows: int) -> list[Tensor]:
        pool = case.images.repeat(-(-size // len(case.images)), 1, 1, 1)
        full, rest = divmod(rows, size)
        return [pool[:size]] * full + [pool[:rest]] * (rest > 0)

    sizes = [8, 16] if s.quick else [8, 16, 32, 64, 128, 256, 512]
    ratios = []
    for _ in range(s.repeats):
        size = best_size(sizes, lambda size: 1 / bare(case.net, calls(size, 16 if s.quick else 2048)))
        oracle: list[bb.Oracle] = []
        wall = seconds(lambda oracle=oracle: oracle.append(attack(case, "square", long)), s.device)
        ratios.append(wall / bare(case.net, calls(size, oracle[0].rows)))
    yield "wall over bare, best rate", {"target": case.name, "attack": "square", "n": many, "rows": oracle[0].rows, **spread(ratios)}


def passes(net: nn.Module, x: Tensor, y: Tensor, size: int, steps: int = 1) -> None:
    """The net's forward and backward passes over all images in batches of ``size``."""
    for _ in range(steps):
        for some, labels in zip(x.split(size), y.split(size), strict=True):
            given = some.clone().requires_grad_()
            torch.autograd.grad(nn.functional.cross_entropy(net(given), labels, reduction="sum"), given)


def craft(s: Any) -> Iterator[Row]:
    count, steps, sizes = (8, 2, [4, 8]) if s.quick else (256, 10, [8, 16, 32, 64, 128, 256])
    case = cases(s, count)[1]
    net, x, y, own = case.net.requires_grad_(False), case.images, case.labels, str(s.device) == "cpu"
    size = best_size(sizes, lambda size: 1 / min(seconds(partial(passes, net, x, y, size), s.device, own) for _ in range(3)))
    calls: dict[str, Callable[[], object]] = {
        "bare, batch norms folded": partial(passes, folded(net, tuple(x.shape[1:])), x, y, size, steps)
    }
    for name, kind in {"i-fgsm": "BIM", "mi-fgsm": "MIFGSM", "ni-fgsm": "NIFGSM"}.items():
        calls[f"ours, {name}"] = partial(sg.craft, net, x, y, name, threat=case.threat, steps=steps)
        for each in dict.fromkeys((size, len(x))) if importlib.util.find_spec("torchattacks") else ():
            calls[f"torchattacks {kind}, batch {each}"] = partial(theirs, kind, net, x, y, case.threat.eps, steps, each)
    for label, call in calls.items():
        call()
        pairs = [(seconds(partial(passes, net, x, y, size, steps), s.device, own), seconds(call, s.device, own)) for _ in range(s.repeats)]
        yield "gradients over bare", {"what": label, "best size": size, **spread([a / b for a, b in pairs])}


def theirs(kind: str, net: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, size: int) -> None:
    import torchattacks

    attack = getattr(torchattacks, kind)(net, eps=eps, alpha=eps / steps, steps=steps)
    for some, labels in zip(x.split(size), y.split(size), strict=True):
        attack(some, labels)


def training(s: Any) -> Iterator[Row]:
    count, batch = (64, 32) if s.quick else (6000, 128)
    if s.root.is_dir():
        data = sg.split(photos(s.root, "train"), {"part": count})["part"]  # mixed: the folder is in the order of the classes
    else:
        random = torch.Generator().manual_seed(0)
        labels = torch.randint(0, 10, (count,), generator=random)
        data = sg.Dataset(torch.rand(count, 3, 32, 32, generator=random), labels, tuple("0123456789"), "noise")

    def loop(form: torch.memory_format = torch.contiguous_format) -> None:
        net = sg.build("resnet20").train().to(s.device, memory_format=form)
        images, labels = data.images.to(s.device, memory_format=form), data.labels.to(s.device)
        optimiser = torch.optim.SGD(net.parameters(), 0.1, 0.9, weight_decay=1e-4)
        for i in torch.randperm(len(labels)).split(batch):
            loss = nn.functional.cross_entropy(net(images[i]), labels[i])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    def ours(augment: tuple[str, ...]) -> None:
        sg.train(sg.build("resnet20").to(s.device), data, sg.Recipe(epochs=1, batch_size=batch, least_updates=1, augment=augment))

    loops: dict[str, Callable[[], object]] = {
        "bare, NHWC": lambda: loop(torch.channels_last), "train": lambda: ours(("crop", "flip")), "train, plain": lambda: ours(()),
    }  # fmt: skip
    own = str(s.device) == "cpu"
    for name, call in loops.items():
        pairs = [(seconds(loop, s.device, own), seconds(call, s.device, own)) for _ in range(s.repeats + 1)][1:]
        yield "images a second over bare", {"what": name, **spread([a / b for a, b in pairs])}

"""The real targets that the experiments measure on: other people's nets, real images, nothing of it in this repository.

``--data ROOT`` names the folder (``../shared/data`` by default); its README says what must be in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg


@dataclass(frozen=True)
class Case:
    """A hidden net, images that it has right, a threat, own images; and, from `experiments.ground`, what its tables say of it.

    ids: the images' places in the file of the set ``among``, given to `blackbox.attack`, so that rows name their images.
    """

    name: str
    net: nn.Module
    images: Tensor
    labels: Tensor
    threat: bb.Threat
    own: Tensor  # the attacker's images, none of them attacked
    key: str = ""
    ids: Tensor | None = None
    among: str = ""
    family: str = ""
    robust: bool = False
    classes: int = 10
    data: str = ""


def spread_over(total: int, most: int = 0) -> Tensor:
    """So many places, evenly spread over ``total``; all of them where there are no more, or for 0."""
    count = min(most or total, total)
    return torch.arange(count) * total // count


def cornered(x: Tensor, eps: float, seed: int) -> Tensor:
    """Images [N, \\*shape], each moved to a random corner of its Linf ball, within [0, 1]: noise as large as any example."""
    signs = torch.randint(0, 2, x.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return (x + eps * signs).clamp(0, 1)


def chosen(net: nn.Module, data: sg.Dataset, count: int, spread: bool = False) -> Tensor:
    """The places of the first ``count`` images that the net classifies as labelled, or of so many spread evenly over all
    of these."""
    index = (sg.predict(net, data.images) == data.labels).nonzero()[:, 0]
    if len(index) < count:
        raise ValueError(f"Expected {count} correctly classified images, but {data.name} has {len(index)}.")
    return index[spread_over(len(index), count)] if spread else index[:count]


def both_right(nets: Iterable[nn.Module], data: sg.Dataset) -> sg.Dataset:
    """The images that all nets classify as labelled."""
    return data.take(torch.stack([sg.predict(net, data.images) == data.labels for net in nets]).all(0))


def lenet(root: Path) -> nn.Module:
    return sg.from_spec(f"lenet:{root / 'weights' / 'mnist_lenet5_clntrained.safetensors'}", shape=(1, 28, 28))


def resnet(root: Path, depth: int) -> nn.Module:
    """One of the public CIFAR ResNets."""
    return sg.from_spec(f"resnet{depth}:{root / 'weights' / f'cifar10_resnet{depth}.safetensors'}", shape=(3, 32, 32))


def digits(root: Path) -> tuple[sg.Dataset, sg.Dataset]:
    """The MNIST test set in halves: to be attacked, and owned by the attacker."""
    data = sg.load(f"npz:{root / 'mnist_test.npz'}")
    half = len(data) // 2
    return data.take(slice(0, half)), data.take(slice(half, len(data)))


def photos(root: Path, part: str = "test") -> sg.Dataset:
    """CIFAR-10's test images, or those for training, in file order, which is by class."""
    return sg.load(f"folder:{root / 'cifar10' / part}")


def mnist(root: Path, count: int) -> Case:
    """The LeNet on MNIST, Linf 0.3."""
    net, (data, own) = lenet(root), digits(root)
    some = data.take(chosen(net, data, count))
    return Case("MNIST LeNet", net, some.images, some.labels, bb.Linf(0.3), own.images)


def raw(root: Path, unfiltered: bool | None = None) -> sg.Dataset:
    """CIFAR-10 test images that were never JPEG: those that no net was used to select (``unfiltered``), the others, or all."""
    data = sg.load(f"npz:{root / 'cifar10_raw.npz'}")
    with np.load(root / "cifar10_raw.npz") as file:
        marked = torch.from_numpy(file["unfiltered"].astype(bool))
    return data if unfiltered is None else data.take(marked == unfiltered)


def cifar(root: Path, count: int, depth: int = 20, spread: bool = False, among: sg.Dataset | None = None) -> Case:
    """A CIFAR ResNet, Linf 8/255. The attacker owns the training folder. spread: over all classes, see `chosen`. among:
    instead of the test folder."""
    net, data = resnet(root, depth), among or photos(root)
    some = data.take(chosen(net, data, count, spread))
    return Case(f"CIFAR ResNet-{depth}", net, some.images, some.labels, bb.Linf(8 / 255), photos(root, "train").images)


def photographs(root: Path, count: int) -> Case:
    """The SqueezeNet on ImageNet photographs of 224 x 224, Linf 8/255. The attacker owns those that are not attacked."""
    spec = f"torchvision:squeezenet1_0:{root / 'weights' / 'imagenet_squeezenet1_0.safetensors'}"
    net = sg.from_spec(spec, classes=1000, shape=(3, 224, 224), mean=0, std=1)
    data = sg.load(f"folder:{root / 'imagenet' / 'val'}", size=224, classes=root / "imagenet" / "classes.txt")
    index = chosen(net, data, count, spread=True)
    rest = torch.ones(len(data), dtype=torch.bool)
    rest[index] = False
    return Case("SqueezeNet", net, data.images[index], data.labels[index], bb.Linf(8 / 255), data.images[rest])

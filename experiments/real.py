"""The real targets that the experiments measure on: other people's nets, real images, nothing of it in this repository.

``--data ROOT`` names the folder (``../shared/data`` by default); its README says what must be in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg


@dataclass(frozen=True)
class Case:
    """A hidden net, the first images of its test set that it has right (in file order), a threat, own images."""

    name: str
    net: torch.nn.Module
    images: Tensor
    labels: Tensor
    threat: bb.Threat
    own: Tensor  # the attacker's images, none of them attacked


def chosen(net: torch.nn.Module, data: sg.Dataset, count: int, spread: bool = False) -> Tensor:
    """The places of the first ``count`` images that the net classifies as labelled, or of so many spread evenly over all
    of these."""
    predicted = sg.predict(net, data.images)
    index = (predicted == data.labels).nonzero()[:, 0]
    if len(index) < count:
        raise ValueError(f"Expected {count} correctly classified images, but {data.name} has {len(index)}.")
    return index[torch.arange(count) * len(index) // count] if spread else index[:count]


def right(net: torch.nn.Module, data: sg.Dataset, count: int, spread: bool = False) -> tuple[Tensor, Tensor]:
    """Those images and their labels."""
    index = chosen(net, data, count, spread)
    return data.images[index], data.labels[index]


def mnist(root: Path, count: int, eps: float = 0.3) -> Case:
    """The LeNet on MNIST, Linf 0.3. The attacker owns the second half of the test set."""
    net = sg.from_spec(f"lenet:{root / 'weights' / 'mnist_lenet5_clntrained.safetensors'}", shape=(1, 28, 28))
    data = sg.load(f"npz:{root / 'mnist_test.npz'}")
    half = len(data) // 2
    images, labels = right(net, data.take(slice(0, half)), count)
    return Case("MNIST LeNet", net, images, labels, bb.Linf(eps), data.images[half:])


def resnet(root: Path, depth: int) -> torch.nn.Module:
    """One of the public CIFAR ResNets."""
    return sg.from_spec(f"resnet{depth}:{root / 'weights' / f'cifar10_resnet{depth}.safetensors'}", shape=(3, 32, 32))


def attacked(root: Path, count: int, depth: int) -> list[int]:
    """The places in the CIFAR test folder of the images that ``cifar(..., spread=True)`` gives."""
    return chosen(resnet(root, depth), sg.load(f"folder:{root / 'cifar10' / 'test'}"), count, True).tolist()


def cifar(
    root: Path, count: int, depth: int = 20, eps: float = 8 / 255, spread: bool = False, among: sg.Dataset | None = None
) -> Case:
    """A CIFAR ResNet, Linf 8/255. The attacker owns the training folder. spread: over all classes, see `chosen`. among:
    instead of the test folder."""
    net = resnet(root, depth)
    images, labels = right(net, among or sg.load(f"folder:{root / 'cifar10' / 'test'}"), count, spread)
    own = sg.load(f"folder:{root / 'cifar10' / 'train'}").images
    return Case(f"CIFAR ResNet-{depth}", net, images, labels, bb.Linf(eps), own)


def photographs(root: Path, count: int, eps: float = 8 / 255) -> Case:
    """The SqueezeNet on ImageNet photographs of 224 x 224, Linf 8/255. The attacker owns those that are not attacked."""
    spec = f"torchvision:squeezenet1_0:{root / 'weights' / 'imagenet_squeezenet1_0.safetensors'}"
    net = sg.from_spec(spec, classes=1000, shape=(3, 224, 224), mean=0, std=1)
    data = sg.load(f"folder:{root / 'imagenet' / 'val'}", size=224, classes=root / "imagenet" / "classes.txt")
    index = chosen(net, data, count, spread=True)
    rest = torch.ones(len(data), dtype=torch.bool)
    rest[index] = False
    return Case("SqueezeNet", net, data.images[index], data.labels[index], bb.Linf(eps), data.images[rest])

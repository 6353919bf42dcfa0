"""The network architectures, with the usual parameter names, so that public weights load."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shape = tuple[int, int, int]


class Normalised(nn.Module):
    """A net behind ``(x - mean) / std``, so that it takes images in [0, 1].

    Args:
        net: classifies the normalised images.
        shape: (C, H, W) it was built for.
        classes: their number.
        mean, std: one number or one for each channel, in units of [0, 1] images; numbers in units of 0..255 are refused.
        arch: the name under which `surrogates.models.build` builds the net.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        shape: Shape,
        classes: int,
        mean: tuple[float, ...] = (0.0,),
        std: tuple[float, ...] = (1.0,),
        arch: str = "",
    ) -> None:
        super().__init__()
        for name, value in (("mean", mean), ("std", std)):
            if len(value) not in (1, shape[0]):
                raise ValueError(
                    f"Expected {name} to have 1 or {shape[0]} entries (channels), but it had {len(value)}."
                )
        if min(std) <= 0:
            raise ValueError(f"Expected std to be positive, but it was {std}.")
        if max(map(abs, mean)) > 2 or max(std) > 10:
            raise ValueError(
                f"Expected mean and std in units of images in [0, 1], but they were {mean} and {std}. Divide both by 255?"
            )
        self.net, self.shape, self.classes, self.arch = net, tuple(shape), classes, arch
        # not persistent: a file of weights holds the net's own names only
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Images [m, C, H, W] in [0, 1] -> logits [m, classes]."""
        out = self.net((x - self.mean) / self.std)
        return out if isinstance(out, Tensor) else out[0]  # some torchvision nets return auxiliary outputs in training


class MLP(nn.Module):
    """Fully connected, two hidden layers of 200 ReLUs: "FC200-200-10" of Szegedy et al. 2013 (arXiv:1312.6199)
    with ReLU in place of the sigmoid."""

    def __init__(self, shape: Shape, classes: int, hidden: tuple[int, int] = (200, 200)) -> None:
        super().__init__()
        self.linear1 = nn.Linear(shape[0] * shape[1] * shape[2], hidden[0])
        self.linear2 = nn.Linear(hidden[0], hidden[1])
        self.linear3 = nn.Linear(hidden[1], classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear3(F.relu(self.linear2(F.relu(self.linear1(x.flatten(1))))))


class LeNet(nn.Module):
    """Two 3x3 convolutions (32, 64), each followed by ReLU and 2x2 max pooling, then 200 hidden units: after LeCun et
    al. 1998 ("Gradient-based learning applied to document recognition"), in the widths of common MNIST examples."""

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape[0], 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.linear1 = nn.Linear(64 * (shape[1] // 4) * (shape[2] // 4), 200)
        self.linear2 = nn.Linear(200, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.linear2(F.relu(self.linear1(x.flatten(1))))


class Strided(nn.Module):
    """Convolutions of 4x4 pixels with stride 2, of ``widths`` channels, then 256 hidden units, without batch norm: the kind of net
    that is trained robustly and certified (Wong & Kolter 2018, arXiv:1711.00851), in widths of ours. The cheapest here for its size, as
    nothing is computed at the image's full resolution."""

    def __init__(self, shape: Shape, classes: int, widths: tuple[int, ...] = (32, 64, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last, *sides = shape
        for width in widths:
            layers += [nn.Conv2d(last, width, 4, 2, 1), nn.ReLU()]
            last, sides = width, [side // 2 for side in sides]
        self.features = nn.Sequential(*layers)
        self.linear1 = nn.Linear(last * sides[0] * sides[1], 256)
        self.linear2 = nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear2(F.relu(self.linear1(self.features(x).flatten(1))))


class CNN(nn.Module):
    """A small all-convolutional net: strided convolutions instead of pooling, global average at the end (Springenberg
    et al. 2015, arXiv:1412.6806), with batch norm (Ioffe & Szegedy 2015, arXiv:1502.03167)."""

    def __init__(self, shape: Shape, classes: int, width: int = 32) -> None:
        super().__init__()
        plan = [(shape[0], width, 1), (width, width, 2), (width, 2 * width, 1), (2 * width, 2 * width, 2)]
        self.features = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
                for a, b, stride in plan
            )
        )
        self.classifier = nn.Conv2d(2 * width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)).mean((2, 3))


class VGG(nn.Module):
    """A small VGG (Simonyan & Zisserman 2015, arXiv:1409.1556): 3x3 convolutions of ``plan`` channels with batch norm, 2x2
    max pooling at each 0 (an odd side is rounded up), then the global average and one linear layer. The default plan, five
    convolutions up to 256 channels, was chosen by an earlier program, which `experiments.studies.settings
    --study surrogates` repeats."""

    PLAN = (32, 0, 64, 0, 128, 128, 0, 256, 0)

    def __init__(self, shape: Shape, classes: int, plan: tuple[int, ...] = PLAN) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = shape[0]
        for width in plan:
            if width == 0:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
            else:
                layers += [nn.Conv2d(last, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                last = width
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.features(x).mean((2, 3)))


class _Block(nn.Module):
    """Two 3x3 convolutions around an option A shortcut: every second pixel, missing channels filled with zeros."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.stride, self.missing = stride, outside - inside

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1 or self.missing:
            low = self.missing // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, low, self.missing - low))
        return F.relu(out + x)


class ResNet(nn.Module):
    """The CIFAR ResNets of He et al. 2016 (arXiv:1512.03385, section 4.2): 6n + 2 layers, widths 16, 32, 64."""

    def __init__(self, shape: Shape, classes: int, depth: int = 20) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(shape[0], 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._layer(16, 16, 1, blocks)
        self.layer2 = self._layer(16, 32, 2, blocks)
        self.layer3 = self._layer(32, 64, 2, blocks)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def _layer(inside: int, outside: int, stride: int, blocks: int) -> nn.Sequential:
        return nn.Sequential(
            *(_Block(inside if i == 0 else outside, outside, stride if i == 0 else 1) for i in range(blocks))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def he_init(net: nn.Module) -> None:
    """Weights ~ N(0, 2 / fan-in), biases 0 (He et al. 2015, arXiv:1502.01852, eq. 10)."""
    for part in net.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)

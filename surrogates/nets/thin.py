"""Convolutional nets of few parameters: a MobileNet and a DenseNet for 32-pixel images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from surrogates.nets.architectures import Shape


def _first_stride(shape: Shape) -> int:
    """Large images are halved at once, so that nothing but the first convolution sees them at their full resolution."""
    return 2 if min(shape[1:]) > 16 else 1


class _Inverted(nn.Module):
    """An inverted residual: 1x1 to ``expand`` times the channels, 3x3 for each channel alone, 1x1 back, added to its input where
    neither size nor channels change."""

    def __init__(self, inside: int, outside: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inside * expand
        self.conv1, self.bn1 = nn.Conv2d(inside, wide, 1, bias=False), nn.BatchNorm2d(wide)
        self.conv2, self.bn2 = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide)
        self.conv3, self.bn3 = nn.Conv2d(wide, outside, 1, bias=False), nn.BatchNorm2d(outside)
        self.skips = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu6(self.bn2(self.conv2(F.relu6(self.bn1(self.conv1(x))))))
        out = self.bn3(self.conv3(out))
        return x + out if self.skips else out


class MobileNet(nn.Module):
    """A small MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381): inverted residuals of depthwise convolutions, ReLU6, and the
    global average.

    ``plan``: (channels, blocks, stride of the first) of each stage behind the first convolution, which has ``first`` channels and a
    stride of 2 above 16 pixels. The plan and the expansion by 4 (the paper: 6) are ours, for 32-pixel images and a CPU.
    """

    PLAN = ((24, 2, 1), (48, 2, 2), (96, 1, 1))

    def __init__(
        self, shape: Shape, classes: int, plan: tuple[tuple[int, int, int], ...] = PLAN, first: int = 16, expand: int = 4
    ) -> None:
        super().__init__()
        last = first
        self.conv1, self.bn1 = nn.Conv2d(shape[0], last, 3, _first_stride(shape), 1, bias=False), nn.BatchNorm2d(last)
        blocks: list[nn.Module] = []
        for width, count, stride in plan:
            for i in range(count):
                blocks.append(_Inverted(last, width, stride if i == 0 else 1, expand))
                last = width
        self.blocks = nn.Sequential(*blocks)
        self.conv2, self.bn2 = nn.Conv2d(last, 2 * last, 1, bias=False), nn.BatchNorm2d(2 * last)
        self.linear = nn.Linear(2 * last, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu6(self.bn1(self.conv1(x))))
        return self.linear(F.relu6(self.bn2(self.conv2(x))).mean((2, 3)))


class _Growing(nn.Module):
    """Batch norm, ReLU, 1x1 to four times the growth, batch norm, ReLU, 3x3 to the growth; joined to its input."""

    def __init__(self, inside: int, growth: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inside), nn.Conv2d(inside, 4 * growth, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))
        return torch.cat([x, out], 1)


class _Transition(nn.Module):
    """Batch norm, ReLU, 1x1 to half the channels, 2x2 average pooling (an odd side is rounded up)."""

    def __init__(self, inside: int) -> None:
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(inside), nn.Conv2d(inside, inside // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.conv(F.relu(self.bn(x))), 2, ceil_mode=True)


class DenseNet(nn.Module):
    """A small DenseNet-BC (Huang et al. 2017, arXiv:1608.06993): each layer sees the channels of all layers before it in its block,
    and halves them between blocks.

    ``layers`` in each of three blocks and ``growth`` channels a layer. These, and the first 3x3 convolution's stride of 2 above 16
    pixels, are ours, for a CPU (the paper: 16 layers, growth 12, stride 1 for 32-pixel images).
    """

    def __init__(self, shape: Shape, classes: int, layers: int = 4, growth: int = 16) -> None:
        super().__init__()
        last = 2 * growth
        self.conv1 = nn.Conv2d(shape[0], last, 3, _first_stride(shape), 1, bias=False)
        features: list[nn.Module] = []
        for block in range(3):
            for _ in range(layers):
                features.append(_Growing(last, growth))
                last += growth
            if block < 2:
                features.append(_Transition(last))
                last //= 2
        self.features, self.bn = nn.Sequential(*features), nn.BatchNorm2d(last)
        self.linear = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.relu(self.bn(self.features(self.conv1(x)))).mean((2, 3)))

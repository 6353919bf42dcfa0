"""Nets and images that others publish inside ordinary packages of npm and PyPI, for experiments with goals beyond one class.

None of it is part of this project. One fetches a package by name and unpacks it below ``--packages`` (``../packages`` by default):

    npm pack @vladmandic/face-api     unpacked as face-api:      a face descriptor and an age net (MIT)
    npm pack nsfwjs                   unpacked as nsfwjs:        a moderation net of five classes (MIT)
    pip download --no-deps scikit-image, unpacked as scikit-image: a hundred faces of Labeled Faces in the Wild

The architectures are written here anew, after their papers (He et al. 2015, arXiv:1512.03385, in dlib's form of 29 layers; Chollet 2016,
arXiv:1610.02357; Sandler et al. 2018, arXiv:1801.04381); the weights are read as they were published, in bytes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (122.782, 117.001, 104.298)  # of red, green and blue, from 0 to 255, as the face nets subtract it
SAME_PERSON = 0.6  # descriptors nearer than this are of one person: dlib's and face-api's own threshold
MODERATION = ("Drawing", "Hentai", "Neutral", "Porn", "Sexy")
SAFE = ("Drawing", "Neutral")
_ENTRY = re.compile(r'\{name:"([^"]+)",shape:\[([\d,]*)\],dtype:"float32"(?:,quantization:\{([^}]*)\})?\}')


def _decoded(entries: Iterator[tuple[str, list[int], dict[str, float]]], blob: bytes) -> dict[str, Tensor]:
    """Tensors by name from the bytes of TensorFlow.js: a byte a number where it was quantised."""
    out, at = {}, 0
    for name, shape, steps in entries:
        kind = np.dtype("uint8" if steps else "<f4")
        count = int(np.prod(shape)) if shape else 1
        values = np.frombuffer(blob, kind, count, at).reshape(shape).astype(np.float32)
        at += count * kind.itemsize
        out[name] = torch.from_numpy(values * np.float32(steps["scale"]) + np.float32(steps["min"]) if steps else values)
    return out


def manifest(folder: Path, name: str) -> dict[str, Tensor]:
    """The weights of a net of face-api, ``NAME-weights_manifest.json`` and ``NAME.bin``."""
    groups = json.loads((folder / f"{name}-weights_manifest.json").read_text(encoding="utf-8"))
    blob = b"".join((folder / path).read_bytes() for group in groups for path in group["paths"])
    return _decoded(((w["name"], w["shape"], w.get("quantization", {})) for group in groups for w in group["weights"]), blob)


def bundled(folder: Path) -> dict[str, Tensor]:
    """The weights of a net of nsfwjs, which are JavaScript: a literal that names them, and base64."""
    text = (folder / "model.min.js").read_text(encoding="utf-8")
    parts = sorted(folder.glob("group1-shard*.min.js"))
    blob = b"".join(base64.b64decode(re.findall(r'exports="([A-Za-z0-9+/=]+)"', p.read_text(encoding="utf-8"))[0]) for p in parts)

    def entries() -> Iterator[tuple[str, list[int], dict[str, float]]]:
        for name, shape, steps in _ENTRY.findall(text):
            found = {key: float(value) for key, value in re.findall(r"(min|scale):(-?[\d.e+-]+)", steps)}
            yield name, [int(n) for n in shape.split(",") if n], found

    return _decoded(entries(), blob)


class Weights(nn.Module):
    """A net that is a function of named weights; face-api lays convolutions out as height, width, in, out."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.held = {k: v.permute(3, 2, 0, 1).contiguous() if v.ndim == 4 else v for k, v in weights.items()}

    def __getitem__(self, name: str) -> Tensor:
        return self.held[name]


def _same(x: Tensor, size: int, stride: int, value: float = 0.0) -> Tensor:
    """Padded so that a window of this size and stride covers all: TensorFlow's *same*."""
    pads: list[int] = []
    for n in x.shape[:1:-1]:
        more = max((-(-n // stride) - 1) * stride + size - n, 0)
        pads += [more // 2, more - more // 2]
    return F.pad(x, pads, value=value)


class FaceDescriptor(Weights):
    """A face -> 128 numbers. x: [n, 3, 150, 150] in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        x = (255 * x - torch.tensor(MEAN).view(1, 3, 1, 1)) / 256
        x = F.max_pool2d(F.relu(self.scaled(x, "conv32_down", 2, 0)), 3, 2)
        for width, blocks in ((32, "123"), (64, "d123"), (128, "d12"), (256, "d12o")):
            for block in blocks:
                name = f"conv{width}_{ {'d': 'down', 'o': 'down_out'}.get(block, block) }"
                x = self.block(x, name, block in "do")
        return x.mean((2, 3)) @ self["fc"]

    def scaled(self, x: Tensor, name: str, stride: int = 1, pad: int = 1) -> Tensor:
        x = F.conv2d(x, self[f"{name}/conv/filters"], self[f"{name}/conv/bias"], stride, pad)
        return x * self[f"{name}/scale/weights"].view(1, -1, 1, 1) + self[f"{name}/scale/biases"].view(1, -1, 1, 1)

    def block(self, x: Tensor, name: str, down: bool) -> Tensor:
        out = F.relu(self.scaled(x, f"{name}/conv1", 2 if down else 1, 0 if down else 1))
        out = self.scaled(out, f"{name}/conv2")
        if down:
            x = F.avg_pool2d(x, 2, 2)
            out = F.pad(out, (0, x.shape[3] - out.shape[3], 0, x.shape[2] - out.shape[2]))
            x = F.pad(x, (0, 0, 0, 0, 0, out.shape[1] - x.shape[1]))
        return F.relu(out + x)


class Age(Weights):
    """A face -> its age in years, [n]. x: [n, 3, 112, 112] in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        x = (255 * x - torch.tensor(MEAN).view(1, 3, 1, 1)) / 255
        x = F.relu(self.conv(x, "entry_flow/conv_in", 2))
        x = self.reduced(x, "entry_flow/reduction_block_0", first=True)
        x = self.reduced(x, "entry_flow/reduction_block_1")
        for block in sorted({name.split("/")[1] for name in self.held if name.startswith("main_flow")}):
            out = x
            for i in range(3):
                out = self.separable(F.relu(out), f"main_flow/{block}/separable_conv{i}")
            x = x + out
        x = self.reduced(x, "exit_flow/reduction_block")
        x = F.relu(self.separable(x, "exit_flow/separable_conv"))
        return (x.mean((2, 3)) @ self["fc/age/weights"] + self["fc/age/bias"])[:, 0]

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        filters = self[f"{name}/filters"]
        return F.conv2d(_same(x, filters.shape[2], stride), filters, self[f"{name}/bias"], stride)

    def separable(self, x: Tensor, name: str) -> Tensor:
        depth = self[f"{name}/depthwise_filter"].transpose(0, 1)
        return F.conv2d(F.conv2d(x, depth, None, 1, 1, 1, len(depth)), self[f"{name}/pointwise_filter"], self[f"{name}/bias"])

    def reduced(self, x: Tensor, name: str, first: bool = False) -> Tensor:
        out = self.separable(x if first else F.relu(x), f"{name}/separable_conv0")
        out = self.separable(F.relu(out), f"{name}/separable_conv1")
        out = F.max_pool2d(_same(out, 3, 2, -torch.inf), 3, 2)
        return out + self.conv(x, f"{name}/expansion_conv", 2)


class Pad(nn.Module):
    """A row below and a column to the right, as Keras pads before a stride of two."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1, 0, 1))


def descriptor(packages: Path) -> FaceDescriptor:
    return FaceDescriptor(manifest(packages / "face-api" / "model", "face_recognition_model")).eval()


def age(packages: Path) -> Age:
    return Age(manifest(packages / "face-api" / "model", "age_gender_model")).eval()


def moderation(packages: Path) -> nn.Module:
    """An image -> logits of `MODERATION`. x: [n, 3, 224, 224] in [0, 1]. torchvision's MobileNetV2, padded and finished as Keras does."""
    from torchvision.models import mobilenet_v2

    weights = bundled(packages / "nsfwjs" / "dist" / "models" / "mobilenet_v2")
    net: Any = mobilenet_v2()
    head = [nn.Linear(1280, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 5)]
    net.classifier = nn.Sequential(*head)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    for i, part in enumerate(net.features):
        if i in (0, 18):
            _filled(part[0], part[1], weights, ("Conv1", "bn_Conv1") if i == 0 else ("Conv_1", "Conv_1_bn"))
            continue
        name = "expanded_conv" if i == 1 else f"block_{i - 1}"
        convs = [(one[0], one[1]) for one in part.conv[:-2]] + [(part.conv[-2], part.conv[-1])]
        for (conv, norm), what in zip(convs, ("expand", "depthwise", "project")[-len(convs) :], strict=True):
            _filled(conv, norm, weights, (f"{name}_{what}", f"{name}_{what}_BN"))
    for part in (net.features[0], *(block.conv[-3] for block in net.features[1:18])):
        if part[0].stride == (2, 2):
            part[0].padding = (0, 0)
            part.insert(0, Pad())
    for i in (0, 2, 4):
        net.classifier[i].weight.data = weights[f"dense_{i // 2 + 1}/kernel"].T.contiguous()
        net.classifier[i].bias.data = weights[f"dense_{i // 2 + 1}/bias"]
    return net.eval().requires_grad_(False)  # type: ignore[no-any-return]


def _filled(conv: nn.Conv2d, norm: nn.BatchNorm2d, weights: dict[str, Tensor], names: tuple[str, str]) -> None:
    kernel = weights.get(f"{names[0]}/kernel")
    kernel = weights[f"{names[0]}/depthwise_kernel"].permute(2, 3, 0, 1) if kernel is None else kernel.permute(3, 2, 0, 1)
    if kernel.shape != conv.weight.shape:
        raise ValueError(f"Expected weights {tuple(conv.weight.shape)} for {names[0]}, but they were {tuple(kernel.shape)}.")
    conv.weight.data = kernel.contiguous()
    norm.weight.data, norm.bias.data = weights[f"{names[1]}/gamma"], weights[f"{names[1]}/beta"]
    norm.running_mean, norm.running_var = weights[f"{names[1]}/moving_mean"], weights[f"{names[1]}/moving_variance"]


def faces(packages: Path, side: int) -> Tensor:
    """A hundred faces of Labeled Faces in the Wild, grey and 25 pixels wide as scikit-image has them, enlarged; [100, 3, side, side]."""
    small = np.load(packages / "scikit-image" / "skimage" / "data" / "lfw_subset.npy", allow_pickle=False)[:100]
    grey = torch.from_numpy(small).float()[:, None].clamp(0, 1)
    large = F.interpolate(grey, size=(side, side), mode="bicubic", align_corners=False)
    return large.clamp(0, 1).expand(-1, 3, -1, -1).contiguous()

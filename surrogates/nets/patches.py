"""Nets that cut the image into patches: a vision transformer and an MLP-Mixer, small enough for 32-pixel images and a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from surrogates.nets.architectures import Shape


def patch_side(shape: Shape) -> int:
    """The side of a patch in pixels: about eight patches along the shorter side, at least 2 pixels each (ours)."""
    return max(2, round(min(shape[1:]) / 8))


class _Patches(nn.Module):
    """Cuts images [m, C, H, W] into patches and maps each to ``width`` numbers: [m, patches, width].

    What the last patches lack at the right and lower edge is filled with zeros."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        self.side = patch_side(shape)
        self.grid = tuple(-(-length // self.side) for length in shape[1:])
        self.project = nn.Conv2d(shape[0], width, self.side, self.side)

    @property
    def count(self) -> int:
        return self.grid[0] * self.grid[1]

    def forward(self, x: Tensor) -> Tensor:
        down, right = (n * self.side - length for n, length in zip(self.grid, x.shape[2:], strict=True))
        x = F.pad(x, (0, right, 0, down)) if down or right else x
        return self.project(x).flatten(2).mT


class _Feedforward(nn.Module):
    """Two linear layers around a GELU, on the last axis."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _Attention(nn.Module):
    """Multi-head self-attention over tokens [m, N, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        m, n, width = x.shape
        q, k, v = self.qkv(x).view(m, n, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(m, n, width))


class _Encoder(nn.Module):
    """A transformer block with the normalisation before each branch."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = _Attention(width, heads), _Feedforward(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """A small vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929): patches, a class token, learned positions, ``depth``
    blocks of ``heads`` attention heads, a linear layer on the class token.

    Width, depth and heads are ours, chosen so that it learns on a CPU in minutes; the patches are `patch_side` pixels wide. Train it
    with ``Recipe(optimiser="adam")``: it has no batch norm.
    """

    def __init__(self, shape: Shape, classes: int, width: int = 96, depth: int = 4, heads: int = 3) -> None:
        super().__init__()
        self.patches = _Patches(shape, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, self.patches.count + 1, width))
        self.blocks = nn.ModuleList(_Encoder(width, heads, 2 * width) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)
        xavier_init(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class _Mixing(nn.Module):
    """A mixer block: one feed-forward part across the tokens, one across the channels."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens, self.channels = _Feedforward(tokens, 2 * tokens), _Feedforward(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).mT).mT
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    """A small MLP-Mixer (Tolstikhin et al. 2021, arXiv:2105.01601): neither convolution nor attention, but linear layers across the
    patches and across the channels in turn, then the mean over the patches.

    Width and depth are ours, as for `ViT`; hidden layers are twice as wide as what they take (the paper: half for the tokens, four
    times for the channels, of far more channels). Train it with ``Recipe(optimiser="adam")``: it has no batch norm.
    """

    def __init__(self, shape: Shape, classes: int, width: int = 96, depth: int = 4) -> None:
        super().__init__()
        self.patches = _Patches(shape, width)
        self.blocks = nn.ModuleList(_Mixing(self.patches.count, width) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)
        xavier_init(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


def xavier_init(net: nn.Module) -> None:
    """Weights uniform with variance 2 / (fan-in + fan-out), biases 0 (Glorot & Bengio 2010), as the papers of both nets have it."""
    for part in net.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(part.weight.flatten(1))
            assert part.bias is not None
            nn.init.zeros_(part.bias)

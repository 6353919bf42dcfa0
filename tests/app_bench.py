"""A bench whose every number is known: two affine models of two classes on four pixels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import surrogates as sg
from blackbox.app.bench import Bench, Once
from blackbox.specs import Model


class Affine(nn.Module):
    """logit_1 - logit_0 = w . x + b."""

    def __init__(self, w: list[float], b: float) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.tensor(w), requires_grad=False), b

    def forward(self, x):
        z = x.flatten(1) @ self.w + self.b
        return torch.stack([torch.zeros_like(z), z], 1)


def labels_only(x):
    """As the affine target: its label and nothing else."""
    return (x.flatten(1).sum(1) * 0.5 - 1.1 > 0).long()


@pytest.fixture
def table() -> Bench:
    """At x = 0.5 the surrogate's margin is 0.2 with |w|_1 = 4, so FGSM flips it at eps 0.05; the target's is 0.1 with
    0.5 a pixel, along the same signs 1.0 (two of its four weights have the surrogate's sign), ...: see `target`."""
    surrogate = Affine([1.0, 1.0, 1.0, 1.0], -2.2)  # 2 - 2.2 = -0.2: class 0; + 4 eps: flips at 0.05
    target = Affine([0.5, 0.5, 0.5, 0.5], -1.16)  # 1 - 1.16 = -0.16: class 0; + 2 eps: flips at 0.08
    images = torch.full((3, 1, 2, 2), 0.5)
    images[1] += 0.2  # class 1 to both
    images[2, 0, 0, 0] = 0.45
    data = sg.Dataset(images, torch.tensor([0, 1, 0]), ("even", "odd"), "toy")
    return Bench(
        data,
        {"mine": Once(lambda: surrogate)},
        {
            "theirs": Once(lambda: Model("theirs", "toy", target)),
            "mute": Once(lambda: Model("mute", "toy", labels_only)),
        },
    )

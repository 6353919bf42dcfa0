"""What a target says of itself, whether it has a TargetInfo or attributes only, and what wrappers make of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.protocol import Access
from blackbox.targets import EightBit, LabelsOnly, Noisy, Retrying, Rounded, TargetInfo, TopK
from blackbox.targets.info import info_of


class Plain:
    """What the protocol asks for and nothing else."""

    name, device, returns = "plain", torch.device("cpu"), "probabilities"

    def predict(self, x: Tensor) -> Any:
        return torch.full((len(x), 4), 0.25)


class Attributes(Plain):
    """Says more of itself, in attributes."""

    classes, shows, k, max_rows, shape = 4, Access.TOPK, 3, 7, (1, 2, 2)
    probe, resolution, noise, randomised, keyed = 1 / 255, 0.01, 0.03, True, True


def test_a_target_need_not_have_an_info() -> None:
    assert info_of(Plain()) == TargetInfo("plain", "probabilities")
    assert info_of(Attributes()) == TargetInfo(
        "plain", "probabilities", 4, Access.TOPK, 3, (1, 2, 2), 7, 1 / 255, 0.01, 0.03, True, True
    )


class Informed:
    """Has an info, and no more than a target needs beside it."""

    device = torch.device("cpu")
    info = TargetInfo("informed", "probabilities", classes=4)

    def predict(self, x: Tensor) -> Any:
        return torch.full((len(x), 4), 0.25)


def test_an_info_is_enough() -> None:
    x = torch.zeros(2, 1, 2, 2)
    for target in (Informed(), Rounded(Informed(), 1), Retrying(Informed())):
        assert bb.Oracle(target, classes=4)(x).label.tolist() == [0, 0]
        with pytest.raises(ValueError, match="classes=4, the number that .*informed"):
            bb.Oracle(target, classes=5)


def test_channels_add_to_what_is_behind_them() -> None:
    assert EightBit(Noisy(Attributes(), 0.04)).info == TargetInfo(
        "EightBit of Noisy 0.04 of plain", "probabilities", 4, Access.TOPK, 3, (1, 2, 2), 7, 1 / 255, 0.01, 0.05, True, False
    )
    assert LabelsOnly(Rounded(Plain(), 1)).info == TargetInfo("LabelsOnly of Rounded 1 of plain", "labels")
    assert TopK(Plain(), 2).k == 2
    assert Retrying(Attributes()).info == info_of(Attributes())


def test_a_wrapper_of_ones_own_says_otherwise() -> None:
    class Named(bb.targets.Channel):
        own_noise = 0.5

        def __str__(self) -> str:
            return "Mine"

    oracle = bb.Oracle(Named(Plain()), classes=4)
    assert (oracle.name, oracle.noise, oracle.randomised) == ("Mine of plain", 0.5, False)


@pytest.mark.parametrize("target", [Attributes(), EightBit(Attributes())])
def test_an_oracle_holds_its_user_to_it(target: Any) -> None:
    with pytest.raises(ValueError, match="Expected classes=4"):
        bb.Oracle(target, "topk", classes=5)
    with pytest.raises(bb.AccessError, match="topk at most"):
        bb.Oracle(target, "scores", classes=4)
    with pytest.raises(ValueError, match="k of at most 3"):
        bb.Oracle(target, "topk", classes=4, k=4)
    oracle = bb.Oracle(target, "topk", classes=4, k=3)
    assert oracle.max_rows == 7 and oracle.next_rows(100) <= 7

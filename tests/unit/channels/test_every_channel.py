"""What every channel of ``blackbox list channels`` must keep, whatever it does to images and answers."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any

import pytest
import torch

import blackbox as bb
from blackbox.channels.channel import Channel, Scores
from blackbox.specs import channels
from blackbox.targets import Target
from blackbox.testing import ReluNet

NET = ReluNet.random((3, 16, 16), classes=4, seed=1)
X = torch.rand(7, 3, 16, 16, generator=torch.Generator().manual_seed(0))
VALUES: dict[type, Any] = {int: 2, float: 0.1, bool: True, str: ""}
EACH = pytest.mark.parametrize("name", list(channels.NAMES))


class Module(torch.nn.Module):
    """The net as a torch module, for a channel that reaches into it."""

    def __init__(self) -> None:
        super().__init__()
        self.units = torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return NET(self.units(x))


def around(name: str, model: Any = None) -> Channel:
    """The channel around a model, by default the net; what has no default set to a small value."""
    kind = channels.find(name)
    given = {n: VALUES[t] for n, (t, default) in channels.settings(kind).items() if default is MISSING}
    inside = name == "random-features"
    return kind((Module() if inside else NET) if model is None else model, **given, **({"layer": "units"} if inside else {}))


def made(name: str) -> Channel:
    return around(name)


def shown(channel: Channel, *sizes: int) -> list[torch.Tensor]:
    """Label and values of each image, asked in calls of these sizes."""
    info, parts, at = channel.info, [], 0
    access = "labels" if info.returns == "labels" else info.shows or "scores"
    oracle = bb.Oracle(channel, access, 4, returns=info.returns or "logits")
    for size in sizes:
        reply = oracle.submit(X[at : at + size], "test")
        parts.append((reply.label, reply.probabilities()))
        at += size
    assert oracle.rows == len(X)
    return [torch.cat(column) for column in zip(*parts, strict=True)]


def test_every_channel_has_a_word() -> None:
    """What the command line offers is what `blackbox.targets` offers."""
    offered = {n for n in bb.targets.__all__ if isinstance(k := getattr(bb.targets, n), type) and issubclass(k, Channel)}
    assert offered - {"Channel"} == set(channels.NAMES.values())
    assert not issubclass(Channel, Scores)


@EACH
def test_answers_do_not_depend_on_the_calls(name: str) -> None:
    """A channel made afresh answers the same images alike, however they are cut into calls."""
    whole, cut = shown(made(name), 7), shown(made(name), 2, 1, 4)
    assert all(torch.equal(a, b) for a, b in zip(whole, cut, strict=True))


@EACH
def test_it_is_a_target_and_says_what_it_is(name: str) -> None:
    channel = made(name)
    assert isinstance(channel, Target)
    info = channel.info
    assert info.probe >= 0 and info.resolution >= 0 and info.noise >= 0
    again, outer = made(name), bb.targets.Rounded(made(name), 1) if info.returns != "labels" else None
    assert again.info == info
    assert outer is None or (outer.info.resolution == 0.1 and outer.info.probe == info.probe)


@EACH
def test_it_stacks(name: str) -> None:
    """Around another channel it adds what it is to what is behind it."""
    assert around(name, bb.targets.EightBit(Module())).info.probe >= 1 / 255

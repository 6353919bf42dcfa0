"""Seeds: any whole number, and nothing else; a run that nobody can repeat is not made by accident."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import blackbox as bb
import surrogates as sg

SHAPE = (1, 8, 8)


def _digest(value: Any) -> torch.Tensor:
    if isinstance(value, torch.nn.Module):
        return torch.cat([p.detach().flatten() for p in value.parameters()])
    return value


def _oracle() -> bb.Oracle:
    return bb.Oracle(lambda x: (x.flatten(1).sum(1) > 19.5).long(), "labels", 10)  # about half of the digits


def _taught(seed: Any) -> Any:
    return sg.train(sg.build("mlp", 10, SHAPE), sg.load("digits"), sg.Recipe(epochs=1), seed=seed, teacher=_oracle(), queries=60)


def _learned(seed: Any) -> Any:
    net, recipe = sg.build("mlp", 10, SHAPE), sg.Recipe(epochs=1)
    return sg.learn(net, _oracle(), sg.load("digits"), queries=60, recipe=recipe, seed=seed).net


TAKE: dict[str, Callable[[Any], Any]] = {
    "build": lambda seed: sg.build("mlp", 10, SHAPE, seed=seed),
    "split": lambda seed: sg.split(sg.load("digits"), {"a": 20}, seed=seed)["a"].images,
    "train with a teacher": _taught,
    "learn": _learned,
}


@pytest.mark.parametrize("what", TAKE)
def test_what_is_no_whole_number_is_refused(what: str) -> None:
    for seed, shown in ((None, "None"), (1.5, "1.5"), ("0", "'0'"), (True, "True")):
        with pytest.raises(ValueError, match=f"seed to be a whole number, but it was {shown}"):
            TAKE[what](seed)


@pytest.mark.parametrize("what", TAKE)
def test_any_whole_number_is_a_seed(what: str) -> None:
    made = {seed: _digest(TAKE[what](seed)) for seed in (0, 7, -1, 2**70 + 3)}
    for seed, value in made.items():
        assert torch.equal(value, _digest(TAKE[what](torch.tensor(seed) if abs(seed) < 2**60 else seed)))
    assert len({value.numpy().tobytes() for value in made.values()}) == len(made)

"""Choosing among surrogates: the one that shares the held-out net's gradient wins."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import surrogates as sg
from blackbox.threat import Linf
from tests.surrogate_doubles import Affine, images


class Turned(nn.Module):
    """Another module with the same gradients, or with the opposite ones."""

    def __init__(self, net: nn.Module, sign: float) -> None:
        super().__init__()
        self.net, self.sign = net, sign

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * self.sign


def test_the_surrogate_with_the_held_out_nets_gradients_wins_and_the_gain_is_paired() -> None:
    held, x = Affine(16), images(40)
    with torch.no_grad():
        y = held(x).argmax(1)
    found = sg.refine.choose({"against": Turned(held, -1), "with": [Turned(held, 1)]}, [held], x, y, threat=Linf(0.4), steps=2)
    assert found.name == "with" and isinstance(found.nets, list)
    made = sg.craft(Turned(held, 1), x, y, "mi-fgsm", threat=Linf(0.4), steps=2)
    rate = float((sg.predict(held, made) != y).float().mean())
    assert 0 < rate <= 1 and found.rates["with"].value == pytest.approx(rate) and found.rates["against"].value == 0
    assert found.gains["with"].value == pytest.approx(rate) and found.gains["against"].value == 0
    assert found.summary().startswith("with: ") and found.rates["with"].n == 40


def test_what_cannot_choose_is_refused() -> None:
    held, x = Affine(16), images(4)
    with torch.no_grad():
        y = held(x).argmax(1)
    for arguments, words in (
        (({}, [held], x, y), "candidates to choose among"),
        (({"a": held}, [held], x, y), "no candidate contains, but 'a'"),
        (({"a": Affine(16, seed=1)}, [held], x, (y + 1) % 3), "there was none"),
    ):
        with pytest.raises(ValueError, match=words):
            sg.refine.choose(*arguments, threat=Linf(0.1))  # type: ignore[arg-type]

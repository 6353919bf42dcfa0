"""Feature tuning mixup and everywhere, by hand on a net of two linear layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import surrogates as sg
from blackbox.rng import Stream
from blackbox.threat import Linf
from surrogates.crafting import parts, presets
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts.views import Draw
from tests.surrogate_doubles import Residual, images

X, Y = images(4), torch.tensor([0, 1, 2, 0])


class Two(nn.Module):
    """scores = V (U x), without a bend between."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(1)
        self.first, self.last = nn.Linear(16, 6, bias=False), nn.Linear(6, 3, bias=False)
        with torch.no_grad():
            for layer in (self.first, self.last):
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=g))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x.flatten(1)))


def test_ftm_moves_features_against_the_gradient_of_the_step_before() -> None:
    net, rng = Two(), Stream(3, np.arange(4, dtype=np.uint64))
    part = parts.FTM(probability=0.0, size=0.2, memory=0.0, update=1.0)
    source = Autograd(net, X, "logit", surgeries=(part,), chunk=4)
    with source.open():
        source.meet(Pool(images(2, seed=9), Y[:2]))
        source(X, Goal.of(Y), rng, 0)
        (answer,) = source.answers(X.clone().requires_grad_(), Goal.of(Y), rng, 1)
    with torch.no_grad():  # the loss is -z_y: its gradient is -v_y at the features, and minus the one-hot label at the scores
        f, v = net.first(X.flatten(1)), net.last.weight
        f = f + 0.2 * f.norm(dim=1, keepdim=True) * nn.functional.normalize(v[Y])
        z = f @ v.T
        z = z + 0.2 * z.norm(dim=1, keepdim=True) * nn.functional.one_hot(Y, 3)
    assert torch.allclose(answer.scores, z, atol=1e-5)


def test_ftm_without_a_step_before_or_a_size_is_cfm() -> None:
    every = {"threat": Linf(0.1), "target": (Y + 1) % 3, "steps": 4, "pool": (X, Y), "seed": 2}
    cfm, none, ftm = (parts.CFM(probability=0.5), parts.FTM(probability=0.5, size=0.0), parts.FTM(probability=0.5, size=0.5))
    tuned = [sg.craft(Two(), X, Y, parts.Logit() | part, **every) for part in (cfm, none, ftm)]  # type: ignore[arg-type]
    assert torch.equal(tuned[0], tuned[1])
    alone = torch.cat(
        [sg.craft(Two(), X[i : i + 1], Y[i : i + 1], parts.Logit() | ftm, **{**every, "target": every["target"][i : i + 1], "ids": [i]})
         for i in range(4)]  # type: ignore[index, arg-type]
    )  # fmt: skip
    assert torch.equal(alone, tuned[2])
    with pytest.raises(ValueError, match="memory in"):
        parts.FTM(memory=1.0)


def test_everywhere_shows_the_image_and_blocks_of_it() -> None:
    part, x = parts.Everywhere(copies=5, blocks=2), images(40, (1, 5, 6)) + 0.01
    seen = set()
    for copy in range(5):
        draw = Draw(Stream(0, np.arange(40, dtype=np.uint64)), copy, torch.full((40,), copy), Goal.of(torch.zeros(40, dtype=torch.int64)))
        shown = part(x, draw)
        if copy == 0:
            assert torch.equal(shown, x)
            continue
        kept = shown != 0
        assert torch.equal(shown[kept], x[kept])
        seen |= {tuple(pixels.nonzero()[[0, -1]].flatten().tolist()) for pixels in kept[:, 0]}
    assert seen == {(0, 0, 2, 2), (0, 3, 2, 5), (3, 0, 4, 2), (3, 3, 4, 5)}  # first and last row and column of the four blocks


def test_both_lead_to_the_class_at_their_cost() -> None:
    net, x = Residual().eval(), images(6, (3, 8, 8))
    with torch.no_grad():
        y = net(x).argmax(1)
    target = (y + 1) % 4
    for name, cost in {"everywhere": 40, "ftm": 4}.items():
        assert presets.get(name).cost(4) == cost and presets.get(name).targeted
        made = sg.craft(net, x, y, name, threat=Linf(0.1), target=target, steps=4)
        with torch.no_grad():
            rise = (net(made) - net(x)).gather(1, target[:, None])
        assert bool((rise > 0).all())

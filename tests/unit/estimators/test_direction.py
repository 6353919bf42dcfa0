"""Directions: two-step answers by hand."""

from __future__ import annotations

import pytest
import torch

from blackbox import direction as d

G1, G2 = torch.tensor([[3.0, -4.0, 0.0]]), torch.tensor([[-1.0, -1.0, 2.0]])
M1, M2 = G1 / (7 / 3), G2 / (4 / 3)  # divided by the mean absolute entry

TABLE = {
    "identity": (d.identity(), G1, G2),
    "sign": (d.sign(), G1.sign(), G2.sign()),
    "l2": (d.l2(), G1 / 5, G2 / 6**0.5),
    "mean_abs": (d.mean_abs(), M1, M2),
    "momentum": (d.momentum(0.5), G1, 0.5 * G1 + G2),
    "mi": (d.chain(d.mean_abs(), d.momentum(1.0), d.sign()), M1.sign(), (M1 + M2).sign()),
    "ni": (d.chain(d.mean_abs(), d.nesterov(0.5, 0.1)), M1, 0.5 * M1 + M2),
    "empty chain": (d.chain(), G1, G2),
}


@pytest.mark.parametrize("name", TABLE)
def test_two_steps(name: str) -> None:
    chain, first, second = TABLE[name]
    state = chain.init(torch.zeros(1, 3))
    got, state = chain.update(G1, state)
    assert torch.allclose(got, first)
    got, state = chain.update(G2, state)
    assert torch.allclose(got, second)


def test_nesterov_looks_ahead_and_others_do_not() -> None:
    x = torch.zeros(1, 3)
    chain = d.chain(d.mean_abs(), d.nesterov(0.5, 0.1), d.sign())
    state = chain.init(x)
    assert torch.equal(chain.peek(x, state), x)
    _, state = chain.update(G1, state)
    assert torch.allclose(chain.peek(x, state), x + 0.1 * 0.5 * M1)
    plain = d.chain(d.momentum(0.5))
    assert torch.equal(plain.peek(x, plain.update(G1, plain.init(x))[1]), x)


def test_smooth_is_a_convolution_of_each_channel() -> None:
    kernel = torch.tensor([[0.0, 0.1, 0.0], [0.1, 0.6, 0.1], [0.0, 0.1, 0.0]])
    g = torch.zeros(2, 3, 5, 5)
    g[1, 2, 2, 2] = 1.0
    got, _ = d.smooth(kernel).update(g, ())
    want = torch.zeros_like(g)
    want[1, 2, 1:4, 1:4] = kernel
    assert torch.allclose(got, want)


def test_zero_gradients_stay_finite() -> None:
    for name in TABLE:
        chain = TABLE[name][0]
        got, _ = chain.update(torch.zeros(2, 3), chain.init(torch.zeros(2, 3)))
        assert torch.equal(got, torch.zeros(2, 3)), name


def test_rows_do_not_mix() -> None:
    g = torch.randn(9, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    chain = d.chain(d.mean_abs(), d.momentum(0.9), d.l2())
    whole, _ = chain.update(g, chain.init(g))
    for i in range(9):
        alone, _ = chain.update(g[i : i + 1], chain.init(g[i : i + 1]))
        assert torch.equal(alone, whole[i : i + 1])


def test_the_state_leads_with_rows() -> None:
    chain = d.chain(d.mean_abs(), d.momentum(0.9), d.sign())
    tensors = [s for s in chain.init(torch.zeros(5, 2, 3)) if isinstance(s, torch.Tensor)]
    assert tensors and all(len(s) == 5 for s in tensors)

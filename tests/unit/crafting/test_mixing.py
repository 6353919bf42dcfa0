"""Attention with its derivative written out, against autograd through the formula; extremes and factors against theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from blackbox.rng import Stream
from surrogates.crafting import parts
from surrogates.crafting.goal import Goal
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts import attention
from surrogates.crafting.parts.attention import without_extreme_tokens, without_extremes
from surrogates.crafting.parts.tuned import _Scaled
from surrogates.crafting.surgery.mixing import Back, Mixed
from tests.surrogate_doubles import images, transformer


class Weighed:
    """Halves the map before its softmax, squares it after, and triples gradients of queries, keys and values."""

    def __init__(self, inplace: bool) -> None:
        self.inplace = inplace

    def logits(self, layer: int, z: Tensor) -> tuple[Tensor, Back]:
        return (z.mul_(0.5) if self.inplace else z * 0.5), lambda g: g.mul_(0.5) if self.inplace else g * 0.5

    def maps(self, layer: int, a: Tensor) -> tuple[Tensor, Back]:
        return a * a, lambda g: g.mul_(2 * a) if self.inplace else g * 2 * a

    def of_qkv(self, layer: int, g: Tensor) -> Tensor:
        return 3 * g


@pytest.mark.parametrize("inplace", [True, False])
@pytest.mark.parametrize("kind", ["plain", "bool", "float"])
def test_the_written_derivative_is_that_of_the_formula(inplace: bool, kind: str) -> None:
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, d, generator=random, dtype=torch.float64, requires_grad=True) for n, d in ((5, 4), (17, 4), (17, 6)))
    mask: Any = None
    if kind == "bool":
        mask = torch.rand(5, 17, generator=random) < 0.7
    if kind == "float":
        mask = torch.randn(3, 1, 17, generator=random, dtype=torch.float64, requires_grad=True)
    z = q @ k.mT * 0.3
    z = z if mask is None else z.masked_fill(~mask, -torch.inf) if kind == "bool" else z + mask
    want = (z * 0.5).softmax(-1).square() @ v
    got = Mixed.apply(q, k, v, mask, 0.3, Weighed(inplace), 0)
    along = torch.randn(want.shape, generator=random, dtype=torch.float64)
    wanted = [q, k, v, *([mask] if kind == "float" else [])]
    slopes = [torch.autograd.grad(out, wanted, along) for out in (got, want)]
    assert torch.allclose(got, want)
    for i, (a, b) in enumerate(zip(*slopes, strict=True)):
        assert torch.allclose(a, b * (3 if i < 3 else 1)), i


def test_extremes_are_those_of_the_straightforward_formulas() -> None:
    random = torch.Generator().manual_seed(0)
    g = torch.randn(4, 3, 9, 7, generator=random)
    g[0, 0, 2] = g[0, 0, 5] = 9.0  # equal ones: all of them
    want = g.masked_fill((g == g.amax(-2, keepdim=True)) | (g == g.amin(-2, keepdim=True)), 0.0)
    assert torch.equal(without_extremes(g.clone()), want)
    maps = torch.randn(4, 3, 9, 7, generator=random)
    maps[1, 1, 3, 2] = maps[1, 1, 3, 4] = maps[1, 1, 6, 0] = 8.0  # of equal ones the first alone
    want = maps.clone()
    for image in want.flatten(0, 1):
        for place in [divmod(int(end), 7) for end in (image.argmax(), image.argmin())]:
            image[place[0]] = image[:, place[1]] = 0  # places are found before anything is set to zero
    assert torch.equal(without_extreme_tokens(maps), want)


def test_weights_of_maps_are_random_and_cut() -> None:
    """FPR: A (1 + U(+-2)), cut to [0, 1]; where it is cut off, no gradient passes. Draws are those of one call."""
    made = parts.FPR(2.0, 0.0).memory_of([transformer(3, (3, 8, 8))])
    edit, made.rng = made.edits[0][1], Stream(0, np.arange(3, dtype=np.uint64))
    a = torch.rand(3, 2, 5, 5, requires_grad=True)
    want = (a * (1 + 2 * (2 * made.rng.uniform(0, "map 0", (2, 5, 5)) - 1))).clamp(0, 1)
    along = torch.rand(3, 2, 5, 5)
    with torch.no_grad():
        got, back = edit.maps(0, a)
        assert back is not None and torch.equal(got, want) and bool((got == 0).any()) and bool((got == 1).any())
        assert torch.equal(back(along.clone()), torch.autograd.grad(want, a, along)[0])


def test_draws_in_pieces_are_those_of_one_call() -> None:
    rng, shape = Stream(3, np.arange(7, dtype=np.uint64) * 5), (300, 301)
    found = list(attention.uniform(rng, 2, "some", shape))
    assert len(found) > 1 and torch.equal(torch.cat([u for _, u in found]), rng.uniform(2, "some", shape))
    assert [rows.stop for rows, _ in found][-1] == 7


@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (3, 5, 4), (3, 4)], ids=["image", "tokens", "flat"])
def test_the_gradient_by_a_factor_is_that_of_the_formula(shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(0)
    axis = 1 if len(shape) == 4 else len(shape) - 1
    x, factor = torch.randn(shape, generator=random, requires_grad=True), torch.rand(3, 4, generator=random) + 0.5
    wide = factor.view([3, *(4 if i == axis else 1 for i in range(1, len(shape)))]).requires_grad_()
    want, told = (2 * x) * wide, list[Tensor]()
    got = _Scaled.apply(2 * x, factor, axis, told.append)
    along = torch.randn(shape, generator=random)
    slopes = torch.autograd.grad(want, (x, wide), along)
    assert torch.equal(got, want) and torch.equal(torch.autograd.grad(got, x, along)[0], slopes[0])
    assert torch.allclose(told[0], slopes[1].reshape(3, 4), atol=1e-5)


@pytest.mark.parametrize("part", [parts.PNA, parts.TGR, parts.VDC, parts.ATT, parts.FPR, parts.LL2S], ids=lambda p: p.__name__)
def test_a_second_pass_of_the_same_step_is_the_same(part: type) -> None:
    """Nothing that a pass needs is written over: the same gradient again, at step 0."""
    net, x, y = transformer(3, (3, 8, 8)), images(3, (3, 8, 8)), torch.arange(3)
    source, rng = Autograd(net, x, surgeries=(part(),), chunk=3), Stream(0, np.arange(3, dtype=np.uint64))
    with source.open():
        first, again = (source(x, Goal(y, y), rng, 0) for _ in range(2))
    assert torch.equal(first, again)

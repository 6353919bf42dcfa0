"""The blur and the means of changed images: what torch's own give, to the bit, forwards and backwards."""

import pytest
import torch
import torch.nn.functional as F

from blackbox.rowwise import row_sum
from surrogates.crafting.parts.blur import box_blur, row_mean


@pytest.mark.parametrize(("side", "reach"), [((9, 6), 1), ((5, 5), 2), ((4, 7), 3)])
def test_the_blur_is_average_pooling_to_the_bit(side: tuple[int, int], reach: int) -> None:
    draw = torch.Generator().manual_seed(0)
    x, g = torch.randn(3, 2, *side, generator=draw).requires_grad_(), torch.randn(3, 2, *side, generator=draw)
    ours, theirs = box_blur(x, reach), F.avg_pool2d(x, 2 * reach + 1, 1, reach, count_include_pad=False)
    assert torch.equal(ours, theirs)
    assert torch.equal(torch.autograd.grad(ours, x, g)[0], torch.autograd.grad(theirs, x, g)[0])


def test_the_mean_of_a_row_passes_its_gradient_to_every_entry_alike() -> None:
    draw = torch.Generator().manual_seed(0)
    v, g = torch.randn(4, 11, generator=draw).requires_grad_(), torch.randn(4, generator=draw)
    ours, plain = row_mean(v), row_sum(v) / 11
    assert torch.equal(ours, plain)
    assert torch.equal(torch.autograd.grad(ours, v, g)[0], torch.autograd.grad(plain, v, g)[0])

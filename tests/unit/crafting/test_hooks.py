"""Surgery on backward passes against gradients written down by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import surrogates as sg
from surrogates.crafting.surgery import hooks
from surrogates.crafting.surgery.graph import traced
from tests.surrogate_doubles import Affine, images

G = torch.Generator().manual_seed(0)


def matrix(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, generator=G, dtype=torch.float64))


def gradient(net: nn.Module, x: Tensor, column: int = 1) -> tuple[Tensor, Tensor]:
    x = x.detach().clone().requires_grad_()
    out = net(x)
    return out.detach(), torch.autograd.grad(out[:, column].sum(), x)[0]


class Blocks(nn.Module):
    """Linear residual blocks z + A z (or P z + A2 A1 z), then a linear layer."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.a, self.b, self.p, self.w = matrix(4, 4), matrix(4, 4), matrix(4, 4), matrix(2, 4)
        self.wide = matrix(2, 12)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "two":
            x = x + F.linear(x, self.a)
            out = F.linear(x, self.b)
            out += x
            return F.linear(out, self.w)
        if self.kind == "projected":
            return F.linear(torch.add(F.linear(x, self.p), F.linear(F.linear(x, self.a), self.b)), self.w)
        one = F.linear(x, self.a)
        two = F.linear(torch.cat([x, one], 1)[:, :4] + 0, self.b)
        return F.linear(torch.cat([x, one, two], 1), self.wide)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_sgm_weighs_the_branches_of_hand_made_blocks(gamma: float) -> None:
    x, eye = torch.rand(3, 4, generator=G, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    with torch.no_grad():
        net = Blocks("two")
        two = net.w[1] @ (eye + gamma * net.b) @ (eye + gamma * net.a)
        projected_net = Blocks("projected")
        projected = projected_net.w[1] @ (projected_net.p + gamma * projected_net.b @ projected_net.a)
        dense_net = Blocks("dense")
        w = dense_net.wide[1]
        dense = w[:4] + gamma * w[4:8] @ dense_net.a + gamma * w[8:] @ dense_net.b
    for module, want in ((net, two), (projected_net, projected), (dense_net, dense)):
        plain, _ = gradient(module, x)
        with hooks.sgm(module, gamma):
            answer, g = gradient(module, x)
        assert torch.equal(answer, plain)
        assert torch.allclose(g, want.expand(3, 4)), module.kind


def test_contexts_may_be_nested_and_left_in_any_order() -> None:
    net, x, eye = Blocks("two"), torch.rand(2, 4, generator=G, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    first, second = ExitStack(), ExitStack()
    first.enter_context(hooks.sgm(net, 0.5))
    second.enter_context(hooks.sgm(net, 0.4))
    with torch.no_grad():
        want = {k: net.w[1] @ (eye + k * net.b) @ (eye + k * net.a) for k in (0.2, 0.4, 1.0)}
    assert torch.allclose(gradient(net, x)[1], want[0.2].expand(2, 4))
    first.close()
    assert torch.allclose(gradient(net, x)[1], want[0.4].expand(2, 4))
    second.close()
    assert torch.allclose(gradient(net, x)[1], want[1.0].expand(2, 4))
    assert "forward" not in net.__dict__ and not net._forward_hooks


def test_an_error_inside_leaves_the_net_as_it_was() -> None:
    net = Blocks("two")
    with pytest.raises(RuntimeError), hooks.sgm(net, 0.5):
        raise RuntimeError
    assert "forward" not in net.__dict__


class Rectifiers(nn.Module):
    """w relu(B relu(A x)), the second ReLU as a module, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.w, self.relu = matrix(5, 4), matrix(5, 5), matrix(2, 5), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.relu(F.linear(F.relu(F.linear(x, self.a)), self.b)), self.w)

    def masks(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = F.linear(x, self.a).detach()
        return first, F.linear(first.relu(), self.b).detach()


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_linbp_passes_gradients_as_they_are_from_its_start_on(start: float) -> None:
    net, x = Rectifiers(), torch.randn(6, 4, generator=G, dtype=torch.float64)
    first, _ = net.masks(x)
    with torch.no_grad():
        mask = torch.ones_like(first) if start == 0 else (first > 0).double()
        want = ((net.w[1] @ net.b) * mask) @ net.a
    plain = gradient(net, x)
    with hooks.linbp(net, start):
        answer, g = gradient(net, x)
    assert torch.equal(answer, plain[0]) and torch.allclose(g, want) and not torch.allclose(g, plain[1])


def test_linbp_is_plain_where_everything_is_positive() -> None:
    net, x = Rectifiers(), torch.rand(3, 4, generator=G, dtype=torch.float64)
    with torch.no_grad():
        for p in net.parameters():
            p.abs_()
    plain = gradient(net, x)[1]
    with hooks.linbp(net, 0.0):
        assert torch.equal(gradient(net, x)[1], plain)


class RectifiedBlock(nn.Module):
    """w relu(z + B relu(A z)) with z = relu(C x)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.w = matrix(4, 4), matrix(4, 4), matrix(4, 4), matrix(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        z = F.relu(F.linear(x, self.c))
        return F.linear(F.relu(F.linear(F.relu(F.linear(z, self.a)), self.b) + z), self.w)


def test_linbp_rescales_the_branch_row_by_row_and_spares_the_sum() -> None:
    net, x = RectifiedBlock(), torch.rand(5, 4, generator=G, dtype=torch.float64)
    with torch.no_grad():
        net.c.abs_()
        inner = x @ net.c.T @ net.a.T
        behind = (inner.relu() @ net.b.T + x @ net.c.T) > 0
        g = net.w[1] * behind
        linear, true = g @ net.b @ net.a, ((g @ net.b) * (inner > 0)) @ net.a
        scaled = linear * (true.norm(dim=1) / linear.norm(dim=1))[:, None]
        want = (g + scaled) @ net.c
    with hooks.linbp(net, 0.2):  # of three ReLUs the first is left alone; it is open anyway
        assert torch.allclose(gradient(net, x)[1], want)
        for i in range(5):
            assert torch.allclose(gradient(net, x[i : i + 1])[1], want[i : i + 1])
    with hooks.linbp(net, 0.2), hooks.sgm(net, 0.3):
        assert torch.allclose(gradient(net, x)[1], (g + 0.3 * scaled) @ net.c)


def test_bpa_has_the_derivative_of_silu() -> None:
    net, x = Rectifiers(), torch.randn(6, 4, generator=G, dtype=torch.float64)
    slopes = []
    for z in net.masks(x):
        z = z.requires_grad_()
        slopes.append(torch.autograd.grad(F.silu(z).sum(), z)[0])
    with torch.no_grad():
        want = ((net.w[1] * slopes[1]) @ net.b * slopes[0]) @ net.a
    plain = gradient(net, x)[0]
    with hooks.bpa(net, 0.0):
        answer, g = gradient(net, x)
    assert torch.equal(answer, plain) and torch.allclose(g, want)


class Pooled(nn.Module):
    def __init__(self, **window: Any) -> None:
        super().__init__()
        self.window, self.w = window, matrix(2, 1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.max_pool2d(x, **self.window), self.w).flatten(2).sum(2)


@pytest.mark.parametrize(
    "window",
    [
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0), "ceil_mode": True},
        {"kernel_size": 2, "stride": 1, "dilation": 2},
    ],
)
def test_bpa_spreads_a_pools_gradient_by_softmax(window: dict[str, Any]) -> None:
    """Against a loop over the windows."""
    x = torch.randn(2, 1, 7, 8, generator=G, dtype=torch.float64)
    net, temperature = Pooled(**window), 3.0
    with torch.no_grad():
        pooled = F.max_pool2d(x, **window)
        pair = lambda v: v if isinstance(v, tuple) else (v, v)  # noqa: E731
        size, dilation = pair(window["kernel_size"]), pair(window.get("dilation", 1))
        stride, padding = pair(window.get("stride", size)), pair(window.get("padding", 0))
        want = torch.zeros_like(x)
        for n in range(2):
            for i in range(pooled.shape[2]):
                for j in range(pooled.shape[3]):
                    at = [
                        (i * stride[0] - padding[0] + a * dilation[0], j * stride[1] - padding[1] + b * dilation[1])
                        for a in range(size[0])
                        for b in range(size[1])
                    ]
                    at = [(a, b) for a, b in at if 0 <= a < 7 and 0 <= b < 8]
                    weight = torch.stack([x[n, 0, a, b] for a, b in at]).mul(temperature).softmax(0)
                    for (a, b), share in zip(at, weight, strict=True):
                        want[n, 0, a, b] += share * net.w[1, 0, 0, 0]
    plain = gradient(net, x)
    with hooks.bpa(net, temperature=temperature):
        answer, g = gradient(net, x)
    assert torch.equal(answer, plain[0]) and torch.allclose(g, want)
    with hooks.bpa(net, temperature=1e6):
        assert torch.allclose(gradient(net, x)[1], plain[1]), "the largest entry takes all"


def weighed(gamma: float) -> Callable[[Tensor], Tensor]:
    return lambda f: f * gamma + (f * (1 - gamma)).detach()


def reference(net: nn.Module, gamma: float) -> None:
    """The blocks of our ResNets and of torchvision's, written again with a weight on the branch."""
    from torchvision.models.resnet import BasicBlock

    from surrogates.nets.architectures import _Block

    def ours(block: Any, x: Tensor) -> Tensor:
        out = weighed(gamma)(block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x))))))
        if block.stride != 1 or block.missing:
            low = block.missing // 2
            x = F.pad(x[:, :, :: block.stride, :: block.stride], (0, 0, 0, 0, low, block.missing - low))
        return F.relu(out + x)

    def theirs(block: Any, x: Tensor) -> Tensor:
        out = weighed(gamma)(block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x))))))
        return F.relu(out + (x if block.downsample is None else block.downsample(x)))

    for part in net.modules():
        for kind, forward in ((_Block, ours), (BasicBlock, theirs)):
            if isinstance(part, kind):
                part.__dict__["forward"] = lambda x, part=part, forward=forward: forward(part, x)


@pytest.mark.parametrize(("arch", "count"), [("resnet20", 9), ("torchvision:resnet18", 8)])
def test_sgm_finds_the_blocks_of_resnets(arch: str, count: int) -> None:
    net, x = sg.build(arch, 4, (3, 16, 16)).double(), images(2, (3, 16, 16)).double()
    assert len(traced(net, x[:1]).sums) == count
    plain = gradient(net, x)
    with hooks.sgm(net, 1.0):
        same = gradient(net, x)
    with hooks.sgm(net, 0.3):
        answer, g = gradient(net, x)
    reference(net, 0.3)
    assert torch.equal(same[1], plain[1]) and torch.equal(answer, plain[0])
    assert torch.allclose(g, gradient(net, x)[1], rtol=1e-6, atol=1e-12) and not torch.allclose(g, plain[1])


def test_passes_without_graph_are_left_alone() -> None:
    net, x = sg.build("resnet20", 4), images(2, (3, 32, 32))
    with torch.no_grad():
        plain = net(x)
    with hooks.bpa(net), hooks.tap(net) as seen:
        with torch.no_grad():
            assert torch.equal(net(x), plain)
        with pytest.raises(ValueError, match="has not"):
            _ = seen.value
        assert torch.equal(net(x.requires_grad_()), plain)
        assert seen.layer == "net.layer2.0" and seen.value.shape == (2, 32, 16, 16)


# -- taps


def test_a_tap_shows_what_a_hook_would_and_gradients_go_through() -> None:
    net, x = sg.build("cnn", 3, (1, 8, 8), seed=2), images(2, (1, 8, 8)).requires_grad_()
    kept: list[Tensor] = []
    handle = net.get_submodule("net.features.2.1").register_forward_hook(
        lambda m, i, o: kept.append(o.detach().clone())
    )
    net(x)
    handle.remove()
    with hooks.tap(net, "net.features.2.1") as seen:
        scores = net(x)
    # the layer is a batch norm; a ReLU that works in place behind it must not show in what was tapped
    assert torch.equal(seen.value, kept[0]) and bool((seen.value < 0).any())
    g = torch.autograd.grad(scores.sum(), seen.value, retain_graph=True)[0]
    through = torch.autograd.grad(seen.value, x, g, retain_graph=True)[0]
    assert torch.allclose(through, torch.autograd.grad(scores.sum(), x)[0], atol=1e-7)


def test_a_tap_survives_what_works_in_place() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    x = torch.randn(5, 3, generator=G).requires_grad_()
    with hooks.tap(net, "0") as seen:
        net(x)
    assert torch.equal(seen.value, net[0](x))


def test_layers_are_listed_with_their_depth() -> None:
    net, x = sg.build("lenet", 3, (1, 8, 8)), images(1, (1, 8, 8))
    found = {"net.conv1": 1, "net.conv2": 2, "net.linear1": 3, "net.linear2": 4, "net": 4}
    assert hooks.layers(net, x) == found and list(hooks.layers(net, x)) == list(found)
    with hooks.tap(net) as seen:
        net(x.requires_grad_())
    assert seen.layer == "net.conv2"
    with hooks.tap(net, 0.75) as seen:
        net(x)
    assert seen.layer == "net.linear1"


# -- bad input


class Fickle(nn.Module):
    """Makes another number of calls each time."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.times = matrix(2, 4), 0

    def forward(self, x: Tensor) -> Tensor:
        self.times += 1
        for _ in range(self.times):
            x = x * 1.5
        return F.linear(F.relu(x), self.w)


def test_a_net_that_goes_another_way_each_time_is_refused() -> None:
    with hooks.linbp(net := Fickle(), 0.0), pytest.raises(ValueError, match="same calls for every batch"):
        gradient(net, torch.rand(2, 4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("open_it", "words"),
    [
        (lambda net: hooks.sgm(net), "residual branches for SGM"),
        (lambda net: hooks.linbp(net), "it has 0 in all"),
        (lambda net: hooks.bpa(net), "0 ReLUs in all and no 2-d max pooling"),
        (lambda net: hooks.tap(net), "named layers within 50%"),
    ],
)
def test_a_net_without_the_part_is_refused_with_the_reason(open_it: Any, words: str) -> None:
    net = Affine(4)
    with open_it(net), pytest.raises(ValueError, match=words):
        gradient(net, torch.rand(2, 4))
    assert "forward" not in net.__dict__


def test_bad_settings_get_a_sentence() -> None:
    net = sg.build("lenet", 3, (1, 8, 8))
    for open_it, words in (
        (lambda: hooks.sgm(net, 1.5), "gamma to be in"),
        (lambda: hooks.linbp(net, 1.0), "start to be a share"),
        (lambda: hooks.bpa(net, temperature=0.0), "temperature to be positive"),
        (lambda: hooks.tap(net, 0.0), "share of the depth"),
        (lambda: hooks.tap(net, "conv9"), "'conv9'. There are net, net.conv1, net.conv2, net.linear1, net.linear2"),
    ):
        with pytest.raises(ValueError) as error, open_it():
            pass
        assert words in str(error.value)
    with hooks.linbp(net), hooks.bpa(net), pytest.raises(ValueError, match="Leave one of them out"):
        gradient(net, images(1, (1, 8, 8)))

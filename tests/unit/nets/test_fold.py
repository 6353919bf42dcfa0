"""The lean copy of a net: the same logits and gradients, fewer layers, and the net itself where a copy could lose something."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import surrogates as sg
from blackbox.rng import Stream
from blackbox.threat import Linf
from surrogates.crafting import parts
from surrogates.crafting.gradients import Autograd
from surrogates.nets.architectures import Normalised
from surrogates.nets.fold import folded

SHAPE = (3, 16, 16)


def images(n: int = 6) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0))


def lived(net: nn.Module) -> nn.Module:
    """With running statistics and affine settings that are not the initial ones."""
    torch.manual_seed(1)
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d) and part.affine:
                part.weight.uniform_(0.5, 2)
                part.bias.normal_()
        for _ in range(3):
            net.train()(images())
    return net


def norms(net: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in net.modules())


def agree(made: nn.Module, net: nn.Module) -> None:
    net.eval()
    a, b = images().requires_grad_(), images().requires_grad_()
    said, meant = made(a), net(b)
    assert torch.allclose(said, meant, atol=1e-4)
    (one,), (other,) = torch.autograd.grad(said[:, 2].sum(), a), torch.autograd.grad(meant[:, 2].sum(), b)
    assert float((one - other).abs().max()) <= 2e-5 * float(other.abs().max())


class Odd(nn.Module):
    """What tracing does not take to (a branch, a part without graph), a shared convolution, a norm before its convolution, one
    that is not alone behind its convolution, one without statistics of its own: only ``norm`` can be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.front, self.norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.shared, self.first, self.second = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.before, self.behind = nn.BatchNorm2d(8, affine=False), nn.Conv2d(8, 8, 1)
        self.passing = nn.BatchNorm2d(8, track_running_stats=False)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.front(x)).relu()
        x = self.second(self.shared(self.first(self.shared(x)).relu()))
        x = self.passing(self.behind(self.before(x)))
        with torch.no_grad():
            weight = 1 + x.mean((2, 3), keepdim=True).sigmoid()
        return self.head((x * weight if float(x.detach().abs().amax()) > 0 else x).relu().mean((2, 3)))


@pytest.mark.parametrize("name", ["resnet20", "cnn", "vgg", "lenet"])
def test_it_says_the_same_and_leaves_the_net_as_it_was(name: str) -> None:
    net = lived(sg.build(name, 5, SHAPE, seed=1))
    weights, modes = {k: v.clone() for k, v in net.state_dict().items()}, [part.training for part in net.modules()]
    wanted = [p.requires_grad for p in net.parameters()]
    made = folded(net, SHAPE)
    assert made is not net and norms(made) == 0
    assert [part.training for part in net.modules()] == modes and [p.requires_grad for p in net.parameters()] == wanted
    assert all(torch.equal(weights[k], v) for k, v in net.state_dict().items())
    agree(made, net)


def test_only_a_norm_alone_behind_one_convolution_is_folded_and_the_nets_own_code_runs() -> None:
    net = lived(Odd())
    net.passing.eval()
    made = folded(net, SHAPE)
    assert made is not net and norms(made) == 4 and isinstance(made.norm, nn.Identity)
    net.eval()
    a, b = images(1).requires_grad_(), images(1).requires_grad_()  # ``passing`` mixes rows, so one
    said, meant = made(a), net(b)
    assert torch.allclose(said, meant, atol=1e-4)
    (one,), (other,) = torch.autograd.grad(said[:, 2].sum(), a), torch.autograd.grad(meant[:, 2].sum(), b)
    assert float((one - other).abs().max()) <= 1e-4 * float(other.abs().max())


class Twice(nn.Module):
    """A convolution whose answer is used beside its batch norm: folding would change it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.head((self.norm(x).relu() - x).mean((2, 3)))


def hook(net: nn.Module) -> None:
    net.net.layer2[0].bn1.register_forward_hook(lambda part, given, out: out * 2)  # type: ignore[union-attr, index]


def own_forward(net: nn.Module) -> None:
    forward = net.forward
    net.forward = lambda x: forward(x) * 2  # type: ignore[method-assign]


def parametrized(net: nn.Module) -> None:
    nn.utils.parametrizations.weight_norm(net.net.conv1)  # type: ignore[union-attr]


@pytest.mark.parametrize("touch", [hook, own_forward, parametrized])
def test_a_net_to_which_something_was_done_is_used_as_it_is(touch: Callable[[nn.Module], None]) -> None:
    net = sg.build("resnet20", 5, SHAPE, seed=1)
    touch(net)
    assert folded(net, SHAPE) is net


def test_where_the_copy_would_say_something_else_or_nothing_is_gained_the_net_is_used() -> None:
    for net in (lived(Twice()), lived(Normalised(Twice(), SHAPE, 5)), sg.build("mlp", 5, SHAPE)):
        assert folded(net, SHAPE) is net
    faint = lived(Twice())  # whose scores are small, and so what folding would change in them
    with torch.no_grad():
        faint.head.weight.mul_(1e-4)
        faint.head.bias.mul_(1e-4)
    assert folded(faint, SHAPE) is faint
    assert folded(sg.build("resnet20", 5, SHAPE), (5, 16, 16)) is not None  # images it does not take: said elsewhere


def test_craft_goes_through_it_but_not_where_there_is_surgery() -> None:
    net, x = lived(sg.build("resnet20", 5, SHAPE)).eval(), images()
    assert norms(Autograd(net, x, fold=True).nets[0]) == 0
    for surgery in (parts.SGM(), parts.Tap()):
        assert Autograd(net, x, fold=True, surgeries=(surgery,)).nets[0] is net
    tuned, both = (Autograd(net, x, fold=True, surgeries=s).nets[0] for s in ((parts.AWT(),), (parts.AWT(), parts.SGM())))
    assert both is net and tuned is not net and norms(tuned) == norms(net)  # AWT's factors belong before the norms
    assert next(tuned.parameters()).is_contiguous(memory_format=torch.channels_last)
    agree(tuned, net)
    assert Autograd(net, x).nets[0] is net
    pair = Autograd([net, net], x, fold=True).nets
    assert pair[0] is pair[1]


def test_what_is_crafted_through_it_depends_on_seed_and_id_alone() -> None:
    net = lived(sg.build("resnet20", 5, SHAPE)).eval()
    x, y = images(70), torch.arange(70) % 5
    whole = sg.craft(net, x, y, "mi-di-ti-fgsm", threat=Linf(0.05), steps=3)
    at = torch.tensor([69, 3, 40])
    assert torch.equal(sg.craft(net, x[at], y[at], "mi-di-ti-fgsm", threat=Linf(0.05), steps=3, ids=at), whole[at])


def test_craft_through_it_moves_as_through_the_net() -> None:
    net = lived(sg.build("resnet20", 5, SHAPE)).eval()
    x, y = images(), torch.arange(6) % 5
    moved = sg.craft(net, x, y, "fgsm", threat=Linf(0.05))
    g = Autograd(net, x)(x, y, Stream(0, torch.arange(6).numpy()), 0)
    clear = g.abs() > 1e-4 * g.abs().amax((1, 2, 3), keepdim=True)
    assert float(clear.float().mean()) > 0.99
    assert torch.equal(moved[clear], (x + 0.05 * g.sign()).clamp(0, 1)[clear])


def test_a_net_in_bfloat16_is_folded_as_well() -> None:
    """Folded in bfloat16 it would look like a mistake, by bfloat16's own rounding; the copy is folded before it is rounded."""
    net = lived(sg.build("vgg", 5, SHAPE, seed=1)).eval()
    made = folded(copy.deepcopy(net).to(torch.bfloat16), SHAPE)
    assert norms(made) == 0 and all(p.dtype == torch.bfloat16 for p in made.parameters())
    with torch.no_grad():
        said, meant = made(images().to(torch.bfloat16)).float(), net(images())
    assert float((said - meant).abs().max()) < 0.05 * float(meant.abs().max())

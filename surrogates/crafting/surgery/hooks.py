"""Surgery on backward passes (SGM, LinBP, BPA) and feature taps: a net keeps its outputs, but its gradients change.

    with hooks.sgm(net, gamma=0.5), hooks.tap(net, "layer2") as seen:
        scores = net(x)                     # x.requires_grad
        seen.value                          # the layer's activations, with graph
        g = torch.autograd.grad(loss(scores), x)

The places to edit are found on a trace of the forward pass (`surrogates.crafting.surgery.graph`), not by names of layers.
Contexts may be nested in any order, for one net or several; the last one to end restores the net. Outputs are equal to the
bit; passes without graph are not edited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from surrogates.crafting.surgery.edits import Edit, GradientEdits, edited
from surrogates.crafting.surgery.graph import Trace, traced


@contextmanager
def sgm(net: nn.Module, gamma: float = 0.2) -> Iterator[None]:
    """Skip gradient method: multiplies gradients through residual branches by ``gamma``.

    Wu et al. 2020, arXiv:2002.05990 (ICLR), section 3 (gamma 0.2 on ResNets, 0.5 on DenseNets for iterated attacks).
    Branches are those added to a skip (ResNets, transformers) and those concatenated to their own input (DenseNets).

    *Departs from the authors' code*, which scales at ReLUs, leaves out the first block of each stage and divides by a standard
    deviation over the batch: here every branch has the factor once.

    Raises:
        ValueError: gamma outside [0, 1]; at the first forward pass: a net without such branches.
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"Expected gamma to be in [0, 1], but it was {gamma!r}.")
    with edited(net, _Decay(gamma)):
        yield


@contextmanager
def linbp(net: nn.Module, start: float = 0.5) -> Iterator[None]:
    """Linear backpropagation: lets ReLUs pass gradients unchanged, from the share ``start`` of all ReLUs on.

    Guo et al. 2020, arXiv:2012.03528 (NeurIPS), section 4. In residual nets this concerns the ReLUs inside branches; those
    that directly follow a sum keep their mask, and the gradient of a branch is scaled, for each row, to the length that it
    has with all masks. start: 0.5 is the authors' choice for a ResNet-50 (the second block of its third stage).

    Raises:
        ValueError: start outside [0, 1); at the first forward pass: a net without ReLUs there.
    """
    with edited(net, _Linear(_share(start))):
        yield


@contextmanager
def bpa(net: nn.Module, start: float = 0.5, temperature: float = 10.0) -> Iterator[None]:
    """Backward propagation attack: uses SiLU's derivative for ReLUs and softmax weights for max pooling.

    Wang et al. 2023, arXiv:2306.12685 (NeurIPS): sigmoid(z) (1 + z (1 - sigmoid(z))) from the share ``start`` of the
    ReLUs on (those of `linbp`, unscaled), softmax(temperature * z) over each window of every 2-d max pooling (10).

    Raises:
        ValueError: start outside [0, 1), a temperature that is not positive; at the first forward pass: a net with
            neither ReLUs there nor max pooling.
    """
    if not temperature > 0:
        raise ValueError(f"Expected temperature to be positive, but it was {temperature!r}.")
    with edited(net, _Smooth(_share(start), temperature)):
        yield


class Tap:
    """Holds a layer's output in the last forward pass with graph: ``value`` [m, ...]; ``layer`` is its name."""

    def __init__(self, layer: str | float, look: Callable[[Tensor], None] | None = None) -> None:
        self.layer, self.look = layer, look
        self._value: Tensor | None = None

    @property
    def value(self) -> Tensor:
        if self._value is None:
            raise ValueError(
                f"Expected the net to have seen images since its layer {self.layer} was tapped, but it has not. Call it on images "
                "that require a gradient."
            )
        return self._value

    def show(self, t: Tensor) -> None:
        self._value = t
        if self.look is not None:
            self.look(t)


@contextmanager
def tap(net: nn.Module, layer: str | float = 0.5, look: Callable[[Tensor], None] | None = None) -> Iterator[Tap]:
    """Record the activations of a layer.

    Args:
        layer: a module's name, as in ``net.named_modules()``; or a share of the net's depth, see `block_before`.
        look: called with the activations of each forward pass.

    Raises:
        ValueError: no such layer, or one that makes no tensor of its own (the message says which there are).
    """
    if isinstance(layer, str) and layer not in (known := [name for name, _ in net.named_modules() if name]):
        raise ValueError(
            f"Expected the name of a layer, but it was {layer!r}. There are {', '.join(known) or 'no named layers'}."
        )
    if not isinstance(layer, str) and not 0 < layer <= 1:
        raise ValueError(f"Expected a layer's name or a share of the depth in (0, 1], but it was {layer!r}.")
    seen = Tap(layer, look)
    with edited(net, _Look(seen, net)):
        yield seen


def layers(net: nn.Module, x: Tensor) -> dict[str, int]:
    """The layers that a tap can name, in the order in which they finish, each with its depth (weighted layers on the longest
    path). ``x`` [1, \\*shape]: an image."""
    return {name: depth for name, (_, depth) in traced(net, x[:1]).layers.items()}


def block_before(trace: Trace, net: nn.Module, share: float) -> str:
    """The last block that finishes within ``share`` of the net's depth; the last layer, where no block does.

    A block is a module that contains weighted layers in modules of its own.

    Papers choose the layer for each net by hand, mostly about the middle. Ours: for a ResNet-50, 0.5 is layer3.0.
    """
    parts = dict(net.named_modules())
    within = [name for name, (_, depth) in trace.layers.items() if 0 < depth <= trace.depth * share]
    blocks = [
        name for name in within if any(p.ndim > 1 for child in parts[name].children() for p in child.parameters())
    ]
    if not within:
        raise ValueError(
            f"Expected a net with named layers within {share:.0%} of its depth, but there were none. Name a layer to tap."
        )
    return (blocks or within)[-1]


def layer_of(trace: Trace, net: nn.Module, layer: str | float) -> str:
    """The name of the layer that is meant by a name or a share of the depth. Raises: ValueError, it makes no tensor of its own."""
    name = layer if isinstance(layer, str) else block_before(trace, net, layer)
    if name not in trace.layers:
        raise ValueError(
            f"Expected a layer that makes one tensor from the image, but {name} does not. There are {', '.join(trace.layers)}."
        )
    return name


def _share(start: float) -> float:
    if not 0 <= start < 1:
        raise ValueError(f"Expected start to be a share in [0, 1) of the net's ReLUs, but it was {start!r}.")
    return start


def later_relus(trace: Trace, start: float) -> list[int]:
    """The calls of the ReLUs from the share ``start`` on, without those that directly follow a residual sum."""
    first = -int(-start * len(trace.relus) // 1)  # rounded up
    return [call for call, behind in trace.relus[first:] if not behind]


@dataclass(eq=False)
class _Decay(Edit):
    gamma: float

    def add(self, trace: Trace, edits: GradientEdits) -> None:
        ends = [residual.ends for residual in trace.sums] + list(trace.grown)
        if not ends:
            raise ValueError(
                "Expected a net with residual branches for SGM, but its forward pass adds and concatenates none to a skip. "
                "Leave SGM out."
            )
        for place in ends:
            edits.factor[place] = edits.factor.get(place, 1.0) * self.gamma


@dataclass(eq=False)
class _Linear(Edit):
    start: float

    def add(self, trace: Trace, edits: GradientEdits) -> None:
        chosen = later_relus(trace, self.start)
        if not chosen:
            raise ValueError(
                f"Expected a net with ReLUs behind the first {self.start:.0%} for LinBP, but it has {len(trace.relus)} in all. "
                "Leave LinBP out, or let it start earlier."
            )
        _claim(edits, chosen, False)
        edits.sums.update((r.call, r) for r in trace.sums if r.rectified & set(chosen))


@dataclass(eq=False)
class _Smooth(Edit):
    start: float
    temperature: float

    def add(self, trace: Trace, edits: GradientEdits) -> None:
        chosen = later_relus(trace, self.start)
        if not chosen and not trace.pools:
            raise ValueError(
                f"Expected a net with max pooling, or ReLUs behind the first {self.start:.0%}, for BPA, but it has "
                f"{len(trace.relus)} ReLUs in all and no 2-d max pooling. Leave BPA out, or let it start earlier."
            )
        _claim(edits, chosen, True)
        edits.pools.update(dict.fromkeys(trace.pools, self.temperature))


def _claim(edits: GradientEdits, calls: list[int], silu: bool) -> None:
    if any(edits.relus.get(call, silu) != silu for call in calls):
        raise ValueError(
            "Expected one derivative for each ReLU, but LinBP and BPA both want theirs. Leave one of them out."
        )
    edits.relus.update(dict.fromkeys(calls, silu))


@dataclass(eq=False)
class _Look(Edit):
    seen: Tap
    net: nn.Module

    def add(self, trace: Trace, edits: GradientEdits) -> None:
        layer = self.seen.layer = layer_of(trace, self.net, self.seen.layer)
        edits.show.setdefault(trace.layers[layer][0], []).append(self.seen.show)

"""Traces one forward pass, and finds its residual sums, ReLUs and pooling.

Every torch function that the net calls is intercepted (`torch.overrides.TorchFunctionMode`), whether a module or
``forward`` itself calls it, so no names of architectures or layers are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

WEIGHTED = {"linear", "bilinear"} | {f"conv{kind}{d}d" for kind in ("", "_transpose") for d in (1, 2, 3)}
PRODUCTS = {
    "matmul",
    "__matmul__",
    "__rmatmul__",
    "mm",
    "bmm",
    "addmm",
    "einsum",
}  # weighted if a factor is no activation
SUMS, JOINS = {"add", "add_"}, {"cat", "concat", "concatenate"}
RELUS, POOLS = {"relu", "relu_"}, {"max_pool2d"}
ATTENTION = {"scaled_dot_product_attention", "multi_head_attention_forward", "softmax"}  # a softmax of at least three axes
START = -1  # the number of the net's input, among the calls


@dataclass(frozen=True, eq=False)
class Node:
    """A tensor that depends on the input.

    call, place: the number of the call that made it, and which of its outputs. depth: weighted layers on the longest path
    to it. summed: it is the sum of a branch and a skip."""

    call: int
    place: int
    depth: int
    parents: tuple[Node, ...] = ()
    summed: bool = False

    def ancestors(self) -> Iterator[Node]:
        """Yield the node itself and all that it depends on, nearest first."""
        seen, waiting = {self}, [self]
        while waiting:
            later: list[Node] = []
            for node in waiting:
                yield node
                for parent in node.parents:
                    if parent not in seen:
                        seen.add(parent)
                        later.append(parent)
            waiting = later


@dataclass(frozen=True)
class Residual:
    """A sum of a branch and a skip.

    call: the sum's number. branch, skip: their positions among its arguments. ends: the call (and place) that made the
    branch's last tensor. fork: the same for the tensor where both start. rectified: the ReLUs inside the branch. inside: all
    calls inside it."""

    call: int
    branch: int
    skip: int
    ends: tuple[int, int]
    fork: tuple[int, int]
    rectified: frozenset[int]
    inside: frozenset[int]


@dataclass(frozen=True)
class Trace:
    """A forward pass, described by the numbers of its calls in their order.

    Attributes:
        relus: all ReLUs, and whether each directly follows a residual sum.
        sums: branches that end in a residual sum.
        grown: the ends of branches that are concatenated to their own input (DenseNet).
        pools: 2-d max pooling.
        attention: the calls that mix tokens by a map of weights, or compute one.
        weighted: the outputs of convolutions and linear layers.
        kinds: the functions of these calls, to detect a net whose calls change.
        layers: modules that return a tensor, in the order in which they finish, with the call and place that made it and
            their depth.
        depth: weighted layers on the longest path.
    """

    relus: tuple[tuple[int, bool], ...]
    sums: tuple[Residual, ...]
    grown: tuple[tuple[int, int], ...]
    pools: tuple[int, ...]
    attention: tuple[int, ...]
    weighted: tuple[tuple[int, int], ...]
    kinds: Mapping[int, str]
    layers: Mapping[str, tuple[tuple[int, int], int]]
    depth: int


def traced(net: nn.Module, x: Tensor) -> Trace:
    """Trace one forward pass, with graph, over images ``x`` [m, \\*shape] (one is enough)."""
    scan = _Scan(x.detach().requires_grad_())
    handles = [part.register_forward_hook(scan.finished(name)) for name, part in net.named_modules() if name]
    try:
        with torch.enable_grad(), scan:
            net(scan.x)
    finally:
        for handle in handles:
            handle.remove()
    return Trace(
        tuple(scan.relus), tuple(scan.sums), tuple(dict.fromkeys(scan.grown)), tuple(scan.pools),
        tuple(scan.attention), tuple(scan.weighted), scan.kinds, scan.layers, max((node.depth for node in scan.nodes.values()), default=0),
    )  # fmt: skip


def name_of(func: Any) -> str:
    """The plain name of a torch function: ``F.relu``, ``torch.relu`` and ``Tensor.relu`` are all "relu"."""
    return str(getattr(func, "__name__", ""))


def tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Yield the tensors among arguments or outputs, also those inside lists and tuples."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors(value)


class _Scan(TorchFunctionMode):
    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x, self.call = x, START
        self.nodes: dict[int, Node] = {id(x): Node(START, 0, 0)}
        self.alive: list[Tensor] = [x]  # keeps tensors alive, so that no id is reused
        self.relus: list[tuple[int, bool]] = []
        self.sums: list[Residual] = []
        self.grown: list[tuple[int, int]] = []
        self.pools: list[int] = []
        self.attention: list[int] = []
        self.weighted: list[tuple[int, int]] = []
        self.kinds: dict[int, str] = {}
        self.layers: dict[str, tuple[tuple[int, int], int]] = {}

    def finished(self, name: str) -> Any:
        def hook(module: nn.Module, given: Any, out: Any) -> None:
            if isinstance(out, Tensor) and id(out) in self.nodes:
                node = self.nodes[id(out)]
                self.layers.pop(name, None)  # called again: it finishes later
                self.layers[name] = ((node.call, node.place), node.depth)

        return hook

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.call += 1
        given = list(tensors((*args, *(kwargs or {}).values())))
        parents = tuple(self.nodes[id(t)] for t in given if id(t) in self.nodes)
        if not parents:
            return out
        name, summed = name_of(func), False
        if name in SUMS:
            summed = self._sum(args, kwargs or {})
        elif name in JOINS:
            self._join(parents)
        elif name in RELUS:
            self.relus.append((self.call, parents[0].summed))
        elif name in POOLS:
            self.pools.append(self.call)
        attends = name in ATTENTION and next(tensors([out])).ndim >= 3
        if attends:
            self.attention.append(self.call)
        if name in SUMS | RELUS | POOLS or attends:
            self.kinds[self.call] = name
        weighted = name in WEIGHTED or any(isinstance(t, nn.Parameter) and t.ndim > 1 for t in given)
        weighted |= name in PRODUCTS and len(parents) < len(given)
        depth = max(p.depth for p in parents) + weighted
        for place, t in enumerate(tensors([out])):
            self.nodes[id(t)] = Node(self.call, place, depth, parents, summed)
            self.alive.append(t)
            if weighted:
                self.weighted.append((self.call, place))
                self.kinds[self.call] = name
        return out

    def _sum(self, args: Any, kwargs: Mapping[str, Any]) -> bool:
        """Is this the end of a residual branch? The deeper of two operands is the branch, the other the skip."""
        pair = [self.nodes.get(id(a)) if isinstance(a, Tensor) else None for a in args[:2]]
        if len(pair) < 2 or pair[0] is None or pair[1] is None or kwargs or pair[0].depth == pair[1].depth:
            return False
        deeper = 0 if pair[0].depth > pair[1].depth else 1
        branch, skip = pair[deeper], pair[1 - deeper]
        assert branch is not None and skip is not None
        inside = set(branch.ancestors())
        fork = next(node for node in skip.ancestors() if node in inside)
        inside -= set(fork.ancestors())
        rectified = frozenset(call for call, _ in self.relus if any(node.call == call for node in inside))
        ends, start = (branch.call, branch.place), (fork.call, fork.place)
        calls = frozenset(node.call for node in inside)
        self.sums.append(Residual(self.call, deeper, 1 - deeper, ends, start, rectified, calls))
        return True

    def _join(self, parents: tuple[Node, ...]) -> None:
        """Record a concatenation of a tensor with one it was computed from: a branch and its skip."""
        for node in parents:
            if any(
                other is not node and other.depth < node.depth and other in set(node.ancestors()) for other in parents
            ):
                self.grown.append((node.call, node.place))

"""Nets one owns as a `blackbox.prior.Prior`: what an attack through queries may know beforehand."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from blackbox.prior import Prior, Pull, agree
from surrogates.gradients import as_nets
from surrogates.nets import Normalised
from surrogates.predict import chunk_rows, class_count, cut, frozen, pieces, place


def prior(nets: Any, *, chunk: int | None = None) -> Prior:
    """Surrogates as the prior of an attack: ``bb.attack(oracle, x, y, "hybrid", threat, prior=surrogates.prior(nets))``.

    Args:
        nets: a net or several that give logits for images in [0, 1], with the same classes, in the target's order.
        chunk: images a call: an eighth of what `craft` takes, since an attack asks for few rows at a time. A result
            may change in its last bits with ``chunk``, never with the rows that are asked together.

    Raises:
        ValueError: no net; nets with different classes, for different images, or on different devices.
    """
    return NetPrior(nets, chunk)


class NetPrior:
    """M nets that are asked for logits and gradients, counted. See `blackbox.prior.Prior`."""

    def __init__(self, nets: nn.Module | Sequence[nn.Module], chunk: int | None = None) -> None:
        try:
            self.nets = as_nets(nets)
        except (TypeError, ValueError):
            raise ValueError(
                f"Expected a prior of one or more torch modules, but it was made of {nets!r:.80}. Give nets: prior([net])."
            ) from None
        if chunk is not None and chunk < 1:
            raise ValueError(f"Expected chunk to be at least 1, but it was {chunk}.")
        self.members, self.gradients, self.passes = len(self.nets), 0, 0
        self.chunk = chunk
        self._fits: tuple[tuple[int, ...], int] = ((), 0)
        built = {net.shape for net in self.nets if isinstance(net, Normalised)}
        if len(built) > 1:
            raise ValueError(
                f"Expected the nets of a prior to take images of one shape, but they take {sorted(built)}."
            )
        places = {place(net)[0] for net in self.nets}
        if len(places) > 1:
            raise ValueError(f"Expected all nets on one device, but they are on {', '.join(sorted(map(str, places)))}.")
        self.device = places.pop()
        counts = {net.classes for net in self.nets if isinstance(net, Normalised)}
        if len(counts) > 1:
            raise ValueError(
                f"Expected the nets of a prior to tell the same classes apart, but they have {sorted(counts)}."
            )
        self.classes = counts.pop() if counts else 0  # of other modules it is known when images are
        digest = hashlib.sha256()
        for net in self.nets:
            for name, value in net.state_dict().items():
                digest.update(name.encode())
                digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        self.digest = digest.hexdigest()[:16]
        self._lean = [lean(net) for net in self.nets]

    def __repr__(self) -> str:  # says which nets: a checkpoint compares it
        return f"prior({self.members} nets, {self.digest})"

    def check(self, shape: tuple[int, ...], classes: int) -> None:
        shape = tuple(shape)
        if self._fits == (shape, classes):
            return
        grey = torch.full((1, *shape), 0.5)
        for i, net in enumerate(self.nets):
            what = f"net {i} of the prior" if self.members > 1 else "the prior's net"
            if isinstance(net, Normalised):
                agree(what, (tuple(net.shape), net.classes), (shape, classes))
            else:
                agree(what, (shape, class_count(net, grey, what)), (shape, classes))
        self._fits, self.classes = (shape, classes), classes
        kept = self.gradients, self.passes
        self.gradient(
            grey, lambda scores, rows: torch.ones_like(scores)
        )  # NaN or no gradient: said before a query is spent
        self.gradients, self.passes = kept

    def _size(self, x: Tensor) -> int:
        return self.chunk or max(4, chunk_rows(tuple(x.shape[1:]), self.device) // 8)

    def logits(self, x: Tensor) -> Tensor:
        out = []
        with frozen(self._lean), torch.no_grad():
            for where, fill in pieces(len(x), self._size(x)):
                out.append(self._scores(cut(x, where, fill).to(self.device))[: where.stop - where.start])
        self.passes += len(x) * self.members
        scores = torch.cat(out) if out else torch.zeros(0, self.members, self.classes)
        _finite(scores, "scores")
        return scores.to(x.device)

    def gradient(self, x: Tensor, pull: Pull) -> Tensor:
        out = torch.zeros_like(x)
        with frozen(self._lean), torch.enable_grad():
            for where, fill in pieces(len(x), self._size(x)):
                count = where.stop - where.start
                given = cut(x, where, fill).to(self.device).detach().requires_grad_()
                scores = self._scores(given)
                at = torch.arange(where.start, where.stop) if fill is None else fill
                covector = pull(scores.detach().to(x.device), at.to(x.device)).to(scores)
                used = (covector != 0).flatten(2).any(2).any(0).tolist()
                self.gradients += count * sum(used)
                self.passes += count * (self.members - sum(used))
                total = sum((scores[:, m] * covector[:, m]).sum() for m in range(self.members) if used[m])
                if isinstance(total, Tensor):
                    if not total.requires_grad:
                        raise ValueError(
                            "Expected nets that gradients can be taken through, but a net of the prior has none."
                        )
                    out[where] = torch.autograd.grad(total, given)[0][:count].to(x)
        _finite(out, "gradients")
        return out

    def _scores(self, x: Tensor) -> Tensor:
        return torch.stack([net(x.to(place(net)[1])).float() for net in self._lean], 1)


def lean(net: nn.Module) -> nn.Module:
    """A copy of the net with each batch norm folded into the convolution before it, channels last: the same function up
    to rounding, about half as fast again where an attack asks for a few gradients at a time. The net itself where it cannot
    be traced, or where the copy would say something else."""
    from torch.fx.experimental.optimization import fuse

    device, dtype = place(net)
    if not isinstance(net, Normalised) or len(net.shape) != 3:
        return net
    wide = torch.promote_types(dtype, torch.float32)  # bfloat16 would show its own rounding as a difference
    ramp = torch.linspace(0, 1, 2 * math.prod(net.shape), device=device, dtype=wide).view(2, *net.shape)
    try:
        with frozen([net]), torch.no_grad():
            whole = copy.deepcopy(net).to(wide)
            made = copy.deepcopy(whole)
            made.net = fuse(made.net, inplace=True)
            made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            told, known = made(ramp), whole(ramp)
        same = told.shape == known.shape and torch.allclose(told, known, rtol=1e-3, atol=1e-3)
        return made.to(dtype) if same else net
    except Exception:  # a net that fx cannot trace is used as it is
        return net


def _finite(v: Tensor, what: str) -> None:
    if not bool(v.isfinite().all()):
        raise ValueError(
            f"Expected finite {what} from the nets of the prior, but some hold NaN or infinity. Were they trained?"
        )

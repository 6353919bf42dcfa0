"""`many`: several surrogates from one net, within one budget of training."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blackbox.checks import check_int
from blackbox.rng import Stream
from surrogates.nets.architectures import Normalised
from surrogates.nets.predict import frozen, place
from surrogates.training.averaging import AGAIN, Weighted, _Run, lgv, weighted
from surrogates.training.loop import settings
from surrogates.training.recipe import Recipe
from surrogates.training.train import TrainSet

KINDS = ("snapshots", "sub-networks", "augmented", "width", "depth")
AS_IT_IS = "as it is"
_DROPPED, _NARROWER, _NOISE = 0.1, (0.2, 0.3, 0.4), 16 / 255


@dataclass(frozen=True)
class Many:
    """Surrogates that `many` made, the given net first; pass ``nets`` to `craft`, or a part of them.

    Attributes:
        nets: the surrogates. kinds: how each was made.
        seconds: that each took. epochs: passes over the training set that all took.
    """

    nets: list[nn.Module]
    kinds: list[str]
    seconds: list[float]
    epochs: int

    def __len__(self) -> int:
        return len(self.nets)

    def summary(self) -> str:
        """How many of each kind, and what they took."""
        counts = ", ".join(f"{self.kinds.count(kind)} {kind}" for kind in dict.fromkeys(self.kinds))
        return f"{len(self)} nets ({counts}) in {self.epochs} epochs and {sum(self.seconds):.0f} s"


def many(
    net: nn.Module,
    train_set: TrainSet,
    count: int = 8,
    *,
    epochs: int = 8,
    kinds: Sequence[str] | None = None,
    recipe: Recipe = AGAIN,
    seed: int = 0,
) -> Many:
    """Make ``count`` surrogates from one trained net within a budget of training.

    After the net as it is, kinds take turns. ``"snapshots"``: along one run at a high constant rate (`refine.lgv`). ``"sub-networks"``:
    without a tenth of the channels of each layer, drawn at random, at no training. ``"width"``: without the fifth (then 0.3, 0.4) of the
    channels whose weights are smallest. ``"depth"``: without one of the blocks (in a net without blocks: convolutions) whose output has
    the shape of their input. ``"augmented"``: on images blurred, then noisy, then grey. The last three are trained again, at a rate that
    falls to zero. After Gubri et al. 2022, arXiv:2207.13129 (snapshots); Li et al. 2020, arXiv:1912.09844, "ghost networks" (sub-networks);
    shares, images and budget are ours.

    Args:
        net: an already trained net; it is not changed. train_set: what it was trained on, as for `surrogates.train`.
        count: nets, the given one among them.
        epochs: passes over the training set for all together, shared equally by those that are trained. Statistics of batch norm take
            another pass without gradients for each net.
        kinds: by default all; without "depth" for a net that has nothing to leave out.
        recipe: of the further training; its epochs do not count. seed: of all draws.

    Raises:
        ValueError: fewer epochs than nets that are trained, or a kind that there is not.
    """
    count, epochs, seed = check_int(count, "count", 1), check_int(epochs, "epochs", 1), check_int(seed, "seed")
    blocks = removable(net, _example(net, train_set, recipe)) if kinds is None or "depth" in kinds else []
    kinds = [kind for kind in KINDS if kind != "depth" or blocks] if kinds is None else list(kinds)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"Expected kinds among {', '.join(KINDS)}, but there was {unknown[0]!r}.")
    if not kinds:
        raise ValueError("Expected at least one kind, but there was none.")
    plan = [kinds[i % len(kinds)] for i in range(count - 1)]
    trained = sum(kind != "sub-networks" for kind in plan)
    if trained > epochs:
        raise ValueError(
            f"Expected at least {trained} epochs for {count} nets, {trained} of which are trained, but there were {epochs}. Ask for fewer "
            'nets, or for kinds=["sub-networks"], which need none.'
        )
    each = epochs // max(trained, 1)
    made = _Maker(net, train_set, replace(recipe, epochs=each), blocks, seed)
    snapshots = made.snapshots(plan.count("snapshots"), each)
    found: list[tuple[nn.Module, str, float]] = [(net, AS_IT_IS, 0.0)]
    for i, kind in enumerate(plan):
        nth = plan[:i].count(kind)
        found.append(snapshots[nth] if kind == "snapshots" else made.timed(kind, nth))
    nets, names, seconds = map(list, zip(*found, strict=True))
    return Many(nets, names, seconds, trained * each)


class _Maker:
    """Makes nets of a kind, one by one."""

    def __init__(self, net: nn.Module, train_set: TrainSet, recipe: Recipe, blocks: list[str], seed: int) -> None:
        self.net, self.train_set, self.blocks, self.seed = net, train_set, blocks, seed
        self.constant, self.falling = recipe, replace(recipe, schedule="cosine")

    def snapshots(self, count: int, each: int) -> list[tuple[nn.Module, str, float]]:
        if not count:
            return []
        start = time.perf_counter()
        nets = lgv(self.net, self.train_set, replace(self.constant, epochs=count * each), per_epoch=1, seed=self.seed)[each - 1 :: each]
        if len(nets) < count:
            raise ValueError("Expected training to go on for all snapshots, but it diverged. Give a recipe with a smaller lr.")
        share = (time.perf_counter() - start) / count
        return [(net, "snapshots", share) for net in nets]

    def timed(self, kind: str, nth: int) -> tuple[nn.Module, str, float]:
        start = time.perf_counter()
        makers: dict[str, Callable[[int], nn.Module]] = {
            "sub-networks": self._sub_network, "width": self._narrower, "depth": self._shallower, "augmented": self._augmented
        }  # fmt: skip
        made = makers[kind](nth)
        return made, kind, time.perf_counter() - start

    def _run(self, net: nn.Module, nth: int) -> _Run:
        return _Run(net, self.train_set, self.falling, self.seed + 1 + nth, again=True)

    def _sub_network(self, nth: int) -> nn.Module:
        run = self._run(self.net, nth)
        rng = Stream(self.seed, np.array([nth], np.uint64))
        for i, layer in enumerate(weighted(run.net)[:-1]):
            _silence(layer, rng.permutation(i, "many sub-network", len(layer.weight))[0][: int(_DROPPED * len(layer.weight))])
        run.report.batch_size = settings(run.net, run.recipe, len(run.examples))[0]
        return run.finished(run.net)

    def _narrower(self, nth: int) -> nn.Module:
        run, share = self._run(self.net, nth), _NARROWER[nth % len(_NARROWER)]
        gone = []
        for layer in weighted(run.net)[:-1]:
            size = layer.weight.detach().flatten(1).norm(dim=1)
            gone.append((layer, size.argsort()[: int(share * len(size))]))
            _silence(*gone[-1])

        def watch(now: nn.Module, updates: int, in_epoch: int) -> None:
            for layer, channels in gone:
                _silence(layer, channels)

        run.go(watch, None)
        for layer, channels in gone:
            _silence(layer, channels)  # the loop may have gone back to earlier weights
        return run.finished(run.net)

    def _shallower(self, nth: int) -> nn.Module:
        net, blocks = copy.deepcopy(self.net), self.blocks
        if not blocks:
            raise ValueError(
                "Expected a net with blocks whose output has the shape of their input for a variant in depth, but it has none. Leave "
                "'depth' out of kinds."
            )
        parent, _, name = blocks[nth * (len(blocks) // 2 + 1) % len(blocks)].rpartition(".")
        setattr(net.get_submodule(parent), name, nn.Identity())
        if isinstance(net, Normalised):
            net.arch = ""  # a file of its weights is none of that architecture
        run = self._run(net, nth)
        run.go(None, None)
        return run.settled(run.net)

    def _augmented(self, nth: int) -> nn.Module:
        run = self._run(self.net, nth)
        x = run.examples.images
        seen = _blurred(x) if nth % 3 == 0 else _noisy(x, self.seed + nth) if nth % 3 == 1 else x.mean(1, keepdim=True).expand_as(x)
        run.examples = replace(run.examples, images=seen.contiguous())
        run.go(None, None)
        return run.settled(run.net)


def _example(net: nn.Module, train_set: TrainSet, recipe: Recipe) -> Tensor:
    """One image of the training set, where the net is. Raises: ValueError, net, images and recipe do not fit."""
    device, dtype = place(net)
    return _Run(net, train_set, recipe, 0).examples.images[:1].to(device, dtype)


def _silence(layer: Weighted, channels: Tensor) -> None:
    with torch.no_grad():
        layer.weight[channels.to(layer.weight.device)] = 0
        if layer.bias is not None:
            layer.bias[channels.to(layer.bias.device)] = 0


def removable(net: nn.Module, x: Tensor) -> list[str]:
    """The names of a net's blocks that can be left out, since their output has the shape of their input: the innermost modules with
    weighted layers inside; where there are none, such layers themselves."""
    fits: set[str] = set()

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(part: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            if given and isinstance(out, Tensor) and isinstance(given[0], Tensor) and out.shape == given[0].shape:
                fits.add(name)

        return hook

    named = {name: part for name, part in net.named_modules() if name}
    handles = [part.register_forward_hook(look(name)) for name, part in named.items()]
    try:
        with frozen([net]), torch.no_grad():
            net(x)
    finally:
        for handle in handles:
            handle.remove()
    learned = [name for name in fits if weighted(named[name])]
    blocks = [name for name in learned if not isinstance(named[name], Weighted)]
    inner = [name for name in blocks if not any(other.startswith(name + ".") for other in blocks)]
    return sorted(inner or learned, key=list(named).index)


def _blurred(x: Tensor) -> Tensor:
    if x.ndim != 4:
        return x
    kernel = torch.tensor([1.0, 2.0, 1.0]).to(x) / 4
    weight = (kernel[:, None] * kernel).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), "replicate"), weight, groups=x.shape[1])


def _noisy(x: Tensor, seed: int) -> Tensor:
    rng = Stream(seed, np.arange(len(x), dtype=np.uint64))
    return (x + _NOISE * rng.normal(0, "many noise", tuple(x.shape[1:])).to(x)).clamp(0, 1)

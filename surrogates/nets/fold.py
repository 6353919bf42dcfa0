"""Speeds up a net: folds batch norms into the convolutions before them, and uses the channels-last layout."""

from __future__ import annotations

import copy
import math
from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.nn.utils.parametrize import is_parametrized

from blackbox.targets.outputs import scores_of
from surrogates.nets.predict import frozen, place


def folded(net: nn.Module, shape: tuple[int, ...], norms: bool = True) -> nn.Module:
    """Make a copy of the net whose gradients in eval mode are faster (`benchmarks --only craft`).

    Each batch norm that normalises only the output of one convolution is folded into that convolution's weights; such pairs
    are found on one forward pass. Logits and gradients are those of the net up to float rounding, so gradient entries near
    zero may change sign.

    Args:
        shape: (C, H, W) of the images it takes.
        norms: fold batch norms; else the copy has another layout alone.

    Returns:
        The copy; or the net itself if it has no convolution, if a copy could lose something (hooks, a forward set on the
        instance), or if the copy's logits differ.
    """
    parts = list(net.modules())
    if len(shape) != 3 or not any(isinstance(part, nn.Conv2d) for part in parts) or any(map(_touched, parts)):
        return net
    device, dtype = place(net)
    wide = torch.promote_types(dtype, torch.float32)  # bfloat16's own rounding would count as a difference
    ramp = torch.linspace(0, 1, math.prod(shape), device=device, dtype=wide).view(1, *shape)
    try:
        with frozen([net]), torch.no_grad():
            original = net if wide == dtype else copy.deepcopy(net).to(wide)
            copied = copy.deepcopy(original)
            if norms:
                _fold(copied, ramp)
            copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            ours, theirs = scores_of(copied(ramp)), scores_of(original(ramp))
        same = ours.shape == theirs.shape and bool((ours - theirs).abs().max() <= 1e-3 * theirs.abs().max())
    except Exception:  # a net that cannot be copied or run on the ramp is used as it is
        return net
    return copied.to(dtype) if same else net


def _touched(part: nn.Module) -> bool:
    hooks = (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks)
    return any(hooks) or "forward" in vars(part) or is_parametrized(part)


def _fold(net: nn.Module, x: Tensor) -> None:
    """Fold the batch norms of ``net`` in place; the convolution before each is found on ``x`` [1, \\*shape]."""
    calls: Counter[nn.Module] = Counter()
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # by id; the tensor is kept, so that its id is not reused
    pairs: dict[nn.BatchNorm2d, nn.Conv2d] = {}

    def observe(part: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        calls[part] += 1
        if isinstance(part, nn.Conv2d):
            outputs[id(out)] = part, out
        elif isinstance(part, nn.BatchNorm2d) and given and id(given[0]) in outputs:
            pairs[part] = outputs[id(given[0])][0]

    watched = [part for part in net.modules() if type(part) in (nn.Conv2d, nn.BatchNorm2d)]
    handles = [part.register_forward_hook(observe) for part in watched]
    try:
        net(x)
    finally:
        for handle in handles:
            handle.remove()
    used = Counter(pairs.values())
    for norm, conv in list(pairs.items()):
        mean, variance = norm.running_mean, norm.running_var
        if not (calls[norm] == calls[conv] == used[conv] == 1) or mean is None or variance is None:
            del pairs[norm]  # it or its convolution is used several times, or it uses batch statistics
        else:
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, mean, variance, norm.eps, norm.weight, norm.bias
            )
    for part in list(net.modules()):
        for name, child in list(part.named_children()):
            if child in pairs:
                setattr(part, name, nn.Identity())

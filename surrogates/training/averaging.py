"""Refiners: averages and samples of weights, which make better surrogates. The given net is not changed.

`swa`, `ema`, `sam`, `sasd_ws` and `dra` return one net, `lgv` and `swag` a list of nets that can be passed to `craft`. After weights were
averaged or drawn, batch norm's statistics are re-estimated on the training images. No query is made: give the `Answers`
that the net was trained on. `choose` says which of them carries furthest.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from blackbox.rng import Stream
from surrogates.data.answers import Answers
from surrogates.nets.predict import class_count, logits, place
from surrogates.training.choosing import Choice as Choice
from surrogates.training.choosing import choose as choose
from surrogates.training.distribution import ScoreMatching
from surrogates.training.examples import as_examples, batches, check_examples
from surrogates.training.loop import Progress, Watch, settings
from surrogates.training.recipe import Recipe, TrainReport
from surrogates.training.sharpness import SAM
from surrogates.training.train import TrainSet, run_loop

AGAIN = Recipe(epochs=10, schedule="constant", warmup=0.0)
"""Further training at a high constant rate: 10 epochs, momentum 0.9, weight decay 1e-4 (Gubri et al. 2022, arXiv:2207.13129).
The rate, unless given, is half of that for training from scratch: 0.05 for nets with batch norm, as in the paper."""
DRAWN = replace(AGAIN, weight_decay=5e-4)
"""As `AGAIN`, with the weight decay of Li et al. 2023 (arXiv:2302.05086)."""
SHARP = replace(AGAIN, schedule="cosine")
"""As `AGAIN`, with a rate that falls to zero, since one net is wanted and not many (ours)."""
Weighted = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


def swa(
    net: nn.Module, train_set: TrainSet, recipe: Recipe = AGAIN, *, seed: int = 0, progress: Progress | None = None
) -> nn.Module:
    """Stochastic weight averaging: the mean of the weights at the ends of epochs run at a high constant rate (Izmailov et
    al. 2018, arXiv:1803.05407).

    Args:
        net: an already trained net.
        train_set: what it was trained on, as for `surrogates.train`.
        recipe: of the epochs that are averaged.
        seed: for shuffling and augmentation.
        progress: as in `surrogates.train`.

    Raises:
        ValueError: as `surrogates.train`; or training diverged before an epoch ended.
    """
    run = _Run(net, train_set, recipe, seed, again=True)
    mean = AveragedModel(run.net)

    def watch(now: nn.Module, updates: int, in_epoch: int) -> None:
        if updates % in_epoch == 0:
            mean.update_parameters(now)

    run.go(watch, progress)
    _at_least(1, run.epochs, "epoch")
    return run.finished(mean.module)


def ema(
    net: nn.Module,
    train_set: TrainSet,
    recipe: Recipe | None = None,
    *,
    decay: float = 0.999,
    seed: int = 0,
    progress: Progress | None = None,
) -> nn.Module:
    """Exponential moving average of the weights over the updates of a training run (Polyak & Juditsky 1992; in the form of
    Tarvainen & Valpola 2017, arXiv:1703.01780).

    Args:
        net: where training starts; recipe: of that run.
        decay: 0.999 (Tarvainen & Valpola); in update t at most (1 + t) / (10 + t), so that a short run forgets its start
            (as in TensorFlow's ExponentialMovingAverage). The rest as for `swa`.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"Expected decay in [0, 1), but it was {decay!r}.")
    run = _Run(net, train_set, recipe or Recipe(), seed)

    def blend(old: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        d = min(decay, (1 + int(count)) / (10 + int(count)))
        return d * old + (1 - d) * new

    mean = AveragedModel(run.net, avg_fn=blend)
    run.go(lambda now, updates, in_epoch: mean.update_parameters(now), progress)
    _at_least(len(run.report.loss), run.epochs, "epoch")  # a run that diverged has spoilt the average
    return run.finished(mean.module)


def lgv(
    net: nn.Module,
    train_set: TrainSet,
    recipe: Recipe = AGAIN,
    *,
    per_epoch: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[nn.Module]:
    """Large geometric vicinity: snapshots along SGD at a high constant rate (Gubri et al. 2022, arXiv:2207.13129).

    Args:
        per_epoch: snapshots an epoch, evenly spaced; 4, so 40 nets in 10 epochs (the paper); at most one an update. The
            rest as for `swa`.
    """
    if per_epoch < 1:
        raise ValueError(f"Expected per_epoch to be at least 1, but it was {per_epoch!r}.")
    run = _Run(net, train_set, recipe, seed, again=True)
    taken: list[tuple[int, nn.Module]] = []

    def watch(now: nn.Module, updates: int, in_epoch: int) -> None:
        if updates * per_epoch // in_epoch > (updates - 1) * per_epoch // in_epoch:
            taken.append(((updates - 1) // in_epoch, copy.deepcopy(now)))

    run.go(watch, progress)
    _at_least(1, run.epochs, "epoch")
    return [run.settled(now) for epoch, now in taken if epoch < run.epochs]


def swag(
    net: nn.Module,
    train_set: TrainSet,
    recipe: Recipe = DRAWN,
    *,
    count: int = 20,
    scale: float = 1.5,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[nn.Module]:
    """Nets drawn from a Gaussian over weights, with the mean and the variances of SGD's iterates, one an epoch (SWAG;
    Maddox et al. 2019, arXiv:1902.02476, in its diagonal form), for transfer as in Li et al. 2023 (arXiv:2302.05086).

    Args:
        recipe: of the epochs over which mean and variances are taken.
        count: how many nets are drawn; 20 (ours).
        scale: factor of the standard deviations; 1.5 (Li et al.). The rest as for `swa`.
    """
    if count < 1 or not 0 <= scale < np.inf:
        raise ValueError(
            f"Expected count of at least 1 and scale of at least 0, but they were {count!r} and {scale!r}."
        )
    run = _Run(net, train_set, recipe, seed, again=True)
    mean = AveragedModel(run.net)
    spread = [torch.zeros_like(p) for p in run.net.parameters()]

    def watch(now: nn.Module, updates: int, in_epoch: int) -> None:
        if updates % in_epoch == 0:
            before = [p.detach().clone() for p in mean.module.parameters()]
            first = int(mean.n_averaged) == 0
            mean.update_parameters(now)
            if not first:  # Welford 1962: no difference of large squares
                for s, w, old, new in zip(spread, now.parameters(), before, mean.module.parameters(), strict=True):
                    s += (w.detach() - old) * (w.detach() - new.detach())

    run.go(watch, progress)
    _at_least(2, run.epochs, "epoch")

    def drawn(i: int) -> nn.Module:
        made, rng = copy.deepcopy(mean.module), Stream(seed, np.array([i], dtype=np.uint64))
        for k, (p, s) in enumerate(zip(made.parameters(), spread, strict=True)):
            noise = rng.normal(k, "swag", tuple(p.shape) or 1)[0].to(p).view_as(p)
            p.data += scale * (s / run.epochs).clamp_min(0).sqrt() * noise
        return run.finished(made)

    return [drawn(i) for i in range(count)]


def sam(
    net: nn.Module,
    train_set: TrainSet,
    recipe: Recipe | None = None,
    *,
    rho: float = 0.05,
    seed: int = 0,
    progress: Progress | None = None,
) -> nn.Module:
    """Train a copy of ``net`` (fresh or already trained) with `SAM`; arguments as for `swa`, ``rho`` as for `SAM`."""
    run = _Run(net, train_set, replace(recipe or Recipe(), update=SAM(rho)), seed)
    run.go(None, progress)
    return run.settled(run.net)


def sasd_ws(
    net: nn.Module,
    train_set: TrainSet,
    recipe: Recipe = SHARP,
    *,
    rho: float = 0.05,
    scale: float = 0.9,
    seed: int = 0,
    progress: Progress | None = None,
) -> nn.Module:
    """Sharpness-aware self-distillation with weight scaling: a copy learns the net's own probabilities with `SAM`, and its weights are
    then made smaller.

    Wu et al. 2024, "Improving transferable targeted adversarial attacks with model self-enhancement" (CVPR). Scaling is the rule by
    which one net stands for the mean of those that are left when weights are dropped: all convolutions and linear layers but the last
    one get ``scale`` times their weights, batch norm keeps its statistics. Chosen here: 0.9, labels of the images before they are
    augmented, and the recipe; in a net without batch norm scaling hardly changes the direction of gradients.

    Args:
        net: an already trained net. rho: as for `SAM`. The rest as for `swa`; labels of ``train_set`` are not used.
    """
    if not 0 < scale <= 1:
        raise ValueError(f"Expected scale in (0, 1], but it was {scale!r}.")
    run = _Run(net, train_set, replace(recipe, update=SAM(rho)), seed, again=True)
    soft = logits(net, run.examples.images).softmax(1)
    run.examples, run.report.soft = replace(run.examples, soft=soft), True
    run.go(None, progress)
    _at_least(1, run.epochs, "epoch")
    for part in weighted(run.net)[:-1]:
        part.weight.data *= scale
    return run.settled(run.net)


def dra(
    net: nn.Module,
    train_set: TrainSet,
    recipe: Recipe = SHARP,
    *,
    weight: float = 0.1,
    seed: int = 0,
    progress: Progress | None = None,
) -> nn.Module:
    """Distribution-relevant fine-tuning: a copy learns on until its gradients point along the data's density; see `ScoreMatching`.

    Zhu et al. 2022, arXiv:2210.04213. Arguments as for `swa`, ``weight`` as for `ScoreMatching`; the recipe is ours.
    """
    run = _Run(net, train_set, replace(recipe, update=ScoreMatching(weight)), seed, again=True)
    run.go(None, progress)
    _at_least(1, run.epochs, "epoch")
    return run.settled(run.net)


def weighted(net: nn.Module) -> list[Weighted]:
    """The convolutions and linear layers of a net, in its order."""
    return [part for part in net.modules() if isinstance(part, Weighted)]


class _Run:
    """Trains a copy of a net, and prepares nets with other weights for use."""

    def __init__(self, net: nn.Module, train_set: TrainSet, recipe: Recipe, seed: int, again: bool = False) -> None:
        self.net, self.examples, self.seed = copy.deepcopy(net), as_examples(train_set), seed
        check_examples(self.examples, class_count(net, self.examples.images), isinstance(train_set, Answers))
        if recipe.held_out or recipe.patience:
            raise ValueError("Expected a recipe without held_out and patience: a refiner uses every epoch of the run.")
        if again and recipe.lr is None:
            recipe = replace(recipe, lr=settings(net, recipe, len(self.examples))[1] / 2)
        self.recipe = recipe
        self.report = TrainReport(len(self.examples), 0, 0, 0, self.examples.soft is not None, seed)

    @property
    def epochs(self) -> int:
        """The number of epochs that did not diverge."""
        return len(self.report.loss) - (self.report.stopped == "diverged")

    def go(self, watch: Watch | None, progress: Progress | None) -> None:
        run_loop(self.net, self.examples, None, self.recipe, self.report, watch=watch, progress=progress)

    def finished(self, net: nn.Module) -> nn.Module:
        """Re-estimate batch norm's statistics on the training images with the net's own weights."""
        device, dtype = place(net)
        cuts = batches(np.arange(len(self.examples)), self.report.batch_size)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed & (1 << 63) - 1)  # dropout before a batch norm
            update_bn((self.examples.images[torch.from_numpy(cut)].to(device, dtype) for cut in cuts), net)
        return self.settled(net)

    def settled(self, net: nn.Module) -> nn.Module:
        """Prepare a net for use: eval mode, contiguous, no gradients, and the report of the run."""
        net.zero_grad(set_to_none=True)
        object.__setattr__(net, "_train_report", self.report)
        return net.to(memory_format=torch.contiguous_format).eval()


def _at_least(least: int, found: int, what: str) -> None:
    if found < least:
        raise ValueError(
            f"Expected at least {least} {what}{'s' if least > 1 else ''} that did not diverge, but there were {found}. Give a "
            "recipe with more epochs, or with a smaller lr if training diverged."
        )

"""The loop over epochs. Every draw is a function of (seed, epoch, image), so a stopped run resumes to the bit."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from blackbox.targets.outputs import scores_of
from surrogates.nets.predict import cut, frozen, pieces, place
from surrogates.training.examples import Examples, augmented, batch_loss, batches
from surrogates.training.recipe import Recipe, TrainReport
from surrogates.training.update import Batch, Update

Progress = Callable[[int, TrainReport], None]
Watch = Callable[[nn.Module, int, int], None]  # net, updates made, updates an epoch
_NORM = (nn.modules.batchnorm._BatchNorm,)


def settings(net: nn.Module, recipe: Recipe, count: int) -> tuple[int, float]:
    """Batch size and learning rate for ``count`` images."""
    batch = recipe.batch_size
    while batch > 8 and count / batch < recipe.least_updates:
        batch = max(batch // 2, 8)
    if recipe.lr is not None:
        return batch, recipe.lr
    if recipe.optimiser == "adam":
        return batch, 1e-3
    if any(isinstance(part, _NORM) for part in net.modules()):
        return batch, 0.1 * min(batch / recipe.batch_size, 1.0)
    return batch, 0.025


def slow_bfloat16() -> bool:
    """Whether this processor is an x86 without AVX-512, where oneDNN emulates bfloat16."""
    return torch.backends.cpu.get_cpu_capability() in ("AVX2", "NO AVX")


class Loop:
    """One training run and its state.

    Args:
        net: trained in place.
        held: the examples that choose the best epoch, or None.
        report: filled in during the run.
        watch: called after every update; after the last of an epoch only if the run has not diverged.
    """

    def __init__(
        self,
        net: nn.Module,
        examples: Examples,
        held: Examples | None,
        recipe: Recipe,
        report: TrainReport,
        watch: Watch | None = None,
    ) -> None:
        self.net, self.held, self.recipe, self.report, self.watch = net, held, recipe, report, watch
        self.device, self.dtype = place(net)
        if recipe.precision == "bfloat16" and self.device.type == "cpu" and slow_bfloat16():
            report.notes.append(
                "This processor has no instructions for bfloat16, which the recipe asks for: they are emulated, many times slower "
                "than floats. Take precision='auto'."
            )
            warnings.warn(report.notes[-1], stacklevel=4)
        self.examples, self.update = examples, recipe.update or Update()
        self.kinds = examples.augment if recipe.augment is None else recipe.augment
        report.batch_size, report.lr = settings(net, recipe, len(examples))
        weights = [p for p in net.parameters() if p.requires_grad]
        if not weights:
            raise ValueError(
                "Expected a net with parameters to train, but all of them are frozen (requires_grad=False)."
            )
        # the memory layout in which convolutions are fastest; undone at the end
        net.to(memory_format=torch.channels_last)
        if recipe.optimiser == "adam":
            self.optimiser: torch.optim.Optimizer = torch.optim.Adam(
                weights, report.lr, weight_decay=recipe.weight_decay
            )
        else:
            self.optimiser = torch.optim.SGD(weights, report.lr, recipe.momentum, weight_decay=recipe.weight_decay)
        images = examples.images.to(self.device, self.dtype)
        self.images = images.to(memory_format=torch.channels_last) if images.ndim == 4 else images
        self.labels = examples.labels.to(self.device)
        self.soft = None if examples.soft is None else examples.soft.to(self.device, self.dtype)
        self.per_epoch = len(batches(np.arange(len(examples)), report.batch_size))
        self.best, self.best_loss = _copy(net), math.inf

    @property
    def done(self) -> bool:
        """Whether no epoch is left to run."""
        return self.report.stopped != "" or len(self.report.loss) >= self.recipe.epochs

    def run(self, progress: Progress | None = None, store: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Run all remaining epochs, calling ``store`` with the state after each; the net ends with the best weights."""
        while not self.done:
            before = self.report.seconds - time.perf_counter()
            self.epoch()
            self.report.seconds = before + time.perf_counter()
            if progress is not None and self.report.stopped != "diverged":
                progress(len(self.report.loss), self.report)
            if store is not None:
                store(self.state())
        self.finish()

    def finish(self) -> None:
        """Load the best weights, contiguous, and switch to eval mode."""
        self.report.stopped = self.report.stopped or "epochs"
        self.net.load_state_dict(self.best)
        self.net.to(memory_format=torch.contiguous_format)
        self.net.eval()

    def state(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "net": _copy(self.net),
            "best": self.best,
            "best_loss": self.best_loss,
            "optimiser": self.optimiser.state_dict(),
            "report": vars(self.report),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a `state`."""
        self.net.load_state_dict(state["net"])
        self.best = {k: v.to(self.device) for k, v in state["best"].items()}
        self.best_loss = state["best_loss"]
        self.optimiser.load_state_dict(state["optimiser"])
        vars(self.report).update(state["report"])

    def epoch(self) -> None:
        """Make one pass over the training set, and record it in the report."""
        out, number, count = self.report, len(self.report.loss) + 1, len(self.examples)
        total, right = (torch.zeros((), device=self.device) for _ in range(2))
        order = Stream(out.seed, self.examples.ids).shared_permutation(number, "order", count).numpy()
        self.net.train()
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            # for dropout, which draws from the global generator
            torch.manual_seed((out.seed << 20) + number & (1 << 63) - 1)
            for index in batches(order, out.batch_size):
                loss, hits = self._batch(index, number)
                total += loss * len(index)
                right += hits
                if self.watch is not None and out.updates % self.per_epoch:
                    self.watch(self.net, out.updates, self.per_epoch)
        out.loss.append(float(total) / count)
        out.accuracy.append(float(right) / count)
        now = out.loss[-1]
        if self.held is not None:
            now, share = self._examine(self.held)
            out.held_out_loss.append(now)
            out.held_out_accuracy.append(share)
        if self._diverged(now):
            out.stopped = "diverged"
            kept = f"epoch {out.best} is kept" if out.best else "the initial weights are kept"
            loss_now = now if not math.isfinite(now) else out.loss[-1]
            out.notes.append(
                f"Diverged in epoch {number}: the loss was {loss_now:g}; {kept}. Try a smaller lr than {out.lr:g}."
            )
            warnings.warn(out.notes[-1], stacklevel=5)
            return
        if self.watch is not None:
            self.watch(self.net, out.updates, self.per_epoch)
        if self.held is None or now < self.best_loss:
            self.best, self.best_loss, out.best = _copy(self.net), now, number
        if self.recipe.patience is not None and number - out.best >= self.recipe.patience:
            out.stopped = "patience"

    def _batch(self, index: np.ndarray, epoch: int) -> tuple[Tensor, Tensor]:
        out, recipe = self.report, self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = out.lr * recipe.rate((out.updates + 1) / (self.per_epoch * recipe.epochs + 1))
        i = torch.from_numpy(index).to(self.device)
        labels, soft = self.labels[i], None if self.soft is None else self.soft[i]
        rng = Stream(
            out.seed + (epoch << 32), self.examples.ids[index], self.device
        )  # as the craft loop draws at step 0
        batch = Batch(
            self.net,
            augmented(self.images[i], self.kinds, rng, epoch),
            labels,
            lambda scores: batch_loss(scores, labels, soft, recipe.temperature),
            rng,
            self.optimiser,
            self.autocast,
        )
        loss, scores = self.update(batch)
        out.updates += 1
        return loss, (scores.argmax(1) == labels).sum()

    def autocast(self) -> torch.autocast:
        """The precision of forward passes: bfloat16 if the recipe asks for it, or allows it and the accelerator has it."""
        able = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        mixed = self.recipe.precision == "bfloat16" or (self.recipe.precision == "auto" and able)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=mixed)

    def _diverged(self, held_loss: float) -> bool:
        """Whether there is NaN or infinity anywhere, or a loss ten times that of guessing (ours)."""
        loss = self.report.loss[-1]
        classes = self.soft.shape[1] if self.soft is not None else int(self.labels.max()) + 1
        far = 10 * math.log(max(classes, 2)) * max(self.recipe.temperature, 1) ** 2
        finite = all(bool(v.isfinite().all()) for v in self.net.state_dict().values() if v.is_floating_point())
        return not (math.isfinite(held_loss) and math.isfinite(loss) and loss < far and finite)

    def _examine(self, held: Examples) -> tuple[float, float]:
        """Mean loss and accuracy on the held-out images."""
        total, right = 0.0, 0
        self.net.eval()
        for where, fill in pieces(len(held), min(256, len(held))):
            count = where.stop - where.start
            x = cut(held.images, where, fill).to(self.device, self.dtype)
            labels = cut(held.labels, where, fill)
            ids = held.ids[np.arange(where.start, where.start + len(x)).clip(max=len(held) - 1)]
            x = self.update.examine(self.net, x, labels.to(self.device), Stream(self.report.seed, ids, self.device))
            with frozen([self.net]), torch.no_grad():
                scores = scores_of(self.net(x))[:count].float().cpu()
            soft = None if held.soft is None else held.soft[where]
            total += float(batch_loss(scores, held.labels[where], soft, self.recipe.temperature)) * count
            right += int((scores.argmax(1) == held.labels[where]).sum())
        return total / len(held), right / len(held)


def _copy(net: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in net.state_dict().items()}

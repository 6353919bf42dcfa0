"""Training: from true labels, or from a target's answers under a query budget."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.oracle import Oracle
from surrogates.answers import Answers, ask
from surrogates.data import Dataset, as_dataset
from surrogates.lesson import Lesson, augmented, batches, lesson_loss
from surrogates.predict import class_count, cut, pieces, place
from surrogates.recipe import Recipe, TrainReport

Net = TypeVar("Net", bound=nn.Module)
Progress = Callable[[int, TrainReport], None]
_NORM = (nn.modules.batchnorm._BatchNorm,)


def train(
    net: Net,
    train_set: Dataset | Answers | tuple[Any, Any],
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    teacher: Oracle | None = None,
    queries: int | None = None,
    soft: bool | None = None,
    progress: Progress | None = None,
) -> Net:
    """Train ``net`` in place and return it, in eval mode; what happened is in ``report(net)``.

    Args:
        net: made by `surrogates.build`, or any module that gives logits [m, C] for images in [0, 1]; trained where it
            lies (``net.cuda()`` beforehand for an accelerator).
        train_set: a Dataset, a pair (images, labels), or `Answers` that a target gave earlier (paid for already). With a
            teacher it is the pool of images to ask about: its labels are never read, and may be None in a pair.
        recipe: see `Recipe`. seed: decides shuffling, augmentation, dropout, which images are asked about, and which are
            held out; the initial weights are the net's own. Torch's global random state is left as it was.
        teacher: a target behind an `Oracle`; each image asked about costs one query, charged under ``"train"``.
        queries: the budget for the teacher; never more are paid. Where the pool is smaller, fewer are, and the report
            says so. Obligatory with a teacher.
        soft: learn from the probabilities that the teacher shows (cross-entropy to them, which is Kullback-Leibler
            divergence up to a constant; Hinton et al. 2015, arXiv:1503.02531) or from its labels. By default from all
            that its access level shows.
        progress: called after each epoch with its number (from 1) and the report so far.

    The best epoch is kept: by held-out loss if the recipe holds something out (part of what was paid for, never the
    target's test data), else the last one. A run that diverges stops, says so in a warning and in the report, and keeps
    the best epoch before.

    Raises:
        ValueError: net and images that disagree, labels out of range, a training set with a single class, a budget below
            1, or soft labels wanted of a target that shows none.
        TargetError: the teacher failed; ``error.result`` holds the `Answers` paid for, which can be trained on.
    """
    recipe = recipe or Recipe()
    lesson, account = _lesson(train_set, seed, teacher, queries, soft)
    classes = class_count(net, lesson.images)
    _check(lesson, classes, teacher is not None or isinstance(train_set, Answers))
    rng = np.random.Generator(np.random.Philox(key=[seed & (1 << 64) - 1, 1]))  # not the draws that chose the queries
    order = rng.permutation(len(lesson.labels))
    aside = round(recipe.held_out * len(order))
    if recipe.held_out and not 1 <= aside <= len(order) - 2:
        raise ValueError(
            f"Expected enough images to hold out a share of {recipe.held_out:g}, but there were {len(order)}."
        )
    held = lesson.take(order[:aside]) if aside else None
    lesson = lesson.take(order[aside:])
    out = TrainReport(len(lesson.labels), aside, account[0], account[1], lesson.soft is not None, seed)
    if out.queries < out.budget:
        out.notes.append(f"{out.queries} of {out.budget} queries were spent: the pool holds no more images.")
    object.__setattr__(net, "_train_report", out)
    _run(net, lesson, held, recipe, out, rng, progress)
    return net


def report(net: nn.Module) -> TrainReport:
    """What `train` did to this net. Raises ValueError for a net that was not trained here."""
    found = net.__dict__.get("_train_report")
    if found is None:
        raise ValueError("Expected a net that surrogates.train has trained, but this one has no report.")
    return cast(TrainReport, found)


def _lesson(
    train_set: Dataset | Answers | tuple[Any, Any],
    seed: int,
    teacher: Oracle | None,
    queries: int | None,
    soft: bool | None,
) -> tuple[Lesson, tuple[int, int]]:
    account = (0, 0)  # queries spent, budget
    if teacher is not None:
        if isinstance(train_set, Answers):
            raise ValueError(
                "Expected a pool of images with a teacher, but these are answers already. Leave teacher= out."
            )
        if queries is None:
            raise ValueError("Expected queries= with a teacher: how many images may be shown to it?")
        pool = train_set if isinstance(train_set, Dataset) else as_dataset((train_set[0], None))
        train_set = ask(teacher, pool, queries, seed)
        account = (len(train_set), int(queries))
    elif queries is not None:
        raise ValueError("Expected teacher= with queries=: whom shall they be put to?")
    if isinstance(train_set, Answers):
        if soft and train_set.probabilities is None:
            raise ValueError(
                "Expected a target that shows scores for soft labels, but it shows labels only. Use soft=False."
            )
        values = None if soft is False else train_set.probabilities
        return Lesson(train_set.images, train_set.labels, values, train_set.augment), account
    if soft:
        raise ValueError("Expected a teacher or Answers for soft labels, but the training set has class indices only.")
    if not isinstance(train_set, Dataset) and train_set[1] is None:
        raise ValueError("Expected labels, or a teacher to give them, but there were neither.")
    data = as_dataset(train_set)
    return Lesson(data.images, data.labels, None, data.augment), account


def _check(lesson: Lesson, classes: int, taught: bool) -> None:
    high = int(lesson.labels.max())
    if high >= classes or (lesson.soft is not None and lesson.soft.shape[1] != classes):
        count = lesson.soft.shape[1] if lesson.soft is not None else high + 1
        where = "" if lesson.soft is not None else f" (sample {int(lesson.labels.argmax())} has {high})"
        raise ValueError(
            f"Expected labels in 0..{classes - 1} (the net tells {classes} classes apart), but there are {count} classes{where}. "
            f"Build the net with classes={count}."
        )
    if len(lesson.labels) < 2 or bool((lesson.labels == lesson.labels[0]).all()):
        whose = "the target answered" if taught else "all labels are"
        raise ValueError(
            f"Expected a training set with at least two classes, but {whose} {int(lesson.labels[0])} for all of the "
            f"{len(lesson.labels)} images. A net cannot learn to tell classes apart from one."
        )


def _settings(net: nn.Module, recipe: Recipe, count: int) -> tuple[int, float]:
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


def _run(
    net: nn.Module,
    lesson: Lesson,
    held: Lesson | None,
    recipe: Recipe,
    out: TrainReport,
    rng: np.random.Generator,
    progress: Progress | None,
) -> None:
    """The loop over epochs; leaves the best weights in the net."""
    device, dtype = place(net)
    kinds = lesson.augment if recipe.augment is None else recipe.augment
    out.batch_size, out.lr = _settings(net, recipe, len(lesson.labels))
    weights = [p for p in net.parameters() if p.requires_grad]
    if not weights:
        raise ValueError("Expected a net with parameters to train, but all of them are frozen (requires_grad=False).")
    optimiser: torch.optim.Optimizer
    if recipe.optimiser == "adam":
        optimiser = torch.optim.Adam(weights, out.lr, weight_decay=recipe.weight_decay)
    else:
        optimiser = torch.optim.SGD(weights, out.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    images, labels = lesson.images.to(device, dtype), lesson.labels.to(device)
    soft = None if lesson.soft is None else lesson.soft.to(device, dtype)
    per_epoch = len(batches(np.arange(len(labels)), out.batch_size))
    best, best_loss, begin = _copy(net), float("inf"), time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(out.seed)  # for dropout, which draws from the global generator
        for epoch in range(1, recipe.epochs + 1):
            net.train()
            total = torch.zeros((), device=device)
            right = torch.zeros((), device=device)
            for index in batches(rng.permutation(len(labels)), out.batch_size):
                for group in optimiser.param_groups:
                    group["lr"] = out.lr * recipe.rate((out.updates + 1) / (per_epoch * recipe.epochs + 1))
                i = torch.from_numpy(index).to(device)
                answer = net(augmented(images[i], kinds, rng))
                scores = answer if isinstance(answer, Tensor) else answer[0]  # without auxiliary outputs
                loss = lesson_loss(scores, labels[i], None if soft is None else soft[i], recipe.temperature)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                out.updates += 1
                total += loss.detach() * len(i)
                right += (scores.detach().argmax(1) == labels[i]).sum()
            out.loss.append(float(total) / len(labels))
            out.accuracy.append(float(right) / len(labels))
            now = out.loss[-1]
            if held is not None:
                now, share = _evaluate(net, held, recipe, device, dtype)
                out.held_out_loss.append(now)
                out.held_out_accuracy.append(share)
            out.seconds = time.perf_counter() - begin
            if not (np.isfinite(now) and np.isfinite(out.loss[-1]) and _finite(net)):
                out.stopped = "diverged"
                kept = f"epoch {out.best} is kept" if out.best else "the initial weights are kept"
                out.notes.append(
                    f"Diverged in epoch {epoch}: the loss was {now:g}; {kept}. Try a smaller lr than {out.lr:g}."
                )
                warnings.warn(out.notes[-1], stacklevel=3)
                break
            if held is None or now < best_loss:
                best, best_loss, out.best = _copy(net), now, epoch
            if progress is not None:
                progress(epoch, out)
            if recipe.patience is not None and epoch - out.best >= recipe.patience:
                out.stopped = "patience"
                break
    net.load_state_dict(best)
    net.eval()


def _copy(net: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in net.state_dict().items()}


def _finite(net: nn.Module) -> bool:
    return all(bool(v.isfinite().all()) for v in net.state_dict().values() if v.is_floating_point())


def _evaluate(
    net: nn.Module, held: Lesson, recipe: Recipe, device: torch.device, dtype: torch.dtype
) -> tuple[float, float]:
    """Mean loss and accuracy on the images held out."""
    net.eval()
    total, right = 0.0, 0
    with torch.no_grad():
        for where, fill in pieces(len(held.labels), 256):
            count = where.stop - where.start
            scores = net(cut(held.images, where, fill).to(device, dtype))[:count].float().cpu()
            soft = None if held.soft is None else held.soft[where]
            total += float(lesson_loss(scores, held.labels[where], soft, recipe.temperature)) * count
            right += int((scores.argmax(1) == held.labels[where]).sum())
    return total / len(held.labels), right / len(held.labels)

"""Training: from true labels, or from a target's answers under a query budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

from torch import nn

from blackbox.checkpoint import fingerprint
from blackbox.checks import check_int
from blackbox.oracle.oracle import Oracle
from surrogates.acquisition.answers import Answers, ask
from surrogates.data.dataset import Dataset, as_dataset
from surrogates.nets.predict import class_count
from surrogates.training.checkpoint import Keep, cached, known_by, lesson_print
from surrogates.training.examples import Lesson, as_lesson, check_lesson, divide
from surrogates.training.loop import Loop, Progress, Watch
from surrogates.training.recipe import Recipe, TrainReport

Net = TypeVar("Net", bound=nn.Module)
TrainSet = Dataset | Answers | tuple[Any, Any]


def train(
    net: Net,
    train_set: TrainSet,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    teacher: Oracle | None = None,
    queries: int | None = None,
    soft: bool | None = None,
    validation: TrainSet | None = None,
    checkpoint: str | Path | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Net:
    """Train ``net`` in place and return it, in eval mode; what happened is in ``report(net)``.

    Args:
        net: made by `surrogates.build`, or any module that gives logits [m, C] for images in [0, 1]; trained where it
            lies (``net.cuda()`` beforehand for an accelerator).
        train_set: a Dataset, a pair (images, labels), or `Answers` that a target gave earlier (paid for already). With a
            teacher it is the pool of images to ask about: its labels are never read, and may be None in a pair.
        recipe: see `Recipe`. seed: decides shuffling, augmentation, dropout, which images are asked about, and which are
            held out, each draw by (seed, epoch, image); the initial weights are the net's own. Torch's global random
            state is left as it was.
        teacher: a target behind an `Oracle`; each image asked about costs one query, charged under ``"train"``.
        queries: the budget for the teacher; never more are paid. Where the pool is smaller, fewer are, and the report
            says so. Obligatory with a teacher.
        soft: learn from the probabilities that the teacher shows (cross-entropy to them, which is Kullback-Leibler
            divergence up to a constant; Hinton et al. 2015, arXiv:1503.02531) or from its labels. By default from all
            that its access level shows.
        validation: images held out to choose the best epoch by, instead of the recipe's share: of the same kinds as
            ``train_set``. Never the target's test data: with a target, `Answers` that were paid for.
        checkpoint: a file that holds the run after each epoch (and, with a teacher, its answers): called again in the
            same way, the run goes on from its last epoch and ends with the very weights it would have had; a finished one
            is read. No query is paid twice.
        cache: a folder of such files, each named by a hash of recipe, seed, net, initial weights and data. A teacher is
            asked before its answers can be looked up, so keep `Answers` and train on them to save queries as well.
        progress: called after each epoch with its number (from 1) and the report so far.

    The best epoch is kept: by held-out loss if there is something held out (part of what was paid for), else the last
    one. A run that diverges stops, says so in a warning and in the report, and keeps the best epoch before.

    Raises:
        ValueError: net and images that disagree, labels out of range, a training set with a single class, a budget below
            1, patience with nothing held out, or soft labels wanted of a target that shows none.
        CheckpointError: the checkpoint belongs to another run (says what differs), or is damaged. A ValueError.
        TargetError: the teacher failed; ``error.result`` holds the `Answers` paid for, which can be trained on.
    """
    recipe, seed = recipe or Recipe(), check_int(seed, "seed")
    if checkpoint is not None and cache is not None:
        raise ValueError("Expected checkpoint= (one file) or cache= (a folder of them), but both were given.")
    keep, body, budget = None, None, 0
    taught = teacher is not None or isinstance(train_set, Answers)
    if teacher is not None:
        pool = _pool(train_set, queries)
        budget = cast(int, queries)
        if checkpoint is not None:
            asked = {"pool": fingerprint(pool.images), "queries": budget, "soft": soft, "target": teacher.name}
            asked |= {"access": teacher.access.name, "validation": lesson_print(validation)}
            keep = Keep(Path(checkpoint), known_by(net, recipe, seed, **asked))
            body = keep.load()
        if body is not None:
            train_set = Answers.told(body["answers"], pool, teacher.classes)
        else:
            train_set = ask(teacher, pool, budget, seed)
            if keep is not None:
                body = {"answers": train_set.plain()}
                keep.store(body)
    elif queries is not None:
        raise ValueError("Expected teacher= with queries=: whom shall they be put to?")
    lesson = as_lesson(train_set, soft)
    paid = len(train_set) if budget else 0
    classes = class_count(net, lesson.images)
    check_lesson(lesson, classes, taught)
    lesson, held = _held_out(lesson, validation, recipe, seed, soft, classes)
    if keep is None and (checkpoint is not None or cache is not None):
        facts = known_by(net, recipe, seed, data=lesson_print(lesson), validation=lesson_print(held))
        keep = Keep(Path(checkpoint), facts) if checkpoint is not None else cached(cast(Any, cache), facts)
        body = keep.load()
    out = TrainReport(len(lesson), len(held) if held else 0, paid, budget, lesson.soft is not None, seed)
    if paid < budget:
        out.notes.append(f"{paid} of {budget} queries were spent: the pool holds no more images.")
    study(net, lesson, held, recipe, out, progress=progress, keep=keep, body=body)
    return net


def study(
    net: nn.Module,
    lesson: Lesson,
    held: Lesson | None,
    recipe: Recipe,
    out: TrainReport,
    *,
    watch: Watch | None = None,
    progress: Progress | None = None,
    keep: Keep | None = None,
    body: dict[str, Any] | None = None,
) -> None:
    """Run the loop on what `train` has checked; ``keep`` and ``body``: where the run is stored, and what was found there."""
    object.__setattr__(net, "_train_report", out)
    loop, body = Loop(net, lesson, held, recipe, out, watch), body or {}
    if "loop" in body:
        loop.restore(body["loop"])
        out.notes.append(f"Read from {cast(Keep, keep).path}: {len(out.loss)} epochs were there already.")
    rest = {k: v for k, v in body.items() if k != "loop"}
    loop.run(progress, None if keep is None else lambda state: keep.store({**rest, "loop": state}))


def report(net: nn.Module) -> TrainReport:
    """What `train` did to this net. Raises ValueError for a net that was not trained here."""
    found = net.__dict__.get("_train_report")
    if found is None:
        raise ValueError("Expected a net that surrogates.train has trained, but this one has no report.")
    return cast(TrainReport, found)


def _pool(train_set: TrainSet, queries: int | None) -> Dataset:
    if isinstance(train_set, Answers):
        raise ValueError("Expected a pool of images with a teacher, but these are answers already. Leave teacher= out.")
    if queries is None:
        raise ValueError("Expected queries= with a teacher: how many images may be shown to it?")
    return train_set if isinstance(train_set, Dataset) else as_dataset((train_set[0], None))


def _held_out(
    lesson: Lesson, validation: TrainSet | None, recipe: Recipe, seed: int, soft: bool | None, classes: int
) -> tuple[Lesson, Lesson | None]:
    held: Lesson | None
    if validation is None:
        lesson, held = divide(lesson, recipe.held_out, seed)
    else:
        held = as_lesson(validation, soft if isinstance(validation, Answers) else None)
        if tuple(held.images.shape[1:]) != tuple(lesson.images.shape[1:]) or int(held.labels.max()) >= classes:
            raise ValueError(
                f"Expected validation images like those learned from, of shape {tuple(lesson.images.shape[1:])} with labels in "
                f"0..{classes - 1}, but theirs was {tuple(held.images.shape[1:])} with labels up to {int(held.labels.max())}."
            )
    if recipe.patience is not None and held is None:
        raise ValueError(
            "Expected held_out > 0 (or validation images) with patience: without held-out images there is nothing to lose "
            "patience by."
        )
    return lesson, held

"""Training: from true labels, or from a target's answers under a query budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from torch import nn

from blackbox.checkpoint import CheckpointError, fingerprint
from blackbox.checks import check_int
from blackbox.loggers.logger import running
from blackbox.loggers.read import opened
from blackbox.oracle.kept import beside, forget
from blackbox.oracle.kept import kept as kept_in
from blackbox.oracle.oracle import Oracle
from blackbox.oracle.same import odd
from surrogates.data.answers import Answers, ask
from surrogates.data.dataset import Dataset, as_dataset
from surrogates.nets.predict import class_count
from surrogates.training.checkpoint import RunFile, cached_file, examples_hash, run_settings
from surrogates.training.examples import Examples, as_examples, check_examples, hold_out
from surrogates.training.logged import TrainLog, described
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
    log: Any = None,
    journal: str | Path | None = None,
) -> Net:
    """Train ``net`` in place and return it, in eval mode; what happened is in ``report(net)``.

    Args:
        net: made by `surrogates.build`, or any module that gives logits [m, C] for images in [0, 1]; trained on its device.
        train_set: a Dataset, a pair (images, labels), or `Answers` of a target. With a teacher: the pool of images to
            query, whose labels are never read and may be None in a pair.
        recipe: see `Recipe`.
        seed: for shuffling, augmentation, dropout, and the choice of images to query and to hold out. Torch's global
            random state is not changed.
        teacher: a target behind an `Oracle`; each image costs one query, charged under ``"train"``.
        queries: the budget for the teacher, required with one. With a smaller pool fewer are spent; the report says so.
        soft: train on the teacher's probabilities, with cross-entropy (Hinton et al. 2015, arXiv:1503.02531), or on its
            labels. By default, on the most that its access level shows.
        validation: held-out images that choose the best epoch, instead of the recipe's share; the same types as
            ``train_set``. With a target: `Answers` that were paid for, never its test data.
        checkpoint: a file that stores the run after each epoch (and, with a teacher, its answers). The same call resumes
            after the last epoch and gives the same weights to the bit; a finished run is loaded. No query is paid twice.
        cache: a folder of such files, each named by a hash of recipe, seed, net, initial weights and data. The teacher is
            queried before the file can be looked up: to save queries as well, keep `Answers` and train on them.
        progress: called after each epoch with its number (from 1) and the report so far.
        log: where loss and accuracy (with a target, agreement) are written after each epoch, as in `blackbox.attack`.
        journal: with a teacher, a file of its answers alone, as in `blackbox.attack`: the same call pays for none twice, and
            trains again.

    The epoch with the smallest held-out loss is kept; without held-out images, the last one. A run that diverges stops,
    warns, records it in the report, and keeps the best epoch so far.

    Raises:
        ValueError: images that do not fit the net, labels out of range, a training set with a single class, a budget below
            1, patience without held-out images, or soft labels from a target that shows none.
        CheckpointError: the checkpoint belongs to another run (says what differs), or is damaged. A ValueError.
        TargetError: the teacher failed; ``error.result`` holds the `Answers` paid for, which can be trained on.
    """
    recipe, seed = recipe or Recipe(), check_int(seed, "seed")
    if checkpoint is not None and cache is not None:
        raise ValueError("Expected checkpoint= (one file) or cache= (a folder of them), but both were given.")
    if journal is not None and (checkpoint is not None or teacher is None):
        raise ValueError(
            "Expected journal= with a teacher and without checkpoint=, which keeps the answers as well. Leave one of them out."
        )
    loggers, file, body, budget = opened(log), None, None, 0
    taught = teacher is not None or isinstance(train_set, Answers)
    if teacher is not None:
        budget = cast(int, queries)
        train_set, file, body = _taught(net, recipe, seed, train_set, teacher, queries, soft, validation, checkpoint, journal)
    elif queries is not None:
        raise ValueError("Expected teacher= with queries=, but there was no teacher to spend them on. Give teacher=.")
    examples = as_examples(train_set, soft)
    rejected = train_set.rejected if isinstance(train_set, Answers) else 0
    paid = len(train_set) + rejected if budget else 0
    if taught and rejected and not len(train_set):
        raise ValueError(f"Expected answers from the target, but it rejected all {rejected} images. They are paid for.")
    classes = class_count(net, examples.images)
    check_examples(examples, classes, taught)
    examples, held = _held_out(examples, validation, recipe, seed, soft, classes)
    if file is None and (checkpoint is not None or cache is not None):
        facts = run_settings(net, recipe, seed, data=examples_hash(examples), validation=examples_hash(held))
        file = RunFile(Path(checkpoint), facts) if checkpoint is not None else cached_file(cast(Any, cache), facts)
        body = file.load()
    out = TrainReport(len(examples), len(held) if held else 0, paid, budget, examples.soft is not None, seed)
    if paid < budget:
        out.notes.append(f"{paid} of {budget} queries were spent: the pool holds no more images.")
    if rejected:
        out.notes.append(f"{rejected} of the images were rejected by the target, which says nothing of them.")
    kept = None if loggers is None else TrainLog(loggers, taught)
    told = progress if kept is None else kept.beside(progress)
    with running(loggers, described(net, recipe, seed, target=teacher.name if teacher else "", images=len(examples))):
        run_loop(net, examples, held, recipe, out, progress=told, file=file, body=body)
        if kept is not None:
            kept.finish(out)
    return net


def run_loop(
    net: nn.Module,
    examples: Examples,
    held: Examples | None,
    recipe: Recipe,
    out: TrainReport,
    *,
    watch: Watch | None = None,
    progress: Progress | None = None,
    file: RunFile | None = None,
    body: dict[str, Any] | None = None,
) -> None:
    """Run the loop on input that `train` has checked; ``file``, ``body``: where the run is stored, and its stored state."""
    object.__setattr__(net, "_train_report", out)
    loop, body = Loop(net, examples, held, recipe, out, watch), body or {}
    if "loop" in body:
        loop.restore(body["loop"])
        out.notes.append(f"Read from {cast(RunFile, file).path}: {len(out.loss)} epochs were there already.")
    rest = {k: v for k, v in body.items() if k != "loop"}
    loop.run(progress, None if file is None else lambda state: file.store({**rest, "loop": state}))


def report(net: nn.Module) -> TrainReport:
    """The training report of this net. Raises ValueError for a net that was not trained here."""
    found = net.__dict__.get("_train_report")
    if found is None:
        raise ValueError("Expected a net that surrogates.train has trained, but this one has no report.")
    return cast(TrainReport, found)


def _taught(
    net: nn.Module, recipe: Recipe, seed: int, train_set: TrainSet, teacher: Oracle, queries: int | None, soft: bool | None,
    validation: TrainSet | None, checkpoint: str | Path | None, journal: str | Path | None,
) -> tuple[Answers, RunFile | None, dict[str, Any] | None]:  # fmt: skip
    """The teacher's answers, from the checkpoint where it has them; the checkpoint, and what it holds."""
    pool, file, body = _pool(train_set, queries), None, None
    budget = cast(int, queries)
    if checkpoint is not None:
        asked = {"pool": fingerprint(pool.images), "queries": budget, "soft": soft, "target": teacher.name}
        asked |= {"access": teacher.access.name, "validation": examples_hash(validation), "weights": teacher.weights()}
        file = RunFile(Path(checkpoint), run_settings(net, recipe, seed, **asked))
        body = file.load()
    if body is not None and file is not None:
        answers = Answers.from_plain(body["answers"], pool, teacher.classes)
        _same_teacher(teacher, answers, file.path)
        return answers, file, body
    while_asking = beside(checkpoint, "answers") if checkpoint is not None else journal
    with kept_in(teacher, while_asking, pool=fingerprint(pool.images), queries=budget, seed=seed):
        answers = ask(teacher, pool, budget, seed)
    if file is not None:
        body = {"answers": answers.plain()}
        file.store(body)
        forget(while_asking)
    return answers, file, body


def _same_teacher(teacher: Oracle, answers: Answers, path: Path) -> None:
    """Ask again, uncharged, about a few images of a checkpoint: another target of the same name is refused."""
    if teacher.randomised or teacher.flags is not None or not len(answers):
        return
    few = answers.take(np.arange(min(8, len(answers))))
    named = teacher(few.images, "check").label.cpu()
    if (other := int(((named != few.labels) & (named >= 0)).sum())) > odd(len(few)):
        raise CheckpointError(
            f"Expected the teacher of {path}, but {teacher.name}, asked again about {len(few)} of its images, answers {other} "
            "otherwise: another model of the same name? Nothing was paid. Give the model of then, or another file."
        )


def _pool(train_set: TrainSet, queries: int | None) -> Dataset:
    if isinstance(train_set, Answers):
        raise ValueError("Expected a pool of images with a teacher, but these are answers already. Leave teacher= out.")
    if queries is None:
        raise ValueError("Expected queries= with a teacher, but there was no budget. Say how many images it may be shown.")
    return train_set if isinstance(train_set, Dataset) else as_dataset((train_set[0], None))


def _held_out(
    examples: Examples, validation: TrainSet | None, recipe: Recipe, seed: int, soft: bool | None, classes: int
) -> tuple[Examples, Examples | None]:
    held: Examples | None
    if validation is None:
        examples, held = hold_out(examples, recipe.held_out, seed)
    else:
        held = as_examples(validation, soft if isinstance(validation, Answers) else None)
        if tuple(held.images.shape[1:]) != tuple(examples.images.shape[1:]) or int(held.labels.max()) >= classes:
            raise ValueError(
                f"Expected validation images like those learned from, of shape {tuple(examples.images.shape[1:])} with labels in "
                f"0..{classes - 1}, but theirs was {tuple(held.images.shape[1:])} with labels up to {int(held.labels.max())}."
            )
    if recipe.patience is not None and held is None:
        raise ValueError(
            "Expected held_out > 0 (or validation images) with patience: without held-out images there is nothing to lose "
            "patience by."
        )
    return examples, held

"""`Goal`: what an attacker wants of a target's answer, for each sample: a loss that says how near it is, and whether it is reached."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from torch import Tensor

from blackbox.goals import excerpt, twins
from blackbox.goals.identity import Print, own_code
from blackbox.goals.objective import resolution_of
from blackbox.oracle.oracle import Oracle
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access, AccessError
from blackbox.targets.rows import plain

_LARGEST = np.float32(1e12)  # of a loss: the difference of two is finite


class Setting(NamedTuple):
    """What a goal is told of a run before the first query: the number of samples, what the oracle shows, how many classes the
    target has, their names, if there are any, the step to which scores are rounded, and how many classes a top-k answer lists."""

    samples: int
    access: Access
    classes: int
    names: Sequence[str] | None = None
    resolution: float = 0.0
    listed: int = 1


class GoalError(ValueError):
    """A goal cannot judge an answer. row: of the call, from 0."""

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row


class Goal:
    """Base class of goals other than a class to leave or to reach. The engine calls it; an attack never sees it.

    A subclass sets ``needs`` and writes `judge` and `describe`; `bind` and `check` where it has something to check; `twin` to serve
    surrogates.

    Attributes:
        needs: the least that the oracle must show: an `Access`; ``Access.ANSWERS`` for answers of any form.
        graded: the loss tells how near a sample is. One that is not graded serves attacks that need labels alone.
    """

    needs: Access = Access.LABELS
    graded: bool = True

    def level(self, access: Access) -> Access:
        """What an attack sees through this goal: as much as the oracle shows of classes; of other answers a score, or, if the loss
        is not graded, a label."""
        if not self.graded:
            return Access.LABELS
        return Access.SCORES if access is Access.ANSWERS else access

    def bound(self, setting: Setting) -> Self:
        """The goal of a run's samples, checked: nothing has been asked.

        Raises:
            AccessError: the oracle shows too little, or something else. ValueError: the goal does not fit the samples or the classes.
        """
        other = (self.needs is Access.ANSWERS) != (setting.access is Access.ANSWERS)
        if other or setting.access < self.needs:
            least = "" if self.needs is Access.ANSWERS else "at least "
            raise AccessError(
                f"Expected an oracle that shows {least}{self.needs.name.lower()} for the goal ({self.describe()}), but this one shows "
                f"{setting.access.name.lower()}. Use Oracle(..., access={self.needs.name.lower()!r})."
            )
        made = copy.copy(self)
        made.bind(setting)
        if not isinstance(said := made.describe(), str) or not said.strip():
            raise ValueError(
                f"Expected describe() of the goal {type(self).__name__} to return what a report says of it, a text, but it was {said!r}."
            )
        return made

    def bind(self, setting: Setting) -> None:
        """Keep what of the run is needed, on a copy of the goal, and check it. Raises: ValueError."""

    def check(self, reply: Reply) -> None:
        """Check that the answers have the form that the goal needs. Raises: GoalError, with the row."""

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[Any, Any]:
        """The loss [m] of the ``reply`` to m inputs and whether each has reached the goal, [m] bool; ``who`` [m]: the samples, from 0.

        The loss is negative until the goal is reached, and larger is nearer.
        """
        raise NotImplementedError

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        """The loss that `judge` gives, [m], as a differentiable function of what a net returns for m inputs.

        ``out``: with its graph; logits [m, C] for a goal of classes, else what the target returns too.

        Raises:
            ValueError: the net returns something else.
        """
        raise NotImplementedError

    @property
    def differentiable(self) -> bool:
        """Whether there is a `twin`, so that surrogates can be attacked for this goal."""
        return type(self).twin is not Goal.twin

    def seen_by(self, net: Callable[[Any], np.ndarray]) -> Goal:
        """The goal for a net other than the target; ``net`` returns its outputs [k, ...] for images [k, \\*shape].

        A goal whose references are embeddings takes those that the net makes. By default the goal itself."""
        return self

    def alike(self, samples: int) -> np.ndarray:
        """For each sample the first one with the same goal, [samples]; of a goal that is bound.

        Where a goal holds anything but numbers, words, arrays and lists of these, that cannot be told: each sample is its own first."""
        return twins.alike(vars(self).values(), samples)

    def describe(self) -> str:
        """The goal in words, for reports: what follows ``Goal:``."""
        raise NotImplementedError

    def unreached(self) -> str:
        """What holds of an input that does not reach the goal, in words, to explain the denominator of a success rate; may be empty."""
        return ""

    def excerpt(self, reply: Reply, row: int, sample: int) -> dict[str, Any]:
        """What a report shows of the answer in ``row`` of a reply, to ``sample``; see `blackbox.goals.excerpt`. By default the first
        class, or of another answer what its form suggests."""
        return excerpt.classes(reply, row) if reply.answers is None else excerpt.of(reply.answers[row])

    def picture(self, sample: int) -> np.ndarray | None:
        """What ``sample`` is compared with, as an image [channels, height, width] in [0, 1], for reports; None where there is none."""
        return None

    def __str__(self) -> str:
        return self.describe()

    def identity(self) -> str:
        """The goal with what it holds, by which a checkpoint, a journal and `pool` recognise it: settings, per-sample content, the code
        of functions and of a class of one's own with what these close over. What cannot be told apart is named."""
        held = Print().add(own_code(type(self), Goal)).add(dict(sorted(vars(self).items())))
        unknown = f", but for what each {', '.join(held.unknown)} holds" if held.unknown else ""
        return f"{type(self).__name__}: {self} ({held.text()}{unknown})"

    def verdict(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the engine calls: `check`, then `judge`, as float32 and bool. What was rejected has the loss NaN, and reaches nothing.

        Raises:
            GoalError: the answers have another form, or the loss is not a number a row, or NaN; says which row.
        """
        if reply.rejected is not None:
            kept = (~reply.rejected).numpy(force=True)
            loss, reached = np.full(len(who), np.nan, np.float32), np.zeros(len(who), bool)
            if kept.any():
                try:
                    loss[kept], reached[kept] = self.verdict(reply.take(~reply.rejected), who[kept])
                except GoalError as error:
                    error.row = None if error.row is None else int(np.flatnonzero(kept)[error.row])
                    raise
            return loss, reached
        try:
            self.check(reply)
            loss, reached = map(plain, self.judge(reply, who))
            said = np.asarray(reached)
            loss, reached = np.asarray(loss, dtype=np.float32), said.astype(bool)
        except GoalError:
            raise
        except Exception as error:  # of a goal of one's own: these answers were paid for, and the engine counts them
            raise GoalError(
                f"Expected from the goal ({self}) a loss and a success for each of {len(who)} answers, but it raised "
                f"{type(error).__name__}: {str(error).rstrip('.')}."
            ) from error
        if loss.shape != (len(who),) or reached.shape != (len(who),):
            raise GoalError(
                f"Expected from the goal ({self}) a loss and a success for each of {len(who)} answers, but their shapes were "
                f"{loss.shape} and {reached.shape}."
            )
        for what, values in (("loss", loss), ("success", said)):
            if values.dtype.kind == "f" and np.isnan(values).any():
                raise GoalError(f"Expected a number from the goal ({self}), but the {what} was NaN.", int(np.isnan(values).argmax()))
        return np.clip(loss, -_LARGEST, _LARGEST), reached


def bound(goal: Any, oracle: Oracle, samples: int, target: Any = None) -> Goal:
    """A goal of this number of samples behind this oracle, checked. target: the class to reach, which cannot be beside it.

    Raises:
        ValueError: there is a target class beside it, or it does not fit. AccessError: the oracle shows too little for it.
    """
    return as_goal(goal, target).bound(setting_of(oracle, samples))


def as_goal(goal: Any, target: Any = None) -> Goal:
    """Check that it is a goal, and the only one. Raises: ValueError."""
    if not isinstance(goal, Goal):
        raise ValueError(
            f"Expected goal to be a blackbox.goals.Goal, but it was {goal!r:.80}. A function becomes one by bb.goal(function); a class to "
            "reach is target=."
        )
    if target is not None:
        raise ValueError("Expected either a target class or a goal, but both were given. AnyOf(classes) is the goal to reach a class.")
    return goal


def setting_of(oracle: Oracle, samples: int) -> Setting:
    """What a goal is told of a run behind this oracle."""
    return Setting(samples, oracle.access, oracle.classes, oracle.class_names, resolution_of(oracle), oracle.k)


def per_sample(values: Any, what: str, samples: int, axes: int = 0) -> np.ndarray:
    """``values`` as an array with a first axis of ``samples``: given once for all, or one for each.

    axes: how many axes one of them has.

    Raises:
        ValueError: of another length, or not finite; says which sample.
    """
    try:
        array = np.asarray(plain(values), dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"Expected {what} to be numbers, as many for each sample, but it was {values!r:.80}.") from None
    if array.ndim == axes:
        array = np.broadcast_to(array, (samples, *array.shape))
    elif array.ndim == axes + 1 and len(array) == 1:
        array = np.broadcast_to(array, (samples, *array.shape[1:]))
    if array.ndim != axes + 1 or len(array) != samples:
        raise ValueError(
            f"Expected {what} for all {samples} samples or one for each, but it had shape {np.shape(values)}. Give an array with one entry "
            "a sample, in the order of x."
        )
    bad = ~np.isfinite(array).reshape(samples, -1).all(1)
    if bad.any():
        raise ValueError(f"Expected {what} to be finite, but that of sample {int(bad.argmax())} is not. Leave such samples out.")
    return array


def numbers(reply: Reply, goal: Goal, axes: int) -> np.ndarray:
    """The answers as one array of floats [m, ...], each with ``axes`` axes (a number has none; one in a list of one will do).

    Raises:
        GoalError: an answer is of another form, of another shape than the first, or holds NaN; says which row.
    """
    rows: list[np.ndarray] = []
    for row, answer in enumerate(reply.answers or ()):
        try:
            each = np.asarray(answer, dtype=np.float64)
        except (TypeError, ValueError):
            each = None
        if each is not None and each.ndim == axes + 1 and axes == 0 and each.size == 1:
            each = each.reshape(())
        if each is None or each.ndim != axes or (rows and each.shape != rows[0].shape):
            form = "a number" if axes == 0 else f"an array of shape {rows[0].shape}" if rows else f"an array with {axes} axis"
            raise GoalError(f"Expected {form} as an answer for the goal ({goal}), but it was {answer!r:.80}.", row)
        if np.isnan(each).any():
            raise GoalError(f"Expected numbers as an answer for the goal ({goal}), but it held NaN: {answer!r:.80}.", row)
        if axes and not np.isfinite(each).all():
            raise GoalError(f"Expected finite numbers as an answer for the goal ({goal}), but one was infinite: {answer!r:.80}.", row)
        rows.append(each)
    return np.stack(rows)


def lacking(margins: np.ndarray, nothing: float = 1.0) -> float:
    """One loss from the ``margins`` [j] of several conditions, each met from 0 on: the sum of the negative ones, else the smallest.

    nothing: the loss where there are no conditions, which counts as met.
    """
    short = float(np.minimum(margins, 0).sum())
    return short if short < 0 else float(margins.min(initial=np.inf)) if len(margins) else nothing


def labelled(values: Any, what: str, samples: int, names: Sequence[str] | None = None) -> list[int | str]:
    """``values`` as a whole number or a word for each of the ``samples``, given once for all or one for each; words that are among the
    ``names`` become their numbers.

    Raises:
        ValueError: there are more or fewer, or one is neither a number nor a word; says which sample.
    """
    listed = values.tolist() if hasattr(values, "tolist") else values
    every = list(listed) if isinstance(listed, list | tuple) else [listed] * samples
    if len(every) == 1:
        every = every * samples
    if len(every) != samples:
        raise ValueError(f"Expected {what} for all {samples} samples or one for each, but there were {len(every)}.")
    known = {name: i for i, name in enumerate(names or ())}
    for i, each in enumerate(every):
        if isinstance(each, bool) or not isinstance(each, int | str | np.integer):
            raise ValueError(f"Expected {what} to be a whole number or a word, but that of sample {i} was {each!r:.40}.")
    return [known.get(each, each) if isinstance(each, str) else int(each) for each in every]

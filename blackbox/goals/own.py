"""`goal`: a goal of one's own, from one function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from blackbox.goals.base import Goal, GoalError
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access
from blackbox.targets.rows import copied


class Own(Goal):
    """A goal that a function of an answer defines; see `goal`."""

    def __init__(
        self, loss: Callable[..., Any], success: Callable[..., Any] | None, name: str, needs: Access, graded: bool,
        of_net: Callable[..., Any] | None = None,
    ) -> None:  # fmt: skip
        self.loss, self.success, self.name, self.needs, self.graded, self.of_net = loss, success, name, needs, graded, of_net

    @property
    def differentiable(self) -> bool:
        return self.of_net is not None

    def twin(self, out: Any, who: np.ndarray) -> Any:
        assert self.of_net is not None
        return self.of_net(out, who) if _takes_two(self.of_net) else self.of_net(out)

    def alike(self, samples: int) -> np.ndarray:
        told = self.of_net is not None and not _takes_two(self.of_net)
        return np.zeros(samples, np.int64) if told else np.arange(samples)

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss, reached = np.zeros(len(who), np.float32), np.zeros(len(who), bool)
        for row, (answer, sample) in enumerate(zip(_answers(reply), who.tolist(), strict=True)):
            loss[row] = self._called(self.loss, "loss", float, answer, sample, row)
            reached[row] = loss[row] > 0 if self.success is None else self._called(self.success, "success", _truth, answer, sample, row)
        return loss, reached

    def _called(self, function: Callable[..., Any], what: str, kind: Callable[[Any], Any], answer: Any, sample: int, row: int) -> Any:
        try:
            own = copied(answer)  # it may sort or edit it: what is in the journal, and what others see, stays as it is
            return kind(function(own, sample) if _takes_two(function) else function(own))
        except Exception as error:
            raise GoalError(
                f"Expected the {what} of the goal ({self}) to be a {'number' if kind is float else 'truth'}, but on the answer "
                f"{answer!r:.80} it raised {type(error).__name__}: {str(error).rstrip('.')}.",
                row,
            ) from error

    def describe(self) -> str:
        return self.name


def goal(
    loss: Callable[..., Any],
    success: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    access: str | Access = Access.ANSWERS,
    graded: bool = True,
    twin: Callable[..., Any] | None = None,
) -> Own:
    """Make a goal of one's own.

    Args:
        loss: ``loss(answer)`` or ``loss(answer, i)`` -> number; ``i`` is the sample, from 0. Negative until the goal is reached, larger
            is nearer. An answer is one row of what the target returns (arrays as numpy, keys of dicts as words); of an oracle that shows
            scores or logits an array [C], of one that shows labels a number.
        success: ``success(answer)`` or ``success(answer, i)`` -> truth; by default, where the loss is above 0. None, NaN or a word
            is no truth, and ends the run.
        name: of the goal in reports; by default the function's.
        access: what the oracle must show: ``"answers"`` of any form, or ``"labels"``, ``"scores"``, ``"logits"``.
        graded: False where the loss has two values only, so that attacks with labels alone are run.
        twin: the loss once more, for surrogates: ``twin(out)`` or ``twin(out, who)`` -> a tensor [m] that gradients pass through,
            from what a net returns for m inputs; ``who`` [m]: the samples. Without one there is no prior for this goal.
    """
    for what, function in (("loss", loss), ("success", success), ("twin", twin)):
        if function is not None and not callable(function):
            of = "what a net returns" if what == "twin" else "an answer"
            raise ValueError(f"Expected the {what} of a goal to be a function of {of}, but it was {function!r:.80}.")
    level = Access.parse(access)
    if level is Access.TOPK:
        raise ValueError("Expected access to be answers, labels, scores or logits for a goal of one's own, but it was topk.")
    called = getattr(loss, "__name__", type(loss).__name__)
    return Own(loss, success, name or ("a goal of one's own" if called == "<lambda>" else called), level, graded, twin)


def _truth(said: Any) -> bool:
    if said is None or isinstance(said, str) or said != said:  # a forgotten return, a word, NaN: each is a truth to Python
        raise ValueError(f"{said!r} is neither true nor false")
    return bool(said)


def _answers(reply: Reply) -> Any:
    if reply.answers is not None:
        return reply.answers
    return reply.label.tolist() if reply.values is None else reply.values.numpy(force=True)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        return _of_two(function)
    except TypeError:  # an object that has no hash is asked each time
        return _of_two.__wrapped__(function)


@lru_cache(maxsize=64)  # it is called for each answer
def _of_two(function: Callable[..., Any]) -> bool:
    try:
        kinds = [p.kind for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    except (TypeError, ValueError):  # built-in functions may not tell
        return False
    return sum(kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds) >= 2

"""`Retrying`: repeats calls that failed on the way."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from torch import Tensor

from blackbox.targets.answer import Parts
from blackbox.targets.info import retried_of
from blackbox.targets.target import Wrapper


class Retrying(Wrapper):
    """Makes a call again that failed on the way, after waits that grow.

    Wrap the paid target itself, and put channels around this wrapper, so that their draws do not depend on how often a
    connection fails. However many tries a call takes, its rows are charged once, when the answer is there. Only the server
    knows whether it charged for failed tries, unless it takes keys (`TargetInfo.keyed`): they are the same in every try,
    taken from the journal or, without one, made up for the call.

    Args:
        model: anything an `Oracle` takes.
        tries: calls at most, the first included.
        wait: seconds before the second try.
        factor, longest: each wait is ``factor`` times the one before, ``longest`` at most.
        on: the errors after which to retry. OSError covers TimeoutError, ConnectionError, and what urllib and requests raise.
        sleep: waits for a number of seconds.

    Attributes:
        retried: rows of calls that were repeated, here or by the target itself.

    Raises:
        ValueError: no tries, or waits below zero.
    """

    def __init__(
        self,
        model: Any,
        tries: int = 5,
        wait: float = 0.5,
        factor: float = 2.0,
        longest: float = 60.0,
        on: tuple[type[Exception], ...] = (OSError,),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if tries < 1 or wait < 0 or factor < 0 or longest < 0:
            raise ValueError(
                f"Expected at least one try and no wait below zero, but tries={tries}, wait={wait}, factor={factor}."
            )
        super().__init__(model)
        self.tries = tries
        self._keyed = self.info.keyed
        self._waits = [min(wait * factor**i, longest) for i in range(tries - 1)]
        self._on, self._sleep, self._again = on, sleep, 0

    @property
    def retried(self) -> int:
        return self._again + retried_of(self.inner)

    def predict(self, x: Tensor, **keys: Any) -> Any:
        if self._keyed and not keys:
            call = uuid.uuid4().hex
            keys = {"keys": [f"{call}-{i}" for i in range(len(x))]}
        parts = Parts(len(x))  # a target may say which rows of a failed call it answered: they are not sent again
        for wait in [*self._waits, None]:
            try:
                if len(parts.left) == len(x):
                    return self.inner.predict(x, **keys)
                left = {name: [values[i] for i in parts.left] for name, values in keys.items()}
                return parts.whole(self.inner.predict(x[parts.left], **left))
            except BaseException as error:
                if parts.failed(error):
                    error.part = parts.part()  # type: ignore[attr-defined]
                if wait is None or not isinstance(error, self._on):
                    raise
            self._again += parts.lost
            self._sleep(wait)
        raise AssertionError("the last try returns or raises")

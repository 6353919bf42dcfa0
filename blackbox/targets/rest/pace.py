"""`Pace`: when a request may be sent, by the rate that was set and by what the service asked for."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable, Mapping

_HALF, _LESS, _GROWS = 2.0, 1.25, 1.002  # what the time between requests is multiplied by, or divided by
_HELD = 20  # requests after which a rate has held
_LEAST = 1e-3  # seconds
Wait = Callable[[float], bool]  # waits for seconds; True: stop


class Stopped(Exception):
    """The call has ended; nothing more is sent. sent: there was a try before. doubtful: it may have been charged."""

    def __init__(self, sent: bool = False, doubtful: bool = False) -> None:
        super().__init__()
        self.sent, self.doubtful = sent, doubtful


class Pace:
    """Spaces requests evenly, over all threads, and holds them back while the service asks for it.

    A service that says it is busy is asked less often from then on: the rate is halved, by a fifth only once it has held for a
    while, and grows again by 1/500 with each request. So threads that were told to wait do not come back all at once.

    Args:
        rate: requests a second at most; None for no limit.
        clock: seconds, for tests.

    Attributes:
        learned: requests a second, as found out by being refused; None without a refusal.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._set, self._clock = 1 / rate if rate else 0.0, clock
        self._gap, self._free, self._lock = self._set, 0.0, threading.Lock()
        self._holds, self._sent, self._since = 0, 0, self._clock()  # since the last hold
        self.learned: float | None = None

    def wait(self, wait: Wait) -> int:
        """Return when a request may be sent: the number of refusals until then, for `hold`.

        Raises:
            Stopped: ``wait`` said so.
        """
        while True:
            with self._lock:
                now = self._clock()
                left = self._free - now
                if left <= 0:
                    self._free = now + self._gap
                    if self._holds:
                        self._gap = max(self._set, self._gap / _GROWS)
                    self._since = self._since if self._sent else now
                    self._sent += 1
                    return self._holds
            if wait(left):
                raise Stopped

    def hold(self, seconds: float, sent: int | None = None) -> None:
        """Send nothing for so many seconds, and less often from then on; sent: what `wait` returned for the request refused, as
        several that were under way together count once."""
        with self._lock:
            now = self._clock()
            self._free = max(self._free, now + seconds)
            if sent != self._holds:
                return
            found = max(self._gap, (now - self._since) / max(self._sent, 1), _LEAST)
            self._gap = found * (_LESS if self._sent >= _HELD else _HALF)
            self._holds, self._sent = self._holds + 1, 0
            self.learned = 1 / self._gap


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds that a ``Retry-After`` asks for, given in seconds or as a date; None without one that can be read.

    A date is compared with the answer's own ``Date``, so that clocks may differ.
    """
    said = headers.get("Retry-After", "").strip()
    try:
        seconds = float(said)
    except ValueError:
        try:
            until = email.utils.parsedate_to_datetime(said).timestamp()
        except (ValueError, TypeError, IndexError):
            return None
        try:
            now = email.utils.parsedate_to_datetime(headers.get("Date", "")).timestamp()
        except (ValueError, TypeError, IndexError):
            now = time.time()
        seconds = until - now
    return max(seconds, 0.0) if seconds == seconds and seconds != float("inf") else None

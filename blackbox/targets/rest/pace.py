"""`Pace`: when a request may be sent, by the rate that was set and by what the service asked for."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable, Mapping

Wait = Callable[[float], bool]  # waits for seconds; True: stop


class Stopped(Exception):
    """The call has ended; nothing more is sent. sent: there was a try before. doubtful: it may have been charged."""

    def __init__(self, sent: bool = False, doubtful: bool = False) -> None:
        super().__init__()
        self.sent, self.doubtful = sent, doubtful


class Pace:
    """Spaces requests evenly, over all threads, and holds them back while the service asks for it.

    Args:
        rate: requests a second at most; None for no limit.
        clock: seconds, for tests.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap, self._clock = 1 / rate if rate else 0.0, clock
        self._free, self._lock = 0.0, threading.Lock()

    def wait(self, wait: Wait) -> None:
        """Return when a request may be sent.

        Raises:
            Stopped: ``wait`` said so.
        """
        while self._gap or self._free:
            with self._lock:
                now = self._clock()
                left = self._free - now
                if left <= 0:
                    self._free = now + self._gap if self._gap else 0.0
                    return
            if wait(left):
                raise Stopped

    def hold(self, seconds: float) -> None:
        """Send nothing for so many seconds."""
        with self._lock:
            self._free = max(self._free, self._clock() + seconds)


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

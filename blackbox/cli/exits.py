"""How a verb ends: its exit code and, where it went wrong, one sentence."""

from __future__ import annotations

TRACEBACK = "BLACKBOX_TRACEBACK"  # set in the environment: an unexpected error shows where it comes from
OK, FAILED, USAGE, NO_SUCCESS, GATE, STOPPED = 0, 1, 2, 3, 4, 130


class Exit(Exception):
    """A verb's end with an exit code and, where it went wrong, one sentence."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


def cut_off(error: BaseException, told: str) -> BaseException:
    """How a verb ends whose target failed, or that was stopped: ``told`` is where what is known is saved, and how to go on."""
    return Exit(STOPPED, f"Stopped. {told}") if isinstance(error, KeyboardInterrupt) else type(error)(f"{error} {told}")

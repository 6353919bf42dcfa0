"""The command line. Each verb is a file; nothing heavy is imported before a verb runs.

Exit codes: 0 done; 1 the target or the machine failed; 2 the command, a file or a setting is wrong; 3 an attack ended
without a single success, which is no failure; 4 a gate failed; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import warnings

from blackbox.cli.exits import FAILED, OK, STOPPED, TRACEBACK, USAGE, Exit


def run() -> None:
    """Parse the command line and run the verb; an error is one sentence, never a traceback."""
    from blackbox.cli.app import app

    warnings.formatwarning = _note
    try:
        app()
    except Exit as end:
        sys.exit(_say(str(end), end.code))
    except KeyboardInterrupt:
        sys.exit(_say("Stopped.", STOPPED))
    except BrokenPipeError:  # the reader of a pipe has gone (… | head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(OK)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        sys.exit(explain(error))


def _note(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    """A warning in a line; where in the code it was given helps nobody at a terminal."""
    return f"note: {message}\n" if category is UserWarning else f"{category.__name__}: {message} ({filename}:{lineno})\n"


def explain(error: Exception) -> int:
    """What went wrong, in a sentence. The package's own errors say how to mend it."""
    if isinstance(error, ModuleNotFoundError):
        return _say(
            f"Expected the package {error.name} to be installed, but it is not. Install it: pip install {error.name}",
            USAGE,
        )
    text = str(error).strip()
    if type(error).__name__ == "TargetError":
        return _say(text, FAILED)
    if text.startswith(("Expected", "The checkpoint")):  # the package's own sentences
        return _say(text, USAGE)
    if isinstance(error, OSError) and error.strerror:
        return _say(f"{error.filename or 'A file'}: {error.strerror}.", USAGE)
    lines = text.splitlines()
    return _say(
        f"Unexpected {type(error).__name__}: {lines[0] if lines else 'no message'} (set {TRACEBACK}=1 to see where it comes from)",
        FAILED,
    )


def _say(message: str, code: int) -> int:
    if message:
        print(message, file=sys.stderr)
    return code

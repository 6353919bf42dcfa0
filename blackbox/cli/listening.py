"""What servers of the command line have in common: who may reach them, the address, and that they answer until Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from blackbox.cli.progress import say

if TYPE_CHECKING:
    from blackbox.serving import Server


def check_address(host: str, port: int, expose: bool, could: str) -> None:
    """Refuse other machines that nobody asked for, who ``could`` do what is named, and ports that are none. Raises: ValueError."""
    from blackbox.targets.address import is_loopback

    if not is_loopback(host) and not expose:
        raise ValueError(
            f"Expected --host to be this machine (127.0.0.1), but it was {host}: anybody who reaches it could {could}. "
            "If that is what you want, say --expose."
        )
    if not 0 <= port < 65536:
        raise ValueError(f"Expected --port from 0 (a free one) to 65535, but it was {port}.")


def bound(make: Callable[[str, int], Server], host: str, port: int) -> Server:
    """The server that ``make`` makes for an address. Raises: ValueError, it is taken."""
    try:
        return make(host, port)
    except OSError as error:
        raise ValueError(f"Expected {host}:{port} to be free to listen at, but: {error.strerror or error}.") from None


def until_stopped(server: Server, lines: Sequence[str], quiet: bool) -> None:
    """Answer until Ctrl-C, or a request to end. lines: what is printed first, of which scripts wait for the first, also with --quiet."""
    with server, _asked_to_stop() as stop:
        print(lines[0], flush=True)
        for line in lines[1:]:
            say(line, quiet)
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        while serving.is_alive() and not stop.wait(0.5):
            pass
        server.shutdown()


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Set by Ctrl-C, or by a request to end. (An interrupt that is raised can be lost: Python drops it in a callback, say.)"""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

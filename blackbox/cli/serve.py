"""``blackbox serve``: serve a target over HTTP (the protocol of docs/how-to/http.md)."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from blackbox import specs
from blackbox.cli import options
from blackbox.cli.progress import say
from blackbox.specs import channels as between
from blackbox.specs import parse

if TYPE_CHECKING:
    from surrogates import Dataset


def run(
    target: str, port: int, host: str, expose: bool, access: str | None, channels: list[str], max_rows: int, data: str,
    shape: str | None, seed: int, nets: options.Nets, quiet: bool,
) -> None:  # fmt: skip
    """Load, check, listen until Ctrl-C, and print how much was answered."""
    from blackbox.serving import Server, Service
    from blackbox.targets.address import is_loopback

    if not is_loopback(host) and not expose:
        raise ValueError(
            f"Expected --host to be this machine (127.0.0.1), but it was {host}: anybody who reaches it could ask. "
            "If that is what you want, say --expose."
        )
    if not 0 <= port < 65536:
        raise ValueError(f"Expected --port from 0 (a free one) to 65535, but it was {port}.")
    stack = between.read(channels)
    shows = between.access(access, stack)
    nets.set_threads()
    shown = _images(data, shape, nets.classes)
    count = nets.classes or len(shown.classes)
    model = specs.one_model(target, shown, count, nets)
    level, _, k = shows.partition(":")
    listed = None
    if level == "topk":  # a channel that leaves the k best scores
        listed = parse.integer(k, "the number behind --access topk") if k else min(5, count)
        stack, shows = [*stack, *between.read([f"topk:{listed}"])], "scores"
    oracle = specs.oracle(model, shows, count, nets.device, stack=stack, seed=seed)
    service = Service(oracle, shown.shape, max_rows, listed)
    try:
        server = Server(service, host, port)
    except OSError as error:
        raise ValueError(f"Expected {host}:{port} to be free to listen at, but: {error.strerror or error}.") from None
    what = f"topk:{listed}" if listed else shows
    with server, asked_to_stop() as stop:
        print(f"serving          {oracle.name} at {server.url}", flush=True)  # scripts wait for this line, also with --quiet
        say(f"shows            {what} of {count} classes for images of {'×'.join(map(str, shown.shape))}", quiet)
        say(f"next             blackbox attack --target {server.url} --eps …    Ctrl-C stops", quiet)
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        while serving.is_alive() and not stop.wait(0.5):
            pass
        server.shutdown()
    had = service.counts()
    say(
        f"answered         {had['rows']:,} rows in {had['calls']:,} calls, {had['replayed']:,} more from memory, "
        f"{had['failed']:,} in calls that failed",
        quiet,
    )


@contextlib.contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """Set by Ctrl-C, or by a request to end. (An interrupt that is raised can be lost: Python drops it in a callback, say.)"""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _images(data: str, shape: str | None, classes: int | None) -> Dataset:
    """A data set with the shape and classes of the images that will be sent: some data, or one of ``--shape``."""
    import torch

    from surrogates import Dataset

    if shape is None:
        return specs.images(options.Images(data, n=1, pick="first")).data
    sizes = [parse.integer(word, "--shape") for word in parse.words(shape)]
    if not sizes or min(sizes) < 1 or classes is None:
        raise ValueError(f"Expected --shape such as 3,32,32 together with --classes, but it was {shape!r}.")
    return Dataset(torch.zeros(1, *sizes), torch.zeros(1, dtype=torch.int64), tuple(map(str, range(classes))))

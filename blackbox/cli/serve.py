"""``blackbox serve``: serve a target over HTTP (the protocol of docs/how-to/http.md)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from blackbox import specs
from blackbox.cli import options
from blackbox.cli.listening import bound, check_address, until_stopped
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

    check_address(host, port, expose, "ask")
    stack = between.read(channels)
    shows = between.access(access, stack)
    nets.set_threads()
    shown = _images(data, shape, nets.classes)
    count = nets.classes or len(shown.classes)
    model = specs.one_model(target, shown, count, nets)
    level, stack, listed = between.served(shows, stack, count)
    oracle = specs.oracle(model, level, count, nets.device, stack=stack, seed=seed)
    service = Service(oracle, shown.shape, max_rows, listed)
    server = bound(partial(Server, service), host, port)
    lines = [
        f"serving          {oracle.name} at {server.url}",
        f"shows            {f'topk:{listed}' if listed else shows} of {count} classes for images of {'×'.join(map(str, shown.shape))}",
        f"next             blackbox attack --target {server.url} --eps …    Ctrl-C stops",
    ]
    until_stopped(server, lines, quiet)
    had = service.counts()
    say(
        f"answered         {had['rows']:,} rows in {had['calls']:,} calls, {had['replayed']:,} more from memory, "
        f"{had['failed']:,} in calls that failed",
        quiet,
    )


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

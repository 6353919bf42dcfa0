"""What does `Rest` cost over the bare requests, at the same number of connections?

Both sides send the same images as PNG in base64 to the moderation service of `blackbox.testing`, in a process of its own, over
four connections that stay open, and parse the JSON of the answers. Bare is what one would write: ``httpx.Client.post`` from a
pool of threads; ours is an `Oracle` around `Rest`, in calls of its ``max_rows``. The service answers at once, so that the
client is all there is to measure; or it takes 20 ms, as a model does. Beside the wall time stands the processor time of this
process, which other programs on the machine disturb less.
"""

from __future__ import annotations

import base64
import io
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median
from typing import Any

import httpx
import numpy as np
import torch
from PIL import Image
from scipy.stats import quantile_test

import blackbox as bb
from benchmarks.clock import paired, spread

DIGITS = tuple("0123456789")
SHAPE, ROWS, CONNECTIONS = (3, 32, 32), 64, 4
TOKEN = {"Authorization": "Bearer secret"}


def serve(slow: float, pipe: Any) -> None:
    torch.set_num_threads(1)
    service = bb.testing.Moderation(lambda x: np.full((len(x), 10), 0.1), DIGITS, slow=slow)
    pipe.send(service.url)
    service.serve_forever()


def post(client: httpx.Client, url: str, image: np.ndarray) -> tuple[list[str], list[float]]:
    """One bare request."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    answer = client.post(url, json={"image": base64.b64encode(file.getvalue()).decode()}, headers=TOKEN)
    said = answer.raise_for_status().json()["predictions"]
    return [each["label"] for each in said], [each["score"] for each in said]


def measured(slow: float, pairs: int, calls: int) -> list[tuple[Any, Any]]:
    """Wall and processor time of bare requests and of `Rest`, in pairs."""
    x = torch.rand(ROWS, *SHAPE, generator=torch.Generator().manual_seed(0))
    images = list((255 * x).round().byte().permute(0, 2, 3, 1).contiguous().numpy())
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(slow, there), daemon=True)
    child.start()
    try:
        url = here.recv()
        target = bb.targets.Rest(
            url, headers=TOKEN, words="predictions[*].label", scores="predictions[*].score", top=5, concurrency=CONNECTIONS,
            classes=DIGITS,
        )  # fmt: skip
        oracle = bb.Oracle(target, "topk", len(DIGITS), rows_per_call=target.max_rows)
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        with httpx.Client(limits=limits, trust_env=False) as client, ThreadPoolExecutor(CONNECTIONS) as pool:

            def bare() -> None:
                for _ in range(calls):
                    list(pool.map(partial(post, client, url), images))

            def ours() -> None:
                for _ in range(calls):
                    oracle(x)

            return paired(partial(both, bare), partial(both, ours), pairs)
    finally:
        child.terminate()


def both(work: Callable[[], None]) -> Any:
    """Wall time, and the time of all threads of this process."""
    begin, mine = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - mine


def rest(s: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    pairs, calls = (2, 1) if s.quick else (10 * s.repeats, 2)
    for slow in (0.0, 0.02):
        found = measured(slow, pairs, calls)
        for i, clock in enumerate(("wall", "processor")):
            ratios, each = [b[i] / a[i] for a, b in found], 1e3 / (calls * ROWS)
            bare, ours = (each * median(side[i] for side in sides) for sides in zip(*found, strict=True))
            yield f"rest over bare requests, {clock} time", {
                "target": f"{slow * 1e3:g} ms a request", "n": pairs, "bare ms a request": bare, "ms a request": ours,
                "interval": list(quantile_test(ratios, p=0.5).confidence_interval()), **spread(ratios),
            }  # fmt: skip

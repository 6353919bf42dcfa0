"""`seeded`: draws from torch's global generator, such as a net's first weights, as a function of a seed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from blackbox.checks import as_seed

_LOCK = threading.Lock()  # there is one global generator, for all threads


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator on the CPU, and restore it at the end; one thread at a time."""
    with _LOCK, torch.random.fork_rng(devices=[]):
        torch.manual_seed(as_seed(seed) % 2**64)
        yield

"""Asks an oracle about many inputs, call by call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from blackbox.oracle.reply import Reply

if TYPE_CHECKING:
    from blackbox.oracle.oracle import Oracle


def in_calls(oracle: Oracle, x: Tensor, purpose: str) -> Reply:
    """The reply to inputs [m, \\*shape] that are checked already, images or rows of a table in its own units, in calls of the oracle's
    size, each input charged under ``purpose``.

    Raises:
        TargetError: as `Oracle`; ``error.result``, of any error, is the Reply to the inputs before, or None.
    """
    parts: list[Reply] = []
    start, x = 0, x.to(oracle.device)
    try:
        while start < len(x):
            size = oracle.next_rows(len(x) - start)
            parts.append(oracle.submit(x[start : start + size], purpose))
            start += size
    except BaseException as error:
        error.result = Reply.joined(parts) if parts else None  # type: ignore[attr-defined]  # it was paid for
        raise
    return Reply.joined(parts)

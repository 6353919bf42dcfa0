"""Many searches by turns (`blackbox.turns`), whose questions a net answers in batches: what all of them ask in a round in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from blackbox.turns import Question as Ask
from blackbox.turns import Turn, seed_all

__all__ = ["Ask", "Work", "by_turns", "seed_all"]

Work = Callable[[Ask], object]


def by_turns(net: nn.Module, works: Sequence[Work], largest: int = 128) -> list[BaseException | None]:
    """Run the searches to their ends.

    Args:
        net: answers, in calls of at most ``largest`` rows, without gradients.

    Returns:
        What each search ended with: an exception, or None.
    """
    turns = [Turn(work) for work in works]
    try:
        asked = [(turn, z) for turn in turns if (z := turn.resume()) is not None]
        while asked:
            with torch.no_grad():
                out = torch.cat([net(part) for part in torch.cat([z for _, z in asked]).split(largest)])
            answers = [answer.clone() for answer in out.split([len(z) for _, z in asked])]  # a peer may write into it
            asked = [(turn, z) for (turn, _), a in zip(asked, answers, strict=True) if (z := turn.resume(a)) is not None]
    finally:
        for turn in turns:
            turn.stop()
    return [turn.error for turn in turns]

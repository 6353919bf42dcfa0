"""What a result cost by the tariff of its run: the bill in money beside the one in queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from blackbox.plain_text import counted
from blackbox.tariff import Bill, Tariff, short

if TYPE_CHECKING:
    from blackbox.results.result import AttackResult


def tariff(result: AttackResult) -> Tariff | None:
    """The tariff of a run; None where it had none."""
    given = result.config.get("tariff")
    return None if given is None else Tariff(**given)


def each(result: AttackResult) -> Tensor:
    """See `AttackResult.money`."""
    prices = tariff(result)
    if prices is None:
        return torch.full((len(result),), torch.nan, dtype=torch.float64)
    found: np.ndarray = prices.money(*(column.numpy().astype(np.float64) for column in _columns(result)))
    return torch.from_numpy(found)


def bill(result: AttackResult) -> Bill:
    """See `AttackResult.bill`. Of some of the images of a run (`AttackResult.take`) only the queries are known, not the gradients and
    seconds that these took."""
    queries, flagged, bad = (int(column.sum()) for column in _columns(result))
    c, prices = result.config, tariff(result)
    whole = (c.get("sent") or {}).get("charged") == queries
    more = ((c.get("prior") or {}).get("gradients", 0), float(c.get("seconds") or 0.0)) if whole else (0, 0.0)
    return (prices or Tariff()).bill(queries, flagged, bad, 0, *more)


def told(result: AttackResult) -> list[str]:
    """The lines of a summary; none without a tariff."""
    prices = tariff(result)
    if prices is None:
        return []
    lines = [f"money            {bill(result)}"]
    if len(of := each(result)[result.attacked]):
        most = "" if prices.most is None else f", at most {short(prices.most)} allowed"
        lines[0] += f"; an attacked image cost {short(float(of.mean()))} on average and {short(float(of.max()))} at most{most}"
    if prices.flagged and not result.config.get("flags"):
        lines.append("note             the target flagged no query, and has no detector: the price of flagged ones was never paid")
    if prices.lock_out is not None:
        many = int(prices.locked(result.flagged.numpy()).sum())
        lines.append(f"lock-out         {counted(many, 'image was', 'images were')} locked out, after {prices.lock_out:,} flagged queries")
    if shut := result.config.get("locked_out"):
        who = counted(shut, "image", "images")
        lines.append(f"note             about {who} the target answered no more, by its own count of flags and money")
    return lines


def _columns(result: AttackResult) -> tuple[Tensor, Tensor, Tensor]:
    return result.queries, result.flagged.clamp_min(0), result.bad.clamp_min(0)

"""The columns of a result, read off the ledger of a run."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from blackbox.engine.ledger import STATUSES
from blackbox.protocol import Status

if TYPE_CHECKING:
    from blackbox.engine.ledger import Ledger
    from blackbox.engine.spec import Samples


def image_hashes(images: Tensor) -> Tensor:
    """A hash of each image [N, \\*shape], [N] int64, by which results on the same images are recognised."""
    found = [hashlib.blake2b(row.numpy(force=True).tobytes(), digest_size=8).digest() for row in images.contiguous()]
    return torch.tensor([int.from_bytes(f, "little", signed=True) for f in found], dtype=torch.int64)


def of_ledger(ledger: Ledger, samples: Samples, config: dict[str, Any]) -> dict[str, Any]:
    """The columns of `AttackResult` by their names."""
    found = ledger.first > 0
    success = found & (ledger.rounded == 1) if config.get("eight_bit") else found
    ends = [STATUSES[code] for code in ledger.status]
    for i in np.flatnonzero(found & ~success):  # a run that ended before the rounded example was asked about: unknown
        ends[i] = Status.ROUNDED_AWAY if ledger.rounded[i] == 0 else Status.ERROR
    return {
        "success": torch.from_numpy(success),
        "success_float": torch.from_numpy(found),
        "trace": torch.tensor(ledger.trace, dtype=torch.float64).view(-1, 3),
        "queries": torch.from_numpy(ledger.spent.copy()),
        "first_success_query": torch.from_numpy(np.where(success, ledger.first, 0)),
        "x_adv": ledger.x.clone(),
        "distance": torch.from_numpy(
            np.where(np.isfinite(ledger.distance), ledger.distance, np.nan).astype(np.float32)
        ),
        "status": tuple(ends),
        "loss": torch.from_numpy(ledger.best.copy()),
        "clean_loss": torch.from_numpy(ledger.loss0.copy()),
        "clean_label": torch.from_numpy(ledger.label0.copy()),
        "verified": torch.from_numpy(ledger.verified.copy()),
        "y": samples.y,
        "goal": samples.goal.cpu(),
        "ids": torch.from_numpy(samples.ids.astype(np.int64)),
        "adv_label": torch.from_numpy(ledger.label1.copy()),
        "clean_confidence": torch.from_numpy(ledger.sure0.copy()),
        "adv_confidence": torch.from_numpy(ledger.sure1.copy()),
        "prints": image_hashes(samples.x),
        "flagged": torch.from_numpy(ledger.flagged.copy()),
        "bad": torch.from_numpy(ledger.bad.copy()),
        "mask": None if samples.table is not None else _once(samples.mask if samples.weights is None else samples.weights),
        "answers": _first(ledger, success),
    }


MOST = 24  # examples whose answers are kept


def _first(ledger: Ledger, success: np.ndarray) -> dict[int, dict[str, Any]]:
    """The answers to the first examples that were verified."""
    there = [i for i in np.flatnonzero(success).tolist() if "after" in ledger.answers.get(i, {})]
    return {i: ledger.answers[i] for i in there[:MOST]}


def _once(mask: Tensor | None) -> Tensor | None:
    """A mask [N, \\*shape], once where it is the same for all samples."""
    return mask if mask is None or bool((mask != mask[:1]).any()) else mask[:1].clone()

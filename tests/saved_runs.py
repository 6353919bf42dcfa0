"""Saved runs made by hand, whose every number is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.protocol import Status
from blackbox.report import shown

Made = Callable[..., bb.AttackResult]


def made(first: Sequence[int], wrong: Sequence[int] = (), eps: float = 0.2, attack: str = "square", **config: Any) -> bb.AttackResult:
    """A run whose samples first succeeded at these queries (0: never); ``wrong``: samples that the target had wrong clean."""
    n, budget = len(first), config.pop("budget", 100)
    won = torch.tensor(first) > 0
    ends = [Status.SUCCESS if w else Status.CLEAN_WRONG if i in wrong else Status.BUDGET for i, w in enumerate(won.tolist())]
    spent = [f or (1 if i in wrong else budget) for i, f in enumerate(first)]
    ids = config.pop("ids", None) or list(range(n))
    return bb.AttackResult(
        success=won, queries=torch.tensor(spent), first_success_query=torch.tensor(first),
        x_adv=torch.full((n, 1, 4, 4), 0.7), distance=torch.where(won, 0.2, torch.nan), status=tuple(ends),
        loss=torch.zeros(n), clean_loss=torch.zeros(n), clean_label=torch.zeros(n, dtype=torch.int64),
        verified=torch.where(won, 1, -1).to(torch.int8), y=torch.zeros(n, dtype=torch.int64),
        goal=torch.zeros(n, dtype=torch.int64), ids=torch.tensor(ids), threat=bb.Linf(eps),
        adv_label=torch.where(won, 1, -1), clean_confidence=torch.full((n,), 0.9), adv_confidence=torch.full((n,), 0.6),
        prints=config.pop("prints", torch.tensor(ids) + 1000),
        config={"attack": attack, "target": "net", "access": "scores", "targeted": False, "budget": budget, "seed": 0,
                "failed_rows": 0, "verify_rows": int(won.sum()), "seconds": 1.5, **config},
    )  # fmt: skip


def saved(path: Path, result: bb.AttackResult, **settings: Any) -> Path:
    """A folder as `blackbox attack` writes it."""
    result.save(path)
    won = result.success.nonzero()[:, 0]
    shown.keep(path, won.numpy(), torch.full((len(won), 1, 4, 4), 0.5), result.x_adv[won], ["zero", "one"])
    told = {"verb": "attack", "data": "digits", "seed": 0, **settings}
    head = {"command": f"blackbox attack --out {path.name}", "settings": told, "versions": {"blackbox": "0"}, "machine": {}}
    (path / "run.json").write_text(json.dumps(head))
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two attacks on the same six images, and a matrix, in one folder."""
    folder = tmp_path / "runs"
    saved(folder / "one", made([3, 8, 20, 0, 0, 0], wrong=[5]), eps=0.2)
    saved(folder / "two", made([5, 0, 0, 0, 50, 0], wrong=[5], eps=0.1), eps=0.1)
    matrix().save(folder / "moved")
    return folder


def matrix() -> Any:
    """One source, two targets, two radii, four images: at Linf 0.1 one of four and none, at 0.2 three and two."""
    from surrogates import TransferMatrix

    labels = np.zeros(4, np.int64)
    out = TransferMatrix.empty(("s",), ("a", "b"), ("fgsm",), (bb.Linf(0.1), bb.Linf(0.2)), labels, None, np.arange(4), 16)
    out.clean_source[:], out.clean_target[:], out.adv_source[:] = 0, 0, 1
    out.linf[:], out.l2[:] = 0.1, 0.3
    out.adv_target[0, 0] = [[[1, 0, 0, 0], [0, 0, 0, 0]], [[1, 1, 1, 0], [1, 1, 0, 0]]]
    out.noise_target[:, 0] = 0
    out.queries = {"a": 12, "b": 12}
    return out

"""Resume: a cohort as a checkpoint holds it, and how it is brought back to where it was.

Between steps the State is explicit and is saved as it is. Inside a step it is not, so the answers since the last
boundary are saved too and played back to the step: it asks the same again, and nothing is paid for twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checkpoint import decode, encode
from blackbox.engine.cohort import CLEAN, Claim, Cohort, Plan
from blackbox.protocol import Ask

if TYPE_CHECKING:
    from blackbox.engine.engine import Engine


def pack(cohort: Cohort) -> dict[str, Any]:
    """A cohort at its last boundary, and the answers that came since."""
    answered = cohort.script + ([cohort.plan] if cohort.plan is not None and cohort.plan.done else [])
    return {
        "samples": torch.from_numpy(cohort.samples),
        "idle": torch.from_numpy(cohort.idle),
        "spent_before": torch.from_numpy(cohort.spent_before),
        "k": cohort.k,
        "state": encode(cohort.state),
        "ballots": torch.tensor([(b.at, b.yes, b.no) for b in cohort.claims], dtype=torch.int64).view(-1, 3),
        "script": [
            {
                "row": torch.from_numpy(plan.row),
                "col": torch.from_numpy(plan.col),
                "loss": torch.from_numpy(loss),
                "adv": torch.from_numpy(adv),
                **({"shown": torch.from_numpy(np.concatenate(plan.shown))} if plan.shown else {}),
            }
            for plan in answered
            for loss, adv in [plan.answers()]
        ],
    }


def unpack(engine: Engine, saved: dict[str, Any]) -> Cohort:
    """Rebuild a cohort and replay the answers it had been given since its boundary."""
    samples = saved["samples"].numpy()
    cohort = engine.cohort_of(samples)
    device = engine.oracle.device
    cohort.best = engine.ledger.x[torch.from_numpy(samples)].to(device)
    cohort.idle, cohort.spent_before = saved["idle"].numpy(), saved["spent_before"].numpy()
    cohort.k = saved["k"]
    cohort.state = decode(saved["state"], device)
    cohort.claims = [Claim(*row) for row in saved["ballots"].tolist()]
    if cohort.k == CLEAN:
        cohort.ask = Ask(cohort.task.x0)
    else:
        loss0 = torch.from_numpy(engine.ledger.loss0[samples]).to(device)
        cohort.task = replace(cohort.task, loss0=loss0)
        engine.start(cohort)
    for i, part in enumerate(saved["script"]):
        plan = _replay(engine, cohort, part)
        if plan.done < len(plan.row) or (cohort.claims and i + 1 == len(saved["script"])):
            # the call that failed: the rest of this Ask is still to be answered, or its claims to be voted on
            cohort.plan = plan
            break
        cohort.script.append(plan)
        if i + 1 < len(saved["script"]):  # the step went on; who ended in a later Ask is in the ledger already
            cohort.ask = cohort.gen.send(plan.tell(cohort.task))
        else:
            engine.advance(cohort, plan.tell(cohort.task))
    return cohort


def _replay(engine: Engine, cohort: Cohort, part: dict[str, Tensor]) -> Plan:
    ask = cohort.ask
    assert ask is not None
    row, col = part["row"].numpy(), part["col"].numpy()
    loss, adv = part["loss"].numpy(), part["adv"].numpy()
    if ask.u is None:
        points = ask.x if cohort.k == CLEAN else cohort.task.project(ask.x.to(torch.float32))
        shown = [part["shown"].numpy()] if "shown" in part else []
        return Plan(ask, points, row, col, len(row) == cohort.task.n, 1, [loss], [adv], len(loss), shown)
    q = len(ask.u) if isinstance(ask.u, Tensor) else ask.u.count
    paid_in_part = np.bincount(row[: len(loss)], minlength=len(cohort.samples))
    cohort.spent_at_ask = engine.ledger.spent[cohort.samples] - paid_in_part
    return Plan(ask, None, row, col, False, q, [loss], [adv], len(loss))

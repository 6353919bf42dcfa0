"""Is what a run left behind true, when a fault cut it off? It is held against the same run left alone.

Whatever can be known must be as it is in the whole run, and what cannot be known must be said to be unknown: in the result, in its
files once they are read back, in the words of its summary. See `experiments.studies.faults`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

import blackbox as bb
import surrogates as sg

Answer = Callable[[np.ndarray], np.ndarray]  # images [m, ...] -> what the target says of them, logits [m, C]


def facts(found: Any) -> dict[str, Any]:
    """What a result states, by name: [N] arrays where a place is NaN, or ends as ``unknown``, while nobody can know it."""
    if isinstance(found, bb.AttackResult):
        names = ("success", "queries", "first_success_query", "loss", "clean_loss", "clean_label", "verified", "x_adv")
        return {n: getattr(found, n).numpy() for n in names} | {"status": np.array([s.name for s in found.status])}
    if isinstance(found, sg.TransferMatrix):
        names = ("clean_target", "adv_target", "noise_target", "adv_source")
        return {n: getattr(found, n) for n in names} | {"queries": dict(found.queries)}
    if isinstance(found, sg.Answers):
        soft = {} if found.probabilities is None else {"probabilities": found.probabilities.numpy()}
        return {"labels": found.labels.numpy(), "images": found.images.numpy(), **soft}
    if isinstance(found, nn.Module):
        return {n: v.numpy() for n, v in found.state_dict().items()} | {"queries": sg.report(found).queries}
    if hasattr(found, "curve") and hasattr(found, "answers"):
        return {**facts(found.net), **facts(found.answers), "curve": json.dumps(found.curve.plain())}
    if hasattr(found, "outcomes"):
        columns = {f"{p} {n}": v for p, each in found.outcomes.items() for n, v in each.items()}
        return columns | {"records": json.dumps(found.records())}
    if hasattr(found, "cost"):
        return {f"{a} {m}": v for a, each in found.cost.items() for m, v in each.items()}
    rows = {(r.sees, r.attack, r.budget): r for r in found.rows}
    return {f"{key} {n}": getattr(r, n) for key, r in rows.items() for n in ("wrong", "unknown", "queries")} | {"notes": list(found.notes)}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(v, b[k], equal_nan=v.dtype.kind == "f") if isinstance(v, np.ndarray) else v == b[k] for k, v in a.items()
    )


def rate_is(rate: Any, hit: np.ndarray, among: np.ndarray, known: np.ndarray) -> bool:
    """Is this the share of ``hit`` ``among`` those known, and does it say how many are not?"""
    return (rate.k, rate.n, rate.unknown) == (int((hit & among & known).sum()), int((among & known).sum()), int((among & ~known).sum()))


def wrong_attack(left: Any, whole: Any, folder: Path, answer: Answer) -> list[str]:
    left.save(folder)
    left, text = bb.AttackResult.load(folder), (folder / "summary.txt").read_text()
    known, out = left.known.numpy(), []
    now, then = facts(left), facts(whole)
    told = ("success", "queries", "first_success_query")
    out += [f"{n} of a known image" for n in told if not np.array_equal(now[n][known], then[n][known])]
    missing = [s is bb.Status.ERROR for s in left.status]
    everything = np.ones(len(left), bool)
    right = (then["status"] != "CLEAN_WRONG") & known
    if not rate_is(left.robust_accuracy, right & ~then["success"], everything, known):
        out.append(f"robust accuracy {left.robust_accuracy}")
    if left.success_rate.k != int((then["success"] & known).sum()):
        out.append(f"success {left.success_rate}")
    if int(np.isin(now["clean_label"], (-1,)).sum()) > left.clean_accuracy.unknown:
        out.append(f"clean accuracy {left.clean_accuracy} of {now['clean_label'].tolist()}")
    if text.startswith("INCOMPLETE") != bool((~known).any()) or bool((~known & ~np.array(missing)).any()):
        out.append(f"says {text.splitlines()[0]}")
    truth = answer(left.x_adv.numpy()).argmax(1) != left.y.numpy()
    if not truth[left.success.numpy()].all():
        out.append("an example that is none")
    return out


def wrong_evaluate(left: Any, whole: Any, folder: Path) -> list[str]:
    left.save(folder)
    read, out = type(left).load(folder), []
    for now, saved, then in zip(left.rows, read.rows, whole.rows, strict=True):
        known = ~now.unknown
        if not np.array_equal(now.wrong[known], then.wrong[known]) or (now.wrong & now.unknown).any():
            out.append(f"{now.sees} {now.attack} {now.budget}: images")
        if not (np.array_equal(saved.wrong, now.wrong) and np.array_equal(saved.unknown, now.unknown)):
            out.append(f"{now.sees} {now.attack} {now.budget}: saved otherwise")
        if not rate_is(saved.robust, ~then.wrong, np.ones_like(known), known):
            out.append(f"{now.sees} {now.attack} {now.budget}: {saved.robust}")
    if read.table().startswith("INCOMPLETE") != any(r.unknown.any() for r in left.rows):
        out.append("says that it is whole")
    return out


def wrong_transfer(left: Any, whole: Any, folder: Path) -> list[str]:
    left.save(folder)
    left, out = sg.TransferMatrix.load(folder), []
    for name in ("clean_target", "adv_target", "noise_target"):
        now, then = getattr(left, name), getattr(whole, name)
        if not np.array_equal(now[now >= 0], then[now >= 0]):
            out.append(name)
    for t, target in enumerate(left.targets):
        known, clean = left.adv_target[0, 0, 0, t] >= 0, left.clean_target[t]
        rate, fooled = left.rate("own", target, "fgsm", left.threats[0]), whole.adv_target[0, 0, 0, t] != left.labels
        if (rate.k, rate.n) != (int((fooled & known & (clean == left.labels)).sum()), int((known & (clean == left.labels)).sum())):
            out.append(f"rate {rate}")
        seen = left.clean_accuracy(target)
        if (seen.k, seen.n) != (int(((clean == left.labels) & (clean >= 0)).sum()), int((clean >= 0).sum())):
            out.append(f"clean accuracy {seen}")
    return out


def wrong_answers(left: Any, answer: Answer) -> list[str]:
    truth = answer(left.images.numpy()).argmax(1) if len(left) else np.zeros(0, int)
    return [] if np.array_equal(truth, left.labels.numpy()) else ["labels"]


def wrong_table(left: Any, whole: Any, folder: Path) -> list[str]:
    out = []
    for point, then in whole.outcomes.items():
        now = left.outcomes[point]
        if not now:
            out += ["a rate of nothing"] if left.rate(point).n else []
            continue
        which = np.isin(then["ids"], now["ids"])
        if not all(np.array_equal(now[n], then[n][which]) for n in ("success", "queries", "attacked", "ids")):
            out.append(f"cells of {point}")
        rate = left.rate(point)
        if (rate.k, rate.n) != (int((then["success"] & which).sum()), int((then["attacked"] & which).sum())):
            out.append(f"rate {rate}")
    left.save(folder)
    return out + (["says that it is whole"] if left.done < left.total and "missing" not in (folder / "summary.txt").read_text() else [])


def wrong(left: Any, whole: Any, folder: Path, answer: Answer) -> list[str]:
    """What a run that was cut off states and is not so. folder: where it is saved, to be read back. answer: the target's."""
    if hasattr(whole, "cost") or (hasattr(whole, "outcomes") and not hasattr(left, "outcomes")):
        return []  # tuning states nothing before its end, and a study that is stopped what its store holds
    if isinstance(left, bb.AttackResult):
        return wrong_attack(left, whole, folder, answer)
    if isinstance(left, sg.TransferMatrix):
        return wrong_transfer(left, whole, folder)
    if isinstance(left, sg.Answers):
        return wrong_answers(left, answer)
    if hasattr(left, "outcomes"):
        return wrong_table(left, whole, folder)
    return wrong_evaluate(left, whole, folder) if hasattr(left, "rows") else []


def saved_wrong(saved: Path, whole: Any) -> list[str]:
    """`wrong` of an evaluation that a process saved before it was killed."""
    now, out = type(whole).load(saved), []
    for row, then in zip(now.rows, whole.rows, strict=True):
        known = ~row.unknown
        if not np.array_equal(row.wrong[known], then.wrong[known]) or not rate_is(row.robust, ~then.wrong, np.ones_like(known), known):
            out.append(f"saved {row.sees} {row.attack} {row.budget}: {row.robust}")
    return out

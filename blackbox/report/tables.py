"""The numbers of a report as CSV files, and as Parquet where pandas and pyarrow are installed (the extra ``data``)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox import statistics
from blackbox.report import raw
from blackbox.report.figures import budgets
from blackbox.report.sections.common import items
from blackbox.results import received, words

if TYPE_CHECKING:
    from blackbox.report.runs import Run
    from blackbox.results import AttackResult


def write(runs: Sequence[Run], folder: Path) -> list[str]:
    """Write every table that has rows: attacks, outcomes (one row an image), curves, transfer, surrogates, sweep. Returns
    the names of the files."""
    tables = {
        "attacks": [attack(run, name, result) for run, name, result in items(runs)],
        "outcomes": [
            {"run": run.name, "attack": name or result.config["attack"]} | record
            for run, name, result in items(runs)
            for record in result.records()
        ],
        "curves": [row for run, name, result in items(runs) for row in curve(run, name, result)],
        "transfer": [{"run": r.name} | record for r in runs if r.matrix is not None for record in r.matrix.records()],
        "surrogates": [row for run in runs if run.surrogate for row in surrogate(run)],
        "sweep": [{"run": r.name} | record for r in runs if r.sweep is not None for record in r.sweep.records()],
    }
    written = []
    for name, records in tables.items():
        if records:
            raw.write_records(records, folder / f"{name}.csv")
            written.append(f"{name}.csv")
            if parquet():
                _parquet(records, folder / f"{name}.parquet")
                written.append(f"{name}.parquet")
    return written


def parquet() -> bool:
    """Is the extra ``data`` installed?"""
    return find_spec("pandas") is not None and find_spec("pyarrow") is not None


def attack(run: Run, name: str, result: AttackResult) -> dict[str, Any]:
    """One row: settings, rates with their counts and intervals, queries, accounts."""
    c = result.config
    mean = statistics.restricted_mean(result)
    out: dict[str, Any] = {
        "run": run.name, "attack": name or c["attack"], "method": c["attack"], "target": c["target"], "access": c.get("access"),
        "norm": result.threat.norm, "eps": result.threat.eps, "budget": c["budget"], "targeted": c.get("targeted"),
        "seed": c.get("seed"), "images": len(result),
    }  # fmt: skip
    rates = {"clean": result.clean_accuracy, "fooled": result.success_rate, "robust": result.robust_accuracy}
    if words.goal_of(c):  # of other things: in columns of their own
        out["goal"] = words.goal_of(c)
        rates = {"unchanged": result.unchanged, "reached": result.success_rate, "withstood": result.robust_accuracy}
    for what, rate in rates.items():
        out |= {f"{what}_k": rate.k, f"{what}_n": rate.n, f"{what}_rate": rate.value}
        out |= {f"{what}_low": rate.low, f"{what}_high": rate.high, f"{what}_unknown": rate.unknown}
    found = result.distance[result.success]
    return out | {
        "mean_queries": mean.value, "mean_queries_low": mean.low, "mean_queries_high": mean.high,
        "median_queries": result.median_queries, "spent": int(result.queries.sum()),
        **({"money": result.bill.total} if "tariff" in c else {}),
        "median_distance": float(found.median()) if len(found) else math.nan,
        "complete": result.complete, "stopped": (c.get("stopped") or {}).get("error"), "sent": received(result),
        "not_verified": int((result.verified == 0).sum()), "failed_rows": c.get("failed_rows"),
        "verify_rows": c.get("verify_rows"), "retried_rows": c.get("retried_rows"), "carried": c.get("carried"),
        "cached": (c.get("journal") or {}).get("cached"), "seconds": c.get("seconds"),
        "target_seconds": c.get("target_seconds"), "command": run.made.get("command"),
    }  # fmt: skip


def curve(run: Run, name: str, result: AttackResult) -> Iterator[dict[str, Any]]:
    """Success within each number of queries, as far as it is known of any image."""
    at = budgets(int(result.config["budget"]))
    for q, rate in zip(at.tolist(), result.curve(at), strict=True):
        if not rate.n:
            continue
        named = {"run": run.name, "attack": name or result.config["attack"], "queries": q}
        found = {"k": rate.k, "n": rate.n, "unknown": rate.unknown, "rate": rate.value, "low": rate.low, "high": rate.high}
        yield named | found


def surrogate(run: Run) -> Iterator[dict[str, Any]]:
    """The bill of a surrogate: one row; or one a round, where it was taught in rounds."""
    bill, found = run.surrogate["bill"], run.surrogate.get("curve")
    named = {"run": run.name, "arch": bill.get("arch"), "target": bill.get("target")}
    if found is not None and found.evaluation:
        rounds = [(q, r) for q, r in zip(found.queries, found.evaluation, strict=True)]
    elif bill.get("agreement"):
        rounds = [(bill["queries"], statistics.Rate(*bill["agreement"]))]
    else:
        rounds = [(run.surrogate["training"].get("queries"), statistics.Rate(0, 0))]
    for queries, rate in rounds:
        yield named | {
            "queries": queries, "agreement_k": rate.k, "agreement_n": rate.n, "agreement_rate": rate.value,
            "low": rate.low, "high": rate.high,
        }  # fmt: skip


def _parquet(records: Sequence[dict[str, Any]], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet as written

    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {name: [None if raw.missing(r.get(name)) else r[name] for r in records] for name in names}
    written.write_table(pyarrow.table(columns), path)  # whole numbers and yes or no stay what they are beside a gap

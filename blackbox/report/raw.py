"""Raw outcomes of a transfer matrix as CSV, one line an image and cell; and the rates that follow from them."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blackbox.results import AttackResult
    from surrogates import TransferMatrix


def write_transfer(matrix: TransferMatrix, path: Path) -> Path:
    """Columns: image (sample id), label, source, attack, threat, target, clean (the target's class for the clean image),
    named (its class for the changed one), source_named (the source's class for it; empty for noise). Empty: not known."""
    from surrogates.transfer.noise import KINDS

    labels, ids = matrix.labels.tolist(), matrix.ids.tolist()
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["image", "label", "source", "attack", "threat", "target", "clean", "named", "source_named"])
        for e, threat in enumerate(matrix.threats):
            for t, target in enumerate(matrix.targets):
                clean = matrix.clean_target[t].tolist()
                for k, kind in enumerate(KINDS):
                    named = matrix.noise_target[e, k, t].tolist()
                    if max(named) >= 0:
                        cell = ("noise", kind, str(threat), target)
                        out.writerows(
                            [i, y, *cell, _known(c), _known(a), ""] for i, y, c, a in zip(ids, labels, clean, named, strict=True)
                        )
                for s, source in enumerate(matrix.sources):
                    for a, attack in enumerate(matrix.attacks):
                        named, own = matrix.adv_target[s, a, e, t].tolist(), matrix.adv_source[s, a, e].tolist()
                        cell = (source, attack, str(threat), target)
                        out.writerows(
                            [i, y, *cell, _known(c), _known(b), _known(o)]
                            for i, y, c, b, o in zip(ids, labels, clean, named, own, strict=True)
                        )
    return path


def _known(label: int) -> int | str:
    return label if label >= 0 else ""


def write_rates(matrix: TransferMatrix, path: Path) -> Path:
    """What `TransferMatrix.records` says: every rate with its denominator, count and interval."""
    return write_records(matrix.records(), path)


def write_queries(results: Mapping[str, AttackResult], path: Path) -> Path:
    """Several query attacks in one table: the attack's name, then the columns of outcomes.csv."""
    return write_records(
        [{"attack": name} | record for name, result in results.items() for record in result.records()], path
    )


def write_records(records: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """One line a record; the columns of all of them, in the order of their first appearance. NaN is an empty field too."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, fieldnames=list(dict.fromkeys(name for record in records for name in record)))
        out.writeheader()
        out.writerows({name: "" if missing(value) else value for name, value in record.items()} for record in records)
    return path


def missing(value: Any) -> bool:
    """Is there no value: None, an empty text or NaN?"""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))

"""A result as a pandas table: one row an image, unknown values as NA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from blackbox.results import words
from blackbox.statistics.outcomes import array
from blackbox.targets.packages import need

if TYPE_CHECKING:
    import pandas as pd

    from blackbox.results.result import AttackResult


def to_pandas(result: AttackResult) -> pd.DataFrame:
    """The table; see `AttackResult.to_pandas`."""
    pandas = need("pandas", "data", "a table of the result")

    def whole(column: object, there: np.ndarray) -> pd.Series:
        return pandas.Series(array(column), dtype="Int64").where(there)

    def yes(column: object, there: np.ndarray) -> pd.Series:
        return pandas.Series(array(column).astype(bool), dtype="boolean").where(there)

    known, clean = array(result.known), array(result.clean_known)
    first, label, again = (array(c) for c in (result.first_success_query, result.clean_label, result.verified))
    c, n = result.config, len(result)
    columns = {
        "image": array(result.ids),
        "label": array(result.y) if (array(result.y) >= 0).all() else whole(result.y, array(result.y) >= 0),
        "clean_label": whole(label, label >= 0),
        "attacked": yes(result.attacked, clean),
        "success": yes(result.success, known),
        "status": pandas.Series([s.name.lower() for s in result.status], dtype="string"),
        "queries": array(result.queries),
        "bad": whole(result.bad, array(result.bad) >= 0),
        **({"flagged": array(result.flagged), "money": array(result.money)} if "tariff" in c else {}),
        "first_success_query": whole(first, first > 0),
        "distance": array(result.distance),
        "verified": yes(again == 1, again >= 0),
        "adv_label": whole(result.adv_label, array(result.adv_label) >= 0),
        "clean_confidence": array(result.clean_confidence),
        "adv_confidence": array(result.adv_confidence),
    }
    for name in set(result.columns()) - set(words.columns(result)):  # what means nothing for the goal
        columns.pop({"y": "label"}.get(name, name), None)
    if c["targeted"]:
        columns["target_label"] = array(result.goal)
    same = {
        "attack": c["attack"], "target": c["target"], "access": c["access"], "norm": result.threat.norm, "eps": result.threat.eps,
        "budget": c["budget"], "seed": c["seed"],
    }  # fmt: skip
    return pandas.DataFrame({**columns, **{name: [value] * n for name, value in same.items()}})

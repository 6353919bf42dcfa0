"""Writes blackbox/report/measured.json, the figures that ``blackbox list attacks`` shows.

    python -m experiments.measured

Of experiments/results: benchmark_peers.json (ours, not the peers') and query_efficiency_*.json. Photographs come before
digits, the benchmark before the rest; the first measurement of an attack is the one that the list shows.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import blackbox as bb
from experiments.runner import RESULTS

FILE = Path(str(bb.__file__)).parent / "report" / "measured.json"
STEMS = ("benchmark_peers", *(f"query_efficiency_{part}" for part in ("search", "differences", "targeted")))
FIRST = "CIFAR"
USUAL = ("", "full")  # what the experiments call an attack with its defaults


def named(text: str) -> tuple[str, str] | None:
    """``"square, p_init 0.05"`` -> ("square", "p_init 0.05"); None where it is no attack of ours."""
    name = max((n for n in bb.attacks.names() if re.match(rf"{re.escape(n)}(?![\w-])", text)), key=len, default=None)
    if name is None:
        return None
    settings = text[len(name) :].strip(" ,")
    return name, "" if settings in USUAL else settings


def record(row: dict[str, Any], source: str) -> dict[str, Any] | None:
    """A row of a results file, or None where it is a peer's or has no figures."""
    found = None if row.get("peer") else named(row["attack"])
    if found is None:
        return None
    settings = ", ".join(filter(None, [found[1], "targeted" if row.get("targeted") else ""]))
    out = {"attack": found[0], "settings": settings, **{key: row[key] for key in ("target", "threat", "budget")}}
    out["images"] = row["n"] if "n" in row else row["images"]
    out |= {"seeds": len(row["seeds"] if "seeds" in row else row["means"]), "source": source}
    far = {name.rsplit(" ", 1)[1]: row[name] for name in row if name.startswith("median distance at ")}
    if far:
        return {**out, "distance": far}
    if "success" not in row:
        return None
    success = row["success"]
    if isinstance(success, str):  # "99 % [98, 100] (298/300)"
        success = [int(v) for v in re.findall(r"\((\d+)/(\d+)\)", success)[0]]
    return {**out, "success": success, "mean": row["mean"], "median": row["median"]}


def collect(results: Path = RESULTS) -> list[dict[str, Any]]:
    """All records of a folder of results, in the order in which the list prefers them."""
    out = []
    for path in (results / f"{stem}.json" for stem in STEMS):
        rows = json.loads(path.read_text())["rows"] if path.exists() else []
        out += [found for row in rows if (found := record(row, path.name)) is not None]
    order = {name: i for i, name in enumerate(bb.attacks.names())}
    return sorted(out, key=lambda r: (order[r["attack"]], not r["target"].startswith(FIRST), "distance" in r))


def text() -> str:
    """The file."""
    return "[\n" + ",\n".join(json.dumps(r) for r in collect()) + "\n]\n"


def main() -> None:
    FILE.write_text(text(), encoding="utf-8")
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()

"""Writes blackbox/report/measured.json, the figures that ``blackbox list attacks`` shows.

    python -m experiments.measured

Of experiments/results/queries, and of query_efficiency_once.json and …_iterated.json: ours on what the ground keeps for reporting,
in the order of its targets; the first measurement of an attack is the one that the list shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blackbox as bb
from experiments.measurements import Rows, ground
from experiments.runner import RESULTS

FILE = Path(str(bb.__file__)).parent / "report" / "measured.json"
FURTHER = ("query_efficiency_once", "query_efficiency_iterated")


def named(text: str) -> tuple[str, str] | None:
    """``"square, p_init 0.05"`` -> ("square", "p_init 0.05"); None where it is no attack of ours."""
    name = max((n for n in bb.attacks.names() if re.match(rf"{re.escape(n)}(?![\w-])", text)), key=len, default=None)
    if name is None:
        return None
    settings = text[len(name) :].strip(" ,")
    return name, "" if settings == "full" else settings


def settings(words: str, row: dict[str, Any], data: str) -> str:
    """What differs from the attack's defaults, in words: which nets, a goal."""
    priors = ground()["priors"]
    prior = priors.get(words.replace(", ", "-") if data == "cifar" else f"{data}-{words.replace(', ', '-')}")
    told = [f"with {prior['what']}" if prior else words, "labels alone" if row.get("access") == "labels" else ""]
    return ", ".join(filter(None, [*told, "towards a class" if row.get("goal") == "next class" else ""]))


def records(found: dict[str, Any], source: str) -> Iterator[dict[str, Any]]:
    """Of one results file: a record for each attack of ours, its seeds together."""
    target, images = found["target"], found["images"]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in found["rows"]:
        groups.setdefault(tuple(row.get(k) for k in ("attack", "access", "goal", "budget")), []).append(row)
    for rows in groups.values():
        name = named(rows[0]["attack"])
        if name is None or target["use"] != "reporting":
            continue
        some = Rows(source, tuple(rows))
        mean, rate = some.mean(), some.rate()
        labels = bb.attacks.get(name[0]).access == bb.Access.LABELS and not name[1]
        yield {
            "attack": name[0], "settings": settings(name[1], {**rows[0], **({"access": ""} if labels else {})}, images["data"]),
            "target": target["title"], "threat": str(rows[0].get("threat", target["threat"])), "budget": some.budget, "images": some.n,
            "seeds": len(some.rows), "source": source, "fooled": round(rate.value, 4),
            **{k: round(getattr(mean, v), 2) for k, v in (("mean", "value"), ("low", "low"), ("high", "high"))},
        }  # fmt: skip


def collect(results: Path = RESULTS) -> list[dict[str, Any]]:
    """All records of a folder of results, in the order in which the list prefers them."""
    stems = [*(f"queries/{target}" for target in ground()["targets"]), *FURTHER]
    paths = [path for path in (results / f"{stem}.json" for stem in stems) if path.exists()]
    out = [r for path in paths for r in records(json.loads(path.read_text(encoding="utf-8")), path.relative_to(results).as_posix())]
    order = {name: i for i, name in enumerate(bb.attacks.names())}
    return sorted(out, key=lambda r: order[r["attack"]])


def text() -> str:
    """The file."""
    return "[\n" + ",\n".join(json.dumps(r) for r in collect()) + "\n]\n"


def main() -> None:
    FILE.write_text(text(), encoding="utf-8")
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()

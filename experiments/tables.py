"""Writes experiments/RESULTS.md from what the experiments left in experiments/results, and what `blackbox list` shows.

    python -m experiments.tables [--check]

Then what the marks in README and docs say (``experiments/published.py``). What stands around the tables is in
``results.md.jinja``; here are their rows, each of one results file.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import blackbox as bb
from experiments import measured, measurements, published
from experiments.measurements import ground
from experiments.peers.tables import beside, clocks, to_the_end, transferred, tried
from experiments.publishable import table, told
from experiments.runner import RESULTS, counted, load
from experiments.studies.queries import PARTS as PARTS_OF

OUT = Path("experiments/RESULTS.md")
Found = dict[str, Any]
Rows = Iterator[list[Any]]


def within(middle: float, values: Iterable[float], form: str = ".3f") -> str:
    """``1.02 [1.01, 1.05]``: a median, the smallest and the largest."""
    some = list(values)
    return f"{middle:{form}} [{min(some):{form}}, {max(some):{form}}]"


def rate(hit: Iterable[int]) -> str:
    return str(bb.Rate(*hit))


def grouped(rows: Iterable[Found], *names: str) -> list[tuple[tuple[Any, ...], list[Found]]]:
    """Rows by the values of some of their columns, in the order in which these come first."""
    out: dict[tuple[Any, ...], list[Found]] = {}
    for row in rows:
        out.setdefault(tuple(row[name] for name in names), []).append(row)
    return list(out.items())


def asked() -> Iterator[tuple[Found, list[list[Any]]]]:
    """Of each target that is reported on what its file says, and its rows, ours and the peers'; also on other images."""
    for target in ground()["targets"]:
        for among in ("", *(f"-{name}" for name in ground()["images"])):
            files = [found for end in ("", "_peers") if (found := load(f"queries/{target}{among}{end}"))]
            lines = [line for found in files for line in queries(found, files[0])]
            if lines and files[0]["target"]["use"] == "reporting":
                yield files[0], sorted(lines, key=lambda line: line[1:3])


def queries(found: Found, beside: Found) -> Rows:
    """beside: ours, with which the peers' are to share their images.

    Raises:
        ValueError: they do not.
    """
    if found["ids"] != beside["ids"]:
        name = found["target"]["name"]
        raise ValueError(f"Expected all rows of {name} to be of the same images, but the peers' are of others. Measure one file anew.")
    against = {key: measurements.Rows("", tuple(r), beside) for key, r in grouped(beside["rows"], "attack", "access", "goal", "budget")}
    for (attack, access, goal, budget), some in grouped(found["rows"], "attack", "access", "goal", "budget"):
        rows = measurements.Rows(attack, tuple(some), found)
        name = f"*{attack}* ({some[0]['toolkit']})" if some[0].get("toolkit") else attack
        other = against.get((BESIDE[access], access, goal, budget))
        over = "" if other is None or attack == BESIDE[access] else told(rows.over(other), True)
        yield [name, access, goal, rows.n, len(some), told(rows.rate(), True), told(rows.mean(), True), over]


BESIDE = {"scores": "square", "labels": "sign-flip"}
PARTS = {"scores": "Scores", "labels": "Labels alone", "towards": "Scores, towards the next class"}


def every(part: str) -> tuple[list[str], list[list[Any]]]:
    """Mean queries of our attacks, a column each, on every target that is reported on, a row each."""
    access, goal = PARTS_OF[part]
    lines: dict[tuple[str, int], dict[str, str]] = {}
    for found, rows in asked():
        title = found["target"]["title"] + ("" if found["images"]["among"] in OWN else f" ({found['images']['among']})")
        mine = {line[0]: line[6] for line in rows if tuple(line[1:3]) == (access, goal) and not line[0].startswith("*")}
        lines |= {(title, len(found["ids"])): mine} if mine else {}
    columns = list(dict.fromkeys(name for some in lines.values() for name in some))
    return ["target", "images", *columns], [[*where, *(some.get(name, "") for name in columns)] for where, some in lines.items()]


OWN = {target["images"] for target in ground()["targets"].values()}


def priors() -> Rows:
    """What nets of one's own learned from, and whether the targets did too."""
    tables = ground()
    for name, one in tables["priors"].items():
        of = tables["priors"][one["of"]] if "of" in one else one
        learned = tables["learned"].get(of.get("learned", ""), {})
        shared = "" if not learned else "yes" if learned["of_the_targets"] else "no"
        nets = [
            net["arch"] + (f", {net['epochs']} epochs" if "epochs" in net else "")
            + (f" and {net['snapshots']} snapshots" if "snapshots" in net else "") for net in of["nets"]
        ]  # fmt: skip
        yield [name.replace("-", ", "), one["what"], "; ".join(nets), learned.get("what", ""), shared]


DIFFERENCES = {"once": "one step", "iterated": "a step a gradient", "long": "a step a gradient, in full", "targeted": "towards a class"}


def differences() -> Iterator[tuple[str, Found, list[list[Any]]]]:
    """Of each part its title, its file and its rows."""
    for part, title in DIFFERENCES.items():
        if found := load(f"query_efficiency_{part}"):
            some = grouped(found["rows"], "attack")
            rows = [measurements.Rows(name, tuple(r), found) for (name,), r in some if "queries" in r[0]]
            yield title, found, [[r.source, r.n, told(r.rate(), True), told(r.mean(), True)] for r in rows]


def speed(found: Found) -> Rows:
    for r in found["rows"]:
        of = ", ".join(str(r[k]) for k in ("target", "attack", "what") if k in r)
        yield [r["part"], r["ratio"], of, r["device"], r.get("torch", ""), within(r["median"], (r["low"], r["high"]))]


def matrix() -> str:
    return (RESULTS / "transfer_matrix.txt").read_text().rstrip()


# Szegedy et al. 2013, table 4: errors in % where the nets (in the order below) are shown what was crafted on one of them
TABLE_4 = {"minimal": ((100, 26.2, 5.9), (6.25, 100, 5.1), (8.2, 8.2, 100)), "amplified": ((100, 98, 43), (96, 100, 22), (27, 50, 100))}


def across_sets(found: Found) -> Iterator[tuple[list[str], list[Any]]]:
    """Of both sizes the columns and the rows."""
    for title, kind in (("across training sets", "minimal"), ("across training sets, amplified", "amplified")):
        nets = list(found[title][0]["cells"])
        rows = []
        for row in found[title]:
            cells, source, noise = row["cells"], row["source"], row["what"].endswith("noise")
            told = [rate(counted(cells[net]["fooled"])) for net in nets]
            if not noise:
                told = [f"{text} [{theirs:g}]" for text, theirs in zip(told, TABLE_4[kind][nets.index(source)], strict=True)]
            rows.append([f"{source}{', noise' if noise else ''}", *told])
        yield [f"crafted on ({kind})", *nets], rows


def nearest(found: Found) -> Rows:
    for r in found["rows"]:
        reached, a = [d for d in r["distance"] if d is not None], r["against"]
        yield [r["mode"], r["attack"], rate(r["success"]), f"{median(reached) if reached else math.nan:.3f}",
               f"{a['ratio']:.3f} [{a['low']:.3f}, {a['high']:.3f}]", f"{a['nearer']} of {a['n']}"]  # fmt: skip


def agreement(found: Found) -> Rows:
    for r in found["rows"]:
        identical = f"{r['images identical']} of {r['images']}"
        yield [r["pairing"], r["ours"], f"{r['apart']:,} of {r['entries']:,}", identical, f"{r['largest']:.1g}"]


SHOWN: tuple[Callable[..., Any], ...] = (
    load, table, rate, grouped, asked, every, priors, differences, beside, clocks, to_the_end, tried, speed, matrix, transferred,
    across_sets, nearest, agreement, published.shown,
)  # fmt: skip


def text() -> str:
    """All tables whose experiment has been run."""
    words = Environment(loader=FileSystemLoader(Path(__file__).parent), trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    words.globals |= {made.__name__: made for made in SHOWN} | {"PARTS": PARTS}
    return words.get_template("results.md.jinja").render().rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 where anything would change")
    check = parser.parse_args().check
    new = {OUT: text(), measured.FILE: measured.text()}
    changed = [path for path, made in new.items() if not path.exists() or path.read_text(encoding="utf-8") != made]
    try:
        if not check:
            for path in changed:
                path.write_text(new[path], encoding="utf-8")
        names = [*map(str, changed), *published.write(check)]
    except ValueError as error:
        raise SystemExit(str(error)) from error
    print("\n".join(f"{'is not what its rows say' if check else 'wrote'}: {name}" for name in names) or "all is as the rows say")
    raise SystemExit(bool(check and names))


if __name__ == "__main__":
    main()

"""Several runs side by side: settings that differ, and paired tests on the images that they share."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox import statistics
from blackbox.report.sections.common import Item
from blackbox.results import words

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.report.runs import Run
    from blackbox.results import AttackResult

ACROSS = 6  # runs, or settings, that stand side by side in one table
CELLS = 60  # rows of one table
P = -2  # the column of p where queries saved are the last
CORRECTED = "Each p is corrected for the {} tests of this table (Holm 1979)."


def add(page: Page, runs: Sequence[Run], chosen: Sequence[Item], first: Item | None) -> None:
    """``first``: the result that the others are compared with."""
    groups = [settings(some) | {"": [run.name for run in some]} for some in _by_verb(runs)]
    differing = [group for group in groups if len(group) > 1]
    others = [i for i in chosen if i is not first]
    matrices = [run for run in runs if run.matrix is not None]
    if not (differing or (first and others) or len(matrices) > 1):
        return
    page.head("Comparison")
    if differing:
        page.head("Settings that differ", 3)
        page.text("Between runs of one kind; what is not listed is the same in all of them.")
    for group in differing:
        _settings(page, group.pop(""), group)
    if first is not None and others:
        _paired(page, first, others)
    if len(matrices) > 1:
        _matrices(page, matrices)


def _by_verb(runs: Sequence[Run]) -> list[list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if run.settings:
            groups.setdefault(str(run.settings.get("verb")), []).append(run)
    return list(groups.values())


def settings(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Name -> value in each run, of the settings (of run.json) that differ; "–" where a run has none."""
    if len(runs) < 2:
        return {}
    flat = [flatten(_by_attack(run.settings)) for run in runs]
    names = dict.fromkeys(name for found in flat for name in found)
    values = {name: [found.get(name, "–") for found in flat] for name in names}
    return {
        name: row
        for name, row in values.items()  # what only some attacks have differs where those that have it do
        if len(set(row) - ({"–"} if name.startswith(SET) else set())) > 1
    }


SET = "set "


def _by_attack(found: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the parameters of each attack under its name, as for several attacks also for one."""
    out, mine = dict(found), found.get("parameters")
    if not isinstance(mine, Mapping):
        return out
    del out["parameters"]
    several = all(isinstance(value, Mapping) for value in mine.values()) and mine
    each = mine if several else {str(found.get("attack")): mine}
    return out | {f"{SET}{attack}": values for attack, values in each.items()}


def flatten(found: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """``{"threat": {"eps": 0.1}}`` -> ``{"threat.eps": "0.1"}``; None is a dash."""
    out: dict[str, str] = {}
    for name, value in found.items():
        if isinstance(value, Mapping):
            out |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            words = [json.dumps(v) if isinstance(v, (dict, list)) else str(v) for v in value]
            out[prefix + name] = ", ".join(words) or "–"
        else:
            out[prefix + name] = "–" if value is None else str(value)
    return out


def _settings(page: Page, runs: Sequence[str], differing: Mapping[str, Sequence[str]]) -> None:
    """The smaller of runs and settings stands side by side."""
    names = list(differing)
    if len(names) <= len(runs):
        for at in range(0, len(names), ACROSS):
            part = names[at : at + ACROSS]
            rows = [[run, *(_cut(differing[name][k]) for name in part)] for k, run in enumerate(runs)]
            page.table(["Run", *part], rows, left=len(part) + 1)
        return
    for at in range(0, len(runs), ACROSS):
        some = range(at, min(at + ACROSS, len(runs)))
        rows = [[name, *(_cut(differing[name][k]) for k in some)] for name in names]
        page.table(["Setting", *(runs[k] for k in some)], rows, left=len(some) + 1)


def _cut(text: str) -> str:
    return text if len(text) <= 90 else text[:89] + "…"


def shared(first: AttackResult, second: AttackResult) -> tuple[np.ndarray, np.ndarray, str]:
    """Rows of the first, rows of the second that are about the same images, and a remark on how that is known.

    The same image: the same id, and the same hash where both results have it; without it, the same label.
    """
    _, mine, theirs = np.intersect1d(first.ids.numpy(), second.ids.numpy(), return_indices=True)
    known = bool((first.prints != 0).all()) and bool((second.prints != 0).all())
    a, b = (first.prints, second.prints) if known else (first.y, second.y)
    same = a.numpy()[mine] == b.numpy()[theirs]
    if not known and not same.all():  # other data under the same numbers: labels that agree do so by chance
        same[:] = False
    remark = "" if known else "same id and label; an older run kept no hash"
    return mine[same], theirs[same], remark


def _paired(page: Page, first: Item, others: Sequence[Item]) -> None:
    rows, tests, apart, boundless, unknown = [], [], [], [], 0
    aside = [other.label for other in others if not words.same_goal(other.result, first.result)]
    others = [other for other in others if other.label not in aside]
    fools = "reaches it" if words.goal_of(first.result.config) else "fools"
    remarks: set[str] = set()
    for other in others:
        if math.isfinite(other.result.threat.eps) != math.isfinite(first.result.threat.eps):
            boundless.append(other.label)  # without a radius any adversarial image is a success
            continue
        mine, theirs, remark = shared(first.result, other.result)
        if not len(mine):
            apart.append(other.label)
            continue
        found = statistics.paired(first.result.take(mine), other.result.take(theirs))
        total = found.both + found.first_only + found.second_only + found.neither
        if remark:
            remarks.add(remark)
        saved, unlike = found.saved, ", ".join(_unlike(first, other)) or "the same"
        unknown += found.unknown
        tests.append(found.p)
        rows.append([
            other.label, unlike, f"{total:,}" + (f" ({found.unknown} unknown)" if found.unknown else ""), f"{found.horizon:,}",
            f"{found.both + found.first_only:,}", f"{found.both + found.second_only:,}", f"{found.first_only:,}",
            f"{found.second_only:,}", "p" if total else "",
            f"{saved.value:+,.1f} [{saved.low:+,.1f}, {saved.high:+,.1f}]" if saved.n else "–",
        ])  # fmt: skip
    page.head(f"{first.label} against the others, image by image", 3)
    if rows:
        for row, p in zip(rows, statistics.holm(tests), strict=True):
            row[P] = p_value(p) if row[P] else "–"
        head = ["Other", "differs in", "Images", "Within", f"first {fools}", f"other {fools}", "first alone", "other alone", "p",
                "Queries saved by the first"]  # fmt: skip
        left_out = " Unknown: images that one of the runs was cut off before it had finished; they are left out." if unknown else ""
        page.table(head, rows, _caption(first, len(rows), remarks) + left_out, left=2)
    if apart:
        page.text(f"Without an image in common, and so not compared: {', '.join(apart)}.")
    if aside:
        page.text(f"With another goal, and so not compared: {', '.join(aside)}.")
    if boundless:
        page.text(f"One has a radius and the other none, and so not compared: {', '.join(boundless)}.")


def _unlike(first: Item, other: Item) -> list[str]:
    """What the other is: of attack, target, threat, access, budget and seed those in which it is not as the first."""
    a, b = first.result, other.result
    pairs = [(first.attack, other.attack), (a.config["target"], b.config["target"]), (str(a.threat), str(b.threat))]
    named = [str(theirs) for mine, theirs in pairs if mine != theirs]
    fields = [name for name in ("access", "budget", "seed", "votes") if a.config.get(name) != b.config.get(name)]
    return named + [f"{name} {b.config.get(name)}" for name in fields]


def _caption(first: Item, tests: int, remarks: set[str]) -> str:
    does = "reach the goal on" if words.goal_of(first.result.config) else "fool"
    text = (
        f"On the images that {first.label} (the first) and the other both attacked. Within: queries, the smaller of the two "
        f"budgets. p: McNemar's exact test that both {does} as many. Saved: mean queries of the other less those of the first, with "
        "95 % interval over images (bootstrap-t); a failure costs all of them."
    )
    if tests > 1:
        text += f" {CORRECTED.format(tests)}"
    return " ".join([text, *(f"Known by: {remark}." for remark in sorted(remarks))])


def _matrices(page: Page, runs: Sequence[Run]) -> None:
    """Cells that two matrices have in common but for the source, image by image, against the first run."""
    from surrogates.transfer.conditions import AMONG, SAME

    base, apart = runs[0], []
    rows: list[list[str]] = []
    tests: list[float] = []
    given = base.given() if base.given() in SAME else "target-correct"
    one = base.matrix
    assert one is not None
    for run in runs[1:]:
        two = run.matrix
        assert two is not None
        if not (np.array_equal(one.ids, two.ids) and np.array_equal(one.labels, two.labels) and _alike(one, two)):
            apart.append(run.name)
            continue
        before = len(rows)
        for e, t, a in _cells(one, two):
            for s in one.sources:
                for z in two.sources:
                    hits, among, _ = one.outcomes(s, t, a, e, given)
                    theirs, also, _ = two.outcomes(z, t, a, e, given)
                    keep = (among & also)[0]
                    test = statistics.mcnemar(hits[0][keep], theirs[0][keep])
                    tests.append(test.p)
                    n = int(keep.sum())
                    rows.append([
                        run.name, a, e, t, f"{s} / {z}", f"{n:,}", f"{test.both + test.first_only:,}",
                        f"{test.both + test.second_only:,}", f"{test.first_only:,}", f"{test.second_only:,}",
                        "p" if n else "",
                    ])  # fmt: skip
        if len(rows) == before:
            apart.append(run.name)
    page.head(f"Transfer: {base.name} against the others, image by image", 3)
    if rows:
        head = ["Other", "Attack", "Within", "Target", "Sources", "Images", "first fools", "other fools", "first alone",
                "other alone", "p"]  # fmt: skip
        caption = f"Of the {AMONG[given]}, in both. p: McNemar's exact test that both fool as many. "
        caption += CORRECTED.format(len(rows)) if len(rows) > 1 else ""
        for row, p in zip(rows, statistics.holm(tests), strict=True):
            row[-1] = p_value(p) if row[-1] else "–"
        caption += f" Shown are the first {CELLS}." if len(rows) > CELLS else ""
        page.table(head, rows[:CELLS], caption, left=5)
    if apart:
        page.text(f"Without the same images and a cell in common, and so not compared: {', '.join(apart)}.")


def _alike(one: Any, two: Any) -> bool:
    """Both targeted at the same classes, or both at any."""
    return (one.goals is None) == (two.goals is None) and (one.goals is None or np.array_equal(one.goals, two.goals))


def _cells(one: Any, two: Any) -> list[tuple[str, str, str]]:
    there = {str(t) for t in two.threats}
    return [
        (str(e), t, a)
        for e in one.threats
        if str(e) in there
        for t in one.targets
        if t in two.targets
        for a in one.attacks
        if a in two.attacks
    ]


def p_value(p: float) -> str:
    """``0.031``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"

"""The sentence that answers, at the top of a page. None is made of a run with images whose outcome is unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from blackbox.report.sections.common import Item, number, target_names
from blackbox.results import words
from blackbox.statistics import Rate, median_distance

if TYPE_CHECKING:
    from blackbox.evaluation.evaluation import Evaluation, Row
    from blackbox.report.runs import Run
    from blackbox.results import AttackResult
    from blackbox.results.pooled import Pooled
    from blackbox.statistics import TwoLevel
    from blackbox.sweep.study import Point
    from blackbox.sweep.table import Table
    from surrogates import TransferMatrix

FEW = 3  # targets that a sentence names one by one


def lines(runs: Sequence[Run], chosen: Sequence[Item]) -> list[str]:
    """A sentence for each target that was attacked, for each evaluation and for each matrix."""
    groups: dict[str, list[Item]] = {}
    for item in (i for i in chosen if i.run.seeds(i.name) is None):
        groups.setdefault(str(item.result.config["target"]), []).append(item)
    found = [queries(group, len(groups) > 1) for group in groups.values()]
    found += [seeds(pooled) for run in runs for pooled in run.pooled.values()]
    found += [evaluation(run.evaluation) for run in runs if run.evaluation is not None]
    found += [transfer(run.matrix, run.given()) for run in runs if run.matrix is not None]
    found += [sweep(run.sweep) for run in runs if run.sweep is not None]
    return [text for text in found if text]


def sweep(table: Table) -> str:
    """The attack, radius and budget by which each target was fooled most; nothing where cells are missing."""
    from blackbox.report.sections.seeds import percent as pooled_percent
    from blackbox.specs import read_threat

    groups: dict[str, dict[Point, list[Point]]] = {}
    for p in table.outcomes:
        if p.kind == "attack":
            groups.setdefault(p.target, {}).setdefault(p._replace(seed=0), []).append(p)
    if table.incomplete or not groups or len(groups) > FEW or any(not table.rate(p).n for p in table.outcomes):
        return ""
    names, parts = target_names(groups), []
    for target, points in groups.items():
        best, same = max(points.items(), key=lambda each: sum(table.rate(p).value for p in each[1]) / len(each[1]))
        rate = percent(table.rate(same[0])) if len(same) == 1 else pooled_percent(table.pooled(same))
        parts.append(f"{names[target]} by {best.what} ({read_threat(best.threat)}, {best.budget:,} queries an image): {rate}")
    if table.goal:
        return f"The goal ({table.goal}) was reached most: {'; '.join(parts)} of {words.among({'goal': table.goal})}."
    return f"Most fooled: {'; '.join(parts)}."


def percent(rate: Rate) -> str:
    """``15 % [5, 36]``; a rate that is known of all its images."""
    return f"{100 * rate.value:.0f} % [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"


def queries(some: Sequence[Item], name_target: bool = False) -> str:
    """What query attacks on one target reach: the best of them, where they are several."""
    known = [i for i in some if i.result.complete and int(i.result.attacked.sum())]
    if not known or len(known) < len(some):
        return ""
    targeted = {(bool(i.result.config["targeted"]), i.result.config.get("goal")) for i in known}
    walks = {math.isinf(i.result.threat.eps) for i in known}
    if len(targeted) > 1 or len(walks) > 1:
        return ""
    best = min(known, key=_distance if walks == {True} else _standing)
    r, count = best.result, len(some)
    which = f" ({best.attack}, the best of {count})" if count > 1 else ""
    said = words.goal_of(r.config)
    on = f" {'on' if said else 'of'} {r.config['target']}" if name_target else ""  # "the goal of detector" would be the detector's own
    return f"{_with(r)}{_reach(r, on + which)}." if said else f"{_with(r)}{_reach(r, on)}{which}."


def _with(r: AttackResult) -> str:
    shown = {"scores": "scores", "labels": "labels", "topk": "the largest scores"}.get(str(r.config.get("access")), "answers")
    beside = f"{shown} and surrogates" if r.config.get("prior") else f"{shown} alone"
    if whole := r.config.get("shared_budget"):
        return f"With {beside}, {whole['an_image']:,} queries an image on average, shared between the images, "
    count = int(r.config["budget"])
    return f"With {beside}, {count:,} {'queries' if count != 1 else 'query'} an image "


def _reach(r: AttackResult, on: str) -> str:
    if math.isinf(r.threat.eps):
        budget = int(r.config["budget"])
        found = median_distance(r, [budget])[budget]
        size = f"{number(found.value, '.3g')} [{number(found.low, '.3g')}, {number(found.high, '.3g')}]"
        return f"bring the nearest adversarial example{on} to a median {r.threat.norm} distance of {size}"
    if words.goal_of(r.config):
        n = f"{r.success_rate.n:,}"
        return f"reached the goal{on} for {percent(r.success_rate)} of {words.among(r.config, n)}. {words.sentence(r.config)[:-1]}"
    if r.config["targeted"]:
        return f"made the target{on and ' ' + str(r.config['target'])} name the class asked for on {percent(r.success_rate)} of the images"
    clean, robust = r.clean_accuracy, r.robust_accuracy
    if clean.k == robust.k:
        return f"left the accuracy{on} at {percent(clean)}: no image was fooled"
    return f"cut accuracy{on} from {100 * clean.value:.0f} % to {percent(robust)}"


def seeds(pooled: Pooled) -> str:
    """What an attack reaches over several seeds."""
    r, rate, robust = pooled.results[0], pooled.success_rate, pooled.robust_accuracy
    if pooled.unknown or not rate.n:
        return ""

    def told(t: TwoLevel) -> str:
        return f"{100 * t.value:.0f} % [{100 * t.low:.0f}, {100 * t.high:.0f}]"

    if r.config["targeted"] or r.config.get("goal") or math.isinf(r.threat.eps):
        reach = f"succeeded on {told(rate)} of {words.among(r.config) if words.goal_of(r.config) else 'the images'}"
    else:
        reach = f"cut accuracy from {100 * r.clean_accuracy.value:.0f} % to {told(robust)}"
    goal = f" {words.sentence(r.config)}" if words.goal_of(r.config) else ""
    return f"{_with(r)}{reach} ({r.config['attack']}, {len(pooled.seeds)} seeds).{goal}"


def _standing(item: Item) -> tuple[float, float]:
    r = item.result
    return (-r.success_rate.value if r.config["targeted"] or r.config.get("goal") else r.robust_accuracy.value, r.mean_queries)


def _distance(item: Item) -> float:
    budget = int(item.result.config["budget"])
    found = median_distance(item.result, [budget])[budget]
    return found.value if found.n else math.inf


def evaluation(found: Evaluation) -> str:
    """The lowest accuracy at each level of access."""
    clean = found.rows[0]
    if not found.complete or not clean.robust.n:
        return ""
    lowest: dict[str, Row] = {}
    for row in found.rows[1:]:
        if row.sees not in lowest or row.robust.k < lowest[row.sees].robust.k:
            lowest[row.sees] = row
    parts = [f"to {percent(row.robust)} {_who(row)}" for row in lowest.values()]
    if found.goal and parts:
        return f"Of the inputs {100 * clean.robust.value:.0f} % do not reach the goal unchanged; what withstands falls {'; '.join(parts)}."
    return f"Accuracy falls from {100 * clean.robust.value:.0f} % {'; '.join(parts)}." if parts else ""


def _who(row: Row) -> str:
    if row.budget:
        return f"with {row.sees} and {row.budget:,} queries an image"
    return f"with {'no query' if row.sees == 'nothing' else 'the gradients of the model'} ({row.attack})"


def transfer(matrix: TransferMatrix, given: str) -> str:
    """The strongest of the examples crafted, beside noise of the same size."""
    from itertools import product

    from surrogates.transfer.conditions import AMONG
    from surrogates.transfer.noise import KINDS
    from surrogates.transfer.render import noise_given, noise_kinds

    if not matrix.complete:
        return ""

    def rates(cell: tuple[str, str, int]) -> dict[str, Rate]:
        source, attack, e = cell
        return {t: matrix.rate(source, t, attack, matrix.threats[e], given) for t in matrix.targets}

    every = {cell: rates(cell) for cell in product(matrix.sources, matrix.attacks, range(len(matrix.threats)))}
    known = {cell: {t: r for t, r in found.items() if r.n} for cell, found in every.items()}
    known = {cell: found for cell, found in known.items() if found}
    if not known:
        return ""
    best = max(known, key=lambda cell: sum(r.value for r in known[cell].values()) / len(known[cell]))
    source, attack, e = best
    noise = [
        100 * matrix.noise_rate(t, matrix.threats[e], KINDS[k], noise_given(given)).value
        for k in noise_kinds(matrix, e)
        for t in known[best]
    ]
    goal = "fool" if matrix.goals is None else "are named as asked by"
    right = f"of the images {'it' if len(known[best]) == 1 else 'each'} gets right"
    among = {"all": "of all images", "target-correct": right}.get(given, f"of the {AMONG[given]}")
    floor = f"; noise of the same size on {_range(noise)}" if noise and matrix.goals is None else ""
    return f"Examples crafted on {source} with {attack}, {matrix.threats[e]}, {goal} {_targets(known[best])} {among}{floor}."


def _targets(found: Mapping[str, Rate]) -> str:
    if len(found) <= FEW:
        parts = [f"{t} on {percent(r)}" for t, r in found.items()]
        return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    most, least = (pick(found, key=lambda t: found[t].value) for pick in (max, min))
    return f"{len(found)} targets, from {least} on {percent(found[least])} to {most} on {percent(found[most])}"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return f"{high} %" if low == high else f"{low} to {high} %"

"""A TransferMatrix as text and as records."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.statistics import Rate
from surrogates.transfer.noise import KINDS

if TYPE_CHECKING:
    from surrogates.transfer.matrix import TransferMatrix

NOISE = {"linf": "uniform, same Linf", "rms": "Gaussian, same RMS"}


def cell(rate: Rate) -> str:
    """``74 % [69, 78]``, or a dash for a rate of nothing."""
    return f"{100 * rate.value:.0f} % [{100 * rate.low:.0f}, {100 * rate.high:.0f}]" if rate.n else "–"


def noise_given(given: str) -> str:
    """Noise has no source, so its condition can be on the target alone."""
    return "all" if given == "all" else "target-correct"


def noise_kinds(matrix: TransferMatrix, e: int) -> Iterator[int]:
    """The kinds of noise measured for threat ``e``."""
    return (k for k in range(len(KINDS)) if (matrix.noise_target[e, k] >= 0).any())


def size(values: np.ndarray, d: int) -> float:
    """Mean RMS in units of 1/255, from lengths [N]."""
    return float(np.mean(values)) / math.sqrt(d) * 255 if len(values) else float("nan")


def table(matrix: TransferMatrix, given: str) -> str:
    """See `TransferMatrix.table`."""
    from surrogates.transfer.matrix import GIVEN

    if given not in GIVEN:
        raise ValueError(f"Expected given to be one of {', '.join(GIVEN)}, but it was {given!r}.")
    head = ["threat", "source", "attack", "G", "RMS", *matrix.targets]
    clean = ["", "", "clean accuracy", "", "", *(cell(matrix.clean_accuracy(t)) for t in matrix.targets)]
    blocks: list[list[list[str]]] = [[clean]]
    for e, threat in enumerate(matrix.threats):
        block = []
        for k in noise_kinds(matrix, e):
            rates = [cell(matrix.noise_rate(t, threat, KINDS[k], noise_given(given))) for t in matrix.targets]
            block.append(
                [str(threat), "noise", NOISE[KINDS[k]], "0", f"{size(matrix.noise_l2[e, k], matrix.d):.1f}", *rates]
            )
        for s, source in enumerate(matrix.sources):
            for a, attack in enumerate(matrix.attacks):
                rates = [cell(matrix.rate(source, t, attack, threat, given)) for t in matrix.targets]
                rms = f"{size(matrix.l2[s, a, e], matrix.d):.1f}"
                block.append([str(threat), source, attack, str(matrix.cost[s, a]), rms, *rates])
        for name in dict.fromkeys(run.source for run in matrix.runs):
            if len(rows := matrix.rows_of(name)) > 1:
                block += _means(matrix, name, rows, e, given)
        blocks.append(block)
    width = [max(len(line[i]) for block in [[head], *blocks] for line in block) for i in range(len(head))]

    def lay(line: list[str]) -> str:
        return "  ".join(
            text.rjust(w) if i > 2 else text.ljust(w) for i, (text, w) in enumerate(zip(line, width, strict=True))
        ).rstrip()

    rule = "-" * (sum(width) + 2 * (len(width) - 1))
    body = [text for block in blocks for text in (rule, *map(lay, block))]
    goal = " Wrong means: named the goal." if matrix.goals is not None else ""
    means = (
        " (means over runs: bootstrap over runs and images)"
        if len(matrix.runs) > len({r.source for r in matrix.runs})
        else ""
    )
    note = " Noise rows: given target-correct." if noise_given(given) != given else ""
    return "\n".join(
        [
            f"Transfer rate, given {given}: {GIVEN[given]}.{goal}{note}",
            f"{len(matrix)} images; 95 % Wilson intervals{means}; G gradients an image; RMS of the change in units of 1/255.",
            lay(head),
            *body,
        ]
    )


def _means(matrix: TransferMatrix, name: str, rows: list[int], e: int, given: str) -> list[list[str]]:
    """A line an attack: the mean over the runs of a source, with two-level bootstrap intervals."""
    out = []
    for a, attack in enumerate(matrix.attacks):
        found = [matrix.estimate(name, t, attack, matrix.threats[e], given) for t in matrix.targets]
        rms = f"{size(matrix.l2[rows, a, e], matrix.d):.1f}"
        label = f"{name}: mean of {len(rows)}"
        cells = [f"{100 * f.value:.0f} % [{100 * f.low:.0f}, {100 * f.high:.0f}]" if f.n else "–" for f in found]
        out.append([str(matrix.threats[e]), label, attack, str(matrix.cost[rows[0], a]), rms, *cells])
    return out


def records(matrix: TransferMatrix) -> list[dict[str, Any]]:
    """See `TransferMatrix.records`."""
    from surrogates.transfer.matrix import GIVEN

    out: list[dict[str, Any]] = []

    def add(threat: Any, target: str, rate: Rate, given: str, **rest: Any) -> None:
        known = {"target": target, "threat": str(threat), "norm": threat.norm, "eps": threat.eps, "given": given}
        out.append(rest | known | {"k": rate.k, "n": rate.n, "rate": rate.value, "low": rate.low, "high": rate.high})

    for e, threat in enumerate(matrix.threats):
        for target in matrix.targets:
            for k in noise_kinds(matrix, e):
                sizes = {
                    "rms": size(matrix.noise_l2[e, k], matrix.d) / 255,
                    "linf": float(matrix.noise_linf[e, k].mean()),
                }
                for given in ("all", "target-correct"):
                    rate = matrix.noise_rate(target, threat, KINDS[k], given)
                    nothing = float("nan")
                    row = {
                        "source": "noise",
                        "attack": KINDS[k],
                        "steps": 0,
                        "cost": 0,
                        "same": nothing,
                        "other": nothing,
                    }
                    add(threat, target, rate, given, **row, **sizes)
            for s, source in enumerate(matrix.sources):
                for a, attack in enumerate(matrix.attacks):
                    sizes = {
                        "rms": size(matrix.l2[s, a, e], matrix.d) / 255,
                        "linf": float(matrix.linf[s, a, e].mean()),
                    }
                    for given in GIVEN:
                        rate = matrix.rate(source, target, attack, threat, given)
                        split = matrix.split(source, target, attack, threat, given)
                        row = {
                            "source": source,
                            "attack": attack,
                            "steps": int(matrix.steps[a]),
                            "cost": int(matrix.cost[s, a]),
                        }
                        add(threat, target, rate, given, **row, same=split.same.value, other=split.other.value, **sizes)
    return out

"""The demo's tables and sentences, from its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blackbox.plain_text import cell, lay
from blackbox.specs import digits

if TYPE_CHECKING:
    from blackbox.cli.demo_settings import Outcome, Settings
    from blackbox.statistics import Rate
    from surrogates import TransferMatrix

NOISE = {"linf": "uniform noise, same Linf", "rms": "Gaussian noise, same RMS"}
READING = (
    "Transfer rate: of the held-out images that the target gets right clean, the share that it gets wrong when changed. "
    "Square brackets hold 95 % Wilson intervals. Read every rate against the noise rows: noise of the same size fools too.",
    "A query is one image evaluated by the target. The clean check, probes and failed tries are all charged. A failure "
    "counts with all that it spent.",
    "The surrogate saw nothing of the images attacked, nor of the targets' training data. The principal components were "
    "fitted on the attacker's own images.",
)


def threat_model(s: Settings, own: int) -> str:
    """What the attacker knows and may do."""
    return (
        f"threat model  surrogate: labels of {s.teacher}, {own} images of one's own · "
        f"query attack: scores of {s.teacher} · Linf {s.eps:g}"
    )


def targets(matrix: TransferMatrix) -> str:
    """How good the hidden targets are on the images attacked."""
    parts = [f"{name} {100 * matrix.clean_accuracy(name).value:.1f}" for name in matrix.targets]
    return f"accuracy %    {'  '.join(parts)}   ({len(matrix)} held-out digits)"


def surrogate(s: Settings, paid: int, agreement: Rate) -> str:
    """What the surrogate cost and how far it agrees."""
    return (
        f"surrogate     {s.arch} from {paid:,} label queries; names the class that {s.teacher} names for {agreement} "
        "held-out digits"
    )


def transfer(s: Settings, matrix: TransferMatrix) -> str:
    """The first table."""
    threat = matrix.threats[0]
    head = ["crafted with", *(f"{name}{'*' if name == s.teacher else ''}" for name in matrix.targets)]
    rows = [head]
    for kind, name in NOISE.items():
        rows.append([name, *(cell(matrix.noise_rate(t, threat, kind)) for t in matrix.targets)])
    for attack in matrix.attacks:
        rows.append([attack.upper(), *(cell(matrix.rate(s.arch, t, attack, threat)) for t in matrix.targets)])
    without = ", ".join(name for name in matrix.targets if "no gradient" in digits.WHAT[name])
    return "\n".join(
        [
            "",
            f"transfer rate, %: of the images a target gets right, those it gets wrong when changed [95 % Wilson], {threat}",
            lay(rows),
            f"* its labels taught the surrogate. Without any gradient: {without}.",
        ]
    )


def queries(o: Outcome) -> str:
    """The second table: query attacks on the scores of the same target."""
    s = o.settings
    attacked = next(iter(o.queries.values())).attacked
    rows = [["attack", f"fooled of {int(attacked.sum())}, %", "mean", "median", "at most", "in all", "per success"]]
    for name, r in o.queries.items():
        spent, fooled = int(r.queries.sum()), int(r.success.sum())
        each = f"{spent / fooled:,.0f}" if fooled else "–"
        most, median = int(r.queries.max()), f"{_median(r):g}"
        rows.append([name, cell(r.success_rate), f"{_mean(r):.1f}", median, f"{most}", f"{spent:,}", each])
    lines = [
        "",
        f"queries to the scores of {s.teacher}, an image; failures count with all they spent; budget {s.budget}, Linf {s.eps:g}",
        lay(rows),
        saving(o),
    ]
    if s.more:
        lines.append(
            "labels: sees labels only. A norm behind a name: the attack does not serve Linf, and had this radius instead."
        )
    return "\n".join(lines)


def saving(o: Outcome) -> str:
    """What grouping and PCA save against the full difference, and what that costs in success."""
    s, (full, *_) = o.settings, o.queries.values()
    parts = [
        f"{what} ask {_mean(full) / _mean(r):.1f} × less and fool {int(r.success.sum())} images instead of {int(full.success.sum())}"
        for what, r in (
            (f"groups of {s.groups} random pixels", o.queries["fd-fgsm, groups"]),
            (f"{s.components} principal components", o.queries["fd-fgsm, PCA"]),
        )
    ]
    return "; ".join(parts) + "."


def _mean(result: Any) -> float:
    return float(result.queries[result.attacked].double().mean())


def _median(result: Any) -> float:
    return float(result.queries[result.attacked].double().quantile(0.5))


def together(o: Outcome) -> str:
    """From how many images on the surrogate costs fewer queries, and how many it fools."""
    s, matrix = o.settings, o.matrix
    best = max(matrix.attacks, key=lambda a: matrix.rate(s.arch, s.teacher, a, matrix.threats[0]).value)
    rate = matrix.rate(s.arch, s.teacher, best, matrix.threats[0])
    name = "fd-fgsm, PCA"
    mean, fooled = _mean(o.queries[name]), o.queries[name].success_rate
    return (
        f"\ntogether      on {s.teacher}: {best.upper()} on the surrogate fools {100 * rate.value:.0f} % for {s.label_queries:,} queries "
        f"in all, whatever the number of images;\n              {name} fools {100 * fooled.value:.0f} % for {mean:.1f} an image: "
        f"the surrogate is the cheaper from {int(s.label_queries / mean) + 1} images on."
    )

"""Agreement with the target as a function of queries: the measure of a strategy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blackbox.statistics import Rate


@dataclass(frozen=True)
class AgreementCurve:
    """After each round: the queries so far, and the share of images on which the surrogate predicts the target's class.

    Attributes:
        queries: [R], held-out images included.
        held_out: [R] agreement on the held-out images, drawn at random from the pool before the first round; empty
            without them.
        evaluation: [R] agreement on images that influence no choice; empty without them.
        asked_apart: queries for the evaluation, in no budget.
    """

    strategy: str
    queries: tuple[int, ...] = ()
    held_out: tuple[Rate, ...] = ()
    evaluation: tuple[Rate, ...] = ()
    asked_apart: int = 0

    def table(self) -> str:
        """Format the curve as text: a line a round, with Wilson intervals."""
        lines = [f"{self.strategy}: agreement with the target"]
        for i, n in enumerate(self.queries):
            parts = [f"{n:8,} queries"]
            parts += [f"held out {self.held_out[i]}"] if self.held_out else []
            parts += [f"evaluation {self.evaluation[i]}"] if self.evaluation else []
            lines.append("   ".join(parts))
        return "\n".join(lines)

    def save(self, path: str | Path) -> Path:
        """Write the raw counts as JSON."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.plain(), indent=1) + "\n")
        return path

    def plain(self) -> dict[str, object]:
        """Convert to numbers and lists."""
        rates = {k: [[r.k, r.n] for r in getattr(self, k)] for k in ("held_out", "evaluation")}
        return {"strategy": self.strategy, "queries": list(self.queries), **rates, "asked_apart": self.asked_apart}

    @classmethod
    def load(cls, path: str | Path) -> AgreementCurve:
        """The inverse of `save`."""
        raw = json.loads(Path(path).read_text())
        rates = {k: tuple(Rate(*r) for r in raw[k]) for k in ("held_out", "evaluation")}
        return cls(raw["strategy"], tuple(raw["queries"]), **rates, asked_apart=raw["asked_apart"])


def plot(curves: Mapping[str, AgreementCurve], path: str | Path, title: str = "Agreement with the target") -> Path:
    """Plot the curves with bands of Wilson intervals; on the evaluation images if all curves have them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    which = "evaluation" if all(c.evaluation for c in curves.values()) else "held_out"
    if not all(getattr(c, which) for c in curves.values()):
        raise ValueError("Expected curves with held-out or evaluation images, but one has neither. Use held_out > 0.")
    figure = Figure(figsize=(6.4, 4.0), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.11, 0.14, 0.86, 0.74))
    for i, (name, curve) in enumerate(curves.items()):
        rates = getattr(curve, which)
        (drawn,) = axes.plot(
            curve.queries, [100 * r.value for r in rates], marker="o", markersize=3, label=name, zorder=3
        )
        low, high = ([100 * getattr(r, side) for r in rates] for side in ("low", "high"))
        axes.fill_between(
            curve.queries, low, high, color=drawn.get_color(), alpha=0.12, linewidth=0, zorder=2 - i / 100
        )
    axes.set_xlabel("queries charged")
    axes.set_ylabel("same class as the target, %")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.grid(True, color="#e6e8eb", linewidth=0.8)
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
    return path

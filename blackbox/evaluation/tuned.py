"""`Tuned`: what each of the settings tried cost, and which to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from blackbox.protocol import Attack
from blackbox.statistics import few


@dataclass(frozen=True, eq=False)
class Tuned:
    """attacks: what was tried, by name. cost: name -> model -> [n] queries of each image that the model has right, a failure
    charged at the budget. budget: the most queries an image. stopped: the names of those that were stopped early, and so
    were run on the first images only; they are not chosen."""

    attacks: Mapping[str, Attack]
    cost: Mapping[str, Mapping[str, np.ndarray]]
    budget: int
    stopped: frozenset[str] = frozenset()

    def score(self, name: str) -> float:
        """Mean queries an image, averaged over the models: each counts alike, however many images it has right."""
        return float(np.mean([np.mean(v) for v in self.cost[name].values()]))

    @property
    def chosen(self) -> str:
        """The name of the cheapest; of equals the first."""
        return min((name for name in self.attacks if name not in self.stopped), key=self.score)

    @property
    def best(self) -> Attack:
        """The attack to take."""
        return self.attacks[self.chosen]

    def records(self) -> list[dict[str, Any]]:
        """A flat dict for each settings x model."""
        return [
            {
                "settings": name, "model": model, "mean": float(v.mean()), "failed": int((v >= self.budget).sum()),
                "images": len(v), "stopped": name in self.stopped,
            }
            for name, each in self.cost.items()
            for model, v in each.items()
        ]  # fmt: skip

    def table(self) -> str:
        """Plain text: mean queries on each model, the cheapest settings marked."""
        from blackbox.plain_text import lay

        models = list(next(iter(self.cost.values())))
        rows = [["settings", *models, "mean"]]
        for name, each in self.cost.items():
            means = [f"{each[m].mean():.1f}" for m in models]
            mark = " *" if name == self.chosen else " †" if name in self.stopped else ""
            rows.append([name + mark, *means, f"{self.score(name):.1f}"])
        note = f"mean queries an image (failures at {self.budget:,}) on one's own models; * the cheapest"
        note += "; † stopped early, on the first images only" if self.stopped else ""
        warning = few(min(len(v) for name, each in self.cost.items() if name not in self.stopped for v in each.values()))
        return "\n".join([lay(rows), note, *([f"{warning}."] if warning else [])])

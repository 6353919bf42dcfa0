"""AttackResult: raw per-sample outcomes, and what is derived from them."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.engine.ledger import STATUSES, Ledger
from blackbox.environment import environment
from blackbox.protocol import Status
from blackbox.statistics import Detection, Rate
from blackbox.threat import L0, L1, L2, Linf, Threat

FORMAT = "blackbox-result-1"
_THREATS: dict[str, type[Threat]] = {"Linf": Linf, "L2": L2, "L1": L1, "L0": L0}
_COLUMNS = (
    "success",
    "queries",
    "first_success_query",
    "distance",
    "loss",
    "clean_loss",
    "clean_label",
    "verified",
    "y",
    "goal",
    "ids",
    "success_float",
    "adv_label",
    "clean_confidence",
    "adv_confidence",
    "prints",
)


_SETTINGS = ("attack", "target", "access", "budget", "seed", "targeted")  # what a summary is made with


@dataclass(frozen=True)
class AttackResult:
    """Per-sample columns of one run; all tensors on the CPU.

    Attributes:
        success: [N] bool, an example inside the threat was found. queries: [N] int64, what the sample was charged.
        first_success_query: [N] int64, the number of the query that first succeeded; 0 where never.
        x_adv: [N, \\*shape] float32: the adversarial example; where there is none, the candidate with the largest loss. An
            attack that walks towards the original (most with labels alone) and does not come within eps leaves the
            nearest example it found, outside the threat: no success, and its ``distance`` says how far.
        distance: [N] float32, of a found example from the original in the threat's norm; NaN where there is none.
        status: N members of `Status`, each with a sentence. loss: [N] the largest loss seen at a candidate.
        clean_loss, clean_label: [N] at the clean image. verified: [N] int8: 1 the example was adversarial again when
            looked at once more, uncharged; 0 it was not; -1 there was nothing to look at.
        success_float: [N] bool: ``success`` itself; with ``eight_bit`` what it was before the examples were rounded.
            ``success``, ``x_adv`` and ``distance`` are then those of the rounded examples, ``verified`` of the others.
        adv_label, clean_confidence, adv_confidence: [N] what the target named when it last looked at the example (-1 where
            it did not), and the probability it gave to the class it named, clean and then; NaN where it shows none.
        prints: [N] int64, a hash of each clean image, by which results tell that they are about the same; 0 unknown.
        trace: [t, 3] float64, (sample from 0 to N-1, query, distance) whenever a sample's nearest example was bettered.
        y, goal, ids: [N] true label, class to leave or reach, sample id.
        threat: the threat. config: settings and accounts of the run.
    """

    success: Tensor
    queries: Tensor
    first_success_query: Tensor
    x_adv: Tensor
    distance: Tensor
    status: tuple[Status, ...]
    loss: Tensor
    clean_loss: Tensor
    clean_label: Tensor
    verified: Tensor
    y: Tensor
    goal: Tensor
    ids: Tensor
    threat: Threat
    config: dict[str, Any]
    success_float: Tensor = None  # type: ignore[assignment]
    trace: Tensor = field(default_factory=lambda: torch.zeros(0, 3, dtype=torch.float64))
    adv_label: Tensor = None  # type: ignore[assignment]
    clean_confidence: Tensor = None  # type: ignore[assignment]
    adv_confidence: Tensor = None  # type: ignore[assignment]
    prints: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        n = len(self.status)
        unknown = {
            "success_float": self.success.clone(),
            "adv_label": torch.full((n,), -1),
            "clean_confidence": torch.full((n,), torch.nan),
            "adv_confidence": torch.full((n,), torch.nan),
            "prints": torch.zeros(n, dtype=torch.int64),
        }
        for name, value in unknown.items():  # files of before do not have them
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls, ledger: Ledger, y: Tensor, goal: Tensor, ids: np.ndarray, threat: Threat, config: dict[str, Any],
        prints: Tensor | None = None,
    ) -> AttackResult:  # fmt: skip
        """Read the columns off a ledger."""
        found = ledger.first > 0
        success = found & (ledger.rounded == 1) if config.get("eight_bit") else found
        lost = found & ~success
        return cls(
            success=torch.from_numpy(success),
            success_float=torch.from_numpy(found),
            trace=torch.tensor(ledger.trace, dtype=torch.float64).view(-1, 3),
            queries=torch.from_numpy(ledger.spent.copy()),
            first_success_query=torch.from_numpy(np.where(success, ledger.first, 0)),
            x_adv=ledger.x.clone(),
            distance=torch.from_numpy(
                np.where(np.isfinite(ledger.distance), ledger.distance, np.nan).astype(np.float32)
            ),
            status=tuple(Status.ROUNDED_AWAY if away else STATUSES[c] for c, away in zip(ledger.status, lost, strict=True)),
            loss=torch.from_numpy(ledger.best.copy()),
            clean_loss=torch.from_numpy(ledger.loss0.copy()),
            clean_label=torch.from_numpy(ledger.label0.copy()),
            verified=torch.from_numpy(ledger.verified.copy()),
            y=y,
            goal=goal.cpu(),
            ids=torch.from_numpy(ids.astype(np.int64)),
            threat=threat,
            config=config,
            adv_label=torch.from_numpy(ledger.label1.copy()),
            clean_confidence=torch.from_numpy(ledger.sure0.copy()),
            adv_confidence=torch.from_numpy(ledger.sure1.copy()),
            prints=prints,  # type: ignore[arg-type]
        )

    def take(self, rows: Any) -> AttackResult:
        """The result of some samples, ``rows`` [m] (indices from 0 to N-1), in that order. The config, and with it the
        accounts of the run, stays that of all."""
        index = torch.as_tensor(np.asarray(rows), dtype=torch.int64)
        columns = {name: getattr(self, name)[index] for name in (*_COLUMNS, "x_adv")}
        place = torch.full((len(self),), -1, dtype=torch.float64)
        place[index] = torch.arange(len(index), dtype=torch.float64)
        trace = torch.cat([place[self.trace[:, 0].long()][:, None], self.trace[:, 1:]], 1)
        status = tuple(self.status[i] for i in index.tolist())
        return replace(self, **columns, status=status, trace=trace[trace[:, 0] >= 0])

    def __len__(self) -> int:
        return len(self.status)

    @property
    def attacked(self) -> Tensor:
        """[N] bool: the target had the clean image right. The denominator of the success rate."""
        return torch.tensor([s is not Status.CLEAN_WRONG for s in self.status], dtype=torch.bool)

    @property
    def clean_accuracy(self) -> Rate:
        """Clean images that the target gets right, of all N."""
        return Rate.of(self.attacked)

    @property
    def success_rate(self) -> Rate:
        """Images fooled, of those the target had right."""
        return Rate.of(self.success, self.attacked)

    @property
    def robust_accuracy(self) -> Rate:
        """Images the target has right and that were not fooled, of all N."""
        return Rate.of(self.attacked & ~self.success)

    @property
    def mean_queries(self) -> float:
        """Mean queries over attacked images, a failure charged at the whole budget (restricted mean)."""
        return float(self._charged().mean()) if self.attacked.any() else float("nan")

    @property
    def median_queries(self) -> float:
        """Median queries over attacked images, a failure charged at the whole budget."""
        return float(np.median(self._charged().numpy())) if self.attacked.any() else float("nan")

    def _charged(self) -> Tensor:
        queries = torch.where(self.success, self.queries, torch.tensor(self.config["budget"]))
        return queries[self.attacked].to(torch.float64)

    def curve(self, budgets: list[int] | tuple[int, ...] | np.ndarray) -> list[Rate]:
        """Success rate within each number of queries, of the images that the target had right; above the budget of the run
        it stays what the budget brought."""
        first = self.first_success_query
        return [Rate.of((first > 0) & (first <= int(b)), self.attacked) for b in budgets]

    def distance_at(self, budgets: Sequence[int] | np.ndarray) -> Tensor:
        """[len(budgets), N] float32: the smallest distance found within so many queries, inf where there is none.

        For an attack that minimises, examples outside the threat count too: this is its distance against queries.
        """
        out = torch.full((len(budgets), len(self)), torch.inf)
        for row, budget in zip(out, budgets, strict=True):
            within = self.trace[self.trace[:, 1] <= int(budget)]
            row.scatter_reduce_(0, within[:, 0].long(), within[:, 2].float(), "amin")
        return out

    def summary(self) -> str:
        """What happened, in a few lines, each rate with its denominator and 95 % Wilson interval."""
        c, attacked = self.config, int(self.attacked.sum())
        goal = "targeted" if c["targeted"] else "untargeted"
        lines = [
            f"{c['attack']} on {c['target']} · sees {c['access']} · {self.threat} · {goal} · "
            f"budget {c['budget']:,} · seed {c['seed']}",
            f"clean accuracy   {self.clean_accuracy}  of all images",
            f"attack success   {self.success_rate}  of images the target had right",
            f"robust accuracy  {self.robust_accuracy}  of all images: right and not fooled",
        ]
        if attacked:
            lines.append(
                f"queries          mean {self.mean_queries:.1f}, median {self.median_queries:g} an attacked image "
                f"(failures charged at {c['budget']:,}); {int(self.queries.sum()):,} spent in all"
            )
        if prior := c.get("prior"):
            lines.append(
                f"prior            {prior['gradients']:,} gradients and {prior['passes']:,} passes of {prior['members']} "
                f"member(s) beside the queries, {prior['gradients_per_image']:.0f} gradients an image"
            )
        if parts := c.get("parts"):
            told = (f"{name} {p['queries']:,} for {p['successes']}" for name, p in parts.items() if p["queries"])
            lines.append(f"parts            queries and successes: {', '.join(told) or 'none'}")
        if self.success.any():
            lines.append(
                f"distance         median {float(self.distance[self.success].median()):.4g}, "
                f"largest {float(self.distance[self.success].max()):.4g} in {self.threat.norm}"
            )
        if c.get("eight_bit"):
            lost = int((self.success_float & ~self.success).sum())
            lines.append(
                f"8-bit images     success above is after rounding; before it {Rate.of(self.success_float, self.attacked)}, "
                f"so rounding lost {lost}"
            )
        if c.get("votes", 1) > 1:
            lines.append(f"votes            a success is the majority of {c['votes']} fresh answers, all charged")
        if c.get("detection"):
            lines.append(f"detection        {Detection(**c['detection'])}")
        others = [
            s for s in Status if s not in (Status.SUCCESS, Status.BUDGET, Status.CLEAN_WRONG) and s in self.status
        ]
        lines += [f"note             {self.status.count(s)} images: {s.value}" for s in others]
        if (again := int((self.verified == 0).sum())) > 0:
            lines.append(
                f"warning          {again} examples were not adversarial when looked at once more: the target's answers "
                "depend on the batch or on chance"
            )
        if c.get("carried"):
            lines.append(
                f"resumed          {c['carried']:,} of these queries were paid before the run was taken up again"
            )
        if (kept := c.get("journal")) and (kept["cached"] or kept["in_doubt"]):
            lines.append(
                f"journal          {kept['cached']:,} of these queries were answered from the cache, unpaid; "
                f"{kept['in_doubt']:,} more were asked of the target in runs that ended before the answer came"
            )
        if c.get("retried_rows"):
            lines.append(f"retried          {c['retried_rows']:,} images were sent again after a call failed, and charged once")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"AttackResult({self.config['attack']} on {self.config['target']}, {self.threat}, success {self.success_rate})"

    def records(self) -> list[dict[str, Any]]:
        """One dict a sample, without images: what `save` writes to outcomes.csv."""
        columns = {name: getattr(self, name).tolist() for name in _COLUMNS}
        return [
            {**{name: column[i] for name, column in columns.items()}, "status": self.status[i].name.lower()}
            for i in range(len(self))
        ]

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write config.json, outcomes.csv (raw, one line a sample), examples.safetensors and summary.txt."""
        from safetensors.torch import save_file

        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        threat = {
            "norm": self.threat.norm,
            "eps": self.threat.eps,
            "lower": self.threat.lower,
            "upper": self.threat.upper,
        }
        config = {"environment": environment(), **self.config, "threat": threat}
        (path / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        with open(path / "outcomes.csv", "w", newline="") as f:
            records = self.records()
            writer = csv.DictWriter(f, fieldnames=[*_COLUMNS, "status"])
            writer.writeheader()
            writer.writerows(records)
        tensors = {name: getattr(self, name).contiguous().clone() for name in _COLUMNS}  # y and goal may be one tensor
        tensors["status"] = torch.tensor([STATUSES.index(s) for s in self.status], dtype=torch.int8)
        tensors["trace"] = self.trace.contiguous()
        save_file(
            {**tensors, "x_adv": self.x_adv.contiguous()},
            path / "examples.safetensors",
            {"format": FORMAT},
        )
        (path / "summary.txt").write_text(self.summary() + "\n")
        return path

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> AttackResult:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: the folder holds no saved result. ValueError: it does, but of another version, or damaged.
        """
        path = Path(folder)
        if not (path / "config.json").exists() or not (path / "examples.safetensors").exists():
            raise FileNotFoundError(
                f"Expected {path} to hold a saved result (config.json, examples.safetensors), but it does not. "
                "Write one with AttackResult.save."
            )
        try:
            made, tensors = _tensors(path / "examples.safetensors")
        except Exception as error:
            raise ValueError(f"Expected a saved result in {path}, but examples.safetensors cannot be read: {error}.") from None
        if made != FORMAT:
            raise ValueError(f"Expected a result of format {FORMAT} in {path}, but it has {made or 'none'}: another version?")
        try:
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
            spec = config["threat"]
            threat = _THREATS[spec["norm"]](float(spec["eps"]), spec["lower"], spec["upper"])
            status = tuple(STATUSES[code] for code in tensors.pop("status").tolist())
            lengths = {name: len(tensor) for name, tensor in tensors.items() if name != "trace"}
            if odd := [name for name, length in lengths.items() if length != len(status)]:
                raise ValueError(f"{odd[0]} has {lengths[odd[0]]} entries for {len(status)} samples")
            if lacking := [key for key in _SETTINGS if key not in config]:
                raise ValueError(f"config.json does not say {', '.join(lacking)}")
            return cls(status=status, threat=threat, config=config, **tensors)
        except Exception as error:
            raise ValueError(f"Expected a saved result in {path}, but it could not be read: {error!r}.") from None


def _tensors(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The format that a file says it has, and what it holds."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return (file.metadata() or {}).get("format", ""), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

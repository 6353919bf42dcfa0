"""`AttackResult`: raw per-sample outcomes, and the rates derived from them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from blackbox.engine.ledger import Ledger
from blackbox.engine.spec import Samples
from blackbox.goals.base import Goal
from blackbox.protocol import Status
from blackbox.results import dataset, draw, files, frame, money, notebook, pictures
from blackbox.results.columns import changed
from blackbox.results.ledger import of_ledger
from blackbox.results.summary import summary
from blackbox.statistics import Rate, outcomes
from blackbox.tabular import Change
from blackbox.tariff import Bill
from blackbox.threat import Threat

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset as HFDataset
    from matplotlib.axes import Axes

    from blackbox.oracle.oracle import Oracle

@dataclass(frozen=True)
class AttackResult:
    """Per-sample columns of one run; all tensors on the CPU.

    Attributes:
        success: [N] bool, an example inside the threat was found.
        queries: [N] int64, charged to the sample.
        first_success_query: [N] int64, the number of the query that first succeeded; 0 where none did.
        x_adv: [N, \\*shape] float32: the adversarial example; where there is none, the candidate with the largest loss. An
            attack that walks towards the original (most with label access) and does not come within eps leaves the nearest
            example it found, outside the threat: no success, but with a ``distance``.
        distance: [N] float32, of a found example from the original in the threat's norm; NaN where there is none.
        status: N members of `Status`, each with a sentence.
        loss: [N] the largest loss seen at a candidate.
        clean_loss, clean_label: [N] at the clean image.
        verified: [N] int8: 1 the example was adversarial again in a fresh, uncharged call; 0 it was not; -1 there was
            nothing to verify.
        success_float: [N] bool: ``success``; with ``eight_bit`` the success before the examples were rounded.
            ``success``, ``x_adv`` and ``distance`` are then those of the rounded examples, ``verified`` of the others.
        adv_label: [N] the target's label of the example when it was verified (-1 where it was not).
        clean_confidence, adv_confidence: [N] the probability of the predicted class, clean and at the verification; NaN
            where the target shows none.
        flagged: [N] int64, queries that the target rejected, or that its detector flagged; -1 in a file of before.
        bad: [N] int64, *bad* queries (Debenedetti, Carlini & Tramer 2024, arXiv:2306.02895): those charged that were not
            adversarial, which show a service what it bans, the clean check among them; -1 in a file of before.
        prints: [N] int64, a hash of each clean image, by which results on the same images are recognised; 0 unknown.
        trace: [t, 3] float64, (sample from 0 to N-1, query, distance) whenever a nearer example was found.
        x_clean: [N, d] the clean rows of a table; None for other inputs. There ``x_adv`` is in the table's units too.
        y, goal, ids: [N] true label, class to leave or reach, sample id.
        threat: the threat.
        mask: [1 or N, \\*shape] which entries might change, bool or shares of eps; None where all might.
        answers: with a goal that is not one class, by the sample's place what a report shows of the target's answers to the clean
            input (``"before"``) and to the example (``"after"``), see `blackbox.goals.excerpt`; of a few examples.
        config: settings and accounts of the run.
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
    flagged: Tensor = None  # type: ignore[assignment]
    bad: Tensor = None  # type: ignore[assignment]
    x_clean: Tensor | None = None
    mask: Tensor | None = None
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.status)
        unknown = {
            "success_float": self.success.clone(),
            "adv_label": torch.full((n,), -1),
            "clean_confidence": torch.full((n,), torch.nan),
            "adv_confidence": torch.full((n,), torch.nan),
            "prints": torch.zeros(n, dtype=torch.int64),
            "flagged": torch.full((n,), -1),
            "bad": torch.full((n,), -1),
        }
        for name, value in unknown.items():  # older files do not have them
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    @classmethod
    def of(cls, ledger: Ledger, samples: Samples, threat: Threat, config: dict[str, Any]) -> AttackResult:
        """Make a result from a ledger."""
        return cls(**of_ledger(ledger, samples, config), threat=threat, config=config)

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """The names of the columns with one number a sample, in the order of the saved file."""
        return tuple(f.name for f in fields(cls) if f.name not in files.BESIDE)

    def take(self, rows: Any) -> AttackResult:
        """Select samples, ``rows`` [m] (indices from 0 to N-1), in that order. The config, with the accounts of the run, is
        still that of all samples."""
        index = torch.as_tensor(np.asarray(rows), dtype=torch.int64)
        columns = {name: getattr(self, name)[index] for name in (*self.columns(), "x_adv")}
        place = torch.full((len(self),), -1, dtype=torch.float64)
        place[index] = torch.arange(len(index), dtype=torch.float64)
        trace = torch.cat([place[self.trace[:, 0].long()][:, None], self.trace[:, 1:]], 1)
        status = tuple(self.status[i] for i in index.tolist())
        if self.x_clean is not None:
            columns["x_clean"] = self.x_clean[index]
        mask = self.mask if self.mask is None or len(self.mask) == 1 else self.mask[index]
        answers = {at: self.answers[i] for at, i in enumerate(index.tolist()) if i in self.answers}
        return replace(self, **columns, status=status, trace=trace[trace[:, 0] >= 0], mask=mask, answers=answers)

    def __len__(self) -> int:
        return len(self.status)

    @property
    def _ended(self) -> Tensor:
        """Which samples came to their end: no failure of the target, no stop and no rejected clean image cut them off, [N] bool."""
        return torch.tensor([s not in (Status.ERROR, Status.REJECTED) for s in self.status], dtype=torch.bool)

    @property
    def known(self) -> Tensor:
        """Of which images it is known whether the attack fools them, [N] bool: not of those that the end of the run cut off
        (`Status.ERROR`) without a success, nor of those whose clean image the target rejected (`Status.REJECTED`)."""
        return self._ended | self.success

    @property
    def complete(self) -> bool:
        """Whether the outcome of every image is known."""
        return bool(self.known.all())

    @property
    def clean_known(self) -> Tensor:
        """Of which images it is known whether the target classifies them correctly, [N] bool."""
        if self.config.get("goal"):  # of a clean input that was not attacked, the run ended at its answer
            return self._ended | ~self.clean_loss.isnan()
        return self._ended | (self.clean_label == self.y)

    @property
    def attacked(self) -> Tensor:
        """Which clean images the target classified correctly, [N] bool: the denominator of the success rate; with another goal, those
        that do not reach it unchanged. An image whose clean answer never came is not among them."""
        right = torch.tensor([s not in (Status.CLEAN_WRONG, Status.REACHED) for s in self.status], dtype=torch.bool)
        return right & self.clean_known

    @property
    def clean_accuracy(self) -> Rate:
        """The share of all N clean images that the target classifies correctly; with another goal, that do not reach it unchanged."""
        return Rate.of(self.attacked, known=self.clean_known)

    @property
    def unchanged(self) -> Rate:
        """The share of all N inputs that are not attacked: the target classifies them wrongly, or they reach the goal unchanged."""
        return Rate.of(~self.attacked, known=self.clean_known)

    @property
    def success_rate(self) -> Rate:
        """The share of successful attacks among the images that the target classified correctly; with another goal, among the inputs
        that did not reach it unchanged."""
        return Rate.of(self.success, outcomes.perhaps_attacked(self), self.known)

    @property
    def verified_rate(self) -> Rate:
        """As `success_rate`, of those examples alone that were adversarial again when they were verified."""
        unseen = self.success & (self.verified < 0)
        return Rate.of(self.success & (self.verified == 1), outcomes.perhaps_attacked(self), self.known & ~unseen)

    @property
    def robust_accuracy(self) -> Rate:
        """The share of all N images that the target classifies correctly and that were not attacked successfully; with another goal,
        of all N inputs those that do not reach it, neither unchanged nor attacked."""
        return Rate.of(self.attacked & ~self.success, known=self.known)

    @property
    def mean_queries(self) -> float:
        """The mean queries over attacked images that came to their end, with failures counted at the whole budget
        (restricted mean)."""
        cost = self._charged()
        return float(cost.mean()) if len(cost) else float("nan")

    @property
    def median_queries(self) -> float:
        """The median queries over attacked images that came to their end, with failures counted at the whole budget."""
        cost = self._charged()
        return float(np.median(cost.numpy())) if len(cost) else float("nan")

    @property
    def money(self) -> Tensor:
        """What the queries of each image cost, [N] float64, by the run's tariff; NaN without one."""
        return money.each(self)

    @property
    def bill(self) -> Bill:
        """What the run cost: its queries and, by its tariff, the money; see `blackbox.Bill`."""
        return money.bill(self)

    def _charged(self) -> Tensor:
        queries = torch.where(self.success, self.queries, torch.tensor(self.config["budget"]))
        return queries[self.attacked & self._ended].to(torch.float64)

    def curve(self, budgets: list[int] | tuple[int, ...] | np.ndarray) -> list[Rate]:
        """The success rate within each number of queries, among attacked images; constant above the run's budget. Of an image that
        was cut off it is known that it was not fooled before its last query."""
        among = outcomes.perhaps_attacked(self)
        return [Rate.of(outcomes.within(self, int(b)), among, outcomes.known_within(self, int(b))) for b in budgets]

    def distance_at(self, budgets: Sequence[int] | np.ndarray) -> Tensor:
        """The smallest distance found within each number of queries, [len(budgets), N] float32, inf where there is none.

        For an attack that minimises, examples outside the threat count too: this is its distance as a function of queries.
        """
        out = torch.full((len(budgets), len(self)), torch.inf)
        for row, budget in zip(out, budgets, strict=True):
            within = self.trace[self.trace[:, 1] <= int(budget)]
            row.scatter_reduce_(0, within[:, 0].long(), within[:, 2].float(), "amin")
        return out

    def changes(self) -> list[Change]:
        """What changed in which column of a table, of each adversarial example: sample by sample, the largest change first."""
        return changed(self)

    def summary(self) -> str:
        """Summarise the result in a few lines, each rate with its denominator and 95 % Wilson interval."""
        return summary(self)

    def __repr__(self) -> str:
        return f"AttackResult({self.config['attack']} on {self.config['target']}, {self.threat}, success {self.success_rate})"

    def records(self) -> list[dict[str, Any]]:
        """One dict a sample, without images: what `save` writes to outcomes.csv. None, an empty field there, is what is not
        known or not there: a label that was never asked for, the query of a success that did not come, an outcome cut off. With a
        goal that is not one class, columns that mean nothing are left out."""
        return files.records(self)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write config.json, outcomes.csv (raw, one line a sample), examples.safetensors and summary.txt."""
        return files.save(self, folder)

    def to_pandas(self) -> pd.DataFrame:
        """One row an image, as a pandas table: what is unknown is NA. Tables of several runs can be put below one another."""
        return frame.to_pandas(self)

    def to_dataset(self, images: Tensor, classes: Sequence[str] | None = None) -> HFDataset:
        """The columns of `to_pandas` as a Hugging Face data set, with the clean ``images`` [N, C, H, W] as ``original`` and the
        examples as ``adversarial`` (None where there is none), both as pictures of 8 bits, as `save_pictures` writes them.
        classes: names of the labels."""
        return dataset.to_dataset(self, images, classes)

    def plot(self, ax: Axes | None = None, label: str | None = None, **line: Any) -> Axes:
        """Draw success against queries, with 95 % Wilson bands, on ``ax`` or axes of its own, and return them. ``line``: of
        matplotlib. ``result.plot().figure.savefig("curve.pdf")`` makes a figure for a paper."""
        return draw.plot(self, ax, label, **line)

    def _repr_html_(self) -> str:
        return notebook.as_html(self)

    def save_pictures(
        self, folder: str | os.PathLike[str], images: Tensor, classes: Sequence[str] | None = None, oracle: Oracle | None = None,
        goal: Goal | None = None,
    ) -> list[dict[str, Any]]:
        """Write each adversarial example as ``ID_true_to_label.png``, of 8 bits, and index.csv; see `blackbox.results.pictures`.
        images: the clean ones, [N, C, H, W]. With an oracle the target is asked about the pictures, uncharged (``holds``; None
        where it is unknown), and of several roundings inside the threat one that fools it is taken; goal: of the run, where that is not
        one class. classes: names instead of numbers."""
        return pictures.save_pictures(self, Path(folder), images, classes, oracle, goal)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> AttackResult:
        """Load a result that `save` wrote.

        Raises:
            FileNotFoundError: the folder holds no saved result. ValueError: it is of another version, or damaged.
        """
        return files.load(cls, folder)

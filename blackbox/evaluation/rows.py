"""`Evaluation`: the rows of an evaluation, image by image, their table, and their files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from blackbox.results import AttackResult
from blackbox.results.words import of_inputs
from blackbox.statistics import Rate, few
from blackbox.statistics.nearness import misleading
from blackbox.threat import Threat


@dataclass(frozen=True)
class Row:
    """sees: what the attacker sees. attack: what was run. budget: the most queries an image; 0 where none is spent on
    finding the example. wrong: [N] bool, images that the target gets wrong then. queries: charged for it, in all.
    unknown: [N] bool, images of which it is not known, because the target failed or the run was stopped; None for none."""

    sees: str
    attack: str
    budget: int
    wrong: np.ndarray
    queries: int
    unknown: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.unknown is None:
            object.__setattr__(self, "unknown", np.zeros(len(self.wrong), bool))

    @property
    def robust(self) -> Rate:
        """Robust accuracy: the share of all images that the target still gets right."""
        return Rate.of(~self.wrong, known=~self.unknown)


@dataclass(eq=False)
class Evaluation:
    """rows: one line of the table each. results: of the query attacks, by (sees, budget), each on the images that smaller
    budgets had left standing. matrix: of the transfer part, or None. notes: what a reader should know of the numbers.
    failures: part -> why it was cut off; the same call with its journal or checkpoint goes on from there.
    readings: of a loaded evaluation, how the target's answers were read. prints: [N] a hash of each clean image; 0 unknown.
    goal, goal_open: in words, where it is not a wrong class, and what holds of an input that does not reach it. kind: what an input is
    called, "image", "row" of a table or "input". white_box: which attack of the white-box ensemble broke how many images, and the
    gradients spent. alarms: stream of benign queries -> (flagged, of how many), where a detector watches. bills: of a loaded evaluation,
    what its attacks cost by a tariff."""

    rows: list[Row]
    threat: Threat
    seed: int
    labels: np.ndarray
    ids: np.ndarray
    results: dict[tuple[str, int], AttackResult] = field(default_factory=dict)
    matrix: Any = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    readings: list[str] = field(default_factory=list)
    prints: np.ndarray = None  # type: ignore[assignment]
    white_box: str = ""
    alarms: dict[str, tuple[int, int]] = field(default_factory=dict)
    goal: str = ""
    goal_open: str = ""
    kind: str = "image"
    bills: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.prints is None:
            self.prints = np.zeros(len(self.ids), np.int64)

    def plan(self, sees: str, attack: str, budget: int = 0) -> None:
        """A line of which nothing is known yet."""
        nothing = np.zeros(len(self.labels), bool)
        self.rows.append(Row(sees, attack, budget, nothing, 0, ~nothing))

    def put(
        self, sees: str, attack: str, wrong: np.ndarray, unknown: np.ndarray, budget: int = 0, queries: int | None = None
    ) -> None:
        """What is known of a planned line; without a budget it costs a query an image."""
        unknown = unknown & ~wrong
        spent = int((~unknown).sum()) if queries is None else queries
        place = next(i for i, r in enumerate(self.rows) if (r.sees, r.budget, r.attack) == (sees, budget, attack))
        self.rows[place] = Row(sees, attack, budget, wrong, spent, unknown)

    @property
    def complete(self) -> bool:
        """Whether the outcome of every image is known in every row."""
        return not any(r.unknown.any() for r in self.rows)

    def incomplete(self) -> str:
        """What is unknown, and why; empty where nothing is."""
        if self.complete:
            return ""
        cut = [r for r in self.rows if r.unknown.any()]
        why = "; ".join(f"{part}: {said}" for part, said in self.failures.items()) or "the run was stopped"
        return (
            f"INCOMPLETE: {len(cut)} of {len(self.rows)} lines have unknown {self.kind}s, up to "
            f"{max(int(r.unknown.sum()) for r in cut)} of {len(self.labels)}: {why}"
        )

    def row(self, sees: str, budget: int = 0, attack: str | None = None) -> Row:
        """The line of this name."""
        for row in self.rows:
            if row.sees == sees and row.budget == budget and attack in (None, row.attack):
                return row
        raise KeyError(
            f"Expected one of {[(r.sees, r.attack, r.budget) for r in self.rows]}, but it was {(sees, attack, budget)}."
        )

    def recovered(self, row: Row) -> Rate:
        """Of the images that the white-box attacks fool, the share that this row fools too: how near its attacker comes to one with
        gradients. Raises: KeyError, there is no white-box row."""
        limit = self.row("everything")
        return Rate.of(row.wrong, among=limit.wrong & ~self.rows[0].wrong, known=~row.unknown)

    def beyond(self, row: Row) -> int:
        """The images that this row fools and no white-box attack does; with any, the gradients mislead. Raises: as `recovered`."""
        limit = self.row("everything")
        return int((row.wrong & ~limit.wrong & ~limit.unknown).sum())

    def nearness(self) -> list[tuple[Row, Rate, int]]:
        """For each row with queries: how much of what the white-box attacks fool it recovers (`recovered`), and what it fools
        beside (`beyond`). Empty without a white-box row, and with a goal, whose white-box row is one attack and no limit."""
        if self.goal or not any(r.sees == "everything" for r in self.rows):
            return []
        return [(r, self.recovered(r), self.beyond(r)) for r in self.rows if r.budget]

    def near(self) -> list[str]:
        """`nearness` in lines, under a sentence that says what it is."""
        found = self.nearness()
        if not found:
            return []
        limit = self.row("everything")
        fooled = int((limit.wrong & ~self.rows[0].wrong).sum())
        head = f"nearness to the limit: of the {fooled} images that the white-box ensemble fools, those that queries fool too"
        if unknown := int(limit.unknown.sum()):
            head += f"; {unknown} images of which that is not known are left out"
        return [head, *(f"  {r.sees}, {r.budget:,} queries: {rate}{misleading(beyond)}" for r, rate, beyond in found)]

    def of_inputs(self, text: str) -> str:
        """A text about images, about what the inputs are: rows of a table, or inputs."""
        return of_inputs(text, self.kind)

    @property
    def kept(self) -> str:
        """What its rates are called: ``robust accuracy``; with a goal ``withstood``."""
        return "withstood" if self.goal else "robust accuracy"

    def meaning(self) -> str:
        """What its rates count, in a sentence without a full stop."""
        if not self.goal:
            return "robust: right, and not fooled by this attack (nor by the same with fewer queries)"
        held = f" ({self.goal_open})" if self.goal_open else ""
        return (
            f"withstood: of all inputs those that do not reach the goal{held}, neither unchanged nor by this attack (nor by the same with "
            "fewer queries)"
        )

    def cells(self) -> list[list[str]]:
        """The table with its head: text."""
        from blackbox.plain_text import cell

        head = ["the attacker sees", "attack", self.of_inputs("queries an image"), f"{self.kept}, % [95 %]", "queries in all"]
        return [head] + [
            [r.sees, self.called(r), f"{r.budget:,}" if r.budget else "–", cell(r.robust), f"{r.queries:,}"] for r in self.rows
        ]

    def called(self, row: Row) -> str:
        """What the attack of a line is called in tables."""
        return self.of_inputs(row.attack) if row is self.rows[0] else row.attack

    def table(self) -> str:
        """Plain text, and the notes."""
        from blackbox.plain_text import cell, lay

        head = self.of_inputs(f"{self.threat} · {len(self.labels)} images · seed {self.seed} · {self.meaning()}")
        goal = [f"goal: {self.goal}"] if self.goal else []
        cut = self.incomplete()
        told = [f"answers read as: {reading}" for reading in self.how_read()]
        told += [f"white-box ensemble: {self.white_box}"] if self.white_box else []
        told += [f"false alarms, {stream}: {cell(Rate(*counts))}" for stream, counts in self.alarms.items()]
        told += self.paid() + self.near()
        told += [f"note: {n}" for n in self.notes]
        told += [f"note: {self.of_inputs(warning)}"] if (warning := few(len(self.labels))) else []
        return "\n".join([*([cut] if cut else []), *goal, head, lay(self.cells(), left=2), *told])

    def how_read(self) -> list[str]:
        """How the target's answers were read, each way once."""
        return self.readings or list(dict.fromkeys(r.config["reading"] for r in self.results.values() if r.config.get("reading")))

    def paid(self) -> list[str]:
        """What each query attack cost by the tariff, in lines; empty without one."""
        return self.bills or [
            f"money, {sees}, {budget:,} queries: {r.bill}" for (sees, budget), r in self.results.items() if "tariff" in r.config
        ]

    def save(self, folder: str | Path) -> Path:
        """evaluation.json (every row with the images it got wrong, by id), and a folder for each run."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        near = {
            id(r): {"k": rate.k, "n": rate.n, "share": rate.value if rate.n else None, "low": rate.low, "high": rate.high,
                    "unknown": rate.unknown, "beyond": beyond}
            for r, rate, beyond in self.nearness()
        }  # fmt: skip
        rows = [
            {"sees": r.sees, "attack": r.attack, "budget": r.budget, "robust": r.robust.value if r.robust.n else None, "low": r.robust.low,
             "high": r.robust.high, "queries": r.queries, "wrong": self.ids[r.wrong].tolist(),
             "unknown": self.ids[r.unknown].tolist()} | ({"nearness": near[id(r)]} if id(r) in near else {})
            for r in self.rows
        ]  # fmt: skip
        body = {
            "threat": str(self.threat), "norm": self.threat.norm, "eps": self.threat.eps, "seed": self.seed,
            "images": len(self.labels), "ids": self.ids.tolist(), "prints": self.prints.tolist(),
            "seconds": self.seconds, "notes": self.notes, "readings": self.how_read(),
            "white_box": self.white_box, "alarms": self.alarms, "goal": self.goal, "goal_open": self.goal_open, "kind": self.kind,
            "bills": self.paid(), "complete": self.complete, "failures": self.failures, "rows": rows,
        }  # fmt: skip
        new = path / "evaluation.json.part"
        new.write_text(json.dumps(body, indent=1) + "\n")
        new.replace(path / "evaluation.json")  # a kill leaves the old file or the new one
        for (sees, budget), result in self.results.items():
            result.save(path / f"{sees.replace(', ', '-')}-{budget}")
        if self.matrix is not None:
            self.matrix.save(path / "transfer")
        return path

    @classmethod
    def load(cls, folder: str | Path) -> Evaluation:
        """The rows, the threat and the notes that `save` wrote; labels (-1), results and matrix are not read again.

        Raises:
            ValueError: evaluation.json is missing or damaged.
        """
        from blackbox.specs import read_threat

        path = Path(folder) / "evaluation.json"
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            ids = np.array(body["ids"], np.int64)
            norm, _, eps = str(body["threat"]).partition(" ")  # all that earlier versions wrote
            within = read_threat(f"{body.get('norm', norm)}:{body.get('eps', eps)}")
            rows = [
                Row(r["sees"], r["attack"], r["budget"], np.isin(ids, r["wrong"]), r["queries"], np.isin(ids, r.get("unknown", [])))
                for r in body["rows"]
            ]
            return cls(
                rows, within, body["seed"], np.full(len(ids), -1), ids, notes=body["notes"], seconds=body["seconds"],
                failures=body.get("failures", {}), readings=body.get("readings", []),
                prints=np.array(body.get("prints", [0] * len(ids)), np.int64), white_box=body.get("white_box", ""),
                alarms={stream: (n, of) for stream, (n, of) in body.get("alarms", {}).items()},
                goal=body.get("goal", ""), goal_open=body.get("goal_open", ""), kind=body.get("kind", "image"),
                bills=body.get("bills", []),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"Expected a saved evaluation in {path}, but it cannot be read: {error!r}.") from None

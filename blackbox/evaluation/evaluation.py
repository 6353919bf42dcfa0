"""Evaluate a model: robust accuracy against attackers who see nothing, labels or scores, at each query budget.

found = blackbox.evaluate(lambda access: blackbox.Oracle(model, access, 10), x, y, blackbox.Linf(8 / 255), nets=mine)
print(found.table())
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from blackbox import prior as priors
from blackbox.checks import as_ids, as_images, as_labels, check_int
from blackbox.engine import Progress
from blackbox.oracle.oracle import Oracle
from blackbox.results import AttackResult
from blackbox.run import attack
from blackbox.statistics import Rate
from blackbox.threat import Threat, as_threat

BUDGETS = (100, 1_000, 10_000)
LEVELS = ("labels", "scores")
PRESETS = ("fgsm", "mi-fgsm", "mi-di-ti-fgsm")  # one step, the usual baseline, and a combination of the classics
CEILING_STEPS = 50  # of the white-box PGD (Madry et al. 2018, arXiv:1706.06083, look at up to 100)


@dataclass(frozen=True)
class Row:
    """sees: what the attacker sees. attack: what was run. budget: the most queries an image; 0 where none is spent on
    finding the example. wrong: [N] bool, images that the target gets wrong then. queries: charged for it, in all."""

    sees: str
    attack: str
    budget: int
    wrong: np.ndarray
    queries: int

    @property
    def robust(self) -> Rate:
        """Robust accuracy: the share of all images that the target still gets right."""
        return Rate.of(~self.wrong)


@dataclass(eq=False)
class Evaluation:
    """rows: one line of the table each. results: of the query attacks, by (sees, budget), each on the images that smaller
    budgets had left standing. matrix: of the transfer part, or None. notes: what a reader should know of the numbers."""

    rows: list[Row]
    threat: Threat
    seed: int
    labels: np.ndarray
    ids: np.ndarray
    results: dict[tuple[str, int], AttackResult] = field(default_factory=dict)
    matrix: Any = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, sees: str, attack: str, wrong: np.ndarray, budget: int = 0, queries: int | None = None) -> None:
        """One more line; a row without a budget costs a query an image."""
        self.rows.append(Row(sees, attack, budget, wrong, len(self.labels) if queries is None else queries))

    def row(self, sees: str, budget: int = 0, attack: str | None = None) -> Row:
        """The line of this name."""
        for row in self.rows:
            if row.sees == sees and row.budget == budget and attack in (None, row.attack):
                return row
        raise KeyError(
            f"Expected one of {[(r.sees, r.attack, r.budget) for r in self.rows]}, but it was {(sees, attack, budget)}."
        )

    def cells(self) -> list[list[str]]:
        """The table with its head: text."""
        from blackbox.plain_text import cell

        head = ["the attacker sees", "attack", "queries an image", "robust accuracy, % [95 %]", "queries in all"]
        return [head] + [
            [r.sees, r.attack, f"{r.budget:,}" if r.budget else "–", cell(r.robust), f"{r.queries:,}"] for r in self.rows
        ]

    def table(self) -> str:
        """Plain text, and the notes."""
        from blackbox.plain_text import lay

        head = (
            f"{self.threat} · {len(self.labels)} images · seed {self.seed} · robust: right, and not fooled by this row "
            "(nor by the same attack with fewer queries)"
        )
        return "\n".join([head, lay(self.cells(), left=2), *(f"note: {n}" for n in self.notes)])

    def save(self, folder: str | Path) -> Path:
        """evaluation.json (every row with the images it got wrong, by id), and a folder for each run."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        rows = [
            {"sees": r.sees, "attack": r.attack, "budget": r.budget, "robust": r.robust.value, "low": r.robust.low,
             "high": r.robust.high, "queries": r.queries, "wrong": self.ids[r.wrong].tolist()}
            for r in self.rows
        ]  # fmt: skip
        body = {
            "threat": str(self.threat), "norm": self.threat.norm, "eps": self.threat.eps, "seed": self.seed,
            "images": len(self.labels), "ids": self.ids.tolist(),
            "seconds": self.seconds, "notes": self.notes, "rows": rows,
        }  # fmt: skip
        (path / "evaluation.json").write_text(json.dumps(body, indent=1) + "\n")
        for (sees, budget), result in self.results.items():
            result.save(path / f"{sees}-{budget}")
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
            rows = [Row(r["sees"], r["attack"], r["budget"], np.isin(ids, r["wrong"]), r["queries"]) for r in body["rows"]]
            return cls(rows, within, body["seed"], np.full(len(ids), -1), ids, notes=body["notes"], seconds=body["seconds"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"Expected a saved evaluation in {path}, but it cannot be read: {error!r}.") from None


def evaluate(
    oracle: Callable[[str], Oracle],
    x: Tensor | np.ndarray,
    y: Tensor | np.ndarray,
    threat: Threat,
    *,
    nets: Mapping[str, nn.Module] | None = None,
    white_box: nn.Module | None = None,
    budgets: Sequence[int] = BUDGETS,
    levels: Sequence[str] = LEVELS,
    presets: Sequence[str] = PRESETS,
    seed: int = 0,
    ids: Any = None,
    progress: Callable[[str], Callable[[Progress], None] | None] | None = None,
) -> Evaluation:
    """Robust accuracy of one model at each access level and budget, with the rows by which to check it (noise, ceiling).

    Args:
        oracle: gives a fresh `Oracle` before the target, for an access level.
        x: [N, \\*shape] images in [0, 1]. y: [N] true labels. threat: norm and radius.
        nets: name -> surrogate: rows for their transfer, and `auto` may use them.
        white_box: the target itself, if its gradients are available: PGD gives the ceiling, which no attacker should beat.
        budgets: queries an image, ascending; an image that falls at one is not attacked again at the next, and counts as
            wrong there. levels: what the target shows. presets: of the transfer rows.
        seed, ids: as in `attack`. progress: called with a title, gives what `attack` takes as its progress.

    Raises:
        ValueError: images, labels, budgets or levels that cannot be. TargetError: the target failed.
    """
    import surrogates as sg
    from surrogates.transfer.noise import uniform_noise

    if isinstance(oracle, Oracle) or not callable(oracle):
        raise TypeError(
            f"Expected a function from an access level to an Oracle, but it was {oracle!r:.80}. "
            "Give lambda access: blackbox.Oracle(model, access, classes)."
        )
    threat, seed, wanted = as_threat(threat), check_int(seed, "seed"), _ascending(budgets)
    begin = time.perf_counter()
    images, plain = as_images(x, "x").cpu(), oracle("labels")
    labels, numbers = as_labels(y, len(images), plain.classes, "y"), as_ids(ids, len(images))
    found = Evaluation([], threat, seed, labels.numpy(), numbers)
    clean = _wrong(plain, images, found)
    found.add("nothing", "none (clean images)", clean)
    if threat.norm == "Linf":
        noisy = uniform_noise(images, threat, seed, numbers)
        found.add("nothing", "random noise, same Linf", _wrong(plain, noisy, found))
    known: priors.Prior | None = sg.prior(list(nets.values())) if nets else None
    if nets:
        _transfer(found, nets, plain, images, labels, presets, clean)
    for level in levels:
        _queries(found, level, oracle, images, labels, wanted, known, clean, progress)
    if white_box is not None:
        crafted = sg.craft(
            white_box, images, labels, "pgd", threat=threat, steps=CEILING_STEPS, loss="margin", seed=seed, ids=numbers
        )
        found.add("everything", f"PGD, {CEILING_STEPS} steps on the target itself", _wrong(plain, crafted, found) | clean)
    found.notes += _doubts(found)
    found.seconds = time.perf_counter() - begin
    return found


def _wrong(plain: Oracle, images: Tensor, found: Evaluation) -> np.ndarray:
    """[N] bool: the images that the target gets wrong."""
    return plain(images, "evaluate").label.numpy(force=True) != found.labels


def _transfer(
    found: Evaluation, nets: Mapping[str, nn.Module], plain: Oracle, images: Tensor, labels: Tensor, presets: Sequence[str],
    clean: np.ndarray,
) -> None:  # fmt: skip
    """A row for each net and preset: what is crafted on the net fools the target."""
    import surrogates as sg

    m = found.matrix = sg.transfer_matrix(
        nets, {"target": plain}, images, labels, list(presets), [found.threat], seed=found.seed, ids=found.ids, noise=False
    )
    for s, source in enumerate(m.sources):
        for a, name in enumerate(m.attacks):
            found.add("nothing", f"{name} from {source}", (m.adv_target[s, a, 0, 0] != found.labels) | clean)


def _queries(
    found: Evaluation, level: str, oracle: Callable[[str], Oracle], images: Tensor, labels: Tensor, budgets: Sequence[int],
    known: priors.Prior | None, clean: np.ndarray, progress: Callable[[str], Callable[[Progress], None] | None] | None,
) -> None:  # fmt: skip
    """A row for each budget: what ``auto`` fools at an access level, on the images that smaller budgets had left standing."""
    wrong, spent = clean.copy(), 0
    for budget in budgets:
        left = np.flatnonzero(~wrong)
        if len(left):
            result = attack(
                oracle(level), images[left], labels[left], "auto", found.threat, budget, seed=found.seed, ids=found.ids[left],
                prior=known, progress=progress(f"{level}, {budget:,}") if progress else None,
            )  # fmt: skip
            found.results[level, budget] = result
            wrong[left[(result.success | ~result.attacked).numpy()]] = True
            spent += int(result.queries.sum())
        else:
            found.notes.append(f"{level}: nothing was left to attack with {budget:,} queries.")
        found.add(level, "auto", wrong.copy(), budget, spent)


def _ascending(budgets: Sequence[int]) -> list[int]:
    if isinstance(budgets, str) or not isinstance(budgets, Iterable):
        raise ValueError(f"Expected budgets such as [100, 1000], but they were {budgets!r:.80}.")
    wanted = [check_int(b, "each budget") for b in budgets]
    if not wanted or wanted != sorted(set(wanted)) or wanted[0] < 1:
        raise ValueError(f"Expected budgets in ascending order, each at least 1, but they were {wanted}.")
    return wanted


def _doubts(found: Evaluation) -> list[str]:
    """Notes on rows that cast doubt on others."""
    out = []
    clean, noise = found.rows[0], next((r for r in found.rows if r.attack.startswith("random noise")), None)
    if noise is not None and int(noise.wrong.sum()) > int(clean.wrong.sum()) + 0.1 * len(clean.wrong):
        out.append(
            f"random noise of this size alone gets {int((noise.wrong & ~clean.wrong).sum())} more images wrong: the radius is "
            "large for this model, and every other row has to be read against it."
        )
    ceiling = next((r for r in found.rows if r.sees == "everything"), None)
    if ceiling is not None:
        for row in {r.sees: r for r in found.rows if r.budget}.values():  # of each level the largest budget
            if beyond := int((row.wrong & ~ceiling.wrong).sum()):
                out.append(
                    f"{row.sees}: queries fool {beyond} images that white-box PGD does not: its gradients mislead "
                    "(masked gradients; Athalye et al. 2018, arXiv:1802.00420), so it is no ceiling here."
                )
    return out

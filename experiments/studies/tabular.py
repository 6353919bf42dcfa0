"""How near do queries come on rows of a table, where every query has to be a valid row? Ours beside ART's attacks on boosted trees.

Two tables, two libraries. ``cancer``: scikit-learn's breast cancer data, LightGBM; the areas are whole numbers, radius, perimeter and area
only grow, the ten standard errors stay. ``credit``: applicants that a few lines below make up, with a rule for who pays back, XGBoost;
whole years, one-hot jobs and homes, codes of regions, a column that stays and two that only grow. Rows that the model has right and
that it was not fitted on. Ours have a `blackbox.Tabular`; what ART's may do is in `experiments.peers.tabular`. Labels: the smallest
L2 change over scaled columns after some numbers of queries. Scores: fooled within an L2 radius. The clean check is the first query.

``diabetes`` is a table of numbers instead of classes, ours alone: no peer's attack has such a goal and counts.

``--use choosing`` measures every setting on other rows with another model, fitted on fewer rows; with what came nearest there
``--use reporting`` is run. A file a table and use: results/tabular/TABLE.json, results/tabular/choosing-TABLE.json.

    python -m experiments.studies.tabular --use choosing
    python -m experiments.studies.tabular
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from torch import Tensor

import blackbox as bb
from experiments.peers import tabular as peers
from experiments.rows import commit
from experiments.runner import Book, load, run, says

TABLES = ("cancer", "credit", "diabetes")
MOVED = ("square", "simba", "evolution")
LABELS = ("pointwise", "hop-skip-jump", "boundary", "sign-opt", "tangent", "surfree", "opt", "cgba")
SCORES = ("square", "simba", "signhunter", "bayes-linear", "evolution")
EPS = {"cancer": 0.4, "credit": 0.1}
RISE, RADIUS = 30.0, 0.25  # of the diabetes numbers, whose deviation is 77
BUDGETS = (50, 100, 250, 500)


@dataclass(frozen=True)
class Settings:
    use: str = says("reporting", "of the rows: reporting, or choosing", ("reporting", "choosing"))
    tables: tuple[str, ...] = says(TABLES, "which tables", TABLES)
    rows: int = says(120, "that a model has right, at most; to choose, a fourth")
    only: str = says("", "ours, ART's held to valid rows, or raw: the others are not measured", ("", "ours", "held", "raw"))

    @property
    def count(self) -> int:
        return self.rows if self.use == "reporting" else self.rows // 4

    @property
    def seed(self) -> int:
        return 0 if self.use == "reporting" else 100


@dataclass(frozen=True, eq=False)
class Case:
    """A model, rows that it has right, and what a row may be."""

    table: bb.Tabular
    model: Any
    x: Tensor
    y: np.ndarray
    eps: float

    def predict(self, rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.model.predict_proba(rows)
        return found


def cancer() -> tuple[pd.DataFrame, np.ndarray, dict[str, Any]]:
    data = load_breast_cancer(as_frame=True)
    frame = data.data.copy()
    areas = ["mean area", "worst area"]
    frame[areas] = frame[areas].round()
    grow = [f"{which} {what}" for which in ("mean", "worst") for what in ("radius", "perimeter", "area")]
    stay = [name for name in frame.columns if name.endswith(" error")]
    return frame, data.target.to_numpy(), {"integer": areas, "increasing": grow, "immutable": stay}


def credit(count: int = 2400) -> tuple[pd.DataFrame, np.ndarray, dict[str, Any]]:
    """Applicants who are made up: who pays back is a rule of income, debt, age, job and region, and some chance."""
    draws = np.random.default_rng(2026)
    age = draws.integers(18, 80, count)
    years = np.minimum(draws.integers(0, 40, count), age - 18)
    income = np.exp(draws.normal(10.3, 0.5, count)).clip(5e3, 2e5).round(2)
    debt = (income * draws.gamma(1.5, 0.3, count)).clip(0, 2e5).round(2)
    job, home, region = draws.integers(0, 4, count), draws.integers(0, 3, count), draws.integers(0, 5, count)
    sex, dependents = draws.integers(0, 2, count), draws.integers(0, 5, count)
    rule = np.log(income) - 10.3 - debt / income + years / 20 + np.array([0.4, 0.1, -0.1, -0.6])[job] + np.array([0.3, 0.0, -0.3])[home]
    rule += np.array([0.2, -0.3, 0.0, 0.1, 0.0])[region] - 0.1 * dependents + draws.normal(0, 0.2, count)
    frame = pd.DataFrame({"age": age, "years employed": years, "income": income, "debt": debt, "dependents": dependents, "sex": sex})
    for name, place, words in (("job", job, ("office", "trade", "service", "none")), ("home", home, ("owns", "rents", "family"))):
        for i, word in enumerate(words):
            frame[f"{name} {word}"] = (place == i).astype(int)
    frame["region"] = region
    groups = {name: [c for c in frame.columns if c.startswith(f"{name} ")] for name in ("job", "home")}
    kinds = {
        "integer": ["age", "years employed", "dependents"], "categorical": {**groups, "region": "region"}, "immutable": ["sex"],
        "increasing": ["age", "years employed"],
    }  # fmt: skip
    return frame, (rule > np.median(rule)).astype(int), kinds


def case_of(name: str, s: Settings) -> Case:
    """Rows are dealt once: those reported on, those to choose on, the others to fit on."""
    makers: dict[str, Callable[[], tuple[pd.DataFrame, np.ndarray, dict[str, Any]]]] = {"cancer": cancer, "credit": credit}
    frame, y, kinds = makers[name]()
    deal = np.random.default_rng(7).permutation(len(frame))
    report, choose, fit = np.split(deal, [180, 260])
    if s.use == "choosing":
        fit = fit[: len(fit) // 2]
    rows = frame.to_numpy(np.float64)
    if name == "cancer":
        from lightgbm import LGBMClassifier

        model = LGBMClassifier(n_estimators=60, n_jobs=1, verbose=-1, random_state=s.seed).fit(rows[fit], y[fit])
    else:
        from xgboost import XGBClassifier

        model = XGBClassifier(n_estimators=60, max_depth=4, n_jobs=1, random_state=s.seed).fit(rows[fit], y[fit])
    of = report if s.use == "reporting" else choose
    right = of[model.predict(rows[of]) == y[of]][: s.count]
    return Case(bb.Tabular.from_data(frame, **kinds), model, torch.from_numpy(rows[right]), y[right], EPS[name])


def diabetes(s: Settings) -> dict[str, Any]:
    """A number instead of a class: scikit-learn's diabetes data, in their own units, and its HistGradientBoostingRegressor.

    Age, s1 and s6 are whole numbers, age only grows, sex stays. The progression that it predicts is to rise by ``RISE`` within an L2
    radius.
    """
    data = load_diabetes(scaled=False, as_frame=True)
    rows = data.data.to_numpy(np.float64)
    report, fit = np.split(np.random.default_rng(7).permutation(len(rows)), [120])
    model = HistGradientBoostingRegressor(max_iter=60, random_state=s.seed).fit(rows[fit], data.target.to_numpy()[fit])
    table = bb.Tabular.from_data(data.data, integer=["age", "s1", "s6"], categorical=["sex"], immutable=["sex"], increasing=["age"])
    x = torch.from_numpy(rows[report[: s.count]])
    return {"table": table, "model": model, "x": x, "before": model.predict(x.numpy())}


def moved(of: dict[str, Any], name: str, seed: int) -> dict[str, Any]:
    """One attack of ours on the numbers."""
    begun = time.perf_counter()
    oracle = bb.Oracle(lambda x: of["model"].predict(x.numpy()), access="answers")
    goal = bb.goals.Regression(reference=of["before"], by=RISE, way="up")
    r = bb.attack(oracle, of["x"], None, name, bb.L2(RADIUS), BUDGETS[-1], goal=goal, table=of["table"], seed=seed)
    if not of["table"].valid(r.x_adv, of["x"]).all():
        raise ValueError(f"Expected {name} to find valid rows alone, but it did not.")
    seconds = round(time.perf_counter() - begun, 1)
    return {"queries": r.queries.tolist(), "found": [int(v) for v in r.success], "seconds": seconds, "commit": commit()}


def nearest(result: bb.AttackResult) -> list[list[float | None]]:
    """The smallest distance of each row after each number of queries; None where there is none."""
    return [[round(float(d), 5) if math.isfinite(d) else None for d in row] for row in result.distance_at(BUDGETS)]


def ours(of: Case, name: str, access: str, seed: int) -> dict[str, Any]:
    """One attack of ours; that all rows found are valid is checked."""
    begun = time.perf_counter()
    oracle = bb.Oracle(of.model, access=access, classes=2)
    threat = bb.L2(math.inf if access == "labels" else of.eps)
    r = bb.attack(oracle, of.x, of.y, name, threat, BUDGETS[-1], table=of.table, seed=seed)
    if oracle.rows != int(r.queries.sum()) or not of.table.valid(r.x_adv, of.x).all():
        raise ValueError(f"Expected {name} to ask about valid rows alone and to count them, but it did not.")
    found = {"near": nearest(r)} if access == "labels" else {"queries": r.queries.tolist(), "found": [int(v) for v in r.success]}
    return {**found, "violates": 0, "seconds": round(time.perf_counter() - begun, 1), "commit": commit()}


def arts(of: Case, how: peers.Setting, held: bool, seed: int) -> dict[str, Any]:
    begun = time.perf_counter()
    counters, wrong = peers.run(how, of.predict, of.table, of.x, of.y.tolist(), BUDGETS[-1], held, seed)
    told = [c.told(BUDGETS) for c in counters]
    more: dict[str, Any] = {key: [list(row) for row in zip(*(t[key] for t in told), strict=True)] for key in ("near", "raw")}
    kinds = ("ranges", "integer", "categorical", "immutable", "increasing")
    more["violates"] = {kind: [int(kind in (t["violates"][-1] or ())) for t in told] for kind in kinds}
    # the first query that was within the radius, and valid: each nearer example is looked at
    more["queries"], more["found"] = [], []
    for counter in counters:
        hits = [at for at, row, far in counter.reached if far <= of.eps and of.table.valid(torch.from_numpy(row[None]), counter.clean.x)[0]]
        more["queries"].append(hits[0] if hits else min(counter.rows, BUDGETS[-1]))
        more["found"].append(int(bool(hits)))
    seconds = round(time.perf_counter() - begun, 1)
    return {**more, "asked": [c.rows for c in counters], "wrong": wrong[:5], "seconds": seconds, "commit": commit()}


def entrants(name: str, s: Settings) -> tuple[dict[str, tuple[str, ...]], list[peers.Setting]]:
    """Of ours and of ART's: all to choose among; to report, three of ours (and `zoo`) and the best setting of each of ART's."""
    if s.use == "choosing":
        return {"labels": LABELS, "scores": SCORES}, list(peers.SETTINGS)
    best = {access: best_of_ours(name, access) for access in ("labels", "scores")}
    some = {
        "labels": tuple(dict.fromkeys([best["labels"], "hop-skip-jump", "boundary"])),
        "scores": tuple(dict.fromkeys([best["scores"], "square", "zoo"])),
    }
    return some, [best_of_arts(name, peer) for peer in dict.fromkeys(how.peer for how in peers.SETTINGS)]


def _chosen_rows(name: str) -> list[dict[str, Any]]:
    found = load(f"tabular/choosing-{name}")
    if found is None:
        raise ValueError("Expected settings to be chosen first, but they are not. Run with --use choosing.")
    rows: list[dict[str, Any]] = found["rows"]
    return rows


def far(row: dict[str, Any], at: int = -1) -> float:
    """The mean distance after the last number of queries, or another; a row without an example counts as 2, farther than any."""
    return float(np.mean([2.0 if d is None else d for d in row["near"][at]]))


def best_of_ours(name: str, access: str) -> str:
    """By the mean distance after 250 queries, or the mean queries with failures at the budget."""
    rows = [r for r in _chosen_rows(name) if r["toolkit"] == "ours" and r["access"] == access]

    def cost(row: dict[str, Any]) -> float:
        if access == "labels":
            return far(row, BUDGETS.index(250))
        return float(np.mean([q if f else BUDGETS[-1] for q, f in zip(row["queries"], row["found"], strict=True)]))

    return str(min(rows, key=cost)["attack"])


def best_of_arts(name: str, peer: str) -> peers.Setting:
    """By the mean distance of valid rows, held, after 250 queries."""
    rows = {r["setting"]: r for r in _chosen_rows(name) if r["attack"] == peer and r["held"]}
    label = min(rows, key=lambda k: far(rows[k], BUDGETS.index(250)))
    return next(how for how in peers.SETTINGS if how.peer == peer and how.label == label)


def measure(s: Settings) -> None:
    torch.set_num_threads(1)
    for name in s.tables:
        if name == "diabetes":
            if s.use == "choosing":  # nothing is chosen there
                continue
            number, book = diabetes(s), Book("tabular/diabetes", s, same=("use", "rows"))
            book.put(case={"n": len(number["x"]), "rise": RISE, "eps": RADIUS, "budgets": BUDGETS})
            for attack in MOVED:
                book.row(lambda number=number, attack=attack: moved(number, attack, s.seed), toolkit="ours", attack=attack, seed=s.seed)
            continue
        of, (some, arts_of) = case_of(name, s), entrants(name, s)
        if s.only != "raw":
            book = Book(f"tabular/{name}" if s.use == "reporting" else f"tabular/choosing-{name}", s, same=("use", "rows"))
            book.put(case={"what": of.table.about(), "model": type(of.model).__name__, "n": len(of.x), "budgets": BUDGETS, "eps": of.eps})
            if s.use == "reporting":
                book.put(best={access: best_of_ours(name, access) for access in ("labels", "scores")})
            for access, attacks in some.items() if s.only != "held" else ():
                for attack in attacks:
                    key = {"toolkit": "ours", "attack": attack, "access": access, "seed": s.seed}
                    book.row(lambda of=of, attack=attack, access=access: ours(of, attack, access, s.seed), **key)
            if s.only != "ours":
                peers_of(book, of, arts_of, True, s.seed)
        if s.only in ("", "raw") and s.use == "reporting":
            peers_of(Book(f"tabular/{name}-raw", s, same=("use", "rows")), of, arts_of, False, s.seed)


def peers_of(book: Book, of: Case, settings: list[peers.Setting], held: bool, seed: int) -> None:
    """ART's rows, held to valid rows or raw."""
    for how in settings:
        key = {"toolkit": "art", "attack": how.peer, "setting": how.label, "held": held, "seed": seed}
        book.row(lambda how=how: arts(of, how, held, seed), **key)


if __name__ == "__main__":
    run(Settings, measure)

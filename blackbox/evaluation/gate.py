"""A gate for pipelines: does an evaluation keep the bars that a team has set, and is it no worse than a baseline?

bars = [blackbox.evaluation.gate.read("labels@500=0.6")]
verdict = blackbox.evaluation.gate.check(found, bars, baseline=Evaluation.load("runs/main"))
verdict.state, print(verdict), verdict.save("runs/pr")
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np

from blackbox.evaluation.rows import Evaluation, Row
from blackbox.statistics import holm
from blackbox.threat import Threat

State = Literal["pass", "fail", "unknown"]
ALPHA = 0.05  # the chance that a model which is no worse than its baseline fails for one row or more
_NAMED = {"clean": "none (clean images)", "noise": "random noise", "transfer": " from ", "white-box": ""}
_BAR = re.compile(r"\s*(?P<sees>[\w-]+)\s*(?:@\s*(?P<budget>[\d_,]+))?\s*=\s*(?P<least>[\d.]+)\s*(?P<percent>%?)\s*")


@dataclass(frozen=True)
class Bar:
    """The least robust accuracy that a row of an evaluation must have.

    Attributes:
        sees: a level of access (``labels``, ``scores``, ...), or ``clean``, ``noise``, ``transfer``, ``white-box``.
        budget: queries an image; None for the largest that was run, and for rows that cost no queries.
        least: a share from 0 to 1.
    """

    sees: str
    budget: int | None
    least: float

    def __str__(self) -> str:
        return f"{self.sees}{'' if self.budget is None else f'@{self.budget}'} at least {100 * self.least:g} %"


@dataclass(frozen=True)
class Check:
    """One question and its answer. kind: ``fail-under``, ``baseline``, or ``run``: did it come to its end?
    says: a sentence with the numbers."""

    kind: str
    name: str
    state: State
    says: str


@dataclass(frozen=True)
class Verdict:
    """All checks of a gate."""

    checks: tuple[Check, ...]

    @property
    def state(self) -> State:
        """``fail`` if a check failed; else ``unknown`` if one could not be answered; else ``pass``."""
        states = {c.state for c in self.checks}
        return "fail" if "fail" in states else "unknown" if "unknown" in states else "pass"

    def of_run(self, failure: str) -> Verdict:
        """The verdict on a run that a failure ended: ``unknown`` at best, whatever the rows that it finished say."""
        return Verdict((*self.checks, Check("run", "run", "unknown", f"The run did not come to its end: {failure}")))

    def __str__(self) -> str:
        word = {"pass": "passed", "fail": "FAILED", "unknown": "UNKNOWN"}
        return "\n".join(f"gate   {word[c.state]:8} {c.name}: {c.says}" for c in self.checks)

    def junit(self) -> str:
        """The checks as JUnit XML, which continuous integration services show as tests."""
        count = {state: sum(c.state == state for c in self.checks) for state in ("fail", "unknown")}
        numbers = {"tests": str(len(self.checks)), "failures": str(count["fail"]), "errors": str(count["unknown"])}
        root = ElementTree.Element("testsuites", numbers)
        suite = ElementTree.SubElement(root, "testsuite", {"name": "blackbox", **numbers})
        for c in self.checks:
            case = ElementTree.SubElement(suite, "testcase", {"classname": f"blackbox.{c.kind}", "name": c.name})
            if c.state != "pass":
                ElementTree.SubElement(case, "failure" if c.state == "fail" else "error", {"message": c.says}).text = c.says
            ElementTree.SubElement(case, "system-out").text = c.says
        ElementTree.indent(root)
        return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"

    def save(self, folder: str | Path) -> None:
        """Write gate.json and junit.xml into the folder."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        body = {"state": self.state, "checks": [asdict(c) for c in self.checks]}
        (path / "gate.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
        (path / "junit.xml").write_text(self.junit(), encoding="utf-8")


def read(text: str) -> Bar:
    """Read a bar such as ``labels@500=0.6``, ``scores=60%`` or ``clean=0.9``.

    Raises:
        ValueError: it is not of this form, or its share is not between 0 and 1.
    """
    found = _BAR.fullmatch(text)
    form = "Expected --fail-under as ROW=SHARE or ROW@BUDGET=SHARE, such as labels@500=0.6 or clean=90%"
    if found is None:
        raise ValueError(f"{form}, but it was {text!r}.")
    try:
        least = float(found["least"]) / (100 if found["percent"] else 1)
    except ValueError:
        raise ValueError(f"{form}, but it was {text!r}.") from None
    if not 0 <= least <= 1:
        raise ValueError(f"Expected a share from 0 to 1 (or per cent, such as 60%), but --fail-under was {text!r}.")
    budget = found["budget"]
    return Bar(found["sees"], None if budget is None else int(budget.replace(",", "").replace("_", "")), least)


def check(found: Evaluation, bars: Sequence[Bar] = (), baseline: Evaluation | None = None) -> Verdict:
    """Check an evaluation against bars and against a baseline.

    A bar is kept if the robust accuracy is at least as high; images whose outcome is unknown decide nothing: if the bar would
    be kept or missed depending on them, the check is ``unknown``. Against a baseline, each row is compared image by image on the
    images of both: it fails where more images fall than chance explains (a one-sided exact McNemar test, McNemar 1947, with
    the correction of Holm 1979 over the rows).

    Raises:
        ValueError: nothing to check; a bar on a row that was not run; a baseline of another threat or of other images.
    """
    if not bars and baseline is None:
        raise ValueError("Expected a bar or a baseline to check against, but there was neither.")
    checks = [_under(bar, found) for bar in bars]
    if baseline is not None:
        checks += _against(found, baseline)
    return Verdict(tuple(checks))


def require(bars: Sequence[Bar], levels: Sequence[str], budgets: Sequence[int], rows: Sequence[str]) -> None:
    """Check, before anything is paid for, that the rows of the bars will be there. rows: of clean, noise, ... those that will.

    Raises:
        ValueError: naming the bar and what there will be.
    """
    for bar in bars:
        named = bar.sees in _NAMED
        if (named and (bar.sees not in rows or bar.budget is not None)) or (
            not named and (bar.sees not in levels or bar.budget not in (None, *budgets))
        ):
            there = [*rows, *(f"{level}@{b}" for level in levels for b in budgets)]
            raise ValueError(f"Expected --fail-under on a row that is run, one of {', '.join(there)}, but it was {bar}.")


def require_same(threat: Threat, ids: np.ndarray, prints: np.ndarray, baseline: Evaluation, goal: str = "") -> None:
    """Check that a baseline is of the same threat and the same goal, in words, and of some of the same images.

    ids, prints: [N] the sample ids and the hashes of the images (0: unknown).

    Raises:
        ValueError: it is of another threat, shares no image, or has another image under the same id.
    """
    if str(threat) != str(baseline.threat):
        raise ValueError(
            f"Expected a baseline of the same threat, {threat}, but it is of {baseline.threat}. Evaluate the baseline anew."
        )
    if goal != baseline.goal:
        wanted, before = (text or "a wrong class" for text in (goal, baseline.goal))
        raise ValueError(f"Expected a baseline of the same goal ({wanted}), but it is of another ({before}). Evaluate the baseline anew.")
    both, here, there = np.intersect1d(ids, baseline.ids, return_indices=True)
    if not len(both):
        raise ValueError("Expected a baseline that shares at least one image with this evaluation, but there is none.")
    mine, its = prints[here], baseline.prints[there]
    if len(other := both[(mine != its) & (mine != 0) & (its != 0)]):
        raise ValueError(
            f"Expected a baseline on the same images, but {len(other)} of {len(both)} are others under the same id (the first is "
            f"{other[0]}). Evaluate the baseline anew, with the same --data, --n and --pick."
        )


def _under(bar: Bar, found: Evaluation) -> Check:
    row = _row(bar, found)
    low, high = row.robust.bounds
    what = found.kept if found.goal or bar.sees != "clean" else "accuracy"
    says = f"{what} {row.robust}{f' against {row.attack}' if bar.sees == 'transfer' else ''}"
    state: State = "pass" if low >= bar.least else "fail" if high < bar.least else "unknown"
    if state == "pass" and row.robust.low < bar.least:
        says += "; its interval reaches below the bar: more images would tell more"
    if state == "unknown":
        says += "; whether the bar is kept depends on images whose outcome is unknown"
    return Check("fail-under", str(bar), state, says)


def _row(bar: Bar, found: Evaluation) -> Row:
    """The row that a bar is about: of several (transfer from several nets, several budgets) the lowest, or the largest budget."""
    if bar.sees in _NAMED:
        white = bar.sees == "white-box"
        fits = [r for r in found.rows if not r.budget and _NAMED[bar.sees] in r.attack and (r.sees == "everything") == white]
        fits.sort(key=lambda r: r.robust.bounds[0])
    else:
        fits = [r for r in found.rows if r.budget and r.sees == bar.sees and bar.budget in (None, r.budget)]
        fits.sort(key=lambda r: -r.budget)
    if not fits:
        there = [f"{r.sees}@{r.budget}" if r.budget else r.attack for r in found.rows]
        raise ValueError(f"Expected --fail-under on a row of the evaluation ({'; '.join(there)}), but it was {bar}.")
    return fits[0]


def _against(now: Evaluation, before: Evaluation) -> list[Check]:
    """A check for each row that both have, and one that names the rows that only one of them has."""
    require_same(now.threat, now.ids, now.prints, before, now.goal)
    ids, here, there = np.intersect1d(now.ids, before.ids, return_indices=True)
    mine, its = ({(r.sees, r.attack, r.budget): r for r in found.rows} for found in (now, before))
    both = [key for key in mine if key in its]
    if not both:
        raise ValueError(
            "Expected a baseline that shares at least one row (level, attack and budget) with this evaluation, but there is none."
        )
    changes = [_Change.between(mine[key], its[key], here, there) for key in both]
    p, worst, best = ([float(v) for v in holm([case(c) for c in changes])] for case in (_Change.p, _Change.worst, _Change.best))
    checks = [_paired(mine[key], changes[i], p[i], worst[i], best[i], len(ids), len(both)) for i, key in enumerate(both)]
    if alone := [_called(r) for key, r in (mine | its).items() if key not in both]:
        which = f"only one of the two evaluations has them: {', '.join(alone)}"
        checks.append(Check("baseline", "rows without a partner", "unknown" if set(mine) - set(its) else "pass", which))
    return checks


@dataclass(frozen=True)
class _Change:
    """How many images of a row fell and rose against the baseline, and of how many it is unknown."""

    fell: int
    rose: int
    unknown: int

    @classmethod
    def between(cls, row: Row, other: Row, here: np.ndarray, there: np.ndarray) -> _Change:
        sure = ~row.unknown[here] & ~other.unknown[there]
        now, before = row.wrong[here], other.wrong[there]
        return cls(int((now & ~before & sure).sum()), int((~now & before & sure).sum()), int((~sure).sum()))

    def p(self) -> float:
        return _chance(self.fell, self.rose)

    def worst(self) -> float:
        """Had all the unknown fallen."""
        return _chance(self.fell + self.unknown, self.rose)

    def best(self) -> float:
        """Had all the unknown risen."""
        return _chance(self.fell, self.rose + self.unknown)


def _paired(row: Row, change: _Change, p: float, worst: float, best: float, images: int, rows: int) -> Check:
    """Fails where it fails whatever the unknown are, passes likewise. p, worst, best: corrected for the number of rows."""
    says = (
        f"{change.fell} of {images - change.unknown} images newly wrong, {change.rose} newly right (one-sided McNemar, "
        f"{rows} rows, p = {p:.2g})"
    )
    state: State = "fail" if best < ALPHA else "unknown" if worst < ALPHA or change.unknown == images else "pass"
    if change.unknown:
        says += f"; {change.unknown} images are unknown in one of the two"
    elif rows * _chance(images, 0) >= ALPHA:
        says += f"; with {images} images and {rows} rows no loss could be told from chance: take more images"
    return Check("baseline", f"{_called(row)} against the baseline", state, says)


def _called(row: Row) -> str:
    return f"{row.sees}@{row.budget}" if row.budget else row.attack


def _chance(fell: int, rose: int) -> float:
    """The chance of so many images falling or more, if an image that changes falls or rises with the same probability."""
    from scipy.stats import binomtest

    return float(binomtest(fell, fell + rose, 0.5, alternative="greater").pvalue) if fell + rose else 1.0

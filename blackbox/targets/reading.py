"""How a target's scores are read: which numbers they are, decided once by the first answer and watched from then on.

Probabilities come in many forms: rounded, in half precision, as percentages, as bytes, as the few largest with zeros for the
rest. Taken for logits they would be levelled by a softmax, and nobody would see it. So the form is recognised, stated
(`Reading`), and checked at every later answer: one that contradicts it is an error that says how to mend it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from blackbox.targets.sums import HALF, Watch, fractions, most_of

FORMS = ("logits", "probabilities", "percent", "labels")
"""What a target may return."""

_CLOSE, _HALF = 1e-3, HALF  # how far row sums are from one: usually; in half precision
_ENOUGH = 10  # numbers that all lie in [0, 1]: fewer may do so by chance
_SCALES = (100.0, 255.0, 256.0, 1000.0, 65535.0, 65536.0)
_GRIDS = (10.0, 100.0, 1e3, 1e4, 255.0, 256.0)  # decimals and bytes


def check_returns(returns: str | None) -> str | None:
    """Check the form of a target's answers; "auto" is None.

    Raises:
        ValueError: no such form.
    """
    if returns in (None, "auto"):
        return None
    if returns not in FORMS:
        raise ValueError(f"Expected returns to be auto, {', '.join(FORMS[:-1])} or {FORMS[-1]}, but it was {returns!r}.")
    return returns


@dataclass(frozen=True)
class Reading:
    """How answers are read.

    Attributes:
        returns: one of `FORMS`.
        why: how that is known: "announced by ...", "recognised: ...".
        scale: what the scores of a row of probabilities sum to: 100 for percentages.
        doubt: what else they could be, "" if nothing.
        striking: whether there are so many numbers that the doubt is no matter of chance.
        watched: whether later rows must sum to about one too, because that is how they were recognised.
    """

    returns: str
    why: str
    scale: float = 1.0
    doubt: str = ""
    striking: bool = False
    watched: bool = False

    @classmethod
    def said(cls, returns: str, why: str) -> Reading:
        """The reading that somebody has said."""
        return cls(returns, why, 100.0 if returns == "percent" else 1.0)

    @cached_property  # asked at every call
    def probable(self) -> bool:
        """Whether they are probabilities, perhaps scaled."""
        return self.returns in ("probabilities", "percent")

    def __str__(self) -> str:
        doubt = f"; in doubt: {self.doubt}" if self.doubt else ""
        return f"{self.returns} ({self.why}{doubt})"

    def unscaled(self, out: Tensor) -> Tensor:
        """Scores [m, C] as float32: logits as they are, probabilities with rows that sum to one."""
        return (out if self.scale == 1 else out / self.scale).to(torch.float32)


def recognise(out: Tensor) -> Reading:
    """Tell what an answer holds.

    Whole numbers [m] are labels. Rows [m, C] of numbers in [0, 1] that sum to one, but for rounding, are probabilities, and so
    are rows that sum to less, if there are so many numbers that this is no chance. Rows of at least 0 that all sum to 100, to
    255 or to another number are probabilities times this number, and so are rows that come near 100 or 255, and never above,
    of which all but the few largest are 0. Anything else is logits. Rows of zeros tell nothing and are left aside.
    """
    if out.ndim == 1 and (not out.is_floating_point() or bool((out == out.round()).all())):
        return Reading("labels", "recognised: one whole number a row")
    if out.ndim != 2 or not len(out) or out.shape[1] < 2:
        return Reading("logits", "not probabilities")
    half = out.is_floating_point() and torch.finfo(out.dtype).eps > 1e-6
    p = out.to(torch.float64).numpy(force=True)
    p = p[shown] if (shown := p.any(1)).any() else p
    low, high = float(p.min()), float(p.max())
    if not (low >= 0 and np.isfinite(high)):  # also NaN
        return Reading("logits", "recognised: there are scores below zero")
    rows = len(np.unique(p.round(6), axis=0))
    enough = rows * p.shape[1] >= _ENOUGH
    if high <= 1 + 1e-6:
        return _shares(p, half, enough)
    loose = half or (enough and rows > 1)
    for scale in sorted(_SCALES, key=lambda s: abs(float(p.sum(1).mean()) - s)):
        if high <= scale * (1 + 1e-6) and _sums_to_one(p / scale, loose):
            what = "percent" if scale == 100 else "probabilities"
            why = f"recognised: rows in [0, {scale:g}] that sum to {scale:g}, by which they are divided"
            return Reading(what, why, scale, watched=True)
    if Watch().same(p):
        scale = float(p.sum(1).mean())
        why = f"recognised: rows of at least 0 that all sum to {scale:g}, by which they are divided"
        return Reading("probabilities", why, scale, watched=True)
    return (_largest(p) if enough else None) or Reading("logits", "recognised: rows that do not sum to one")


def _largest(p: np.ndarray) -> Reading | None:
    """Read rows [m, C] above one of which all but the few largest scores are 0; None where they do not look like it."""
    count, most = (p > 0).sum(1), p.shape[1]
    few, top = int(count.max()), float(p.sum(1).max())
    if not (few < most and (2 * few <= most or (len(p) > 2 and few == int(count.min())))):
        return None
    whole = 0.5 * few if bool((p == p.round()).all()) else 0.0
    # half of a scale at least: rows whose largest scores sum to less than half in all images are not seen
    scale = next((s for s in _SCALES if s / 2 < top <= s * (1 + _HALF) + whole), None)
    zeros = f"with at most {few} of {most} above zero"
    if scale is None:
        if few > int(count.min()):  # the zeros of a relu are now more, now fewer
            return None
        why = f"recognised: rows that do not sum to one, {zeros}"
        return Reading("logits", why, doubt="probabilities times a number, of which the largest alone are shown", striking=True)
    why = f"recognised: rows in [0, {scale:g}] that sum to {scale:g} at most, by which they are divided, {zeros}"
    doubt = "" if top > 0.9 * scale else "logits of which many are zero"
    return Reading("percent" if scale == 100 else "probabilities", why, scale, doubt, bool(doubt), watched=True)


def _shares(p: np.ndarray, half: bool, enough: bool) -> Reading:
    """Read rows in [0, 1]; ``enough``: there are so many numbers that they do not lie there by chance."""
    sums, most = p.sum(1), p.shape[1]
    if _sums_to_one(p, half or enough):
        return Reading("probabilities", "recognised: rows in [0, 1] that sum to one", watched=True)
    if float(sums.max()) <= 1 + _HALF and enough:
        few = int((p > 0).sum(1).max())
        if few < most:
            why = f"recognised: rows in [0, 1] that sum to one at most, with at most {few} of {most} above zero"
            return Reading("probabilities", why, watched=True)
        why = f"recognised: rows in [0, 1] that sum to one at most, from {float(sums.min()):.3g} on"
        return Reading("probabilities", why, doubt="logits that happen to be small", striking=True, watched=True)
    between = f"rows in [0, 1] that sum to {float(sums.min()):.3g} to {float(sums.max()):.3g}"
    other = "independent scores of several labels" if float(sums.max()) > 1 else "probabilities of which some are left out"
    return Reading("logits", f"recognised: {between}, not to one", doubt=other, striking=enough)


def _sums_to_one(p: np.ndarray, loose: bool) -> bool:
    """Whether the rows of ``p`` [m, C] sum to one but for the rounding of their entries."""
    off = float(np.abs(p.sum(1) - 1).max())
    return off < (_HALF if loose else _CLOSE) or off < min(_rounded_away(p), 0.5)


def _rounded_away(p: np.ndarray) -> float:
    """The most that rounding can have changed a row sum of ``p`` [m, C], if its numbers have few decimals or are bytes."""
    for steps in _GRIDS:
        if float(np.abs(p * steps - np.round(p * steps)).max()) < 1e-2:  # 1e4 times float32's rounding is 6e-4
            return 0.5 / steps * p.shape[1] + 1e-9
    return 0.0


class Reader:
    """Reads the answers of one target: decides on the first one, unless it is known how, and checks the others.

    Attributes:
        reading: how they are read; None before the first answer.
        said: what they were said to be, None if they are recognised.
    """

    def __init__(self, name: str, reading: Reading | None = None) -> None:
        self.name, self.reading = name, reading
        self.said = None if reading is None else reading.returns
        self._open = False  # whether a later answer may still tell more
        self._watch = Watch()
        self._empty = False  # whether the answer being read has zeros alone

    def decide(self, out: Tensor) -> Reading:
        """How this answer, and every later one, is read."""
        if self.reading is None:
            self._empty = out.ndim == 2 and not bool(out.any())
            if self._empty:  # of an untrained net, say: the next answer is to tell
                self.reading = Reading("logits", "no score but zero so far")
                return self.reading
            self.reading = found = recognise(out)
            self._open = found.returns == "logits"
            if found.striking:
                warnings.warn(
                    f"The answers of {self.name} are read as {found}. Say what they are: returns=, on the command line --returns.",
                    stacklevel=2,
                )
        return self.reading

    def check(self, values: np.ndarray, rows: int) -> None:
        """Check the unscaled scores [m, C] of a call with ``rows`` images against how they are read.

        Raises:
            ValueError: they contradict it: what is read as probabilities is none, or the other way round.
        """
        found = self.reading
        assert found is not None
        if self._empty:
            self.reading, self._empty = None, False
            return
        if self._open:
            self._settle(found, values)
        if not found.probable or not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if -1e-3 <= low and high <= 1 + 1e-3:
            if found.returns == "percent" and self.said and fractions(values):
                self._percent(values, rows)
            if not found.watched or float(np.add.reduce(values, None)) <= most_of(values.shape[1]) * len(values):
                return
            what = f"rows that sum to {float(values.sum(1).min()):g} to {float(values.sum(1).max()):g}"
        else:
            what = f"scores from {low * found.scale:g} to {high * found.scale:g}"
        raise ValueError(
            f"Expected {found.returns} from the target {self.name}, as {'announced' if self.said else 'before'}, but a call "
            f"with {rows} images got {what}. {self._mend(values)}"
        )

    def _percent(self, values: np.ndarray, rows: int) -> None:
        """Refuse shares where percentages were announced."""
        sums = 100 * values.sum(1)
        raise ValueError(
            f"Expected percent from the target {self.name}, as announced, rows that sum to 100, but a call with {rows} images got rows "
            f"that sum to {float(sums.min()):g} to {float(sums.max()):g}. They are probabilities: Oracle(..., returns='probabilities'), "
            "on the command line --returns probabilities."
        )

    def nothing(self, values: np.ndarray, top: np.ndarray) -> str | None:
        """The error for a row of ``values`` [m, C] that shows no class at all, with ``top`` [m] the largest score of each row; None
        where there is none.

        Logits may all be zero; but not where it is in doubt that they are logits.
        """
        found = self.reading
        assert found is not None
        if float(top.min()) > 0 or not (found.probable or found.doubt) or float(values.min()) < 0:
            return None
        row = int(top.argmin())
        return (
            f"Expected a score above zero in each row, but the target {self.name} answered zeros alone for row {row} of a call with "
            f"{len(values)} images, so that no class is shown. If it could not answer, let it raise an error; if these are logits, say so: "
            "Oracle(..., returns='logits'), on the command line --returns logits."
        )

    def _settle(self, found: Reading, values: np.ndarray) -> None:
        """Look for what shows that answers read as logits are logits, or are not."""
        if found.doubt and not 0 <= float(values.min()) <= float(values.max()) <= 1:
            self.reading = found = Reading("logits", "recognised: scores outside [0, 1]")
        if self._watch.same(values):
            raise ValueError(
                f"Expected logits from the target {self.name}, as before, but no score was below zero and all rows sum to "
                f"{float(values[0].sum()):g}, as those of probabilities times a number do. Say what it gives: "
                "Oracle(..., returns='logits'), or 'probabilities' after dividing them; on the command line --returns logits."
            )
        self._open = self._watch.open or bool(found.doubt)

    def _mend(self, values: np.ndarray) -> str:
        again = recognise(torch.from_numpy(values)) if values.min() >= 0 else None
        if again is not None and again.returns == "percent":
            return "They are percentages: Oracle(..., returns='percent'), on the command line --returns percent."
        if again is not None and again.probable:
            return f"They are probabilities times {again.scale:g}: divide them by it."
        return "Say what it gives: Oracle(..., returns='logits'), on the command line --returns logits."

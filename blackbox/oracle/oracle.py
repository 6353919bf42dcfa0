"""Oracle: the only place where a target is called. It shows what its access level allows and counts every row."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_images, check_int
from blackbox.oracle.journal import Journal, JournalError, Journalled
from blackbox.protocol import Access, AccessError
from blackbox.targets import Answer, Target, as_target, recognise


class TargetError(RuntimeError):
    """The target raised, or answered something that is not an answer.

    row: the row of the call that is to blame, where there is one.
    result: what had been reached and paid for when it happened (set by `blackbox.attack`).
    """

    row: int | None = None
    result: Any = None


@dataclass(frozen=True)
class Reply:
    """The answers to m images.

    label: [m] int64, the class the target names. values: [m, C] probabilities or logits, [m, k] the largest k
    probabilities in falling order, or None when only labels are shown. classes: [m, k] int64, the classes of a
    top-k answer. total: C. access: which of these it is.
    """

    access: Access
    label: Tensor
    values: Tensor | None
    classes: Tensor | None
    total: int

    def confidence(self) -> Tensor:
        """[m] float32: the probability of the class named; NaN where only labels are shown."""
        if self.values is None:
            return torch.full((len(self.label),), torch.nan)
        if self.access is Access.TOPK:
            return self.values[:, 0].to(torch.float32)
        return self.probabilities().gather(1, self.label[:, None])[:, 0].to(torch.float32)

    def probabilities(self) -> Tensor:
        """[m, C]: as given; softmax of logits; one-hot of a label; a top-k list with the rest spread evenly."""
        if self.access is Access.SCORES:
            return cast(Tensor, self.values)
        if self.access is Access.LOGITS:
            return cast(Tensor, self.values).softmax(1)
        if self.access is Access.LABELS:
            return torch.nn.functional.one_hot(self.label, self.total).to(torch.float32)
        p, k = cast(Tensor, self.values), cast(Tensor, self.classes).shape[1]
        rest = (1 - p.sum(1, keepdim=True)).clamp_min(0) / max(self.total - k, 1)
        return rest.expand(-1, self.total).scatter(1, cast(Tensor, self.classes), p)


class _CallSize:
    """Finds how many rows a call should carry, from the calls that are made anyway.

    Small calls waste the target's fixed cost, large ones overflow its caches, and the machine's mood moves both. So
    each size (a power of two; a call counts for the nearest) has its rate, the fastest is used, and the two sizes
    beside it are tried twice when they are new and once more after every ``_AGAIN`` calls.
    """

    _AGAIN = 64
    _LATEST = 0.25  # weight of the newest call in a size's rate

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.top = largest.bit_length() - 1
        self.level = min(5, self.top)  # sizes are 2**level: start from 32 rows
        self.calls = 0
        self.rate: dict[int, float] = {}
        self.tried: Counter[int] = Counter()
        self.last: dict[int, int] = {}  # the number of the last call of a level

    @property
    def best(self) -> int:
        """The size that is now thought the fastest."""
        return 1 << self.level

    def next(self, waiting: int) -> int:
        """Rows for the next call when ``waiting`` rows are to be evaluated: an even share of about as many calls as
        the best size makes of them."""
        calls = max(round(waiting / self._wanted(waiting)), -(-waiting // self.largest), 1)
        return -(-waiting // calls)

    def _wanted(self, waiting: int) -> int:
        for level in (self.level + 1, self.level - 1):
            known = self.tried[level] >= 2 and self.calls - self.last[level] < self._AGAIN
            if 0 <= level <= self.top and not known and 1 << level <= waiting:
                return 1 << level
        return self.best

    def tell(self, size: int, seconds: float) -> None:
        if size < 1:
            return
        level = min(round(math.log2(size)), self.top)
        rate = size / max(seconds, 1e-9)
        self.calls += 1
        self.tried[level] += 1
        self.last[level] = self.calls
        # The first call of a size pays for its kernels, so it does not stay in the mean.
        seen = self.rate.get(level, rate)
        self.rate[level] = rate if self.tried[level] <= 2 else seen + self._LATEST * (rate - seen)
        ahead = max(self.rate, key=self.rate.__getitem__)
        if self.rate[ahead] > 1.02 * self.rate.get(self.level, 0.0):
            self.level = ahead


class Oracle:
    """A target behind a counter.

    Args:
        model: a torch module, a callable on [m, \\*shape] floats in [0, 1], a fitted scikit-learn classifier, or a
            `blackbox.targets.Target`. Normalising and resizing belong to it, behind the oracle.
        access: ``"labels"``, ``"topk"``, ``"scores"`` (probabilities) or ``"logits"``: the most that is ever shown.
        classes: C, the number of classes.
        k: how many classes a ``"topk"`` answer lists; by default 5, or all where there are fewer.
        returns: what the model gives back: ``"logits"``, ``"probabilities"``, ``"labels"``, or ``"auto"``: decided
            once, by the first answer (whole numbers [m] are labels, rows in [0, 1] that sum to 1 probabilities).
        device: where the target runs; by default where its parameters are.
        max_rows: the most rows a call may carry. rows_per_call: a fixed number of rows a call instead of the one
            that the oracle finds by itself; makes runs on a target that is not row-exact repeat to the last bit.
        probe: the smallest change of an input entry that the target can see (1/255 for 8-bit input).
        decimals: the number of decimals that scores are rounded to before they are shown.
        noise: standard deviation of a score that is shown. randomised: the same image may get another answer.
            Probe, noise and randomised are what the target itself says of them (the channels of `blackbox.targets`
            do) unless they are given here.

    Raises:
        ValueError: a setting that cannot be, or classes or k other than the target announces. AccessError: it shows less.

    Attributes:
        rows: queries charged. counts: rows by purpose ("verify" is not charged). failed: rows of calls that raised or
        whose answer was refused. calls, sizes: calls made, by their number of rows. seconds: time inside the target.
        replayed, cached: rows by purpose that a journal answered: of an earlier run, of this one. Not charged.
        max_rows: the most rows that the target takes at once, where it says so.

    A torch target is put in eval mode and called under inference mode: no gradient passes, and no public attribute
    leads to it.
    """

    def __init__(
        self,
        model: Any,
        access: str | Access = "scores",
        classes: int = 10,
        *,
        k: int | None = None,
        returns: str = "auto",
        device: torch.device | str | None = None,
        max_rows: int = 1024,
        rows_per_call: int | None = None,
        probe: float | None = None,
        decimals: int | None = None,
        noise: float | None = None,
        randomised: bool | None = None,
    ) -> None:
        self.access = Access.parse(access)
        self.classes = check_int(classes, "classes", 2)
        k = min(5, self.classes) if k is None else check_int(k, "k")
        if self.access is Access.TOPK and not 1 <= k <= self.classes:
            raise ValueError(f"Expected k between 1 and {self.classes} (the number of classes), but it was {k}.")
        self.k = k
        if returns not in ("auto", "logits", "probabilities", "labels"):
            raise ValueError(f"Expected returns to be auto, logits, probabilities or labels, but it was {returns!r}.")
        max_rows = check_int(max_rows, "max_rows", 1)
        rows_per_call = None if rows_per_call is None else check_int(rows_per_call, "rows_per_call", 1)
        if probe is not None and not 0 <= probe < 1:
            raise ValueError(f"Expected probe in [0, 1), in units of the image range, but it was {probe}.")
        if decimals is not None and decimals < 1:
            raise ValueError(f"Expected decimals to be at least 1, but it was {decimals}; use access='labels' to hide scores.")
        if noise is not None and not (math.isfinite(noise) and noise >= 0):
            raise ValueError(f"Expected noise to be a standard deviation, at least 0, but it was {noise}.")
        self.decimals = decimals
        self.__target: Target = as_target(model, device)
        self.device = self.__target.device
        self.probe = float(getattr(self.__target, "probe", 0.0) if probe is None else probe)
        self.noise = float(getattr(self.__target, "noise", 0.0) if noise is None else noise)
        self.randomised = bool(getattr(self.__target, "randomised", False) if randomised is None else randomised)
        said = self.__target.returns
        if said is not None and returns not in ("auto", said):
            raise ValueError(f"Expected returns to be {said!r}, which is what {self.name} gives back, but it was {returns!r}.")
        self.__returns = returns if returns != "auto" else said
        self._check_announced(k)
        limit = getattr(self.__target, "max_rows", None)
        self.max_rows = limit if isinstance(limit, int) else None  # of one request: it is answered whole or not at all
        self.__size = _CallSize(min(max_rows, self.max_rows or max_rows))
        self.__fixed = None if rows_per_call is None else min(rows_per_call, self.max_rows or rows_per_call)
        self.__journal: Journal | None = None
        self.__lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.sizes: Counter[int] = Counter()
        self.replayed: Counter[str] = Counter()
        self.cached: Counter[str] = Counter()
        self.failed = 0
        self.seconds = 0.0

    def _check_announced(self, k: int) -> None:
        """What the target says of itself, before it is asked anything."""
        classes, shows, listed = (getattr(self.__target, name, None) for name in ("classes", "shows", "k"))
        if isinstance(classes, int) and classes != self.classes:
            raise ValueError(
                f"Expected classes={classes}, which is what {self.name} tells apart, but it was {self.classes}. "
                f"(On the command line, where the data decide: --classes {classes}.)"
            )
        if not isinstance(shows, Access):
            return
        if self.access > shows:
            raise AccessError(
                f"Expected access to {shows.name.lower()} at most, which is what {self.name} shows, but it was "
                f"{self.access.name.lower()}."
            )
        if self.access is shows is Access.TOPK and listed is not None and k > listed:
            raise ValueError(f"Expected k of at most {listed}, which is what {self.name} lists, but it was {k}.")

    @property
    def rows(self) -> int:
        """Queries charged so far: rows the target has answered, for whatever purpose, but for uncharged checks."""
        return sum(count for purpose, count in self.counts.items() if purpose != "verify")

    @property
    def calls(self) -> int:
        """How often the target was invoked, uncharged checks included."""
        return sum(self.sizes.values())

    @property
    def resolution(self) -> float:
        """The rounding step of the scores shown; 0 when they are not rounded."""
        own = 0.0 if self.decimals is None else 10.0**-self.decimals
        return max(own, float(getattr(self.__target, "resolution", 0.0)))

    @property
    def flags(self) -> np.ndarray | None:
        """[rows] bool: which of the rows answered so far a stateful detector took for an attack; None without one."""
        return getattr(self.__target, "flags", None)

    @property
    def retried(self) -> int:
        """Rows of calls that timed out and were made again (`blackbox.targets.Retrying`); each is charged once."""
        return int(getattr(self.__target, "retried", 0))

    @contextlib.contextmanager
    def journalled(self, journal: Journal) -> Iterator[None]:
        """Within it every answer of the target goes through ``journal``, which stands behind all channels, and is closed
        at the end.

        What the journal answers is not charged: it is counted in ``replayed`` and ``cached``.
        """
        outer, holder = self.__target, None
        inner: Any = outer
        while hasattr(inner, "_behind"):  # a channel
            holder, inner = inner, inner._behind
        kept: Any = Journalled(inner, journal)
        if holder is None:
            self.__target = kept
        else:
            holder._behind = kept
        self.__journal = journal
        try:
            yield
        finally:
            journal.close()
            self.__journal, self.__target = None, outer
            if holder is not None:
                holder._behind = inner

    @property
    def name(self) -> str:
        """The target's name for reports."""
        return self.__target.name

    def __repr__(self) -> str:
        return f"Oracle({self.name}, access={self.access.name.lower()}, classes={self.classes}, rows={self.rows})"

    def __call__(self, x: Tensor | np.ndarray, purpose: str = "user") -> Reply:
        """Evaluate images [m, \\*shape] in [0, 1]; each row is one query, charged under ``purpose``.

        Raises:
            ValueError: the images are not floats in [0, 1] (says which).
            TargetError: the target raised or gave a wrong answer.
        """
        images = as_images(x, "x").to(self.device)
        parts, start = [], 0
        while start < len(images):
            size = self.next_rows(len(images) - start)
            parts.append(self.submit(images[start : start + size], purpose))
            start += size

        def join(values: list[Tensor | None]) -> Tensor | None:
            return None if values[0] is None else torch.cat(cast(list[Tensor], values))

        return Reply(
            self.access,
            torch.cat([p.label for p in parts]),
            join([p.values for p in parts]),
            join([p.classes for p in parts]),
            self.classes,
        )

    def next_rows(self, waiting: int) -> int:
        """How many of ``waiting`` rows the next call should carry. Costs no query: learned from calls made anyway."""
        if self.__fixed is not None:
            return min(self.__fixed, waiting)
        return self.__size.next(waiting)

    def submit(self, x: Tensor, purpose: str) -> Reply:
        """One call with float32 rows [m, \\*shape] already checked. Its rows are charged when the answer is there;
        rows of a call that failed are kept apart, in ``failed``. A journal's answers are not charged."""
        m, journal = x.shape[0], self.__journal
        if journal is not None:
            journal.begin(purpose)
            replayed, cached = journal.replayed[purpose], journal.cached[purpose]
        try:
            begin = time.perf_counter()
            try:
                out = self.__target.predict(x)
            except JournalError:
                raise
            except Exception as error:
                raise TargetError(
                    f"The target {self.name} raised {type(error).__name__} on a call with {m} images, "
                    f"after {self.rows} answered queries: {_said(error)}"
                ) from error
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # or the clock would stop before the target has answered
            seconds = time.perf_counter() - begin
            paid = m if journal is None else journal.asked
            try:
                reply = self._reply(out, m)
            except TargetError as error:
                if journal is not None:
                    journal.withdraw(error.row)
                raise
        except BaseException:
            self.failed += m if journal is None else journal.asked
            raise
        with self.__lock:
            self.counts[purpose] += paid
            self.seconds += seconds
            if paid:
                self.sizes[paid] += 1
            if paid == m:
                self.__size.tell(m, seconds)
            if journal is not None:
                self.replayed[purpose] += journal.replayed[purpose] - replayed
                self.cached[purpose] += journal.cached[purpose] - cached
        return reply

    def _reply(self, out: Any, m: int) -> Reply:
        named = None
        if isinstance(out, Answer):
            named, out = out.label, out.scores
        out = _as_tensor(out, self.name)
        if self.__returns is None:
            self.__returns = recognise(out)
        if self.__returns == "labels":
            if self.access is not Access.LABELS:
                raise TargetError(
                    f"The target {self.name} returns labels only, but the oracle was asked to show "
                    f"{self.access.name.lower()}. Use Oracle(..., access='labels')."
                )
            if out.shape != (m,):
                raise TargetError(_shape_message(self.name, f"({m},), a label a row", out, m))
            label = out.to(torch.int64)
            if out.is_floating_point() and bool((label != out).any()):
                raise TargetError(
                    f"Expected labels, whole numbers, from the target {self.name}, but it answered one number a row such as "
                    f"{float(out[label != out][0]):g}. A target that shows scores gives one for each class."
                )
            if m and not (0 <= int(label.min()) and int(label.max()) < self.classes):
                raise TargetError(
                    f"Expected labels from 0 to {self.classes - 1} (classes={self.classes}), but the target "
                    f"{self.name} answered {int(label.max()) if int(label.min()) >= 0 else int(label.min())}."
                )
            return Reply(self.access, label, None, None, self.classes)
        if out.shape != (m, self.classes):
            raise TargetError(_shape_message(self.name, f"({m}, {self.classes}), a score for each class", out, m))
        values = out.to(torch.float32)
        shown = values.numpy(force=True)  # numpy answers a few rows in a fraction of torch's time
        self._check_finite(shown)
        if self.__returns == "probabilities":
            self._check_probabilities(shown)
        label = torch.from_numpy(shown.argmax(1)).to(values.device) if named is None else named
        if self.access is Access.LABELS:
            return Reply(self.access, label, None, None, self.classes)
        if self.access is Access.LOGITS:
            if self.__returns != "logits":
                raise TargetError(
                    f"The target {self.name} returns {self.__returns}, but the oracle was asked to show logits. "
                    "Use access='scores'."
                )
            return Reply(self.access, label, self._rounded(values), None, self.classes)
        if self.__returns == "logits":
            values = values.softmax(1)
        if self.access is Access.TOPK:
            values, classes = values.topk(self.k, dim=1)
            return Reply(self.access, label, self._rounded(values), classes, self.classes)
        return Reply(self.access, label, self._rounded(values), None, self.classes)

    def _check_probabilities(self, values: np.ndarray) -> None:
        """Logits taken for probabilities would give wrong losses in silence."""
        low, high = float(values.min()), float(values.max())
        if not -1e-3 <= low <= high <= 1 + 1e-3:
            raise TargetError(
                f"Expected probabilities from the target {self.name}, as {'announced' if self.calls < 1 else 'before'}, but a call "
                f"with {len(values)} images got scores from {low:g} to {high:g}. Say what it gives: Oracle(..., returns='logits')."
            )

    def _rounded(self, values: Tensor) -> Tensor:
        return values if self.decimals is None else values.round(decimals=self.decimals)

    def _check_finite(self, values: np.ndarray) -> None:
        """A row is an answer when its largest score is finite: -inf is a masked class, NaN and inf come through."""
        top = np.maximum.reduce(values, 1)
        if math.isfinite(np.add.reduce(top)):  # one number to look at
            return
        finite = np.isfinite(top)
        if finite.all():
            return
        row = int(finite.argmin())
        error = TargetError(
            f"Expected finite scores, but the target {self.name} answered {values[row].tolist()[:10]} "
            f"for row {row} of a call with {len(values)} images."
        )
        error.row = row
        raise error


def _said(error: Exception) -> str:
    """What a target's own error says, in a line, with how to mend it where that is known."""
    text = " ".join(str(error).split()).rstrip(".") + "."
    if "does not require grad" in text or "nference tensor" in text:
        text += (
            " The oracle lets no gradient pass: a target that takes gradients inside does so under "
            "torch.inference_mode(False) and torch.enable_grad(), of a clone of what it is given."
        )
    return text


def _as_tensor(out: Any, name: str) -> Tensor:
    if isinstance(out, Tensor):
        return out
    try:
        return torch.from_numpy(np.ascontiguousarray(out))
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"Expected the target {name} to return a tensor or array, but it returned {type(out).__name__}. "
            "Wrap it in a function that returns the scores alone."
        ) from error


def _shape_message(name: str, expected: str, out: Tensor, m: int) -> str:
    came = f"but the target {name} returned shape {tuple(out.shape)}"
    if out.ndim and len(out) != m:
        return f"Expected one answer for each of the {m} images of a call, {came}. It must not drop or merge rows."
    return f"Expected answers of shape {expected}, {came}. Check classes=."

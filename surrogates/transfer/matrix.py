"""`TransferMatrix`: the label that every target gave every image, and the rates computed from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blackbox.statistics import Rate, TwoLevel, two_level
from blackbox.threat import Threat
from surrogates.transfer import files, render
from surrogates.transfer.conditions import check_given
from surrogates.transfer.noise import KINDS
from surrogates.transfer.runs import Run, clusters


class Split(NamedTuple):
    """Three shares that sum to one (Waseda et al. 2021, arXiv:2112.14337).

    same: the target makes the mistake that the source makes. other: it makes another one (or the source makes none).
    unfooled: it makes none.
    """

    same: Rate
    other: Rate
    unfooled: Rate


@dataclass(eq=False)
class TransferMatrix:
    """Raw outcomes, S sources x A attacks x E threats x T targets x N images; -1 where a target was not asked: such images
    are unknown, and in no rate but in its ``unknown``.

    labels, ids [N]; goals [N] or None (targeted). clean_source [S, N], clean_target [T, N]: the classes predicted for clean
    images. adv_source [S, A, E, N], adv_target [S, A, E, T, N]: those for adversarial ones. linf, l2 [S, A, E, N]: size of
    the perturbation. noise_target [E, 2, T, N], noise_linf, noise_l2 [E, 2, N]: the two kinds of noise, `noise.KINDS`.
    steps [A], cost [S, A]: T and gradients an image. d: entries of an image. queries: charged to each target.
    runs [S]: the training and seed of each source row; `rate` reads one row, `estimate` all runs of a source. stopped: what
    ended the measurement early, as `blackbox.results.ended.why` says it, or None.

    **Rates** state their denominators with ``given``: ``"all"``, ``"target-correct"``, ``"both-correct"``,
    ``"source-fooled"``; see `conditions.GIVEN`. Only ``"all"`` ever counts an image that the target gets wrong clean. With goals,
    "wrong" and "fooled" mean "named the goal", and a condition also requires that the clean image was not named so.

    **With a goal of `blackbox.goals`** (``goal``, in words) the labels are all 0, "not reached", and 1 is "reached": ``"target-correct"``
    are then the images that do not reach it unchanged on the target, and ``"fooled"`` are those that reach it.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    attacks: tuple[str, ...]
    threats: tuple[Threat, ...]
    labels: np.ndarray
    goals: np.ndarray | None
    ids: np.ndarray
    clean_source: np.ndarray
    clean_target: np.ndarray
    adv_source: np.ndarray
    adv_target: np.ndarray
    linf: np.ndarray
    l2: np.ndarray
    noise_target: np.ndarray
    noise_linf: np.ndarray
    noise_l2: np.ndarray
    steps: np.ndarray
    cost: np.ndarray
    d: int
    seed: int = 0
    queries: dict[str, int] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    stopped: dict[str, str] | None = None
    goal: str | None = None

    def __post_init__(self) -> None:
        if not self.runs:
            self.runs = tuple(Run(name, 0, self.seed) for name in self.sources)

    @classmethod
    def empty(
        cls, sources: tuple[str, ...], targets: tuple[str, ...], attacks: tuple[str, ...], threats: tuple[Threat, ...],
        labels: np.ndarray, goals: np.ndarray | None, ids: np.ndarray, d: int, seed: int = 0, runs: tuple[Run, ...] = (),
        goal: str | None = None,
    ) -> TransferMatrix:  # fmt: skip
        """Make a matrix in which no target has been queried yet."""
        s, t, a, e, n = len(sources), len(targets), len(attacks), len(threats), len(labels)

        def blank(*shape: int) -> np.ndarray:
            return np.full(shape, -1, dtype=np.int64)

        def nothing(*shape: int) -> np.ndarray:
            return np.full(shape, np.nan, dtype=np.float32)

        return cls(
            sources, targets, attacks, threats, np.asarray(labels, dtype=np.int64), goals, ids, blank(s, n), blank(t, n),
            blank(s, a, e, n), blank(s, a, e, t, n), nothing(s, a, e, n), nothing(s, a, e, n), blank(e, 2, t, n),
            nothing(e, 2, n), nothing(e, 2, n), np.zeros(a, dtype=np.int64), np.zeros((s, a), dtype=np.int64), d, seed,
            runs=runs, goal=goal,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def clean_accuracy(self, target: str) -> Rate:
        """The accuracy on clean images of a target (or of a source, if no target has that name)."""
        if target in self.targets or target not in self.sources:
            named = self.clean_target[self._at(self.targets, target, "target")]
        else:
            named = self.clean_source[self.sources.index(target)]
        return Rate.of(named == self.labels, known=named >= 0)

    @property
    def missing(self) -> int:
        """How many answers of targets, to clean and adversarial images and to the noise that was begun, are not there."""
        return sum(int((named < 0).sum()) for named in self._asked())

    @property
    def whole(self) -> int:
        """How many answers of targets there are when none is missing."""
        return sum(named.size for named in self._asked())

    def _asked(self) -> list[np.ndarray]:
        """The labels that targets gave, or were to give; noise has its size before it is asked about."""
        begun = zip(*np.nonzero(~np.isnan(self.noise_l2).all(2)), strict=True)
        return [self.clean_target, self.adv_target, *(self.noise_target[e, k] for e, k in begun)]

    def has_noise(self, e: int, k: int) -> bool:
        """Whether targets were asked, or were to be asked, about this kind of noise at threat ``e``."""
        return bool((self.noise_target[e, k] >= 0).any() or not np.isnan(self.noise_l2[e, k]).all())

    @property
    def complete(self) -> bool:
        """Whether every target answered to every clean and every adversarial image, and to the noise."""
        return not self.missing

    def rate(self, source: str, target: str, attack: str, threat: Threat | str, given: str = "target-correct") -> Rate:
        """How often examples crafted on ``source`` fool ``target``; ``given`` names the denominator (`conditions.GIVEN`)."""
        s, a, e, t = self.cell(source, target, attack, threat)
        named = self.adv_target[s, a, e, t]
        perhaps, known = self._among(given, t, s, self.adv_source[s, a, e])
        return Rate.of(self._fooled(named), perhaps, known & (named >= 0))

    def outcomes(
        self, source: str, target: str, attack: str, threat: Threat | str, given: str = "target-correct"
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The raw outcomes of every run of a source: fooled [R, N], in the denominator [R, N], and the cluster of each run [R]
        (`runs.clusters`). Every statistic over runs starts from these."""
        rows = self.rows_of(source)
        _, a, e, t = self.cell(self.sources[rows[0]], target, attack, threat)
        named = self.adv_target[rows, a, e, t]
        among = [np.logical_and(*self._among(given, t, s, self.adv_source[s, a, e])) for s in rows]
        return self._fooled(named), np.stack(among) & (named >= 0), clusters([self.runs[s] for s in rows])

    def estimate(
        self, source: str, target: str, attack: str, threat: Threat | str, given: str = "target-correct"
    ) -> TwoLevel:
        """The rate as a mean over the runs of ``source``, with an interval over trainings and images (`two_level`)."""
        return two_level(*self.outcomes(source, target, attack, threat, given))

    def rows_of(self, source: str) -> list[int]:
        """The source rows that are runs of ``source``; the row itself for the label of one."""
        found = [s for s, run in enumerate(self.runs) if run.source == source]
        return found or [self._at(self.sources, source, "source")]

    def split(
        self, source: str, target: str, attack: str, threat: Threat | str, given: str = "target-correct"
    ) -> Split:
        """The shares of images with the source's mistake, another mistake, or none. With goals, any wrong label is a mistake."""
        s, a, e, t = self.cell(source, target, attack, threat)
        named, own = self.adv_target[s, a, e, t], self.adv_source[s, a, e]
        perhaps, known = self._among(given, t, s, own)
        wrong, known = named != self.labels, known & (named >= 0)
        hits = (wrong & (named == own), wrong & (named != own), ~wrong)
        return Split(*(Rate.of(hit, perhaps, known) for hit in hits))

    def noise_rate(
        self,
        target: str,
        threat: Threat | str,
        kind: str = "rms",
        given: str = "target-correct",
        source: str | None = None,
    ) -> Rate:
        """How often noise of the same size fools ``target``; the rate has n = 0 where that noise was not measured.

        Args:
            kind: ``"linf"``, uniform in [-eps, eps] (Linf threats only), or ``"rms"``, Gaussian with the RMS of the crafted
                perturbation (see `transfer_matrix`).
            given: ``"all"``, ``"target-correct"``, or, with a ``source``, ``"both-correct"``.

        Raises:
            ValueError: no such row.
        """
        k = self._at(KINDS, kind, "kind of noise")
        t, e = self._at(self.targets, target, "target"), self._threat(threat)
        if given == "source-fooled" or (given == "both-correct" and source is None):
            raise ValueError(
                f"Expected all, target-correct or (with a source) both-correct for noise, but given was {given!r}."
            )
        named = self.noise_target[e, k, t]
        s = 0 if source is None else self._at(self.sources, source, "source")
        if not self.has_noise(e, k):
            return Rate(0, 0)
        perhaps, known = self._among(given, t, s, None)
        return Rate.of(self._fooled(named), perhaps, known & (named >= 0))

    def rms(self, source: str, attack: str, threat: Threat | str) -> np.ndarray:
        """The root mean square of the perturbation [N], in units of [0, 1] images."""
        return self.l2[self._row(source, attack, threat)] / np.sqrt(self.d)

    def table(self, given: str = "target-correct") -> str:
        """The rates as text, a line for each source x attack x threat, with the noise and the clean accuracy."""
        return render.table(self, given)

    def records(self) -> list[dict[str, Any]]:
        """Every rate as a flat dict, for a CSV file."""
        return render.records(self)

    def plot(self, path: str | Path, given: str = "target-correct") -> Path:
        """A heat map with numbers and intervals, as an image file (PNG, SVG or PDF by the suffix)."""
        return render.plot(self, Path(path), given)

    def save(self, folder: str | Path) -> Path:
        """Write ``transfer.npz`` (outcomes) and ``transfer.json`` (names and settings) into a folder."""
        return files.save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> TransferMatrix:
        """Read what `save` wrote. Raises FileNotFoundError, or ValueError for files that are not such."""
        return files.load(Path(folder), cls)

    def _fooled(self, named: np.ndarray) -> np.ndarray:
        return named != self.labels if self.goals is None else named == self.goals

    def _off_goal(self, named: np.ndarray) -> np.ndarray:
        return np.ones_like(named, dtype=bool) if self.goals is None else named != self.goals

    def _among(self, given: str, t: int, s: int, own: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The images that may be in the denominator, and those of which it is known whether they are, both [N] bool.

        ``own``: the source's labels of the adversarial examples."""
        check_given(given)
        perhaps = np.ones(len(self.labels), dtype=bool)
        known = perhaps.copy()

        def ask(named: np.ndarray, holds: np.ndarray) -> None:
            nonlocal perhaps, known
            perhaps &= holds | (named < 0)
            known &= named >= 0

        if given != "all":
            ask(self.clean_target[t], (self.clean_target[t] == self.labels) & self._off_goal(self.clean_target[t]))
        if given not in ("all", "target-correct"):
            ask(self.clean_source[s], (self.clean_source[s] == self.labels) & self._off_goal(self.clean_source[s]))
        if given == "source-fooled" and own is not None:
            ask(own, self._fooled(own))
        return perhaps, known

    def _row(self, source: str, attack: str, threat: Threat | str) -> tuple[int, int, int]:
        if attack not in self.attacks:
            from surrogates.crafting import presets

            attack = presets.get(attack).name
        return (
            self._at(self.sources, source, "source"), self._at(self.attacks, attack, "attack"), self._threat(threat),
        )  # fmt: skip

    def cell(self, source: str, target: str, attack: str, threat: Threat | str) -> tuple[int, int, int, int]:
        return (*self._row(source, attack, threat), self._at(self.targets, target, "target"))

    def _threat(self, threat: Threat | str) -> int:
        if isinstance(threat, str):
            return self._at(tuple(str(t) for t in self.threats), threat, "threat")
        if threat not in self.threats:
            raise ValueError(
                f"Expected a threat of this matrix ({', '.join(map(str, self.threats))}), but it was {threat}."
            )
        return self.threats.index(threat)

    def _at(self, known: tuple[str, ...], name: str, what: str) -> int:
        if name not in known:
            if what == "source" and (
                rows := [label for label, run in zip(known, self.runs, strict=True) if run.source == name]
            ):
                raise ValueError(
                    f"Expected one run of {name!r} ({', '.join(rows)}), but it names all of them. Ask `estimate` for their mean."
                )
            article = "an" if what == "attack" else "a"
            raise ValueError(f"Expected {article} {what} of this matrix ({', '.join(known)}), but it was {name!r}.")
        return known.index(name)

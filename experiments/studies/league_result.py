"""The result of a league: rates at equal effort and equal size, the Pareto front, and ranks with intervals."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blackbox.statistics.bootstrap import TwoLevel, means
from blackbox.statistics.ranks import Ranks, ranks
from blackbox.threat import Threat
from surrogates.transfer.matrix import TransferMatrix


@dataclass(frozen=True)
class Entry:
    """attack: its name in the matrices. preset, effort: what it is of. steps, cost: T and G really spent. composes: its parts,
    with the copies it was left."""

    attack: str
    preset: str
    effort: int
    steps: int
    cost: int
    composes: str = ""


@dataclass(frozen=True, eq=False)
class League:
    """Two transfer matrices over the same entries.

    crafted: images as crafted, all within eps. matched: every change to an image cut down to the length of the shortest of
    them, so that all have the same RMS and still lie within eps. dropped: (preset, effort) that effort cannot buy one step of.
    """

    source: str
    target: str
    entries: tuple[Entry, ...]
    crafted: TransferMatrix
    matched: TransferMatrix
    dropped: tuple[tuple[str, int], ...] = ()
    given: str = "both-correct"

    def _matrix(self, matched: bool) -> TransferMatrix:
        return self.matched if matched else self.crafted

    def rate(self, entry: Entry | str, threat: Threat | str, matched: bool = False) -> TwoLevel:
        """An entry's transfer rate, over the runs of the source."""
        name = entry if isinstance(entry, str) else entry.attack
        return self._matrix(matched).estimate(self.source, self.target, name, threat, self.given)

    def _value(self, entry: Entry, threat: Threat | str, matched: bool) -> float:
        """The rate alone, without the resampling."""
        hits, among, _ = self._matrix(matched).outcomes(self.source, self.target, entry.attack, threat, self.given)
        return float(means(hits, among, np.ones((1, len(hits))), np.ones((1, hits.shape[1])))[0])

    def front(self, threat: Threat | str, matched: bool = False) -> list[Entry]:
        """The Pareto front: entries that no entry of at most their cost beats (by the rate measured; for what is beyond
        doubt see `ranks` and `compare`)."""
        rates = {e.attack: self._value(e, threat, matched) for e in self.entries}
        order = sorted(self.entries, key=lambda e: (e.cost, -rates[e.attack]))
        out: list[Entry] = []
        for entry in order:
            if not out or rates[entry.attack] > rates[out[-1].attack]:
                out.append(entry)
        return out

    def ranks(self, threat: Threat | str, effort: int, matched: bool = False, seed: int = 0) -> Ranks:
        """Ranks at one effort (1 is best), with bootstrap intervals."""
        names = [e.attack for e in self.entries if e.effort == effort]
        if not names:
            raise ValueError(
                f"Expected one of the efforts {sorted({e.effort for e in self.entries})}, but it was {effort!r}."
            )
        m = self._matrix(matched)
        cells = [m.outcomes(self.source, self.target, name, threat, self.given) for name in names]
        short = [e.preset for e in self.entries if e.effort == effort]
        return ranks(short, np.stack([hit for hit, _, _ in cells]), np.logical_and.reduce([k for _, k, _ in cells]), cells[0][2],
                     seed=seed)  # fmt: skip

    def table(self) -> str:
        """A block for each threat and effort, best first, with rank intervals, the front, RMS, and the noise."""
        from experiments.studies.league_text import table

        return table(self)

    def plot(self, path: str | Path) -> Path:
        """Rate against G with the Pareto front, and the ranks, as an image file."""
        from experiments.studies.league_plot import plot

        return plot(self, Path(path))

    def save(self, folder: str | Path) -> Path:
        """Write both matrices and ``league.json`` into a folder."""
        folder = Path(folder)
        for name, matrix in (("crafted", self.crafted), ("matched", self.matched)):
            matrix.save(folder / name)
        raw = {"source": self.source, "target": self.target, "given": self.given, "dropped": self.dropped}
        entries = [vars(e) for e in self.entries]
        (folder / "league.json").write_text(json.dumps(raw | {"entries": entries}, indent=1) + "\n", encoding="utf-8")
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> League:
        """Read what `save` wrote. Raises FileNotFoundError, or ValueError for files that are not such."""
        folder = Path(folder)
        if not (folder / "league.json").is_file():
            raise FileNotFoundError(f"Expected a saved league in {folder}, but league.json is not there.")
        try:
            raw = json.loads((folder / "league.json").read_text(encoding="utf-8"))
            entries = tuple(Entry(**e) for e in raw["entries"])
            rest = raw["source"], raw["target"]
            dropped = tuple((str(p), int(g)) for p, g in raw["dropped"])
        except Exception as error:
            raise ValueError(f"Expected a saved league in {folder}, but it could not be read: {error!r}.") from None
        crafted, matched = (TransferMatrix.load(folder / name) for name in ("crafted", "matched"))
        return cls(*rest, entries, crafted, matched, dropped, raw["given"])

"""`LeagueTarget`: a target of the league as an `Oracle` takes it. Each row is sent as an 8-bit image, for the sample it belongs to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.league.client import Away, Host, LeagueError, Over, past
from blackbox.league.judge import Told
from blackbox.league.material import LEVELS, as_floats, as_levels, print_of
from blackbox.oracle.asking import LockedOut, asked
from blackbox.protocol import Access
from blackbox.targets.info import Described, TargetInfo
from blackbox.targets.rows import copied
from blackbox.threat import eight_bit


class LeagueTarget(Described):
    """Asks a host about the samples of one session.

    A row is rounded to 8 bits towards its clean image, so that it is inside every threat that the float was inside of; a row of a table is
    sent as it is, which is a valid one. What is asked to verify an example is answered from memory: the server charges all that it is
    asked.

    Args:
        host: that answers. name: of the target. session: its number. clean: [N, \\*shape] uint8, or [N, d] float64, rows of a table.
        ids: [N]. about: as the server tells. max_rows: of a call.
    """

    def __init__(
        self, host: Host, name: str, session: int, clean: np.ndarray, ids: list[int], about: dict[str, Any], max_rows: int
    ) -> None:
        self.host, self.session = host, session
        self.clean, self.table = as_floats(clean), clean.dtype == np.float64
        self._row = {int(sample): row for row, sample in enumerate(ids)}
        self._places: Counter[int] = Counter()
        self._known: dict[tuple[int, str], tuple[int, np.ndarray | None, bool, Any]] = {}
        self.failure: BaseException | None = None
        self.device = torch.device("cpu")
        probe = 0.0 if self.table else 1 / LEVELS
        self.info = TargetInfo.announced(about, name=name, shape=tuple(clean.shape[1:]), max_rows=max_rows, probe=probe)

    def rounded(self, x: Tensor, ids: Any) -> np.ndarray:
        """Floats [m, \\*shape] about the samples ``ids`` as 8-bit images; rows of a table as they are."""
        if self.table:
            return as_levels(x.cpu().double())
        rows = torch.tensor([self._row[int(sample)] for sample in ids])
        return as_levels(eight_bit(x.cpu(), self.clean[rows]))

    def predict(self, x: Tensor) -> Any:
        now = asked()
        if now is None or len(now.ids) != len(x):
            raise RuntimeError("Expected to be asked about the samples of a run of blackbox.attack, but it was not said about which.")
        ids = [int(sample) for sample in now.ids]
        levels = self.rounded(x, ids)
        prints = [print_of(each) for each in levels]
        keys = list(zip(ids, prints, strict=True))
        rows = self._ask(levels, ids, keys) if now.charged else [self._known[key] for key in keys]
        labels, shown, rejected, other = map(list, zip(*rows, strict=True))
        scores = None if any(row is None for row in shown) else np.stack(shown)
        return Told(labels, scores, rejected, other).returned(self.info.shows is Access.ANSWERS)

    def _ask(self, levels: np.ndarray, ids: list[int], keys: list[tuple[int, str]]) -> list[tuple[int, np.ndarray | None, bool, Any]]:
        """Ask about 8-bit images, each at the next place of its sample. Raises: LockedOut, no more is answered about some."""
        places, before = [], self._places.copy()
        for sample in ids:
            places.append(self._places[sample])
            self._places[sample] += 1
        try:
            said = self.host.ask(self.session, levels, ids, places)
        except Over as error:
            self._places = before
            raise LockedOut(str(error), np.array(past(error.over, ids, places))) from None
        except (LeagueError, Away) as error:
            self.failure = error
            raise
        none = [None] * len(ids)
        shown = none if said["scores"] is None else [np.array(row) for row in said["scores"]]
        columns = zip(said["labels"], shown, said["rejected"], said["answers"] or none, strict=True)
        told = [(int(label), row, bool(no), copied(answer)) for label, row, no, answer in columns]
        self._known.update(zip(keys, told, strict=True))
        return told

"""Which sessions a player had opened on the same targets before those of an entry: of other attacks, or of the same one, tried again.

An account says how many there were. Which these were is known as far as their entries are in the table: a player's sessions on a target
are numbered in their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from blackbox.league.standing import Standing


def others(one: Standing, found: Sequence[Standing]) -> bool:
    """Had the player of an entry opened sessions of other attacks before, which are in this table?"""
    return any(each is not None and not _same(each, one) for _, each in _before(one, found))


def again(one: Standing, found: Sequence[Standing]) -> int:
    """How many sessions of the same attack the player had opened before on the target and seed that has most: with other settings or an
    earlier source; those count too that are not in this table, since nobody can see of which attack they were."""
    most = Counter(where for where, each in _before(one, found) if each is None or _same(each, one))
    return max(most.values(), default=0)


def _before(one: Standing, found: Sequence[Standing]) -> list[tuple[tuple[str, int], Standing | None]]:
    """Every earlier session: its target and seed, and whose it was; None where its entry is not in the table."""
    known = {(s.target, s.seed, s.earlier): each for each in found if each.entry.player == one.entry.player for s in each.sessions}
    return [((s.target, s.seed), known.get((s.target, s.seed, n))) for s in one.sessions for n in range(s.earlier)]


def _same(one: Standing, other: Standing) -> bool:
    """Is it one attack, as far as source and settings say?"""
    kinds = [each.entry.parameters.partition("(")[0] for each in (one, other)]
    return one.entry.source == other.entry.source or kinds[0] == kinds[1]

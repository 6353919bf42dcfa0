"""What the page on other toolkits may say: pairs of `experiments.peers.tables`, by marks. See `experiments.published`."""

from __future__ import annotations

from experiments.peers import tables
from experiments.publishable import Table, Words, figure, told

COLUMNS = ("target", "what is shown, and the ball", "ours", "the peer's", "images", "seeds", "ours needed", "the peer's needed",
           "ours over theirs", "p", "who needed less")  # fmt: skip


def of(ours: str, peer: str, title: str = "") -> list[tuple[tables.Pair, float]]:
    """The pairs of an attack and a peer's, whose title begins so, with their corrected p."""
    return [(pair, p) for pair, p in tables.pairs() if (pair.ours, pair.peer) == (ours, peer) and pair.title.startswith(title)]


@figure
def peer_between(ours: str, peer: str, title: str = "") -> Words:
    """What ours needed over what the peer's needed: the target where that is least, and the one where it is most."""
    some = sorted((pair.ratio.value, told(pair.ratio), pair.target) for pair, _ in of(ours, peer, title))
    ends = [f"{ratio} ({target})" for _, ratio, target in some[:: max(len(some) - 1, 1)]]
    return Words(" and ".join(ends) or "(not measured yet)")


@figure
def peer_pairs(verdict: str, ours: str, peer: str, title: str = "") -> Words:
    """Of how many targets that a pair was measured on such was the verdict (tie, ours, theirs), after correction for all pairs."""
    some = [tables.verdict(*one) == verdict for one in of(ours, peer, title)]
    return Words(f"{sum(some)} of {len(some)}")


@figure
def peer_table(title: str = "", ours: str = "") -> Table:
    """The pairs whose title begins so, of an attack of ours or of all."""
    return Table(COLUMNS, [line for line in tables.beside(title) if not ours or line[2] == ours])


@figure
def peer_clocks() -> Table:
    """Wall time over the bare forward time of the same calls."""
    return Table(("comparison", "target", "attack", "in a call", "runs", "wall over forward"), list(tables.clocks()))


@figure
def wall_to_the_end() -> Table:
    """Wall time of ours over Square's, each until all images are fooled or the budget is spent."""
    return Table(("target", "attack", "in a call", "runs", "wall over Square's"), list(tables.to_the_end()))

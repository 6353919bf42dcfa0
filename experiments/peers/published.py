"""What the page on other toolkits may say: pairs of `experiments.peers.tables`, by marks. See `experiments.published`."""

from __future__ import annotations

from experiments.measurements import Figure, Table, Words, figure
from experiments.peers import tables

COLUMNS = ("target", "what is shown, and the ball", "ours", "the peer's", "images", "seeds", "ours needed", "the peer's needed",
           "ours over theirs", "p", "who needed less")  # fmt: skip


def found(target: str, ours: str, peer: str, title: str = "") -> tuple[tables.Pair, float]:
    """A pair, and its corrected p. target: the beginning of its title, so is title.

    Raises:
        ValueError: there is no such pair, or there are several.
    """
    some = [
        (pair, p) for pair, p in tables.pairs()
        if pair.target.startswith(target) and pair.title.startswith(title) and (pair.ours, pair.peer) == (ours, peer)
    ]  # fmt: skip
    if len(some) != 1:
        raise ValueError(f"Expected one pair of {ours} and {peer} on {target}, but there were {len(some)}. Measure it, or say more.")
    return some[0]


@figure
def peer_ratio(target: str, ours: str, peer: str, title: str = "") -> Figure:
    """What ours needed over what the peer's needed, on the same images."""
    return found(target, ours, peer, title)[0].ratio


@figure
def peer_verdict(target: str, ours: str, peer: str, title: str = "") -> Words:
    """Who needed less, or that it is a tie: after correction for all pairs."""
    said = {"tie": "a tie", "ours": "ours needed less", "theirs": "theirs needed less"}
    return Words(said[tables.verdict(*found(target, ours, peer, title))])


@figure
def peer_pairs(verdict: str = "", ours: str = "", peer: str = "") -> int:
    """How many pairs there are, or of those with such a verdict (tie, ours, theirs), of an attack, of a peer's."""
    return sum(
        (not verdict or tables.verdict(pair, p) == verdict) and (not ours or pair.ours == ours) and (not peer or pair.peer == peer)
        for pair, p in tables.pairs()
    )


@figure
def peer_table(title: str = "", ours: str = "") -> Table:
    """The pairs whose title begins so, of an attack of ours or of all."""
    return Table(COLUMNS, [line for line in tables.beside(title) if not ours or line[2] == ours])

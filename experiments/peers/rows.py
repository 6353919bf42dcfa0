"""The peers' rows of the query tables: `experiments.studies.queries` measures what stands in `PEERS`, beside ours.

A row's ``run`` takes an `experiments.rows.Job` (images, labels, what the target shows, classes to reach, budget, seed) and gives an
`Outcome`: for each image the queries charged, its clean check included, and whether it was fooled inside the threat. With which
settings a peer runs was chosen elsewhere (`experiments.peers.settings`).
"""

from __future__ import annotations

from pathlib import Path

from experiments.peers import adapters, settings
from experiments.peers.entries import version
from experiments.rows import DATA, Job, Outcome, Row

SIDE = {"ART SimBA dct": ("cifar",)}  # its 32 frequencies want images of that size


def row(peer: adapters.Peer) -> Row:
    """A peer with the setting that did best on choosing ground."""

    def words(data: str, root: Path) -> str:
        how = settings.chosen(peer)
        more = [name for name in ("hold", "remember", "probabilities") if getattr(how, name)]
        return f"{how.label}; {how.options}" + (f"; {', '.join(more)}" if more else "")

    def run(job: Job) -> Outcome:
        case = job.case
        found = settings.reached(peer, settings.chosen(peer), case, case.threat, job.budget, job.seed)
        first = found["first"]
        return Outcome(
            [q or job.budget for q in first], [q > 0 for q in first], {k: found[k] for k in ("asked", "note") if found[k]}
        )

    return Row(peer.name, words, run, data=SIDE.get(peer.name, DATA[:2]), toolkit=version(peer.toolkit))


# those without chosen settings are not measured
PEERS: tuple[Row, ...] = tuple(row(peer) for peer in adapters.by_part("linf").values() if settings.ready(peer))

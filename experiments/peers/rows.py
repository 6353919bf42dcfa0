"""The peers' rows of the query tables: `experiments.studies.queries` measures what stands in `PEERS`, beside ours.

A row's ``run`` takes an `experiments.rows.Job` (images, labels, what the target shows, classes to reach, budget, seed) and gives an
`Outcome`: for each image the queries charged, its clean check included, and whether it was fooled inside the threat.
"""

from __future__ import annotations

from experiments.rows import Row

PEERS: tuple[Row, ...] = ()

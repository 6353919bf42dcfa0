"""The images that a sweep kept of its points, read back to be looked at."""

from __future__ import annotations

import zlib

import numpy as np

from blackbox.report.shown import Shown
from blackbox.sweep import Store, StoreError, Table, loading, pictures
from blackbox.sweep.study import Point


def read(store: Store, table: Table, point: Point) -> Shown | None:
    """The images kept of a point, beside the clean ones of the study's data; None where there are none: nothing of its first
    block was fooled, the block is not done, or it was done by a version that kept no images.

    Raises:
        StoreError: they are damaged.
    """
    key = table.plan.first[point]
    packed = store.images([key]).get(key)
    if packed is None or not store.has(key):
        return None
    try:
        index, change, said = pictures.unpack(packed)
        data = loading.images(table.plan.study).data
        clean = data.images[index].double().numpy(force=True)
        changed = np.clip(clean + change, 0, 1).astype(np.float32)
    except (zlib.error, ValueError, KeyError, IndexError) as error:
        raise StoreError(f"Expected images of {point} in {store.path}, but they cannot be read: {error}.") from None
    return Shown(index, clean.astype(np.float32), changed, data.classes, said=said)


def of_each(store: Store, table: Table, most: int) -> tuple[dict[Point, Shown], list[Point]]:
    """The images of one point for each attack and target (and source), and the points for which there is no room.

    The point is of the first seed and the largest budget, and within the first radius of the study at which there are images.

    Args:
        most: of the attacks and targets, so many in the first; of every attack and every target some, if they suffice.
    """
    groups: dict[tuple[str, str, str, str], list[Point]] = {}
    for p in table.outcomes:
        groups.setdefault((p.kind, p.target, p.what, p.source), []).append(p)
    known = store.pictured()
    chosen = []
    for points in groups.values():
        first, dear = min(p.seed for p in points), max(p.budget for p in points)
        chosen += [p for p in points if (p.seed, p.budget) == (first, dear) and table.plan.first[p] in known][:1]
    targets, ways = (list(dict.fromkeys(which)) for which in ([p.target for p in chosen], [_way(p) for p in chosen]))
    turn = [(ways.index(_way(p)) - targets.index(p.target)) % len(ways) for p in chosen]
    taken = set(sorted(range(len(chosen)), key=turn.__getitem__)[:most])
    found = {p: shown for i, p in enumerate(chosen) if i in taken and (shown := read(store, table, p)) is not None}
    return found, [p for i, p in enumerate(chosen) if i not in taken]


def _way(point: Point) -> tuple[str, str, str]:
    return point.kind, point.what, point.source

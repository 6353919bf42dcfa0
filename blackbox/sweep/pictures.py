"""The few images of a point that are kept to be looked at: packed for a store, and read back.

Of the first block of a point, up to `report.shown.MOST` images that it fooled, as many as `ROOM` holds. Which they are, and
every byte of them, is a function of the point alone, as all else in a store.

Kept is what was added to an image, not the image: the clean one is in the data, whose hash is in the cell's key. It is kept
in 255 steps from minus to plus its own largest entry. So the largest entry is exact, every other is off by 1/254 of it at
most, and a difference drawn on a screen, stretched to its largest entry, has no finer steps itself. (The changed image in
eight bits would be off by half of 1/255, an eighth of a change of 4/255, and a small one in L2 would be gone.)
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.sweep import columns
from blackbox.sweep.plan import Point

if TYPE_CHECKING:
    from blackbox.report.shown import Shown
    from blackbox.sweep.store import Store
    from blackbox.sweep.table import Table

STEPS = 127
ROOM = 500_000
"""Bytes that the images of one point may take before they are compressed: three photographs of 224 x 224, all eight up to
144 x 144. One image is kept of whatever size."""


def choose(fooled: np.ndarray, labels: np.ndarray, image: Any) -> np.ndarray:
    """Which of the images ``fooled`` [n] bool are kept: of as many classes as there are, in order. ``image``: one of them."""
    from blackbox.report import figures, shown

    return figures.spread(np.flatnonzero(fooled), labels, max(1, min(shown.MOST, ROOM // image.numel())))


def pack(index: np.ndarray, clean: Any, changed: Any, said: Mapping[str, Any] | None = None) -> bytes | None:
    """The images ``index`` [m] of a block, ``clean`` and ``changed`` [n, C, H, W], as they go to a store; None for m = 0.

    said: what the target said of all n, by the name of the column of `AttackResult`.
    """
    if not len(index):
        return None
    change = np.subtract(*(images[index].numpy(force=True).astype(np.float64) for images in (changed, clean)))
    largest = np.abs(change).max((1, 2, 3))
    steps = np.rint(change * (STEPS / np.where(largest > 0, largest, 1))[:, None, None, None])
    kept = {"index": index.astype(np.int64), "largest": largest, "steps": steps.astype(np.int8)}
    return zlib.compress(columns.pack({**kept, **{name: column[index] for name, column in (said or {}).items()}}))


def unpack(packed: bytes) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What `pack` packed: index [m], what was added to each of these images [m, C, H, W], and what was said of them."""
    kept = columns.joined([zlib.decompress(packed)])
    index, steps, largest = (kept.pop(name) for name in ("index", "steps", "largest"))
    return index, steps / STEPS * largest[:, None, None, None], kept


def read(store: Store, table: Table, point: Point) -> Shown | None:
    """The images kept of a point, beside the clean ones of the study's data; None where there are none: nothing of its first
    block was fooled, the block is not done, or it was done by a version that kept no images.

    Raises:
        StoreError: they are damaged.
    """
    from blackbox.report.shown import Shown
    from blackbox.sweep import work
    from blackbox.sweep.store import StoreError

    key = table.plan.first[point]
    packed = store.images([key]).get(key)
    if packed is None or not store.has(key):
        return None
    try:
        index, change, said = unpack(packed)
        data = work.images(table.plan.study).data
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

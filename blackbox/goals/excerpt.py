"""What a report shows of an answer: a few kilobytes of plain Python and numpy, which a file keeps without pickle.

An excerpt is a dict. ``says``: the answer in a line. ``form``: how it is drawn, with what belongs to it:

- ``"boxes"``: corners [n, 4] (x1, y1, x2, y2, in pixels), scores [n] or None, labels: n words;
- ``"map"``: map [H, W], a class for each pixel;
- ``"classes"``: classes: numbers, the first one first, sure: their probabilities or None, names: words or None;
- ``"number"``: value; ``"text"``: nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blackbox.goals.boxes import Boxes, boxes_of
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access
from blackbox.targets.rows import decoded, encoded

SHOWN = 5  # classes, or numbers of a row
LINE = 60  # characters of an answer in no known form
BOXES = 60  # drawn
SIDE = 160  # of a map; larger ones are made smaller


def of(answer: Any) -> dict[str, Any]:
    """The excerpt of an answer whose form is guessed: boxes, a map, a number, a row of numbers, else what it prints."""
    if _like_boxes(answer):
        try:
            return boxes(boxes_of(answer))
        except ValueError:
            return text(answer)
    if isinstance(answer, Mapping):
        return text(", ".join(f"{key} {_short(value)}" for key, value in list(answer.items())[:SHOWN]))
    if isinstance(answer, bool | str):
        return text(answer)
    if isinstance(answer, int | float):
        return {"form": "number", "value": float(answer), "says": f"{answer:.4g}"}
    array = np.asarray(answer) if isinstance(answer, np.ndarray) else None
    if array is not None and array.ndim == 2 and array.dtype.kind in "iub":
        return label_map(array)
    if array is not None and array.ndim == 1 and array.dtype.kind in "iuf":
        return text(_short(array))
    return text(answer)


def packed(excerpts: Mapping[int, Any]) -> str:
    """Excerpts of samples as JSON, with arrays in numpy's own format."""
    return bytes(encoded([{str(sample): each for sample, each in excerpts.items()}])[0]).decode()


def unpacked(said: str) -> dict[int, Any]:
    """The inverse of `packed`."""
    return {int(sample): each for sample, each in decoded(said.encode()).items()}


def text(answer: Any) -> dict[str, Any]:
    """What an answer prints, shortened."""
    said = " ".join(str(answer).split())
    return {"form": "text", "says": said if len(said) <= LINE else f"{said[: LINE - 1]}…"}


def boxes(found: Boxes, names: Sequence[str] = (), least: float = 0.0) -> dict[str, Any]:
    """What a detector found, the surest first; of scores at least ``least``."""
    order = np.arange(len(found)) if found.scores is None else np.argsort(-found.scores, kind="stable")
    if found.scores is not None:
        order = order[found.scores[order] >= least]
    order = order[:BOXES]
    labels = ["" if found.labels is None else named(found.labels[i], names) for i in order.tolist()]
    scores = None if found.scores is None else found.scores[order].astype(np.float32)
    sure = [None] * len(order) if scores is None else scores.tolist()
    apart = [f"{label}:" if scores is not None and label.isdigit() else label for label in labels]  # 1: 97 %
    told = list(map(with_score, apart, sure))
    more = f" and {len(order) - 3} more" if len(order) > 3 else ""
    says = (", ".join(word or "a box" for word in told[:3]) + more) if told else "nothing"
    return {"form": "boxes", "corners": found.corners[order].astype(np.float32), "scores": scores, "labels": labels, "says": says}


def label_map(array: np.ndarray, names: Sequence[str] = ()) -> dict[str, Any]:
    """A class for each pixel, [H, W]; the most frequent ones in words."""
    classes, counts = np.unique(array, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:3]
    words = [named(int(c), names) if names else f"class {c}" for c in classes]
    says = ", ".join(f"{words[i]} {100 * counts[i] / array.size:.0f} %" for i in order.tolist())
    step = -(-max(array.shape) // SIDE)
    small = array[::step, ::step]
    kind = np.uint8 if array.min() >= 0 and array.max() < 256 else np.int32
    return {"form": "map", "map": small.astype(kind), "says": says}


def classes(reply: Reply, row: int, names: Sequence[str] = (), count: int = 1) -> dict[str, Any]:
    """The first ``count`` classes of an answer, and how sure the target is where it says so."""
    label = int(reply.label[row])
    if reply.values is None:
        first, sure = [label], None
    elif reply.access is Access.TOPK:
        assert reply.classes is not None
        first, sure = reply.classes[row][:count].tolist(), reply.values[row][:count].tolist()
    else:
        p = reply.probabilities()[row]
        surest = p.argsort(descending=True, stable=True)[:count].tolist()
        first = [label, *(c for c in surest if c != label)][:count]  # a label may stand apart from the scores
        sure = [float(p[c]) for c in first]
    told = [with_score(named(c, names), p) for c, p in zip(first, sure or [None] * len(first), strict=True)]
    return {"form": "classes", "classes": first, "sure": sure, "names": [named(c, names) for c in first] if names else None,
            "says": ", ".join(told)}  # fmt: skip


def named(label: Any, names: Sequence[str] = ()) -> str:
    """A class by its name, else by its number or word."""
    return names[label] if isinstance(label, int) and 0 <= label < len(names) else str(label)


def with_score(label: str, score: float | None) -> str:
    """``cat 97 %``; one of the two where the other is not there."""
    return f"{label}{'' if score is None else f' {100 * score:.0f} %'}".strip()


def _like_boxes(answer: Any) -> bool:
    if isinstance(answer, Mapping):
        return any(key in answer for key in ("boxes", "bboxes"))
    return isinstance(answer, list) and bool(answer) and all(isinstance(one, Mapping) and ("box" in one or "bbox" in one) for one in answer)


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) or (isinstance(value, list) and all(isinstance(v, int | float) for v in value)):
        some = np.asarray(value).reshape(-1)
        return ", ".join(f"{v:.3g}" for v in some[:SHOWN].tolist()) + (f", … ({len(some)} numbers)" if len(some) > SHOWN else "")
    return f"{value:.3g}" if isinstance(value, float) else str(text(value)["says"])

"""The samples of a run as the user gives them: images, labels, classes to reach, starts and masks, checked before any query."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.areas import Area, Patch, window_sums, within
from blackbox.checks import as_ids, as_images, as_labels, as_mask, as_ranges
from blackbox.engine.spec import Samples
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Access
from blackbox.tabular import TableRows, Tabular
from blackbox.threat import Threat

SCALED = "Of a table each column is scaled by its range: an eps of 1 lets it move from the lowest to the highest value."


def samples(
    oracle: Oracle, threat: Threat, x: Any, y: Any, target: Any, ids: Any, start: Any, mask: Any, goal: Any, table: Any = None,
    ranges: Any = None, seed: int = 0,
) -> Samples:  # fmt: skip
    """Check what the user gave, before any query, and put it together.

    Raises:
        ValueError: it says what is wrong, with which sample, and how to mend it.
    """
    rows = None if table is None else _of_table(table, x, threat, mask, ranges)
    images = as_images(x, "x").cpu() if rows is None else rows.z
    if goal is None and oracle.access is Access.ANSWERS:
        raise ValueError(
            "Expected a goal with an oracle that shows answers of any form, but there was none. Give goal=bb.goal(function), or one of "
            "blackbox.goals."
        )
    unlabelled = y is None and goal is not None
    if y is None and not unlabelled:
        raise ValueError(
            "Expected y, the true class of each input, but it was None. Without one give goal=, one of blackbox.goals; a target that "
            "answers in boxes, embeddings or numbers has Oracle(..., access='answers')."
        )
    labels = torch.full((len(images),), -1) if unlabelled else as_labels(y, len(images), oracle.classes, "y", oracle.class_names)
    try:
        threat.check_dimension(images[0].numel())
    except ValueError as error:
        raise error if rows is None else ValueError(f"{error} {SCALED}") from None
    low, high = float(images.min()), float(images.max())
    if low < threat.lower or high > threat.upper:
        raise ValueError(
            f"Expected x to lie in the threat's box [{threat.lower:g}, {threat.upper:g}], but it ranges from {low:g} to {high:g}."
        )
    goal = labels if target is None else as_labels(target, len(labels), oracle.classes, "target", oracle.class_names)
    if target is not None and len(same := (goal == labels).nonzero()):
        i = int(same[0])
        raise ValueError(
            f"Expected target to differ from the true label, but sample {i} has target class {int(goal[i])} and label {int(labels[i])} "
            f"({len(same)} such). Leave them out, keep = y != target, or give each image another class, (y + 1) % classes."
        )
    starts = None if start is None else as_images(start, "start").cpu() if rows is None else table.scale(start)
    if starts is not None and starts.shape != images.shape:
        raise ValueError(
            f"Expected start to hold one image for each of x, shape {tuple(images.shape)}, but it had shape {tuple(starts.shape)}."
        )
    numbers = as_ids(ids, len(images))
    if isinstance(threat, Area) and (place := threat.mask(tuple(images.shape[1:]), numbers, seed)) is not None:
        mask = within(place, mask)
    allowed, weights = (None, None) if mask is None else as_mask(mask, tuple(images.shape))
    if allowed is not None and isinstance(threat, Patch) and threat.free:
        _tell_of_empty_places(threat, allowed)
    if rows is not None and not bool((free := rows.free).all()):
        allowed = free
    check_weights(weights, threat)
    inside = None if ranges is None else as_ranges(ranges, images)
    if inside is not None:
        _check_room(threat, allowed, *inside)
    return Samples(images, labels, goal, numbers, starts, allowed, rows, weights, inside)


def _tell_of_empty_places(patch: Patch, allowed: Tensor) -> None:
    """Warn where most places of a patch hold nothing that the mask [N, \\*shape] lets change: a search that draws them asks about the clean
    image there."""
    empty = (window_sums(allowed.any(1), patch.size) == 0).flatten(1).double().mean(1)
    if float(empty.max()) > 0.5:
        i = int(empty.argmax())
        warnings.warn(
            f"Of the places of the {patch} {100 * float(empty[i]):.0f} % hold nothing that the mask of sample {i} lets change, and queries "
            "there are of the clean image. Say where the patch lies, Patch(size, location=(row, column)), or give a prior, which finds a "
            "place inside the mask.",
            stacklevel=4,
        )


def check_weights(weights: Tensor | None, threat: Threat) -> None:
    """Refuse shares of eps where eps is a number of pixels. Raises: ValueError."""
    if weights is not None and threat.p == 0:
        raise ValueError(
            f"Expected a mask of bools with {threat}, which counts pixels, but it held shares of eps. Write mask > 0, and ranges=(lower, "
            "upper) for how far an entry may go."
        )


def _check_room(threat: Threat, mask: Tensor | None, lower: Tensor, upper: Tensor) -> None:
    """Refuse ranges that let nothing of an image change: all its queries would be of the clean one. Raises: ValueError."""
    free = lower.clamp_min(threat.lower) < upper.clamp_max(threat.upper)
    if len(none := (~(free if mask is None else free & mask).flatten(1).any(1)).nonzero()):
        more = "" if mask is None else " where its mask lets it"
        raise ValueError(
            f"Expected ranges that let something change{more}, but the ends of those of sample {int(none[0])} are the same ({len(none)} "
            "such). Leave them out."
        )


def _of_table(table: Any, x: Any, threat: Threat, mask: Any, ranges: Any) -> TableRows:
    """The rows of a table that are to be attacked."""
    if not isinstance(table, Tabular):
        raise TypeError(f"Expected table to be a blackbox.Tabular, but it was {type(table).__name__}. Try Tabular.from_data(x, ...).")
    if mask is not None:
        raise ValueError("Expected no mask with a table, but there was one. Name the columns that stay: Tabular(..., immutable=columns).")
    if ranges is not None:
        raise ValueError("Expected no ranges with a table, but there were some. They are the table's: Tabular(..., ranges=...).")
    if (threat.lower, threat.upper) != (0, 1):
        raise ValueError(
            f"Expected a threat over columns scaled to [0, 1] with a table, but its box was [{threat.lower:g}, {threat.upper:g}]. The "
            "table's ranges are the box."
        )
    return table.rows(x)


VOTES = 11
"""Under a target that answers wrongly one time in ten, a majority of 11 confirms a false claim with probability 3e-4
(binomial tail), so a thousand queries with a hundred lucky hits yield 0.03 false successes; 5 answers would yield 0.9."""


def votes(value: Any, randomised: bool) -> int:
    """How many fresh answers confirm a success: those asked for, or as many as a target needs that answers by chance.

    Raises:
        ValueError: no odd number.
    """
    if value is None:
        return VOTES if randomised else 1
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1 or value % 2 == 0:
        raise ValueError(f"Expected votes to be an odd number, so that there is a majority, but it was {value!r}.")
    return int(value)

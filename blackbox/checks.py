"""Checks of user input: each error says in one sentence what was expected, what was given, for which sample, and how to mend
it."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

LEAST_WEIGHT = 1e-6  # of eps; less is nothing in float32
_ROUNDING = 1e-6  # what arithmetic may have added to an entry at the edge of [0, 1]


def check_int(value: Any, name: str, least: int | None = None, what: str = "a whole number") -> int:
    """Check that a value is a Python, numpy or torch integer of at least ``least``, and return it as an int.

    Raises:
        ValueError: it is something else, or smaller.
    """
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or (least is not None and number < least):
        floor = "" if least is None else f", at least {least}"
        raise ValueError(f"Expected {name} to be {what}{floor}, but it was {value!r}.")
    return number


def as_seed(seed: Any) -> int:
    """Check a seed, any whole number; negative ones count down from 2**64, because numpy's and torch's generators refuse them.

    Raises:
        ValueError: not a whole number. None is refused too: draw a seed yourself for a run that need not be repeated.
    """
    number = check_int(seed, "seed")
    return number if number >= 0 else number % 2**64


def as_tensor(value: Any, name: str) -> Tensor:
    """Convert numbers in a tensor, an array of any numeric type or byte order, or nested lists to a tensor.

    Types that torch lacks become wider ones: long double float64, unsigned integers int64, the small floats of other
    libraries (``ml_dtypes``) float32, Python numbers in an array of objects what numpy makes of them.

    Raises:
        ValueError: something else, or parts of different shapes (says which).
    """
    if isinstance(value, Tensor):
        return value.detach()
    try:
        if isinstance(value, (list, tuple)) and value and all(isinstance(v, Tensor) for v in value):
            value = torch.stack([v.detach() for v in value])
            return value
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = np.array(array.tolist())
        kind, size = array.dtype.kind, array.dtype.itemsize
        if kind == "u" and size > 1:  # torch stores these types but cannot compare them
            array = array.astype(np.int64)
        elif kind == "f" and size > 8:
            array = array.astype(np.float64)
        elif kind == "V" and "float" in array.dtype.name:  # bfloat16 and float8 of ml_dtypes, as jax has them
            array = array.astype(np.float32)
        if not (array.flags.c_contiguous and array.flags.writeable and array.dtype.isnative):
            # ascontiguousarray would turn a scalar into an array, and one class for all would look like a batch of 1
            array = np.array(array, array.dtype.newbyteorder("="), order="C")
        return torch.from_numpy(array)
    except (TypeError, ValueError, RuntimeError):
        shapes = _shapes(value)
        if len(set(shapes)) > 1:
            other = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
            raise ValueError(
                f"Expected {name} to have rows of one shape, but sample 0 has {shapes[0]} and sample {other} has {shapes[other]}. "
                "Resize or cut them to one size."
            ) from None
        came = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"Expected {name} to be numbers in a torch tensor or a numpy array, but it was {came}.") from None


def _shapes(value: Any) -> list[tuple[int, ...]]:
    """The shapes of the rows of a list or an array of objects; none where they are no arrays."""
    rows = list(value) if isinstance(value, (list, tuple, np.ndarray)) else []
    try:
        return [tuple(row.shape) if isinstance(row, Tensor) else np.asarray(row).shape for row in rows]
    except (TypeError, ValueError):
        return []


def _first(bad: Tensor) -> int:
    return int(bad.nonzero()[0])


def spread(t: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """Spread what is said of entries to images of this ``shape`` [N, \\*shape]: once for all, for each, or for pixels.

    Raises:
        ValueError: it has another shape.
    """
    pixels = len(shape) == 4 and tuple(t.shape) == shape[2:]
    if not pixels and tuple(t.shape) not in (shape, shape[1:]):
        more = f", or {list(shape[2:])} for the pixels" if len(shape) == 4 else ""
        raise ValueError(
            f"Expected {name} of shape {list(shape[1:])} for all images or {list(shape)}{more}, but it had shape {list(t.shape)}."
        )
    return t.expand(shape).clone()


def as_mask(mask: Any, shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """Check a mask, and spread it to images of this ``shape`` [N, \\*shape]: one for all, one for each, or one of pixels.

    Returns:
        Which entries may change, bool, and the share of eps that each may use, float32; None where it is all or nothing.

    Raises:
        ValueError: it holds neither bools nor numbers in [0, 1], has another shape, or lets nothing of an image change; names the
            first such sample.
    """
    t = as_tensor(mask, "mask").cpu()
    if t.dtype != torch.bool and not t.is_floating_point():
        raise ValueError(
            "Expected mask to hold bools, True where an entry may change, or floats in [0, 1], the share of eps that it may use, "
            f"but its dtype was {t.dtype}. Write mask != 0."
        )
    shares = spread(t, shape, "mask")
    full, weights = shares != 0, None
    if t.dtype != torch.bool:
        if len(bad := (~((shares >= 0) & (shares <= 1))).flatten(1).any(1).nonzero()):
            i = int(bad[0])
            raise ValueError(
                f"Expected mask to hold numbers in [0, 1], the share of eps that an entry may use, but for sample {i} it ranges from "
                f"{float(shares[i].min()):g} to {float(shares[i].max()):g} ({len(bad)} such). For an eps of each entry: bb.per_entry(eps)."
            )
        weights = torch.where(shares < LEAST_WEIGHT, 0.0, shares.to(torch.float32))
        full = weights > 0
        weights = None if bool((weights == full).all()) else weights
    if len(none := (~full.flatten(1).any(1)).nonzero()):
        raise ValueError(
            f"Expected mask to let something change, but for sample {int(none[0])} it is all False ({len(none)} such). Leave them out."
        )
    return full, weights


def as_ranges(ranges: Any, x: Tensor, name: str = "x") -> tuple[Tensor, Tensor]:
    """Check the lowest and the highest value of each entry, and spread them to the images ``x`` [N, \\*shape].

    Args:
        ranges: (lower, upper), each a number, or as a mask: [\\*shape] for all images, [N, \\*shape], or [height, width].

    Raises:
        ValueError: not two, another shape, NaN, or ranges that a clean image is not in; names the first such sample.
    """
    if not isinstance(ranges, (tuple, list)) or len(ranges) != 2:
        raise ValueError(f"Expected ranges to be (lower, upper), but it was {type(ranges).__name__}. Give ranges=(lower, upper).")
    found = []
    for what, value in zip(("lower", "upper"), ranges, strict=True):
        t = as_tensor(value, f"ranges ({what})").cpu().to(torch.float32)
        found.append(torch.full_like(x, float(t)) if t.ndim == 0 else spread(t, tuple(x.shape), f"ranges ({what})"))
    lower, upper = found
    outside = ~((x >= lower) & (x <= upper))
    if len(bad := outside.flatten(1).any(1).nonzero()):
        i = int(bad[0])
        at = int(outside[i].flatten().nonzero()[0])
        low, value, high = (float(v[i].flatten()[at]) for v in (lower, x, upper))
        raise ValueError(
            f"Expected ranges that the clean input lies in, but of sample {i} entry {at} is {value:g} and its range [{low:g}, {high:g}] "
            f"({len(bad)} such). Widen them, torch.minimum(lower, {name}) and torch.maximum(upper, {name}), or leave these out."
        )
    return lower, upper


def as_images(x: Any, name: str = "x") -> Tensor:
    """Check images and convert them to float32 [N, \\*shape] in [0, 1]; entries up to 1e-6 outside, by rounding, are clipped.

    Raises:
        ValueError: not floats, no batch axis, empty, NaN, or outside [0, 1]; names the first such sample.
    """
    t = as_tensor(x, name)
    if not t.is_floating_point():
        hint = " Divide by 255." if t.dtype == torch.uint8 else " Convert them to floats in [0, 1]."
        raise ValueError(f"Expected {name} to hold floats in [0, 1], but its dtype was {t.dtype}.{hint}")
    if t.ndim < 2:
        raise ValueError(
            f"Expected {name} to be a batch of images with shape [N, channels, height, width] (or [N, features]), "
            f"but it had shape {tuple(t.shape)}. Add the batch axis: {name}[None]."
        )
    if t.numel() == 0:
        raise ValueError(f"Expected {name} to hold at least one image, but it had shape {tuple(t.shape)}.")
    t = t.to(torch.float32)
    low, high = t.flatten(1).amin(1), t.flatten(1).amax(1)  # NaN passes through both
    if bool(((low < 0) & (low >= -_ROUNDING) | (high > 1) & (high <= 1 + _ROUNDING)).any()):
        t = t.clone()
        t[(t < 0) & (t >= -_ROUNDING)], t[(t > 1) & (t <= 1 + _ROUNDING)] = 0.0, 1.0
        low, high = t.flatten(1).amin(1), t.flatten(1).amax(1)
    if bool((bad := low.isnan()).any()):
        raise ValueError(f"Expected {name} to be free of NaN, but sample {_first(bad)} has some.")
    if bool((bad := (low < 0) | (high > 1)).any()):
        i = _first(bad)
        hint = " Divide by 255?" if float(high[i]) > 2 else " Normalising belongs to the target, behind the oracle."
        hint = " Rows of a table? Say what they may be: attack(..., table=blackbox.Tabular.from_data(x))." if t.ndim == 2 else hint
        raise ValueError(
            f"Expected {name} to lie in [0, 1], but sample {i} ranges from {float(low[i]):g} to {float(high[i]):g}.{hint}"
        )
    return t.contiguous()


def as_labels(y: Any, count: int, classes: int, name: str = "y", names: Sequence[str] | None = None) -> Tensor:
    """Check class indices, or the words of classes with these ``names``, and convert them to int64 [count], each in [0, classes).

    Raises:
        ValueError: not whole numbers or words, wrong length, or out of range; names the first such sample.
    """
    if hasattr(y, "to_numpy") and (column := np.asarray(y)).dtype.kind in "OU":  # a column of pandas: words, whatever its type there
        y = column
    t = as_tensor(_of_words(y, name, names) if _in_words(y) else y, name)
    if t.ndim == 0:
        t = t[None].expand(count)
    if t.is_floating_point() or t.dtype == torch.bool:
        raise ValueError(
            f"Expected {name} to hold class indices as integers, but its dtype was {t.dtype}. Convert it to int64."
        )
    if t.shape != (count,):
        hint = f" Give the indices of the ones: {name}.argmax(1)." if t.shape == (count, classes) and classes > 1 else ""
        if t.shape == (count, 1):
            hint = f" Drop the second axis: {name}.squeeze(1)." if isinstance(y, (Tensor, np.ndarray)) else " Give a flat list."
        raise ValueError(
            f"Expected {name} to hold one label for each of the {count} images, shape ({count},), "
            f"but it had shape {tuple(t.shape)}.{hint}"
        )
    if bool((bad := (t < 0) | (t >= classes)).any()):
        i = _first(bad)
        raise ValueError(
            f"Expected {name} to lie in 0..{classes - 1} (there are {classes} classes), but sample {i} has {int(t[i])}."
        )
    return t.to(torch.int64).cpu().contiguous()


def _in_words(y: Any) -> bool:
    if isinstance(y, np.ndarray):
        return y.dtype.kind == "U" or (y.dtype.kind == "O" and y.size > 0 and all(isinstance(each, str) for each in y.flat))
    return isinstance(y, str) or (isinstance(y, list | tuple) and len(y) > 0 and all(isinstance(each, str) for each in y))


def _of_words(y: Any, name: str, names: Sequence[str] | None) -> np.ndarray:
    words, known = np.asarray(y, dtype=object), {word: i for i, word in enumerate(names or ())}
    for i, word in enumerate(words.flat):
        if word not in known:
            few = f"the classes {', '.join(list(known)[:12])}" if known else "class indices, since the oracle knows no names of classes"
            mend = "" if known else " Name them: Oracle(..., classes=['cat', 'dog', ...])."
            raise ValueError(f"Expected {name} to hold {few}, but sample {i} has {str(word)!r}.{mend}")
    return np.array([known[str(word)] for word in words.flat], np.int64).reshape(words.shape)


def as_ids(ids: Any, count: int, distinct: bool = True) -> np.ndarray:
    """Check sample ids, which determine the draws, and convert them to uint64 [count]; by default 0..count-1.

    Raises:
        ValueError: not ``count`` whole numbers, a negative one, or (with ``distinct``) a repeated one.
    """
    if ids is None:
        return np.arange(count, dtype=np.uint64)
    array = ids.numpy(force=True) if isinstance(ids, Tensor) else np.asarray(ids)
    if array.shape != (count,) or array.dtype.kind not in "iu" or (count and array.min() < 0):
        raise ValueError(
            f"Expected ids to be {count} whole numbers, none negative, one for each image, but they had shape {array.shape} "
            f"and dtype {array.dtype}."
        )
    if distinct and len(np.unique(array)) != count:
        raise ValueError(
            "Expected ids to differ from each other, but some occur twice: such samples would share their draws."
        )
    return array.astype(np.uint64)

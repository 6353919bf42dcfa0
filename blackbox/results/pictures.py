"""Adversarial examples as PNG files, which lose nothing, and whether they still fool the target when read back."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_images
from blackbox.engine.rounding import ROUNDINGS
from blackbox.engine.rounding import rounded as rounded_to
from blackbox.goals.base import Goal, GoalError, bound
from blackbox.plain_text import counted
from blackbox.results import words
from blackbox.results.ledger import image_hashes

if TYPE_CHECKING:
    from PIL.Image import Image

    from blackbox.oracle.oracle import Oracle
    from blackbox.results.result import AttackResult

INDEX = "index.csv"
COLUMNS = ("file", "image", "label", "adv_label", "holds", "distance")


def as_picture(x: Tensor, index: int = 0) -> Image:
    """An image [1 or 3, H, W] in [0, 1] as a picture of 8 bits, each entry at the nearest level.

    Raises:
        ValueError: another shape.
    """
    from PIL import Image

    if x.ndim != 3 or x.shape[0] not in (1, 3):
        raise ValueError(
            f"Expected images of 1 or 3 channels, [C, H, W], to be saved as pictures, but image {index} has the shape "
            f"{tuple(x.shape)}. Their numbers are in examples.safetensors (AttackResult.save)."
        )
    levels = (x.double() * 255).round().clamp(0, 255).to(torch.uint8).numpy(force=True)
    return Image.fromarray(levels[0] if len(levels) == 1 else np.ascontiguousarray(levels.transpose(1, 2, 0)))


def read_picture(path: Path) -> Tensor:
    """The image [C, H, W] of a file that `as_picture` made, in [0, 1]."""
    from PIL import Image

    with Image.open(path) as picture:
        levels = torch.from_numpy(np.array(picture))
    levels = levels[None] if levels.ndim == 2 else levels.permute(2, 0, 1)
    return levels.to(torch.float32) / 255


def save_pictures(
    result: AttackResult, folder: str | Path, images: Tensor, classes: Sequence[str] | None = None, oracle: Oracle | None = None,
    goal: Goal | None = None,
) -> list[dict[str, object]]:
    """Write the pictures and their index; see `AttackResult.save_pictures`."""
    images, found = own_images(result, images), result.success.nonzero().flatten()
    for i in found[:1].tolist():
        as_picture(result.x_adv[i], i)  # refused before anything is written
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    _clear(path)
    rounded, label, holds = _chosen(result, found, images, oracle, goal)
    reach = result.threat.distance(rounded, _levels(images[found])).tolist() if len(found) else []
    names = [str(c) for c in classes] if classes is not None else None
    with_labels = words.with_classes(result.config) and bool((result.y >= 0).all())
    rows: list[dict[str, object]] = []
    for at, i in enumerate(found.tolist()):
        said = int(label[at]) if label[at] >= 0 else None
        name = f"{int(result.ids[i])}_{_word(int(result.y[i]), names)}_to_{'unknown' if said is None else _word(said, names)}.png"
        if not with_labels:
            name = f"{int(result.ids[i])}.png"
        as_picture(rounded[at], i).save(path / name)
        if not torch.equal(read_picture(path / name), rounded[at]):
            raise OSError(f"Expected {path / name} to hold the pixels that were written, but it reads back otherwise: is the disk full?")
        rows.append(dict(zip(COLUMNS, (name, int(result.ids[i]), int(result.y[i]), said, holds[at], reach[at]), strict=True)))
    with open(path / INDEX, "w", newline="", encoding="utf-8") as file:
        left_out = () if with_labels else ("label", "adv_label")
        rows = [{name: value for name, value in row.items() if name not in left_out} for row in rows]
        writer = csv.DictWriter(file, [name for name in COLUMNS if name not in left_out])
        writer.writeheader()
        writer.writerows(rows)
    return rows


def own_images(result: AttackResult, images: Any) -> Tensor:
    """The clean images of a result, checked to be those.

    Raises:
        ValueError: another number of images, or another image than was attacked; says which.
    """
    x = as_images(images, "images").cpu()
    if len(x) != len(result):
        raise ValueError(f"Expected the {len(result)} clean images of the result, but there were {len(x)}.")
    other = (image_hashes(x) != result.prints) & (result.prints != 0)
    if bool(other.any()):
        i = int(other.nonzero()[0])
        raise ValueError(
            f"Expected the clean images of the result, but image {i} is another one than was attacked (sample id {int(result.ids[i])}). "
            "Of a run on the command line they are those of its --data at result.ids."
        )
    return x


def _clear(path: Path) -> None:
    """Remove the pictures of an earlier run, which its index names, so that none of them is taken for one of this run."""
    if (path / INDEX).is_file():
        with open(path / INDEX, newline="", encoding="utf-8") as file:
            names = [row.get("file") or "" for row in csv.DictReader(file)]
        for name in names:
            if name.endswith(".png") and Path(name).name == name:
                (path / name).unlink(missing_ok=True)


def told(rows: Sequence[dict[str, object]], goal: bool = False) -> str:
    """What to say of the pictures, in a line. goal: of a run whose goal is not one class."""
    still = ("reaches the goal", "reach the goal") if goal else ("fools the target", "fool the target")
    if not rows:
        return "no adversarial example, so no picture of one"
    asked = [r["holds"] for r in rows if r["holds"] is not None]
    text = f"{counted(len(rows), 'adversarial example', 'adversarial examples')} as PNG"
    if not asked:
        return f"{text}; whether they still {still[1]} was not asked"
    if len(rows) == len(asked) == 1 and asked[0]:
        return f"{text}; it still {still[0]} when read back"
    kept = "all of them" if all(asked) and len(asked) == len(rows) else f"{sum(map(bool, asked))} of {len(asked)} asked about"
    return f"{text}; {kept} still {still[1]} when read back"


def on_levels(result: AttackResult, found: Tensor, images: Tensor, way: str = "") -> Tensor:
    """The examples at levels of 8 bits, as float32 k / 255.

    way: one of `blackbox.engine.rounding.ROUNDINGS`; by default the nearest levels where the target itself saw these, else
    towards the clean image."""
    way = way or ("nearest" if result.config.get("probe", 0.0) > 0.99 / 255 else "towards")
    return _levels(rounded_to(result.x_adv[found].cpu(), images[found], result.threat, way))


def _levels(x: Tensor) -> Tensor:
    return (x.double() * 255).round().to(torch.float32) / 255


def _chosen(
    result: AttackResult, found: Tensor, images: Tensor, oracle: Oracle | None, goal: Goal | None = None
) -> tuple[Tensor, list[int], list[bool | None]]:
    """The rounding of each example that fools the target, of several inside the threat; the first where none is known to.

    Returns:
        The images, the target's label of each (-1: unknown), and whether it is adversarial (None: unknown). Queries are not
        charged; examples that were found and verified as images of 8 bits are not asked about again.
    """
    first = on_levels(result, found, images)
    label, holds = [-1] * len(found), [None] * len(found)  # type: list[int], list[bool | None]
    same = (first == result.x_adv[found].cpu()).flatten(1).all(1).tolist() if len(found) else []
    for at, i in enumerate(found.tolist()):
        if same[at] and int(result.verified[i]) >= 0 and (int(result.adv_label[i]) >= 0 or words.goal_of(result.config)):
            label[at], holds[at] = int(result.adv_label[i]), bool(result.verified[i] == 1)
    if oracle is None or not len(found) or (goal is None and words.goal_of(result.config)):  # a goal is not saved with a result
        return first, label, holds
    judged = None if goal is None else bound(goal, oracle, len(result))
    open_ = [at for at, held in enumerate(holds) if held is None]
    for at, said, fools in _asked(result, found, first, open_, oracle, judged):
        label[at], holds[at] = said, fools
    best, clean = first.clone(), _levels(images[found])
    for way in ROUNDINGS:
        if not (lost := [at for at, held in enumerate(holds) if held is False]):
            break
        tried = on_levels(result, found, images, way)
        inside = result.threat.distance(tried, clean) <= result.threat.eps + result.threat.tolerance
        new = ((tried != best).flatten(1).any(1) & inside).tolist()
        for at, said, fools in _asked(result, found, tried, [at for at in lost if new[at]], oracle, judged):
            if fools:
                best[at], label[at], holds[at] = tried[at], said, fools
    return best, label, holds


def _asked(
    result: AttackResult, found: Tensor, tried: Tensor, ask: list[int], oracle: Oracle, goal: Goal | None = None
) -> Iterator[tuple[int, int, bool]]:
    """(place, label, whether it is adversarial) of each image that the target answers; it ends where the target fails."""
    from blackbox.oracle.oracle import TargetError

    while ask:
        part = ask[: oracle.next_rows(len(ask))]
        try:
            reply = oracle.submit(tried[part].to(oracle.device), "verify")
            reached = None if goal is None or reply.rejected is not None else goal.verdict(reply, found[part].numpy())[1].tolist()
        except (TargetError, GoalError):  # the pictures are saved all the same; what was not answered is unknown
            return
        for k, (at, value) in enumerate(zip(part, reply.label.tolist(), strict=True)):
            by_class = (value == int(result.goal[found[at]])) == bool(result.config["targeted"])
            yield at, value, by_class if goal is None else bool(reached and reached[k])
        ask = ask[len(part) :]


def _word(label: int, words: Sequence[str] | None) -> str:
    if words is None or not 0 <= label < len(words):
        return str(label)
    return re.sub(r"[^\w.-]+", "-", words[label]).strip("-.")[:40] or str(label)

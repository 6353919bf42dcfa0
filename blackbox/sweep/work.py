"""What a worker does: it runs cells, given text, numbers and paths.

Everything here is a function of what it is sent. A cell is run on its own block of images with fresh oracles, calls of a
fixed size and one thread, so its outcomes do not depend on which worker had it, or on what that worker did before.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import time
from dataclasses import replace
from functools import lru_cache
from typing import Any

from blackbox.oracle.kept import Kept
from blackbox.specs.threat import read_threat
from blackbox.sweep import loading, pictures
from blackbox.sweep.columns import of_result, pack
from blackbox.sweep.loading import GOAL, images
from blackbox.sweep.study import Point

_Outcomes = tuple[dict[str, Any], bytes | None]  # columns, and images to look at


def ready(folder: str) -> None:
    """Work in ``folder``, from which a study's paths lead: joblib keeps workers for the next call, which may come from another
    folder, and starts new ones only where they are set up otherwise. Import torch before the first task: loky's guard against
    leaks takes an import after it for one, and kills the worker (joblib/joblib#869)."""
    os.chdir(folder)
    import torch

    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _keep_memory() -> None:
    """Let malloc keep what is freed: Dask's nanny has it given back to the system at once (MALLOC_TRIM_THRESHOLD_ in its
    environment), and then a net fetches the memory of its activations anew at every call."""
    if "MALLOC_TRIM_THRESHOLD_" in os.environ and platform.system() == "Linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc has no mallopt
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
            libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD: the most that glibc would come to by itself


def job(sent: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the cells of ``Plan.job``. One dict a cell: key, columns (bytes) or error, images (bytes or None), seconds, host.

    An error of a cell is its result: the others go on.
    """
    import torch

    torch.set_num_threads(1)
    _keep_memory()
    out = []
    text, prints = sent["study"], sent["prints"]
    for key, point, start, stop in sent["cells"]:
        begin = time.perf_counter()
        result: dict[str, Any] = {"key": key, "host": platform.node(), "columns": None, "images": None, "error": ""}
        try:
            _check(text, prints[""])
            result["columns"], result["images"] = run(text, prints, Point(*point), start, stop, sent.get("keep") or {}, key)
        except (Exception, SystemExit) as error:
            said = str(error).strip() or "no message"
            result["error"] = said if said.startswith("Expected") else f"{type(error).__name__}: {said}"
        out.append({**result, "seconds": time.perf_counter() - begin})
    return out


def _check(text: str, data: str) -> None:
    """Refuse other images than the study was planned with; a worker that lived through a change of the file reads it anew."""
    try:
        loading.check(text, data)
    except ValueError:
        forget()
        loading.check(text, data)


def run(
    text: str, prints: dict[str, str], point: Point, start: int, stop: int, keep: dict[str, Any] | None = None, key: str = ""
) -> tuple[bytes, bytes | None]:
    """The outcomes of one cell: columns over its images, as safetensors; and of a point's first block images to look at.

    keep: retries of a failed call, and the journal or checkpoint beside which the cell has its own, named by ``key``.
    """
    keep = keep or {}
    files = Kept(keep.get("journal"), keep.get("checkpoint")).of(key)
    done = (_attack if point.kind == "attack" else _transfer)(text, prints, point, start, stop, keep.get("retries", 0), files)
    columns, images = done
    return pack(columns), images


def _attack(
    text: str, prints: dict[str, str], point: Point, start: int, stop: int, retries: int, files: dict[str, Any]
) -> _Outcomes:
    import torch

    import blackbox as bb
    from blackbox import specs
    from blackbox.specs import channels

    study = loading.study(text)
    grid = study.attack
    assert grid is not None
    named = next(n for n in grid.attacks if str(n) == point.what)
    loading.check_method(named.name, prints.get(named.name, ""))
    model, shown = specs.retrying(loading.model(text, point.target, prints[point.target]), retries), images(study)
    count = study.classes or len(shown.data.classes)
    stack = channels.read(grid.channels)
    access = grid.shows
    loading.check_goal(grid.goal, prints.get(GOAL, ""))
    # what channels draw goes by the row's number, so each block has draws of its own
    oracle = specs.oracle(model, access, count, None, study.rows, stack, (point.seed << 32) + start)
    goal = specs.goals(grid.targeted, shown, count, point.seed)
    block = replace(shown, data=shown.data.take(slice(start, stop)), index=shown.index[start:stop])
    x = block.data.images
    result = bb.attack(
        oracle, x, None if access == "answers" else block.data.labels,
        bb.attacks.build(named.name, **named.settings), read_threat(point.threat), point.budget,
        target=goal[start:stop] if isinstance(goal, torch.Tensor) else goal, goal=specs.read_goal(grid.goal, block), seed=point.seed,
        ids=block.index, table=block.table,
        votes=grid.votes, eight_bit=grid.eight_bit, tariff=specs.read_tariff(grid.tariff), **files,
    )  # fmt: skip
    unseen = int((result.success & (result.verified < 0)).sum())
    if unseen and (files["journal"] or files["checkpoint"]):  # the cell is tried again from there, and pays for no more than this
        raise bb.TargetError(f"Expected answers to the verification of {unseen} examples, but the target failed then.")
    columns = {name: getattr(result, name) for name in of_result(grid.tariff is not None)}
    columns["attacked"] = result.attacked
    columns["x_adv_print"] = torch.stack([_digest(row) for row in result.x_adv])
    if start or block.table is not None:  # a row of a table is nothing to look at
        return columns, None
    index = pictures.choose(result.success.numpy(), result.y.numpy(), x[0])
    said = {name: getattr(result, name) for name in ("adv_label", "clean_confidence", "adv_confidence")}
    return columns, pictures.pack(index, x, result.x_adv, said)


def _transfer(
    text: str, prints: dict[str, str], point: Point, start: int, stop: int, retries: int, files: dict[str, Any]
) -> _Outcomes:
    import surrogates as sg
    from blackbox import specs

    study = loading.study(text)
    grid = study.transfer
    assert grid is not None
    shown = images(study)
    count = study.classes or len(shown.data.classes)
    loading.check_method(point.what, prints.get(point.what, ""))
    source = loading.model(text, point.source, prints[point.source])
    if source.net is None:
        raise ValueError(f"Expected a net as source, whose gradients craft the examples, but {point.source} has none.")
    target = specs.retrying(loading.model(text, point.target, prints[point.target]), retries)
    oracle = specs.oracle(target, "labels", count, None, study.rows)
    goal = specs.goals(grid.targeted, shown, count, point.seed)
    goal = goal if goal is None or isinstance(goal, int) else goal[start:stop]
    x, y, ids = shown.data.images[start:stop], shown.data.labels[start:stop], shown.index[start:stop]
    made = _crafted(text, prints[""], point.source, prints[point.source], point.what, point.threat, point.seed, start, stop)
    matrix = sg.transfer_matrix(
        {"source": source.net}, {"target": oracle}, x, y, [point.what], [read_threat(point.threat)], target=goal,
        steps=grid.steps, seed=point.seed, ids=ids, noise=grid.noise, make=lambda *_: made,
        journal=files["journal"] or files["checkpoint"],
    )  # fmt: skip
    columns: dict[str, Any] = {
        "y": matrix.labels, "ids": ids, "clean_source": matrix.clean_source[0], "clean_target": matrix.clean_target[0],
        "adv_source": matrix.adv_source[0, 0, 0], "adv_target": matrix.adv_target[0, 0, 0, 0],
        "linf": matrix.linf[0, 0, 0], "l2": matrix.l2[0, 0, 0], "noise_target": matrix.noise_target[0, :, 0].T.copy(),
    }  # fmt: skip
    if matrix.goals is not None:
        columns["goal"] = matrix.goals
    if start:
        return columns, None
    fooled, among, _ = matrix.outcomes("source", "target", matrix.attacks[0], matrix.threats[0])
    return columns, pictures.pack(pictures.choose((fooled & among)[0], matrix.labels, x[0]), x, made)


@lru_cache(maxsize=2)
def _crafted(text: str, data: str, spec: str, print_: str, preset: str, threat: str, seed: int, start: int, stop: int) -> Any:
    """The examples of one block: crafted once, shown to every target that comes next. data, print_: hashes of the images and the net."""
    import surrogates as sg
    from blackbox import specs

    study = loading.study(text)
    shown, grid = images(study), study.transfer
    count = study.classes or len(shown.data.classes)
    assert grid is not None
    goal = specs.goals(grid.targeted, shown, count, seed)
    net = loading.copied_net(text, spec, print_)
    return sg.craft(
        net, shown.data.images[start:stop], shown.data.labels[start:stop], preset, threat=read_threat(threat),
        steps=grid.steps if sg.presets.get(preset).steps > 1 else None, seed=seed, ids=shown.index[start:stop],
        target=goal if goal is None or isinstance(goal, int) else goal[start:stop],
    )  # fmt: skip


def forget() -> None:
    """Drop what is kept between jobs: images, models and examples of files that may have changed since."""
    loading.forget()
    _crafted.cache_clear()


def _digest(row: Any) -> Any:
    """[16] uint8: a hash of an image."""
    import torch

    return torch.tensor(list(hashlib.sha256(row.numpy(force=True).tobytes()).digest()[:16]), dtype=torch.uint8)

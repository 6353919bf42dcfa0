"""`universal`: one change for a set of images, found by queries, by any registered attack."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.areas import Area, Patch
from blackbox.change import Universal, allowed, check_threat
from blackbox.checkpoint import fingerprint
from blackbox.checks import check_int
from blackbox.engine.progress import Progress
from blackbox.goals.base import Goal
from blackbox.image_set.judge import samples_of
from blackbox.image_set.measure import Measured, universal_rate
from blackbox.image_set.target import FoolMany, ImageSet, Made, SetOracle
from blackbox.oracle.kept import beside, kept
from blackbox.oracle.oracle import Oracle, TargetError
from blackbox.prior import Prior
from blackbox.protocol import Attack
from blackbox.results import AttackResult
from blackbox.rng import Stream
from blackbox.run import attack as attack_one
from blackbox.statistics import Rate
from blackbox.threat import Linf, Threat, as_threat

_GREY = 0.5  # of the canvas that stands for no change


@dataclass(frozen=True)
class UniversalResult:
    """A universal change that was found by queries.

    Attributes:
        universal: the change that fooled most images of the set.
        used: [n] the numbers, in ``x``, of the images of the set.
        right: [n] bool, those that did not reach the goal unchanged: the denominator. fooled: [n] bool, those that the change fools.
        tried: changes asked about; the look at the images without one, which comes first, is not among them.
        queries: charged by the oracle for the search: n for the first, then as many as are right, each.
        search: the run of the attack, with the set as its one sample.
        held_out: the same change on images that it was not made from; None where there were none.
    """

    universal: Universal
    used: np.ndarray
    right: np.ndarray
    fooled: np.ndarray
    tried: int
    queries: int
    search: AttackResult
    held_out: Measured | None = None

    @property
    def rate(self) -> Rate:
        """The share of the set's right images that the change fools. It was chosen on them: `held_out` tells what it is worth."""
        return Rate.of(self.fooled, self.right)

    def summary(self) -> str:
        """What was found, and what it cost, in two lines."""
        first = (
            f"{self.search.config['attack']}, {self.universal.threat}: fooled {self.rate} of its own images; {self.tried} changes tried, "
            f"{self.queries} queries"
        )
        return first if self.held_out is None else f"{first}\nheld-out images: {self.held_out.summary()}"


def universal(
    oracle: Oracle,
    x: Any,
    y: Any = None,
    attack: str | Attack = "square",
    threat: Threat | None = None,
    budget: int = 1000,
    *,
    target: Any = None,
    goal: Goal | None = None,
    share: float = 1.0,
    subset: int | None = None,
    held_out: tuple[Any, Any] | None = None,
    mask: Any = None,
    prior: Prior | None = None,
    seed: int = 0,
    votes: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    journal: str | os.PathLike[str] | None = None,
) -> UniversalResult:
    """Find one change for a set of images, through queries alone, by an attack that knows nothing of it.

    The attack searches as on one image: its points are candidate changes, each of which is shown to the target on all images of the
    set; the loss is the mean over them (`ImageSet`), and success that enough of them are fooled. A target that shows labels
    alone gives a graded loss too, the share that is fooled, so that attacks on scores serve it.

    Args:
        oracle, x, y, target, goal: as in `blackbox.attack`; a goal with content for each sample is that of ``x``.
        attack: a registered attack, or one with settings.
        threat: ``Linf``, ``L2`` or ``L1`` of what is added to every image; or `Patch` (also where it lies is the same for all,
            searched or given; with ``location="random"`` each image has a place of its own) or `Frame`.
        budget: the most queries that one image may cost, so the number of changes that are tried; the clean image is the first.
        share: the search ends where so large a share of the right images is fooled.
        subset: search with so many images only, drawn from the seed; the rest are the held-out ones.
        held_out: (x, y) of other images, on which the change is measured at the end, beside noise of the same size: three queries each.
        mask: [\\*shape] bool, which entries may change, the same for all images.
        prior: nets that are shown the same images, `surrogates.universal_prior`, for an attack that takes one.
        seed, votes, progress: as in `blackbox.attack`.
        journal: a file for every answer of the target; the same call goes on, and pays for none twice.

    Returns:
        A `UniversalResult`. The change is the best that was asked about inside the threat, also where the search did not reach ``share``.

    Raises:
        ValueError, UnsupportedThreat, AccessError, TypeError: as `blackbox.attack`, before any query. TargetError: the target failed;
            ``error.result`` is the `UniversalResult` until then.
    """
    check_threat(threat := as_threat(threat))
    samples, judge, each = samples_of(oracle, threat, x, y, target, goal)
    seed, used = check_int(seed, "seed"), np.arange(len(samples.x))
    if not 0 < share <= 1:
        raise ValueError(f"Expected share, of the images that are to be fooled, in (0, 1], but it was {share!r}.")
    if subset is not None:
        used, held_out = _drawn(subset, seed, samples.x, samples.y if y is not None else None, held_out, goal, target)
        part = samples.x[torch.from_numpy(used)]
        samples, judge, each = samples_of(oracle, threat, part, samples.y[torch.from_numpy(used)], target, goal)
    shape = tuple(samples.x.shape[1:])
    canvas, inner, made, free = _canvas(threat, shape, mask)
    images = ImageSet(oracle, samples.x, judge, made, samples.ids, seed)
    wanted, before = FoolMany(share, each, len(samples.x)), oracle.spent

    def found(search: AttackResult) -> UniversalResult:
        """What is known when the search has ended, or broken off."""
        spent = oracle.spent - before
        config = {"method": search.config["attack"], "target": oracle.name, "images": len(samples.x), "seed": seed, "queries": spent}
        best = replace(images.best or made(canvas)[0], config=config)
        return UniversalResult(best, used, images.right, images.fooled, max(images.tried - 1, 0), spent, search)

    with kept(oracle, journal, images=fingerprint(samples.x, samples.goal), attack=str(attack), threat=str(threat), seed=seed):
        try:
            search = attack_one(
                SetOracle(images), canvas[None], None, attack, inner, budget, goal=wanted, seed=seed, mask=free, votes=votes,
                progress=progress, prior=prior,
            )  # fmt: skip
        except BaseException as error:
            if (told := _told(error, found)) is error:
                raise
            raise told from None
    result = found(search)
    if held_out is None:
        return result
    ids = np.arange(len(held_out[0]), dtype=np.uint64) + np.uint64(1 << 32)  # places of their own
    file = None if journal is None else beside(journal, "held-out")
    try:
        others = universal_rate(result.universal, oracle, *held_out, target=target, goal=goal, seed=seed, ids=ids, journal=file)
    except BaseException as error:
        error.result = result  # type: ignore[attr-defined]
        raise
    return replace(result, held_out=others)


def _told(error: BaseException, found: Callable[[AttackResult], UniversalResult]) -> BaseException:
    """The error of the images' own oracle, which counts their queries, with what was found until then."""
    search = getattr(error, "result", None)
    cause = error.__cause__ if isinstance(error.__cause__, TargetError) else error
    if isinstance(search, AttackResult):
        cause.result = found(search)  # type: ignore[attr-defined]
    return cause


def _drawn(
    subset: int, seed: int, x: Tensor, y: Tensor | None, held_out: Any, goal: Goal | None, target: Any
) -> tuple[np.ndarray, tuple[Any, Any]]:
    """The numbers of the images to search with, and the others, held out."""
    subset = check_int(subset, "subset", 1, "a whole number of images")
    if held_out is not None or subset >= len(x):
        raise ValueError(
            f"Expected a subset of fewer than the {len(x)} images, the rest of which are held out, but it was {subset}"
            f"{' beside held_out=' if held_out is not None else ''}. Give one of the two."
        )
    if goal is not None or np.ndim(target) > 0:
        raise ValueError("Expected no subset with a goal or a target for each image, but there was one. Give held_out=(x, y).")
    order = Stream(seed, np.zeros(1, np.uint64)).permutation(0, "subset", len(x))[0]
    mine, rest = order[:subset].sort().values, order[subset:].sort().values
    return mine.numpy(), (x[rest], None if y is None else y[rest])


def _canvas(threat: Threat, shape: tuple[int, ...], mask: Any) -> tuple[Tensor, Threat, Made, Tensor | None]:
    """What the attack is shown in place of an image, the threat that it searches in, the change that a point stands for and whether it
    is inside that threat, and the mask of its search."""
    inside = allowed(threat, shape, mask)
    if isinstance(threat, Area):
        return _of_area(threat, shape, inside)
    if threat.norm == Linf.norm and threat.eps > _GREY:
        raise ValueError(f"Expected an Linf eps of at most {_GREY} for a change that is added, but it was {threat.eps:g}.")
    inner = type(threat)(threat.eps)
    far = threat.upper - threat.lower if threat.p == math.inf else inner.diameter(math.prod(shape)) + 1
    wide = type(threat)(far, threat.lower, threat.upper)
    canvas = torch.full(shape, _GREY)

    def made(point: Tensor) -> tuple[Universal, bool]:
        near = float(inner.distance(point[None], canvas[None])) <= inner.eps + inner.tolerance
        return Universal(point - _GREY, threat if near else wide, inside), near

    return canvas, inner, made, None if inside is None else inside[None]


def _of_area(threat: Area, shape: tuple[int, ...], inside: Tensor | None) -> tuple[Tensor, Threat, Made, Tensor | None]:
    """The same for a patch, which is searched on a canvas of its own size unless its place is searched too, and for a frame."""
    middle = (threat.lower + threat.upper) / 2
    if not isinstance(threat, Patch):
        assert inside is not None, "a frame has its own"
        return torch.full(shape, middle), threat, lambda point: (Universal(point, threat, inside, (0, 0)), True), inside[None]
    h, w = threat.size
    if not threat.free:
        place = threat.given
        cut = None if inside is None or place is None else inside[None, :, place[0] : place[0] + h, place[1] : place[1] + w]
        inner = replace(threat, location=(0, 0))
        return torch.full((shape[0], h, w), middle), inner, lambda point: (Universal(point, threat, inside, place), True), cut

    def made(point: Tensor) -> tuple[Universal, bool]:
        changed = (point != middle).any(0)
        down, across = changed.any(1).to(torch.int8).argmax(), changed.any(0).to(torch.int8).argmax()
        at = min(int(down), shape[1] - h), min(int(across), shape[2] - w)
        return Universal(point[:, at[0] : at[0] + h, at[1] : at[1] + w].clone(), threat, None, at), True

    return torch.full(shape, middle), threat, made, None

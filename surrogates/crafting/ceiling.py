"""`ceiling`: the strongest attacks with a net's own gradients, one after the other on the images that still stand.

    found = surrogates.ceiling(net, x, y, Linf(8 / 255))
    print(found.robust)

Croce & Hein 2020, arXiv:2003.01690, show why one attack is not enough: each is misled by some nets. This is the part of their
ensemble that uses gradients, with PGD on the margin (Madry et al. 2018, arXiv:1706.06083) before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blackbox.checks import as_ids, as_images, as_labels, check_int
from blackbox.plain_text import no_exit
from blackbox.rng import Stream
from blackbox.statistics import Rate
from blackbox.threat import Threat
from surrogates.crafting import presets
from surrogates.crafting.ascent import ascend
from surrogates.crafting.craft import check_threat, tell_of_zeros
from surrogates.crafting.goal import Goal
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts import losses
from surrogates.crafting.parts.apgd import Best, Value
from surrogates.crafting.parts.finish import RandomStart
from surrogates.nets.predict import logits, predict

STEPS, STARTS, CLASSES = 50, 2, 3  # chosen with `experiments.studies.ceiling` on a net that is not reported on; those rows are not kept
STANDS, WRONG = -1, -2  # in ``broken_by``


@dataclass(frozen=True, eq=False)
class Ceiling:
    """What an ensemble of attacks with a net's own gradients does to N images.

    Attributes:
        x_adv: [N, \\*shape] float32: an example that the net gets wrong; where none was found, the point to which the first
            attack came; the image itself where it was wrong already.
        success: [N] bool, wrong at ``x_adv``, those that were wrong already included.
        already: [N] bool, wrong without a change.
        broken_by: [N] int64, which of ``attacks`` found the example; -1 where the image stands, -2 where it was wrong already.
        gradients: [N] int64, forward-and-backward passes spent on the image.
        attacks: the names of the attacks, in the order in which they were run.
    """

    x_adv: Tensor
    success: Tensor
    already: Tensor
    broken_by: Tensor
    gradients: Tensor
    attacks: tuple[str, ...]

    @property
    def robust(self) -> Rate:
        """The share of all images that are right, and stand."""
        return Rate.of(~self.success.cpu().numpy())

    def broken(self) -> dict[str, int]:
        """How many images each attack broke that those before it had not."""
        return {name: int((self.broken_by == i).sum()) for i, name in enumerate(self.attacks)}

    def told(self) -> str:
        """What each attack added, and the gradients spent, in one line."""
        by = ", ".join(f"{name} {count}" for name, count in self.broken().items() if count)
        mean = int(self.gradients.sum()) / max(int((~self.already).sum()), 1)
        return f"broken by {by or 'none'}; {mean:,.0f} gradients an image that was right"

    def summary(self) -> str:
        """The robust accuracy, what each attack added, and the gradients, in one line."""
        return f"robust accuracy {self.robust}; wrong already {int(self.already.sum())}; {self.told()}"


@dataclass(frozen=True)
class Member:
    """An attack of the ensemble: a preset with a loss, from a start of its own. rank: it walks towards the other class that the
    net finds most likely (0), second most likely (1) ...; None leaves the true class."""

    name: str
    preset: str
    loss: str
    start: int
    rank: int | None = None

    def craft(
        self, source: Autograd, x0: Tensor, goal: Goal, threat: Threat, steps: int, rng: Stream, still: Tensor
    ) -> Tensor:
        """The best point of the walk for images [n, \\*shape] on the net's device."""
        preset = presets.get(self.preset)
        parts = preset.parts.swap(RandomStart(self.start), Value(), Best(), losses.get(self.loss))
        source = source.with_loss(losses.get(self.loss))
        return ascend(source, x0, goal, threat, parts, steps, preset.step(threat, steps), rng, still=still)


def members(classes: int, starts: int = STARTS, toward: int = CLASSES) -> list[Member]:
    """The attacks against a net with this number of classes, in the order in which they are run."""
    ranks = range(min(toward, classes - 1) if classes > 2 else 0)  # of two classes, to leave one is to reach the other
    return [
        Member("PGD", "pgd", "margin", 0),
        Member("APGD-CE", "apgd", "cross-entropy", 1),
        Member("APGD-DLR", "apgd", "dlr", 2),
        *(Member(f"APGD-T {rank + 1}", "apgd", "dlr", 3 + rank, rank) for rank in ranks),
        *(Member(f"PGD, start {i + 1}", "pgd", "margin", i + 1000) for i in range(1, starts)),
    ]


def title(steps: int = STEPS, starts: int = STARTS, classes: int = CLASSES) -> str:
    """What the ensemble is called in a table."""
    return f"white-box ensemble: PGD × {starts}, APGD-CE, APGD-DLR, APGD-T × {classes}, {steps} steps"


def ceiling(
    net: nn.Module,
    x: Any,
    y: Any,
    threat: Threat,
    *,
    steps: int = STEPS,
    starts: int = STARTS,
    classes: int = CLASSES,
    seed: int = 0,
    ids: Any = None,
    chunk: int | None = None,
) -> Ceiling:
    """Attack a net with its own gradients in several ways, each on the images that still stand; the worst of all is the result.

    PGD on the margin from a random start; Auto-PGD on the cross-entropy and on the difference-of-logits ratio, and on the ratio towards
    each of the other classes that the net finds most likely; PGD from further starts. An image is broken if the net gets
    it wrong at any point of any walk. This bounds the robust accuracy from above and proves none; more ``steps``, ``starts``
    and ``classes`` can lower the bound. In L1 Auto-PGD's step is ours (`parts.APGD`).

    Args:
        net: gives logits for images in [0, 1].
        x: [N, \\*shape] images. y: [N] true labels.
        threat: Linf, L2 or L1, with a finite radius.
        steps: of each attack. starts: of PGD. classes: how many other classes to walk towards, 0 for none.
        seed, ids: the result of image i is a function of (seed, ids[i]) alone; ids are 0..N-1 by default.
        chunk: images a call, as in `craft`.

    Warns:
        UserWarning: images on which every gradient of every attack was zero.

    Raises:
        ValueError: images, labels, net or threat as in `craft`; an infinite radius; settings that are not such whole numbers.
    """
    return against(
        net, x, y, threat, None, None, steps=steps, starts=starts, classes=classes, seed=seed, ids=ids, chunk=chunk
    )


Judge = Callable[[Tensor, Tensor], Tensor]
"""(images [n, \\*shape], the numbers [n] of their rows) -> [n] bool, which of them the target gets wrong."""


def against(
    net: nn.Module, x: Any, y: Any, threat: Threat, already: Tensor | None, judge: Judge | None, *, steps: int = STEPS,
    starts: int = STARTS, classes: int = CLASSES, seed: int = 0, ids: Any = None, chunk: int | None = None,
) -> Ceiling:  # fmt: skip
    """`ceiling`, where a target behind the net is asked after each attack whether it is fooled.

    already: [N] bool, the clean images that the target gets wrong. judge: asks the target. None: the net itself."""
    x0 = as_images(x, "x")
    steps, starts, classes = check_int(steps, "steps", 1), check_int(starts, "starts", 1), check_int(classes, "classes", 0)
    check_threat(threat, x0)
    if threat.eps == math.inf:
        raise ValueError("Expected a finite eps for the ceiling, but it was infinite.")
    source = Autograd(net, x0, chunk=chunk, fold=True)
    y0, clean = as_labels(y, len(x0), source.classes, "y").cpu(), logits(net, x0, source.chunk)
    wrong = clean.argmax(1) != y0 if already is None else already
    ranked = clean.scatter(1, y0[:, None], -torch.inf).argsort(dim=1, descending=True, stable=True)
    rng = Stream(check_int(seed, "seed"), as_ids(ids, len(x0), distinct=False), source.device)
    out, by, gradients = x0.clone(), torch.where(wrong, WRONG, STANDS), torch.zeros(len(x0), dtype=torch.int64)
    still, plan = torch.ones(len(x0), dtype=torch.bool), members(source.classes, starts, classes)
    for i, member in enumerate(plan):
        rows = (by == STANDS).nonzero()[:, 0]
        if not len(rows):
            break
        made = torch.empty_like(x0[: len(rows)])
        with source.open(), no_exit("The net"):
            for k, part in enumerate(rows.split(source.chunk)):
                goal = Goal(y0[part] if member.rank is None else ranked[part, member.rank], y0[part], member.rank is not None)
                quiet = still[part].to(source.device)
                here = x0[part.to(x0.device)].to(source.device)
                made[k * source.chunk :][: len(part)] = member.craft(
                    source, here, goal.to(source.device), threat, steps, rng.take(part.numpy()), quiet
                )
                still[part] = quiet.cpu()
        gradients[rows] += steps
        fooled = judge(made, rows) if judge else predict(net, made, source.chunk) != y0[rows]
        take = fooled if i else torch.ones_like(fooled)
        out[rows[take].to(out.device)] = made[take.to(made.device)]
        by[rows[fooled]] = i
    tell_of_zeros(int((still & ~wrong).sum()), len(x0), "the white-box ensemble", "")
    return Ceiling(out, by != STANDS, wrong, by, gradients, tuple(m.name for m in plan))

"""Scores and no surrogate on adversarially trained nets: how near does a search come to what the white-box ensemble leaves?

queries    Attacks by queries on the robust targets, and on two ordinary ones, where a search that is made for the former may lose.
           Every image's queries are kept, the clean check charged. On targets that are reported on the white-box rows are those of
           results/ceiling; for the one that settings are chosen on they are measured here.
settings   Those of `bayes-linear`, on the target for choosing (they were tried by hand; this repeats it).
handover   Those of `ripples-linear`, beside `ripples` and `bayes-linear` alone: from which share of the margin on that a wave takes
           away an image stays with ripples. On the targets for choosing, ordinary ones too, each in a file, results/handover/TARGET.json.
proposals  What does one query gain, by what it proposes? On the target for choosing. From corners of the ball that have a share of
           the white-box gradient's signs, one proposal of each kind is tried many times; kept is how much of the way that is left
           to the signs' own corner it gains on average, where it is taken only if it gains. `learned` proposes the corner that a
           Bayesian linear regression takes for the best after so many random answers, which are not charged to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.estimators import LinearMap, Smooth, gram_of
from experiments import ground
from experiments.cases import Case
from experiments.rows import Job, Row, measured, ours
from experiments.runner import Book, Real, run, says
from experiments.studies import ceiling
from experiments.studies.queries import described

ROBUST = ("resnet2b_adv", "vit_adv", "mnist_adv", "cnna_adv")
ORDINARY = ("resnet32", "poolcnn")
ATTACKS = ("bayes-linear", "square", "signhunter", "ripples", "bandits", "simba")
SHARES = (0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True)
class Settings(Real):
    study: str = says("queries", "queries, settings, handover or proposals", ("queries", "settings", "handover", "proposals"))
    targets: tuple[str, ...] = says((*ROBUST, *ORDINARY), "of experiments/ground.toml")
    attacks: tuple[str, ...] = says(ATTACKS, "registered names, with their own settings")
    budgets: tuple[int, ...] = says((1000,), "queries an image")
    seeds: tuple[int, ...] = says((), "of the attacks [the first of the target's ground]")
    tries: int = says(8, "of each proposal, for an image")


def queries(s: Settings) -> None:
    for target in s.targets:
        use = ground.entry("targets", target)["use"]
        case = ground.case(target, s.root, use=use)
        book = Book(f"robust/{target}", s)
        book.put(command=f"python -m experiments.studies.robust --targets {target}", **described(target, case))
        if target in ROBUST and use == "choosing":
            for seed in ground.seeds(use):
                white = partial(ceiling.ensemble, ceiling.Settings(s.data), case, seed)
                book.row(white, attack="ensemble", seed=seed, steps=ceiling.Settings().steps)
        for budget in s.budgets:
            for seed in s.seeds or ground.seeds(use)[:1]:
                for name in s.attacks:
                    row = ours(name)
                    job = Job(case, row.access, None, budget, seed, s.root)
                    book.row(partial(measured, row, job), attack=name, seed=seed, budget=budget)


GRID: tuple[dict[str, Any], ...] = (
    {}, {"smooth": Smooth(1.0)},
    {"smooth": Smooth(2.0)}, {"smooth": Smooth(1.5, 0.8)}, {"explore": 0.6}, {"explore": 1.5}, {"window": 1024},
)  # fmt: skip


def settings(s: Settings) -> None:
    case = ground.case("cnna_adv", s.root, use="choosing")
    book, seed = Book("robust/settings", s), ground.seeds("choosing")[0]
    book.put(command="python -m experiments.studies.robust --study settings", **described("cnna_adv", case))
    for options in GRID:
        row, job = ours("bayes-linear", **options), Job(case, "scores", None, s.budgets[0], seed, s.root)
        book.row(partial(measured, row, job), attack=row.attack, seed=seed, budget=job.budget)


HANDOVER: tuple[Row, ...] = (
    ours("ripples"), *(ours("ripples-linear", little=share, trial=5, noise=0.2) for share in (0.35, 0.6, 1.0)),
    *(ours("ripples-linear", little=share, trial=3, noise=0.045) for share in (0.2, 0.35, 0.6)),
)  # fmt: skip
CHOOSING = ("cnna_adv", "mnist_nat", "resnet20", "own_cnn", "own_vgg")


def handover(s: Settings) -> None:
    for target in [name for name in s.targets if name in CHOOSING] or CHOOSING:
        case = ground.case(target, s.root, use="choosing")
        book = Book(f"handover/{target}", s)
        book.put(command=f"python -m experiments.studies.robust --study handover --targets {target}", **described(target, case))
        for row in (*HANDOVER, *([ours("bayes-linear")] if target in ROBUST else [])):
            for seed in s.seeds or ground.seeds("choosing")[:1]:
                job = Job(case, row.access, None, s.budgets[0], seed, s.root)
                book.row(partial(measured, row, job), attack=row.attack, seed=seed, budget=job.budget)


# ---- what a query gains -------------------------------------------------------------------------------------------------------


def proposals(s: Settings) -> None:
    target = "cnna_adv"
    case = ground.case(target, s.root, use="choosing")
    book = Book("robust/proposals", s, same=("tries",))
    book.put(command="python -m experiments.studies.robust --study proposals", **described(target, case))
    margin = Margin(case)
    for share in SHARES:
        for name, propose in KINDS.items():
            make = partial(gained, s, case, margin, share, propose)
            book.row(make, proposal=name, share=share, seed=ground.seeds("choosing")[0])


class Margin:
    """The margin of the best other class at the clean image, its gradient's signs, and its value at changes of +-eps."""

    def __init__(self, case: Case) -> None:
        self.case = case
        x = case.images.clone().requires_grad_(True)
        scores = case.net(x)
        others = scores.detach().scatter(1, case.labels[:, None], -torch.inf)
        self.best = others.argmax(1)
        (g,) = torch.autograd.grad(self._of(scores).sum(), x)
        self.signs = torch.where(g >= 0, 1.0, -1.0)

    def _of(self, scores: Tensor) -> Tensor:
        at = torch.arange(len(scores))
        return scores[at, self.best] - scores[at, self.case.labels]

    def __call__(self, signs: Tensor) -> Tensor:
        x = (self.case.images + self.case.threat.eps * signs).clamp(0, 1)
        with torch.no_grad():
            return self._of(self.case.net(x))


def gained(s: Settings, case: Case, margin: Margin, share: float, propose: Any) -> dict[str, Any]:
    """Of each image: the mean gain of a try, and how often there was one; in shares of the way to the gradient's own corner."""
    random = torch.Generator().manual_seed(ground.seeds("choosing")[0])
    right = torch.rand(margin.signs.shape, generator=random) < share
    begin = torch.where(right, margin.signs, -margin.signs)
    before, top = margin(begin), margin(margin.signs)
    whole = propose.func in (estimated, learned)  # their corners are the same from wherever
    gains = torch.stack([
        (_corner(margin, propose, i) if whole else margin(propose(margin, begin, random))) - before for i in range(2 if whole else s.tries)
    ])
    gains = gains.clamp_min(0) / (top - before).clamp_min(1e-6)
    return {
        "gain": [round(v, 6) for v in gains.mean(0).tolist()],
        "helped": [round(v, 4) for v in (gains > 0).float().mean(0).tolist()],
    }


@lru_cache(maxsize=64)
def _corner(margin: Margin, propose: Any, i: int) -> Tensor:
    """The margins at the corners that a proposal takes for the best; two tries, since these cost many answers."""
    return margin(propose(margin, margin.signs, torch.Generator().manual_seed(ground.seeds("choosing")[0] + 1000 * i)))


def _window(signs: Tensor, side: int, random: torch.Generator) -> Tensor:
    """[n, 1, h, w] bool: a square of this side, elsewhere in each image."""
    n, _, h, w = signs.shape
    top, left = (torch.randint(0, length - side + 1, (n, 1, 1, 1), generator=random) for length in (h, w))
    down, across = torch.arange(h)[:, None], torch.arange(w)
    return (down >= top) & (down < top + side) & (across >= left) & (across < left + side)


def _coin(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=random) * 2.0 - 1.0


def square(side: int, margin: Margin, signs: Tensor, random: torch.Generator) -> Tensor:
    """Square's move: a window takes one sign a channel."""
    colour = _coin((*signs.shape[:2], 1, 1), random)
    return torch.where(_window(signs, side, random), colour, signs)


def flip(side: int, margin: Margin, signs: Tensor, random: torch.Generator) -> Tensor:
    """A block of one channel turns its signs; of one pixel, it is a coordinate."""
    channel = torch.randint(0, signs.shape[1], (len(signs), 1, 1, 1), generator=random) == torch.arange(signs.shape[1])[:, None, None]
    return torch.where(_window(signs, side, random) & channel, -signs, signs)


def smooth(side: int, fall: float, margin: Margin, signs: Tensor, random: torch.Generator) -> Tensor:
    """A window takes the signs of a smooth random image."""
    drawn = Smooth(fall).draw(torch.randn(signs.shape, generator=random).numpy())
    return torch.where(_window(signs, side, random), torch.from_numpy(np.where(drawn >= 0, 1.0, -1.0)).float(), signs)


def estimated(probes: int, fall: float, margin: Margin, signs: Tensor, random: torch.Generator) -> Tensor:
    """The signs of a gradient from so many random directions (differences on one side), which are not charged to it."""
    total = torch.zeros_like(signs)
    base = margin(torch.zeros_like(signs))
    for _ in range(probes):
        drawn = torch.from_numpy(Smooth(fall).draw(torch.randn(signs.shape, generator=random).numpy()))
        total += (margin(0.1 * drawn) - base)[:, None, None, None] * drawn
    return torch.where(total >= 0, 1.0, -1.0)


def learned(answers: int, margin: Margin, signs: Tensor, random: torch.Generator) -> Tensor:
    """The best corner as a Bayesian linear regression knows it after so many random smooth corners."""
    prior, n = Smooth(1.0), len(signs)
    noise = torch.randn((answers, *signs.shape), generator=random).numpy()
    asked = np.stack([np.where(prior.times(one) >= 0, 1, -1).astype(np.float32) for one in noise])
    told = torch.stack([margin(torch.from_numpy(one)) for one in asked]).numpy()
    out = [
        LinearMap(asked[:, i], told[:, i, None], gram_of(asked[:, i], asked[:, i], prior), prior, 0.02).gradient[0] for i in range(n)
    ]
    return torch.from_numpy(np.where(np.stack(out) >= 0, 1.0, -1.0)).float()


KINDS: dict[str, Any] = {
    **{f"square of {side}": partial(square, side) for side in (32, 16, 8, 4, 2)},
    **{f"flipped block of {side}": partial(flip, side) for side in (16, 8, 4, 1)},
    **{f"smooth window of {side}": partial(smooth, side, 1.0) for side in (32, 16, 8)},
    "low-frequency window of 16": partial(smooth, 16, 3.0),
    **{f"estimated from {count} white directions": partial(estimated, count, 0.0) for count in (50,)},
    **{f"estimated from {count} smooth directions": partial(estimated, count, 1.0) for count in (50,)},
    **{f"learned from {count} answers": partial(learned, count) for count in (50, 200)},
}


def measure(s: Settings) -> None:
    {"queries": queries, "settings": settings, "handover": handover, "proposals": proposals}[s.study](s)


if __name__ == "__main__":
    run(Settings, measure)

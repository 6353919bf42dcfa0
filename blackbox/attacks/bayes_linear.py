"""Bayes-linear: learns the target as a linear function of the change (this project's own; Thompson sampling for linear bandits is
Agrawal & Goyal 2013, arXiv:1209.3352)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.candidates.craft import CraftGoal, slope
from blackbox.estimators.answers import Answers, margins, tiled, tiling
from blackbox.estimators.linear_map import LinearMap
from blackbox.prior import Prior
from blackbox.proposals.smooth import Smooth
from blackbox.proposals.tiles import widen
from blackbox.protocol import Access, Ask, Attack, Steps, Task

_NOISE = (1e-4, 1.0)  # its least and most


@dataclass(frozen=True)
class BayesLinear(Attack):
    """Every answer is kept; a Bayesian linear regression of the scores on the change tells the gradient, and what of it is uncertain.

    Adversarially trained nets are close to linear inside the ball, so that all answers, wherever they were asked, tell of one
    gradient. Each step fits it anew and asks ``draws`` points: the threat's farthest point along the mean, and along draws around
    it (Thompson sampling), the first of them near the mean. What gradients look like before the first answer is `Smooth`.

    Args:
        draws: queries a step. explore: how far the last draw of a step is from the mean, 1 is the distribution's own width.
        noise: variance of an answer around the linear function, as a share of a typical answer's, until the answers speak for
            another (`LinearMap.evidence`). window: answers kept, the last ones. rivals: the likeliest other classes, whose scores
            are fitted. smooth: the gradients' distribution.
        prior: `surrogates.prior(nets)`, or None: their margin's gradient at the clean image is a direction of its own, of the
            variance ``trust ** 2``, and what is asked first.

    Needs: scores. Images of more than 32 pixels a side are searched in 32 tiles a side.
    """

    access: ClassVar[Access] = Access.SCORES
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")
    informed: ClassVar[bool] = True

    draws: int = 8
    explore: float = 1.0
    noise: float = 0.02
    window: int = 400
    rivals: int = 5
    smooth: Smooth = field(default_factory=Smooth)
    prior: Prior | None = None
    trust: float = 1.0

    def __post_init__(self) -> None:
        if self.draws < 1 or self.rivals < 1 or self.window < self.draws:
            raise ValueError(
                f"Expected draws and rivals of at least 1 and a window of at least draws, but they were {self.draws}, {self.rivals} "
                f"and {self.window}."
            )
        if not self.explore >= 0 or not self.noise > 0 or not self.trust > 0:
            raise ValueError(
                f"Expected explore >= 0, noise > 0 and trust > 0, but they were {self.explore}, {self.noise} and {self.trust}."
            )

    @dataclass
    class State:
        answers: Answers
        known: Tensor  # [n, r, *tiles] directions of surrogates, r is 0 or 1
        noise: Tensor  # [n] as the answers speak for it

    def init(self, t: Task) -> State:
        known = t.x0.new_zeros(t.n, 0, *tiling(t))
        if self.prior is not None:
            g = tiled(slope(self.prior, t.x0, CraftGoal.of(t)).view(t.n, *t.grid).numpy(force=True), tiling(t))
            known = torch.from_numpy(np.stack([_to_length(v) for v in g])[:, None]).to(t.x0.device)
        return self.State(Answers.none(t), known, torch.full_like(t.loss0, self.noise))

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        ways, noise = np.empty((t.n, self.draws, *tiling(t)), np.float32), s.noise.numpy(force=True).copy()
        ends = [t.project(t.x0 + far) - t.x0 for far in (-t.radius, t.radius)]
        room = [tiled(end.view(t.n, *t.grid).numpy(force=True), tiling(t)) for end in ends]
        for i, key in enumerate((t.rng.uniform_array(k, "draws", 2) * np.float32(2**24)).astype(np.uint64)):
            known = s.known[i].numpy(force=True) if s.known.shape[1] else None
            random, shape = np.random.Generator(np.random.Philox(key=key)), ways.shape[1:]
            fit = self.fit(t, i, s.answers, float(noise[i]), known)
            if fit is None:
                ways[i] = self.smooth.times(random.standard_normal(shape, dtype=np.float32))
                if known is not None:
                    ways[i] = known[0] + self.width * ways[i]
            else:
                mix = mixture(fit, room[0][i], room[1][i], t)
                variance, share = fit.evidence(mix)
                noise[i] = np.clip(np.sqrt(noise[i] * share), *_NOISE)
                ways[i] = np.tensordot(mix, fit.gradient, 1) + self.width * self.around(fit, variance, random)
        told = []
        for j in range(self.draws):
            way = torch.from_numpy(ways[:, j]).to(t.x0.device)
            told.append((yield Ask(t.x0 + t.radius * t.threat.steepest(widen(way, t)))))
        x, shown = torch.stack([a.x for a in told], 1), torch.stack([a.shown for a in told], 1)
        return self.State(s.answers.learned(t, x, shown, self.smooth, self.window), s.known, torch.from_numpy(noise).to(t.x0.device))

    @property
    def width(self) -> np.ndarray:
        """How far each draw of a step is from the mean."""
        return np.linspace(0, self.explore, self.draws, dtype=np.float32)[:, None, None, None]

    def fit(self, t: Task, i: int, answers: Answers, noise: float, known: np.ndarray | None) -> LinearMap | None:
        """What the answers of a row tell; None before the first."""
        assert t.goal is not None
        moves, values, gram = answers.row(i)
        if not len(moves):
            return None
        outputs = margins(values, int(t.goal[i]), t.targeted, self.rivals)
        told = np.isfinite(outputs).all(1)
        if not told.any():
            return None
        if not told.all():
            moves, outputs, gram = moves[told], outputs[told], gram[told][:, told]
        return LinearMap(moves, outputs, gram, self.smooth, noise, known=known, trust=self.trust)

    def around(self, fit: LinearMap, variance: float, random: np.random.Generator) -> np.ndarray:
        """Draws around the mean, smoothed once more: what is learned of the low frequencies counts soonest."""
        off = fit.deviations(variance, random, self.draws)
        smooth = self.smooth.times(off)
        for a, b in zip(smooth, off, strict=True):
            a *= float(np.linalg.norm(b)) / max(float(np.linalg.norm(a)), 1e-30)
        return smooth


def mixture(fit: LinearMap, down: np.ndarray, up: np.ndarray, t: Task) -> np.ndarray:
    """[C] the weights of the outputs in what is to rise: the class that its own farthest point takes farthest; towards a class,
    the rivals that are in its way at the best point asked."""
    if t.targeted:
        at = fit.values[int(fit.values.min(1).argmax())]
        soft = np.exp(at.min() - at)
        return np.asarray(soft / soft.sum(), np.float32)
    g = fit.gradient
    if t.threat.norm == "L2":
        gain = np.array([np.linalg.norm(v) for v in g])
    else:
        gain = np.array([float((np.where(v > 0, up, down) * v).sum()) / t.radius for v in g])
    return np.eye(len(g), dtype=np.float32)[int((fit.offset + gain).argmax())]


def _to_length(v: np.ndarray) -> np.ndarray:
    """A direction of the length that all ones have."""
    return np.asarray(v * (v.size**0.5 / max(float(np.linalg.norm(v)), 1e-30)), np.float32)

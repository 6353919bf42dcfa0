"""The methods: DFME and MAZE, which estimate the target's gradient, and one for targets that show labels only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.answer import run_steps
from blackbox.estimators import Estimator, Gaussian
from blackbox.plain_text import did_you_mean
from blackbox.protocol import Access
from blackbox.targets.outputs import scores_of
from blackbox.threat import Linf
from surrogates.acquisition.data_free.losses import LOSSES, against_critic, disagreement
from surrogates.crafting.queried import free_task
from surrogates.data.answers import Answers
from surrogates.nets.predict import frozen

if TYPE_CHECKING:
    from surrogates.acquisition.data_free.run import Run

BOX = Linf(1.0)  # of the probes


@dataclass(frozen=True)
class DataFree:
    """Base class: a round is ``generator_steps`` steps of the generator, then ``copy_steps`` of the copy on new images, then
    ``replay`` of the copy on batches of earlier rounds.

    Args:
        batch: images a step. 64 (ours: the papers' 256 and 128 leave few rounds at small budgets).
        generator_steps, copy_steps, replay: as above.
        latent, width: of the `Generator`. generator_lr, copy_lr: of Adam; 1e-3 (ours).
    """

    batch: int = 64
    generator_steps: int = 1
    copy_steps: int = 5
    replay: int = 0
    latent: int = 64
    width: int = 32
    generator_lr: float = 1e-3
    copy_lr: float = 1e-3

    access = Access.SCORES  # the least that it needs

    @property
    def copies(self) -> str:
        """Which loss the copy lowers, see `losses.taught`."""
        return "kl"

    def __post_init__(self) -> None:
        for name, least in (("batch", 2), ("generator_steps", 0), ("copy_steps", 1), ("replay", 0), ("latent", 1), ("width", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"Expected {name} to be at least {least}, but it was {getattr(self, name)!r}.")

    def cost(self, shape: tuple[int, ...]) -> int:
        """Queries of one step of the generator."""
        return 0

    def move(self, run: Run, x: Tensor) -> Tensor | None:
        """What the generator's images [n, C, H, W] would have to raise: a number with a gradient, or None: nothing is known."""
        raise NotImplementedError

    def query(self, run: Run, x: Tensor) -> Tensor:
        """The images that the target is asked about in place of the generator's ``x``."""
        return x


@dataclass(frozen=True)
class DFME(DataFree):
    """Data-free model extraction: a generator looks for images on which copy and target disagree, by forward differences.

    Truong et al. 2021, arXiv:2011.14779. The copy lowers the same loss. *Departs from the paper*: Adam for both nets and a smaller
    batch; directions are normal vectors of the size ``estimator.h`` an entry, unbiased at the edges of the box too
    (`blackbox.estimators.Gaussian`), where the paper has unit vectors of length 1e-3; with other losses the copy lowers
    the cross-entropy.

    Args:
        loss: what the generator raises, one of `losses.LOSSES`: ``"l1"`` (the paper's), ``"kl"``, ``"minimax"``, ``"non-saturating"``.
        estimator: any of `blackbox.estimators`; its queries are charged under ``"estimate"``. One direction (the paper's).
    """

    loss: str = "l1"
    estimator: Estimator = field(default_factory=lambda: Gaussian(h=1e-3, samples=1, two_sided=False, own=True))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in LOSSES:
            raise ValueError(f"Expected the loss of a generator to be one of {', '.join(LOSSES)}, but it was {self.loss!r}.")

    @property
    def copies(self) -> str:
        return self.loss

    def cost(self, shape: tuple[int, ...]) -> int:
        return self.batch * (1 + self.estimator.plan(shape, centre=False))

    def move(self, run: Run, x: Tensor) -> Tensor | None:
        told = run.ask(x.detach())
        g = estimated(self.estimator, self.loss, run, x.detach(), told)
        return (g * x).sum() / len(x)


def estimated(estimator: Estimator, loss: str, run: Run, x: Tensor, told: Answers) -> Tensor:
    """The gradient [n, C, H, W] of the disagreement at images ``x``, through target and copy, of which ``told`` holds the target's
    answers (index: rows of ``x``), from queries. Rows without an answer have none."""

    def losses(points: Tensor, answers: Answers) -> np.ndarray:
        out = np.full(len(points), np.nan, np.float32)
        if len(answers) and answers.probabilities is not None:
            at = torch.from_numpy(answers.index).to(points.device)
            with frozen([run.net]), torch.no_grad():
                scores = scores_of(run.net(points[at].to(run.device)))
            out[answers.index] = disagreement(loss, scores, answers.probabilities.to(run.device)).float().cpu().numpy()
        return out

    def evaluate(points: Tensor, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return losses(points, run.ask(points, "estimate")), np.zeros(len(points), np.bool_)

    centre = torch.from_numpy(losses(x, told)).to(x.device)
    task = free_task(run.oracle, x, run.rows(len(x)), BOX)
    g: Tensor = run_steps(estimator.estimate(task, x, run.step, loss=centre), task, evaluate)
    return torch.where(centre.isnan().view(-1, 1, 1, 1), 0.0, g)


@dataclass(frozen=True)
class MAZE(DFME):
    """Model stealing by zeroth-order gradients: more directions than `DFME`, the divergence as the loss, and a memory that is replayed.

    Kariyappa et al. 2021, arXiv:2005.03161: ten directions, five steps of the copy on new images, ten on earlier ones.
    *Departs from the paper* as `DFME` does; whole earlier batches are replayed, drawn uniformly.
    """

    replay: int = 10
    loss: str = "kl"
    estimator: Estimator = field(default_factory=lambda: Gaussian(h=1e-3, samples=10, two_sided=False, own=True))


@dataclass(frozen=True)
class HardLabel(DataFree):
    """For targets that show labels only: a generator guided by the copy, and queries where the copy is least sure.

    After Yuan et al. 2024 (DFHL-RS, arXiv:2312.05924), whose generator asks nothing of the target, and whose queries are made by
    moving its images to where the copy's entropy is highest. *Where the paper does not suffice, and departs from it*: the generator
    raises the confidence of the copy and the balance of its classes (Chen et al. 2019, arXiv:1904.01186, two of three terms); a query
    is moved by ``ascent`` steps of ``size`` along the sign of the entropy's gradient; the copy learns from plain labels, with a
    replay, without the paper's robust training.

    Args:
        loss: ``"balanced"``, as above; ``"minimax"`` or ``"non-saturating"``: the generator raises the probability that the
            copy is wrong, with the target's label held fixed: it is asked about the generator's images, and the copy learns from
            these answers too.
        ascent, size: steps and their size in units of the image range; 10 and 0.03; 0 steps ask about the images themselves.
    """

    replay: int = 5
    loss: str = "balanced"
    ascent: int = 10
    size: float = 0.03

    access = Access.LABELS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in ("balanced", "minimax", "non-saturating") or self.ascent < 0 or not 0 < self.size <= 1:
            raise ValueError(
                "Expected the loss balanced, minimax or non-saturating, ascent of at least 0 and size in (0, 1], but they were "
                f"{self.loss!r}, {self.ascent!r}, {self.size!r}."
            )

    def cost(self, shape: tuple[int, ...]) -> int:
        return 0 if self.loss == "balanced" else self.batch

    def move(self, run: Run, x: Tensor) -> Tensor | None:
        with frozen([run.net]):
            p = scores_of(run.net(x)).softmax(1)
        if self.loss == "balanced":
            return p.amax(1).clamp_min(1e-12).log().mean() + torch.special.entr(p.mean(0)).sum()
        told = run.ask(x.detach())
        if not len(told):
            return None
        own = p[torch.from_numpy(told.index).to(p.device)].gather(1, told.labels.to(p.device)[:, None])[:, 0]
        return against_critic(self.loss, 1 - own).mean()

    def query(self, run: Run, x: Tensor) -> Tensor:
        for _ in range(self.ascent):
            x = (x + self.size * uncertain(run.net, x).sign()).clamp(0, 1)
        return x


def uncertain(net: nn.Module, x: Tensor) -> Tensor:
    """The gradient [n, C, H, W] of the entropy of the net's probabilities."""
    x = x.detach().requires_grad_()
    with frozen([net]), torch.enable_grad():
        total = torch.special.entr(scores_of(net(x)).softmax(1)).sum()
        return torch.autograd.grad(total, x)[0]


_ALL: dict[str, DataFree] = {"dfme": DFME(), "maze": MAZE(), "hard-label": HardLabel()}


def names() -> list[str]:
    """The names of the methods without data."""
    return list(_ALL)


def get(method: Any) -> DataFree:
    """Look up a method by name, with its defaults.

    Raises:
        ValueError: no such method; the message suggests the nearest.
    """
    if isinstance(method, DataFree):
        return method
    key = str(method).lower()
    if key not in _ALL:
        raise ValueError(f"Expected the name of a method, but it was {method!r}.{did_you_mean(key, _ALL)} There are {', '.join(_ALL)}.")
    return _ALL[key]

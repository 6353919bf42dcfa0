"""`Recipe`: how a net is trained. `TrainReport`: what a training run did."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from surrogates.training.update import Update

SCHEDULES = ("cosine", "step", "constant")
OPTIMISERS = ("sgd", "adam")
AUGMENTATIONS = ("flip", "crop")
PRECISIONS = ("auto", "full", "bfloat16")


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run. There is no mixup, cutmix or label smoothing: they make a net a worse surrogate.

    Args:
        epochs: passes over the training set. 30 (ours; He et al. 2016 have 164).
        batch_size: images an update. 128 (He et al. 2016, arXiv:1512.03385, section 4.2).
        least_updates: the batch is halved, down to 8 images, until an epoch has this many updates. 16 (ours), for small sets.
        optimiser: ``"sgd"`` (He et al. 2016) or ``"adam"`` (Kingma & Ba 2015, arXiv:1412.6980).
        lr: by default, sgd: 0.1 for nets with batch norm (He et al. 2016), scaled down in proportion to the batch where
            that was halved (Goyal et al. 2017, arXiv:1706.02677); 0.025 for nets without (ours; a deep net without batch
            norm may need the 0.01 of Krizhevsky et al. 2012); adam: 0.001 (Kingma & Ba).
        momentum: 0.9; weight_decay: 1e-4 (He et al. 2016). A surrogate may transfer better with more, such as 0.02 (adam) or
            4e-3 (sgd); see `experiments.studies.practical_blackbox` and `experiments.studies.settings --study surrogates`.
        schedule: ``"cosine"`` to zero, once over the run (Loshchilov & Hutter 2017, arXiv:1608.03983), ``"step"``: a tenth
            after 1/2 and again after 3/4 of the epochs (He et al. 2016, 32k and 48k of 64k updates), or ``"constant"``.
        warmup: share of the updates during which the rate rises linearly from 0. 0.05 (Goyal et al. 2017: 5 of 90 epochs).
        augment: ``"flip"``, ``"crop"`` (zeros around, 4 pixels, He et al. 2016; 1/8 of the side where that is less). None
            takes those of the data set.
        temperature: of the distillation loss; 1 takes the target's probabilities as they are (Hinton et al. 2015,
            arXiv:1503.02531, use 1 to 20 and the factor T^2, as here).
        held_out: share of the training set (with a teacher: of the *queried* images) held out to choose the best epoch.
            0 (He et al. 2016 keep the last epoch).
        patience: stop after this many epochs without a better held-out loss; None: never. Needs held-out images.
        precision: ``"auto"``: bfloat16 forward passes on CUDA devices that support it (mixed precision, Micikevicius et al.
            2018, arXiv:1710.03740; bfloat16 needs no loss scaling), the net's own precision elsewhere; ``"full"``: always
            the net's own; ``"bfloat16"``: always bfloat16, also on a CPU, where it is faster with AVX512-BF16 and much
            slower without (a warning says so).
        update: the step on a batch: None for plain descent, `robust.Adversarial`, `robust.Free` or `refine.SAM`.

    Raises:
        ValueError: a value out of its range; the message names it.
    """

    epochs: int = 30
    batch_size: int = 128
    least_updates: int = 16
    optimiser: str = "sgd"
    lr: float | None = None
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warmup: float = 0.05
    augment: tuple[str, ...] | None = None
    temperature: float = 1.0
    held_out: float = 0.0
    patience: int | None = None
    precision: str = "auto"
    update: Update | None = None

    def __post_init__(self) -> None:
        if self.augment is not None:
            object.__setattr__(self, "augment", tuple(self.augment))
        for name, choices in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"Expected {name} to be one of {', '.join(choices)}, but it was {getattr(self, name)!r}."
                )
        if unknown := [a for a in self.augment or () if a not in AUGMENTATIONS]:
            raise ValueError(
                f"Expected augment to name some of {', '.join(AUGMENTATIONS)}, but it named {unknown[0]!r}."
            )
        for name, least in (("epochs", 1), ("batch_size", 2), ("least_updates", 1), ("patience", 1)):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and value >= least):
                raise ValueError(f"Expected {name} to be a whole number of at least {least}, but it was {value!r}.")
        for name, low, high in (
            ("momentum", 0, 1),
            ("warmup", 0, 1),
            ("held_out", 0, 1),
            ("weight_decay", 0, math.inf),
        ):
            if not low <= getattr(self, name) < high:
                raise ValueError(f"Expected {name} in [{low}, {high}), but it was {getattr(self, name)!r}.")
        if (self.lr is not None and not 0 < self.lr < math.inf) or not 0 < self.temperature < math.inf:
            raise ValueError(
                f"Expected lr and temperature to be positive, but they were {self.lr!r} and {self.temperature!r}."
            )
        if self.update is not None and not isinstance(self.update, Update):
            raise ValueError(
                f"Expected update to be an Update (robust.Adversarial, refine.SAM ...), but it was {self.update!r}."
            )

    def settings(self) -> dict[str, str]:
        """Every field as text, to identify the recipe in checkpoints and caches."""
        return {f.name: repr(getattr(self, f.name)) for f in fields(self)}

    def rate(self, done: float) -> float:
        """The factor of the learning rate after a share ``done`` of all updates."""
        if done < self.warmup:
            return done / self.warmup
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup)))
        if self.schedule == "step":
            return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01
        return 1.0


@dataclass
class TrainReport:
    """What a training run did.

    Attributes:
        images, held_out: counts.
        queries, budget: spent on the teacher, and allowed.
        soft: whether it learned from probabilities.
        batch_size, lr: as used.
        updates, seconds: number of updates, wall time.
        best: the epoch kept, from 1.
        stopped: "epochs", "patience" or "diverged"; "" while it runs.
        loss, accuracy: a value an epoch, on the augmented training images with the labels trained on (the teacher's, if
            there is one); held_out_loss, held_out_accuracy: likewise.
        notes: remarks for the user.
    """

    images: int
    held_out: int
    queries: int
    budget: int
    soft: bool
    seed: int
    batch_size: int = 0
    lr: float = 0.0
    updates: int = 0
    seconds: float = 0.0
    best: int = 0
    stopped: str = ""
    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    held_out_loss: list[float] = field(default_factory=list)
    held_out_accuracy: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """The report in a line or two."""
        source = (
            f"{self.queries} of {self.budget} queries, {'soft' if self.soft else 'hard'} labels"
            if self.budget
            else "own labels"
        )
        kept = self.best - 1
        held = f", held-out {100 * self.held_out_accuracy[kept]:.1f} %" if self.held_out_accuracy and kept >= 0 else ""
        fit = (
            f"{100 * self.accuracy[kept]:.1f} % of them learned{held}"
            if self.accuracy and kept >= 0
            else "nothing learned"
        )
        text = f"{self.images} images ({source}), {len(self.loss)} epochs in {self.seconds:.1f} s, {fit}"
        return "\n".join([text, *self.notes])

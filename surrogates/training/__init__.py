"""Training: recipes, the training loop, adversarial training, averaged weights."""

from surrogates.training.adversarial import Adversarial, Free
from surrogates.training.averaging import SAM, ema, lgv, sam, sasd_ws, swa, swag
from surrogates.training.recipe import Recipe, TrainReport
from surrogates.training.train import report, train
from surrogates.training.update import Batch, Update

__all__ = [
    "SAM", "Adversarial", "Batch", "Free", "Recipe", "TrainReport", "Update", "ema", "lgv", "report", "sam", "sasd_ws",
    "swa", "swag", "train",
]  # fmt: skip

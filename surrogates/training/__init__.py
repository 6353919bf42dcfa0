"""Training: recipes, the training loop, adversarial training, averaged weights."""

from surrogates.training.adversarial import Adversarial, Free
from surrogates.training.averaging import SAM, ema, lgv, sam, sasd_ws, swa, swag
from surrogates.training.many import Many, many
from surrogates.training.recipe import Recipe, TrainReport
from surrogates.training.train import report, train
from surrogates.training.update import Batch, Update
from surrogates.training.weighing import weigh

__all__ = [
    "SAM", "Adversarial", "Batch", "Free", "Many", "Recipe", "TrainReport", "Update", "ema", "lgv", "many", "report", "sam",
    "sasd_ws", "swa", "swag", "train", "weigh",
]  # fmt: skip

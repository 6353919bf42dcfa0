"""Evaluation: how robust a model is at each access level, and which settings suit an attack."""

from blackbox.evaluation.evaluation import Evaluation, evaluate
from blackbox.evaluation.tuning import tune, variants

__all__ = ["Evaluation", "evaluate", "tune", "variants"]

"""Evaluation: how robust a model is at each access level, and which settings suit an attack."""

from blackbox.evaluation.benign import benign
from blackbox.evaluation.evaluation import Evaluation, evaluate
from blackbox.evaluation.space import ranges
from blackbox.evaluation.tuned import Tuned
from blackbox.evaluation.tuning import tune, variants

__all__ = ["Evaluation", "Tuned", "benign", "evaluate", "ranges", "tune", "variants"]
